"""Who sees the runs of approvals: those who take part in one, those it was copied to, and who stands in for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from tests.generic.oracle import Oracle
from tests.generic.test_scope import RANDOM_ID, _refused, all_rows, ids
from tests.generic.world import NOW, PEOPLE, Place, Seed, World

EVERYBODY = "platform.everybody"
KINDS = ("approval_case", "approval_party", "approval_task", "approval_copy", "substitute")
# Who takes part in each case; who got a copy of it without being named here sees the copy alone.
PARTIES = (("alice", "bob"), ("bob", "carol"), ("alice",), ("dave",), ())
COPIES = ((0, "alice"), (1, "alice"), (1, "erin"), (3, "dave"), (4, "sue"))
STAND_INS = (("alice", "bob"), ("carol", "alice"), ("bob", "carol"), ("dave", "erin"))


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    """The first tenant with rows in its engine tables, which are gone afterwards."""
    made: dict[str, list[Seed]] = {f"platform.{kind}": [] for kind in KINDS}
    people = world.alpha.people
    engine = world.alpha.tenant.revision().tables.engine

    with world.alpha.tenant.write() as conn:
        def add(table: str, **row: Any) -> int:
            id = conn.execute(getattr(engine, table).insert().values(**row)).inserted_primary_key[0]
            told = {name.removesuffix("_id"): value for name, value in row.items()}
            made[f"platform.{table}"].append(Seed(f"platform.{table}", id, "alice", 0, 0, 0, told))
            return int(id)

        cases = []
        for number, parties in enumerate(PARTIES):
            case = add("approval_case", entity="lending.loan", record_id=number + 1, chain="main", chain_digest="0" * 64, revision_number=1, status="running",
                       state="{}", record_version=1, started_at=NOW, initiator_id=people["sue"])
            cases.append(case)
            for party in parties:
                add("approval_party", case_id=case, user_id=people[party])
            for task_no in (1, 2):
                add("approval_task", case_id=case, task_no=task_no, step="first", kind="decide", status="open", opened_at=NOW, assignee_id=people["sue"])
        for number, user in COPIES:
            add("approval_copy", case_id=cases[number], user_id=people[user])
        for user, other in STAND_INS:
            add("substitute", user_id=people[user], substitute_id=people[other], from_date=date(2026, 11, 1), to_date=date(2026, 11, 30))
    yield replace(world.alpha, rows={**world.alpha.rows, **made})
    with world.alpha.tenant.write() as conn:
        for kind in reversed(KINDS):
            table = getattr(engine, kind)
            conn.execute(sa.delete(table).where(table.c.id.in_([row.id for row in made[f"platform.{kind}"]])))


def test_a_person_sees_the_cases_they_take_part_in_and_what_stands_in_them(world: World, place: Place) -> None:
    cells, seen = 0, 0
    for person in PEOPLE:
        for role in (None, "lending.officer", "platform.auditor"):
            plan = world.assume(*([role] if role else []), person=person)
            oracle = Oracle(place, person, [EVERYBODY, *([role] if role else [])])
            with world.reader(plan) as reader:
                for entity in (f"platform.{kind}" for kind in KINDS):
                    wanted = oracle.rows(entity, "list")
                    assert ids(all_rows(reader, entity)) == wanted, (person, role, entity)
                    assert reader.count(entity).number == len(wanted), (person, role, entity)
                    for row in place.rows[entity]:
                        found = _refused(lambda r=reader, e=entity, i=row.id: r.get(e, i)) is None
                        assert found == (row.id in oracle.rows(entity, "read")), (person, role, entity, row)
                        cells, seen = cells + 1, seen + found
                    assert _refused(lambda r=reader, e=entity: r.get(e, RANDOM_ID)) is not None
    world.assume()
    print(f"parties: {cells} cells, {seen} seen")
    assert cells == len(PEOPLE) * 3 * sum(len(place.rows[f"platform.{kind}"]) for kind in KINDS) and cells // 3 < seen < cells * 2 // 3
