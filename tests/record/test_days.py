"""A list by days against a reckoning in Python: what stands on each day, how many there are, for whom, in one statement, on both databases."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Invalid
from metaloom.record import Days, Filter
from metaloom.record import reader as reader_room
from metaloom.storage.budget import TooSlow
from tests.record.world import PEOPLE, statements

SHANGHAI, ONLY = ZoneInfo("Asia/Shanghai"), Filter("code", "prefix", "D")
SINCE, UNTIL = date(2026, 2, 23), date(2026, 4, 5)


@pytest.fixture(scope="module")
def many(world: Any) -> list[dict[str, Any]]:
    """Projects that begin and are closed around a month, some without a day, some closed before they begin, some at midnight."""
    dice, rows = random.Random(5), []
    for i in range(4000, 4200):
        owner = dice.choice((1, 2, 3, 4))
        _, company, unit = PEOPLE[owner]
        hour = dice.choice((15, 16, 17))                     # 16:00 in UTC is midnight in Shanghai
        rows.append({"id": i, "code": f"D{i}", "name": f"日{i % 5}", "owner_id": owner, "company_id": company, "org_unit_id": unit,
                     "starts_on": dice.choice((None, date(2026, 2, 15) + timedelta(days=dice.randint(0, 60)))),
                     "closed_at": dice.choice((None, datetime(2026, 2, 15, hour, tzinfo=UTC) + timedelta(days=dice.randint(0, 60))))})
    with world.tenant.write() as conn:
        world._rows(conn, "demo.project", rows)
    return rows


def days_of(row: dict[str, Any], path: str, end: str) -> list[date]:
    first, last = (value.astimezone(SHANGHAI).date() if isinstance(value, datetime) else value for value in (row[path], row[end] if end else None))
    if first is None:
        return []
    return [first, *(first + timedelta(days=n) for n in range(1, (last - first).days + 1))] if last is not None else [first]


@pytest.mark.parametrize(("path", "end"), [("starts_on", ""), ("closed_at", ""), ("starts_on", "closed_at")])
@pytest.mark.parametrize(("roles", "sees"), [(("everything",), lambda row: True), (("own",), lambda row: row["owner_id"] == 1)])
def test_each_day_holds_its_rows_and_counts_them_all(world: Any, many: Any, path: str, end: str, roles: tuple[str, ...], sees: Any) -> None:
    wanted = defaultdict(set)
    for row in filter(sees, many):
        for day in days_of(row, path, end):
            if SINCE <= day <= UNTIL:
                wanted[day].add(row["id"])
    with world.as_(1, *roles) as reader, statements(reader.conn) as sent:
        whole = reader.calendar("demo.project", Days(path, SINCE, UNTIL, end, ("name",), 200), filters=[ONLY])
        first = reader.calendar("demo.project", Days(path, SINCE, UNTIL, end, ("name",), 2), filters=[ONLY])
        assert len([s for s in sent if "set_config" not in s]) == 2
    assert {day: {card.id for card in found.cards} for day, found in whole.days.items()} == wanted and len(wanted) > 10
    for day, ids in wanted.items():
        assert (first.days[day].rows, len(first.days[day].cards)) == (len(ids), min(2, len(ids)))
        assert [c.id for c in first.days[day].cards] == [c.id for c in whole.days[day].cards][:2]


def test_a_calendar_by_what_the_reader_may_not_read_is_refused(world: Any, many: Any) -> None:
    with world.as_(1, "own_secret") as reader:
        for days in (Days("starts_on", SINCE, UNTIL), Days("gone", SINCE, UNTIL), Days("created_at", SINCE, UNTIL, "starts_on")):
            with pytest.raises(Invalid):
                reader.calendar("demo.project", days)
    with world.as_(1, "everything") as reader, pytest.raises(Invalid):
        reader.calendar("demo.project", Days("name", SINCE, UNTIL))


def test_a_calendar_that_takes_too_long_is_stopped(world: Any, many: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = ("SELECT pg_sleep(30)" if world.tenant.dialect == "postgresql" else
               "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000000000) SELECT max(x) FROM n")
    monkeypatch.setattr(reader_room, "by_day", lambda reader, *asked, **more: reader.conn.execute(sa.text(endless)))
    monkeypatch.setattr(reader_room, "SECONDS_TO_SUM", 0.2)
    with pytest.raises(TooSlow), world.as_(1, "everything") as reader:
        reader.calendar("demo.project", Days("starts_on", SINCE, UNTIL))
