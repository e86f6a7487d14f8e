"""Sums over rows against a reckoning in Python: every measure, group and bucket, over random rows, scopes and hidden fields."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Invalid, NotAllowed
from metaloom.model import Measure
from metaloom.record import Bucket, Filter, Summing
from metaloom.record import reader as reader_room
from metaloom.storage.budget import TooSlow, limited
from tests.record.world import PEOPLE, statements

SHANGHAI = ZoneInfo("Asia/Shanghai")
ROWS = 400
MEASURES = ("count", "sum(budget)", "avg(budget)", "min(budget)", "max(budget)", "sum(hours)", "avg(hours)", "max(starts_on)")
GROUPS = ("status", "urgent", "client", "client.level", "owner", "name", "hours", "reviewer")


@pytest.fixture(scope="module")
def many(world: Any) -> list[dict[str, Any]]:
    """Projects of four people in two companies with nulls and amounts that no float holds."""
    dice = random.Random(20261122)
    rows = []
    for i in range(2000, 2000 + ROWS):
        owner = dice.choice((1, 2, 3, 4))
        _, company, unit = PEOPLE[owner]
        rows.append({
            "id": i, "code": f"S{i}", "name": f"组{i % 5}", "client_id": dice.choice((1, 2, 3, 4, None)), "owner_id": owner, "company_id": company,
            "org_unit_id": unit, "budget": dice.choice((None, Decimal("0.01"), Decimal("-3.07"), Decimal("99999999999999.99"),
                                   Decimal(dice.randint(0, 10**8)) / 100)),
            "hours": dice.choice((None, 0, 1, 7)), "urgent": dice.choice((None, True, False)), "reviewer_id": dice.choice((1, 2, None)),
            "starts_on": dice.choice((None, date(2026, 1, 1) + timedelta(days=dice.randint(0, 400)))),
            "closed_at": dice.choice((None, datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=dice.randint(0, 60 * 24 * 50)))),
            "status": dice.choice(("draft", "open", None)),
        })
    with world.tenant.write() as conn:
        world._rows(conn, "demo.project", rows)
    clients = {i: world.client_row(i) for i in PEOPLE}
    return [{**row, "client.level": clients[row["client_id"]]["level"] if row["client_id"] else None,
             **{name: row[f"{name}_id"] for name in ("client", "owner", "reviewer")}} for row in rows]


def measure(text: str) -> Measure:
    how, _, path = text.partition("(")
    return Measure(how, path.rstrip(")"))


def reckon(text: str, rows: list[dict[str, Any]], readable: Any = lambda row: True) -> Any:
    """The measure by hand."""
    found = measure(text)
    if found.how == "count":
        return len(rows)
    values = [row[found.path] for row in rows if row[found.path] is not None and readable(row)]
    if found.how == "sum":
        return sum(values, Decimal("0.00") if found.path == "budget" else 0)
    if not values:
        return None
    if found.how == "avg":
        return (Decimal(sum(values)) / len(values)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return (min if found.how == "min" else max)(values)


ONLY = [Filter("id", "between", ["2000", str(1999 + ROWS)])]


@pytest.mark.parametrize("text", MEASURES)
@pytest.mark.parametrize(("roles", "sees"), [
    (("everything", "all_clients"), lambda row: True), (("own", "masked_reader"), lambda row: row["owner_id"] == 1),
    (("unit", "all_clients"), lambda row: row["org_unit_id"] == 2), (("checker", "all_clients"), lambda row: row["reviewer_id"] == 1),
])
def test_every_measure_and_group_equals_a_reckoning_by_hand(world: Any, many: list[dict[str, Any]], text: str, roles: tuple[str, ...], sees: Any) -> None:
    rows = [row for row in many if sees(row)]
    assert 20 < len(rows) <= ROWS
    with world.as_(1, *roles) as reader:
        with statements(reader.conn) as sent:
            whole = reader.summary("demo.project", Summing(measure(text), part="urgent == true"), filters=ONLY)
        assert len([text for text in sent if "demo__project" in text]) == 1
        assert (whole.value, whole.rows) == (reckon(text, rows), len(rows)) and type(whole.value) is type(reckon(text, rows))
        assert whole.part == reckon(text, [row for row in rows if row["urgent"]])
        for group in GROUPS:
            if group == "client.level" and "masked_reader" in roles:
                continue
            found = reader.summary("demo.project", Summing(measure(text), group, limit=400), filters=ONLY)
            wanted = defaultdict(list)
            for row in rows:
                wanted[row[group]].append(row)
            assert {g.key: (g.value, g.rows) for g in found.groups} == {key: (reckon(text, of), len(of)) for key, of in wanted.items()}, group
            assert (found.groups_found, found.rows, found.value) == (len(wanted), len(rows), reckon(text, rows)), group


@pytest.mark.parametrize("sort", ["most", "least"])
def test_the_most_groups_are_kept_exactly_and_the_whole_is_still_of_all(world: Any, many: list[dict[str, Any]], sort: str) -> None:
    wanted = defaultdict(list)
    for row in many:
        wanted[row["client"]].append(row)
    sums = sorted((reckon("sum(budget)", of) for of in wanted.values()), reverse=sort == "most")
    with world.as_(1, "everything", "all_clients") as reader:
        found = reader.summary("demo.project", Summing(Measure("sum", "budget"), "client", sort=sort, limit=2), filters=ONLY)
        assert [g.value for g in found.groups] == sums[:2]
        assert found.value == sum(sums) and found.groups_found == 5


@pytest.mark.parametrize(("path", "unit"), [(p, u) for p in ("starts_on", "closed_at") for u in ("day", "week", "month", "year")])
def test_days_are_those_of_the_tenants_zone_and_weeks_begin_on_monday(world: Any, many: list[dict[str, Any]], path: str, unit: str) -> None:
    def day(row: dict[str, Any]) -> date | None:
        value = row[path]
        return value.astimezone(SHANGHAI).date() if isinstance(value, datetime) else value

    def begin(of: date) -> date:
        return {"day": of, "week": of - timedelta(days=of.weekday()), "month": of.replace(day=1), "year": of.replace(month=1, day=1)}[unit]

    since, until = date(2026, 1, 15), date(2026, 12, 20)
    wanted = defaultdict(list)
    for row in many:
        if day(row) is not None and since <= day(row) <= until:
            wanted[begin(day(row))].append(row)
    with world.as_(1, "everything") as reader:
        found = reader.summary("demo.project", Summing(Measure("sum", "budget"), bucket=Bucket(path, unit, since, until)),
                               filters=[*ONLY, Filter(path, "between", [since.isoformat(), until.isoformat()])])
    assert [(g.key, g.value, g.rows) for g in found.groups] == [(key, reckon("sum(budget)", of), len(of)) for key, of in sorted(wanted.items())]


def test_days_stay_right_where_the_clocks_change(world: Any) -> None:
    """Berlin put its clocks forward on 29 March 2026: the same hour of UTC is another hour before and after."""
    from metaloom.record.summary import _offsets

    spans = _offsets(ZoneInfo("Europe/Berlin"), date(2026, 3, 1), date(2026, 11, 30))
    assert [(moment.isoformat(), seconds) for moment, seconds in spans[1:]] == [("2026-03-29T01:00:00+00:00", 7200), ("2026-10-25T01:00:00+00:00", 3600)]
    assert _offsets(SHANGHAI, date(2026, 1, 1), date(2026, 12, 31))[1:] == []


def test_a_group_speaks_only_of_rows_where_its_field_is_readable_and_says_so(world: Any, many: list[dict[str, Any]]) -> None:
    """own_secret reads `secret` and `budget` of own rows, office sees the company's rows without both."""
    own = [row for row in many if row["owner_id"] == 1]
    company = [row for row in many if row["company_id"] == 1]
    with world.as_(1, "own_secret", "office") as reader:
        grouped = reader.summary("demo.project", Summing(Measure(), "secret"), filters=ONLY)
        assert grouped.rows == len(own) < len(company) and grouped.narrowed
        total = reader.summary("demo.project", Summing(Measure("sum", "budget")), filters=ONLY)
        assert total.value == reckon("sum(budget)", own) and total.rows == len(company) and total.narrowed
        plain = reader.summary("demo.project", Summing(Measure(), "name"), filters=ONLY)
        assert plain.rows == len(company) and not plain.narrowed
        mine = [Filter("id", "in", [row["id"] for row in own[:50]])]
        assert not reader.summary("demo.project", Summing(Measure("sum", "budget"), "secret"), filters=mine).narrowed, "no row was left out"
        with pytest.raises(Invalid):
            reader.summary("demo.project", Summing(Measure(), bucket=Bucket("reviewer", "day", date(2026, 1, 1), date(2026, 2, 1))))


@pytest.mark.parametrize("path", ["secret", "budget", "client.mobile", "client.id_no", "nothing", "client..name", "notes", "extra", "tags", "margin.x",
                                  "tasks", "starts_on", "password", "'; drop table x", "", "x" * 500])
def test_what_is_hidden_masked_or_shapeless_can_neither_be_grouped_nor_measured(world: Any, many: list[dict[str, Any]], path: str) -> None:
    """The oracle of groups: with a hidden field as group, its values would be counted out one by one."""
    with world.as_(3, "office", "masked_reader") as reader:
        for how in ("sum", "min", "avg"):
            if path not in ("tags", "extra", "notes", "starts_on"):
                with pytest.raises(Invalid):
                    reader.summary("demo.project", Summing(Measure(how, path)))
        if path:
            with pytest.raises(Invalid):
                reader.summary("demo.project", Summing(Measure(), path))
    with world.as_(3, "nobody") as reader, pytest.raises(NotAllowed):
        reader.summary("demo.project", Summing())


def test_words_of_linked_rows_are_masked_or_left_out_as_on_lists(world: Any, many: list[dict[str, Any]]) -> None:
    with world.as_(1, "everything", "all_clients") as reader:
        named = {g.key: g.words for g in reader.summary("demo.project", Summing(Measure(), "client"), filters=ONLY).groups}
        assert named == {1: "张三", 2: "李四", 3: "王五", 4: "赵六", None: ""}
        assert {g.words for g in reader.summary("demo.project", Summing(Measure(), "owner"), filters=ONLY).groups} == {"Ann", "Bob", "Cai", "Dee"}
    with world.as_(1, "everything") as reader:
        english = reader.summary("demo.project", Summing(Measure(), "status", locale="en"), filters=ONLY)
        assert {g.words for g in english.groups} == {"Draft", "Open", ""}
    with world.as_(1, "everything", "office") as reader:   # clients of company 1 only
        named = {g.key: g.words for g in reader.summary("demo.project", Summing(Measure(), "client"), filters=ONLY).groups}
        assert named == {1: "张三", 2: "李四", 3: "王五", 4: "#4", None: ""}


def test_sums_leave_64_bits_without_an_error(world: Any) -> None:
    most = Decimal("9999999999999999.99")
    with world.tenant.write() as conn:
        world._rows(conn, "demo.project", [{"id": 5000 + i, "code": f"B{i}", "name": "大", "owner_id": 1, "company_id": 1, "org_unit_id": 2, "budget": most,
                                             "client_id": 1 + i % 2} for i in range(40)])
    with world.as_(1, "everything", "all_clients") as reader:
        big = [Filter("code", "prefix", "B")]
        assert reader.summary("demo.project", Summing(Measure("sum", "budget")), filters=big).value == 40 * most
        assert [g.value for g in reader.summary("demo.project", Summing(Measure("sum", "budget"), "client"), filters=big).groups] == [20 * most, 20 * most]


def test_a_statement_that_takes_too_long_is_stopped_and_the_connection_lives_on(world: Any, many: list[dict[str, Any]], monkeypatch: Any) -> None:
    endless = ("SELECT pg_sleep(30)" if world.tenant.dialect == "postgresql" else
               "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000000000) SELECT max(x) FROM n")
    began = time.monotonic()
    with pytest.raises(TooSlow), world.as_(1, "everything") as reader, limited(reader.conn, 0.2):
        reader.conn.execute(sa.text(endless))
    assert time.monotonic() - began < 10
    monkeypatch.setattr(reader_room, "summed", lambda reader, *asked, **more: reader.conn.execute(sa.text(endless)))
    monkeypatch.setattr(reader_room, "SECONDS_TO_SUM", 0.2)
    with pytest.raises(TooSlow), world.as_(1, "everything") as reader:
        reader.summary("demo.project", Summing())
    monkeypatch.undo()
    with world.as_(1, "everything") as reader:
        assert reader.summary("demo.project", Summing(), filters=ONLY).value == ROWS
        assert world.tenant.dialect == "sqlite" or reader.conn.scalar(sa.text("SHOW statement_timeout")) == "0"
