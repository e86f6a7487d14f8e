"""Rows: what a role sees of every entity is the same through every door, and nothing else (reliability §2b 41, 59, 60)."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from typing import Any

import pytest

from metaloom.access.plan import AccessPlan
from metaloom.base.errors import MetaloomError, NotAllowed, NotFound
from metaloom.model import Column, FieldLevel, FieldType, ListView
from metaloom.record import Days, Lanes, Reader
from metaloom.record.board import COLUMNED
from tests.generic.oracle import Oracle
from tests.generic.world import ALERT, ORGANISATION, World, is_seeded

ALERT_WORDS = ("rule_name", "subject")
RANDOM_ID = 987_654_321


def seeded(world: World) -> list[str]:
    return [address for address, entity in world.catalog.entities.items() if is_seeded(entity) and address not in ORGANISATION]


def ids(found: Any) -> set[int]:
    return {row.id for row in found}


def all_rows(reader: Reader, entity: str, **asked: Any) -> list[Any]:
    """Every page of a list."""
    rows: list[Any] = []
    page = reader.list(entity, limit=5, **asked)
    rows += page.rows
    while page.next_cursor and page.has_more:
        page = reader.list(entity, limit=5, cursor=page.next_cursor, **asked)
        rows += page.rows
    assert len({row.id for row in rows}) == len(rows), f"{entity}: a row on two pages"
    return rows


def disagreements(world: World, reader: Reader, oracle: Oracle, entity: str) -> tuple[int, list[str]]:
    """(questions asked, answers that differ from the oracle) of one role on one entity, through every reading door."""
    wrong: list[str] = []
    cells = 0
    listed, readable = oracle.rows(entity, "list"), oracle.rows(entity, "read")

    def expect(door: str, found: Any, wanted: Any) -> None:
        nonlocal cells
        cells += 1
        if found != wanted:
            wrong.append(f"{sorted(oracle.roles)} {entity} {door}: {found!r} for {wanted!r}")

    if oracle.may(entity, "list"):
        rows = all_rows(reader, entity)
        expect("list", ids(rows), listed)
        expect("count", reader.count(entity).number, len(listed))
        expect("no double rows", len(rows), len(listed))
        by = next((name for name, one in world.catalog.entities[entity].fields.items() if one.type in COLUMNED and one.stored and not one.encrypted
                   and reader.plan.field_level_anywhere(entity, name) >= FieldLevel.READ), None)
        if by is not None:
            read = {row.id for row in all_rows(reader, entity, paths=[by]) if row.levels.get(by, FieldLevel.HIDDEN) >= FieldLevel.READ}
            lanes = reader.board(entity, Lanes(by, limit=50)).lanes.values()
            expect(f"board by {by}", {card.id for lane in lanes for card in lane.cards}, read)
            expect(f"counts of the board by {by}", sum(lane.rows for lane in lanes), len(read))
        if reader.plan.field_level_anywhere(entity, "created_at") >= FieldLevel.READ and entity != ALERT:
            read = {row.id: row.values["created_at"] for row in all_rows(reader, entity, paths=["created_at"]) if row.values.get("created_at") is not None}
            first = min((at.date() for at in read.values()), default=date(2026, 1, 1)) - timedelta(days=2)
            dated = reader.calendar(entity, Days("created_at", first, first + timedelta(days=50), limit=200)).days.values()
            near = {id for id, at in read.items() if at.date() <= first + timedelta(days=48)}
            expect("calendar", {card.id for day in dated for card in day.cards} & near, near)
            expect("calendar within the list", {card.id for day in dated for card in day.cards} - set(read), set())
    else:
        expect("list", _refused(lambda: reader.list(entity)), NotAllowed)
        expect("count", _refused(lambda: reader.count(entity)), NotAllowed)
        expect("totals", _refused(lambda: reader.totals(entity, [])), NotAllowed)
        expect("board", _refused(lambda: reader.board(entity, Lanes("status"))), NotAllowed)
        expect("calendar", _refused(lambda: reader.calendar(entity, Days("created_at", date(2026, 1, 1), date(2026, 1, 31)))), NotAllowed)
        expect("export", _refused(lambda: reader.export(entity, format="csv", file=io.BytesIO())), NotAllowed)
    for row in world.alpha.rows[entity]:
        found = _refused(lambda row=row: reader.get(entity, row.id))
        expect(f"get {row.id}", found is None, row.id in readable)
        if oracle.holds(entity, row, "read"):
            got = _refused(lambda row=row: reader.history(entity, row.id))
            expect(f"history {row.id}", got is None, oracle.holds(entity, row, "history"))
        else:
            expect(f"history {row.id}", _refused(lambda row=row: reader.history(entity, row.id)), NotFound)
    expect("get random", _refused(lambda: reader.get(entity, RANDOM_ID)), NotFound)
    if oracle.may(entity, "list") or oracle.may(entity, "read"):
        wanted = listed if oracle.may(entity, "list") else readable
        expect("lookup", {hit.id for hit in reader.lookup(entity, limit=200)}, wanted)
        expect("visible", set(reader.visible(entity, [row.id for row in world.alpha.rows[entity]])), listed | readable)
    else:
        expect("lookup", _refused(lambda: reader.lookup(entity)), NotAllowed)
    return cells, wrong


def _refused(ask: Any) -> type[MetaloomError] | None:
    try:
        ask()
    except MetaloomError as error:
        return type(error)
    return None


def sweep(world: World, roles: list[str], entities: list[str], person: str = "alice") -> tuple[int, list[str]]:
    cells, wrong = 0, []
    for role in roles:
        plan, oracle = world.assume(role, person=person), Oracle(world.alpha, person, [role])
        with world.reader(plan) as reader:
            for entity in entities:
                asked, found = disagreements(world, reader, oracle, entity)
                cells, wrong = cells + asked, wrong + found
    return cells, wrong


def test_every_role_sees_exactly_the_rows_of_its_grants_through_every_door(world: World) -> None:
    roles, entities = list(world.catalog.roles), seeded(world)
    cells, wrong = sweep(world, roles, entities)
    print(f"scope: {len(roles)} roles × {len(entities)} entities × {sum(map(len, world.alpha.rows.values()))} rows = {cells} cells, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])
    assert len(roles) >= 22 and len(entities) >= 29 and cells >= 15_000


@pytest.mark.nightly
@pytest.mark.parametrize("person", ["sue", "bob", "carol", "dave"])
def test_the_same_holds_for_people_of_other_departments_and_companies(world: World, person: str) -> None:
    cells, wrong = sweep(world, list(world.catalog.roles), seeded(world), person)
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 15_000


def test_two_roles_together_see_the_union_of_both(world: World) -> None:
    roles, cells, wrong = list(world.catalog.roles), 0, []
    for one, other in zip(roles, roles[1:] + roles[:1], strict=True):
        plan, oracle = world.assume(one, other), Oracle(world.alpha, "alice", [one, other])
        with world.reader(plan) as reader:
            for entity in seeded(world):
                if oracle.may(entity, "list"):
                    cells += 1
                    if ids(all_rows(reader, entity)) != oracle.rows(entity, "list"):
                        wrong.append(f"{one}+{other} {entity}")
    print(f"union: {cells} pairs of roles on entities")
    assert not wrong, wrong
    assert cells >= 290


def test_every_field_is_shown_masked_or_left_out_as_the_best_grant_of_its_row_says(world: World) -> None:
    cells, wrong = field_sweep(world, list(world.catalog.roles))
    print(f"fields: {cells} values of rows checked against the oracle, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 20_000


def field_sweep(world: World, roles: list[str]) -> tuple[int, list[str]]:
    cells, wrong = 0, []
    for role in roles:
        plan, oracle = world.assume(role), Oracle(world.alpha, "alice", [role])
        with world.reader(plan) as reader:
            for entity in seeded(world):
                if oracle.may(entity, "list"):
                    for row in all_rows(reader, entity, view=_whole(world, entity)):
                        asked, found = _fields_of(world, oracle, entity, row)
                        cells, wrong = cells + asked, wrong + [f"{role} {entity} {text}" for text in found]
    return cells, wrong


def _whole(world: World, entity: str) -> ListView:
    """A list of every field: those that the reader may not see are left out of it."""
    columns = {f.name: Column(f.name) for f in world.catalog.entities[entity].fields.values() if f.stored}
    return ListView(f"{entity}/list/whole", entity, "whole", None, columns)


def _fields_of(world: World, oracle: Oracle, entity: str, row: Any) -> tuple[int, list[str]]:
    seed, cells, wrong = world.alpha.seed(entity, row.id), 0, []
    for field in world.catalog.entities[entity].fields.values():
        stored = seed.values.get(field.name)
        if not field.stored or stored is None:
            continue
        cells += 1
        level, shown = oracle.level(entity, seed, field), row.values.get(field.name)
        if level is FieldLevel.HIDDEN and shown is not None:
            wrong.append(f"{row.id}.{field.name}: hidden, shown {shown!r}")
        elif level is FieldLevel.MASKED and (shown == stored or shown is None):
            wrong.append(f"{row.id}.{field.name}: masked, shown {shown!r}")
        elif level >= FieldLevel.READ and not (
                shown in oracle.alert_words(seed, field.name) if entity == ALERT and field.name in ALERT_WORDS else _same(field, shown, stored)):
            wrong.append(f"{row.id}.{field.name}: readable, shown {shown!r} for {stored!r}")
    return cells, wrong


def test_the_subject_of_an_alert_is_told_to_some_and_only_its_rule_to_others(world: World) -> None:
    told, kept = 0, 0
    for role in world.catalog.roles:
        if Oracle(world.alpha, "alice", [role]).may(ALERT, "list"):
            with world.reader(world.assume(role)) as reader:
                subjects = [str(row.values.get("subject")).startswith("ZZ-") for row in all_rows(reader, ALERT, view=_whole(world, ALERT))]
            told, kept = told + subjects.count(True), kept + subjects.count(False)
    print(f"subjects of alerts: {told} told, {kept} kept")
    assert told and kept


def _same(field: Any, shown: Any, stored: Any) -> bool:
    if field.type is FieldType.JSON or isinstance(stored, tuple):
        return json.dumps(shown, sort_keys=True, default=list) == json.dumps(stored, sort_keys=True, default=list)
    return bool(shown == stored)


def test_every_named_list_and_tab_stays_inside_the_rows_of_the_role(world: World) -> None:
    cells, wrong = 0, []
    for role in world.catalog.roles:
        plan, oracle = world.assume(role), Oracle(world.alpha, "alice", [role])
        with world.reader(plan) as reader:
            for address, view in world.catalog.lists.items():
                if view.entity not in world.alpha.rows or not oracle.may(view.entity, "list"):
                    continue
                inside = oracle.rows(view.entity, "list")
                counts = reader.tab_counts(view.entity, view)
                for tab in view.tabs or {"": None}:
                    cells += 1
                    found = ids(all_rows(reader, view.entity, view=view, tab=tab or None))
                    if not found <= inside or (tab and counts[tab].number != len(found)):
                        wrong.append(f"{role} {address} {tab}: {sorted(found - inside)}")
    print(f"named lists and tabs: {cells} cells")
    assert not wrong, wrong
    assert cells >= 400 and len(world.catalog.lists) >= 49


def test_an_export_holds_exactly_the_rows_and_fields_of_its_list(world: World) -> None:
    cells, wrong = export_sweep(world)
    print(f"exports: {cells} lists of roles exported and compared")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 80


def export_sweep(world: World) -> tuple[int, list[str]]:
    cells, wrong = 0, []
    for role in world.catalog.roles:
        plan, oracle = world.assume(role), Oracle(world.alpha, "alice", [role])
        with world.reader(plan) as reader:
            for address, view in world.catalog.lists.items():
                if view.entity not in world.alpha.rows:
                    continue
                cells += 1
                file = io.BytesIO()
                if not oracle.may(view.entity, "export"):
                    if _refused(lambda f=file, v=view: reader.export(v.entity, view=v, format="csv", file=f)) is not NotAllowed:
                        wrong.append(f"{role} {address}: exported without the right")
                    continue
                written = reader.export(view.entity, view=view, format="csv", file=file)
                table = list(csv.reader(io.StringIO(file.getvalue().decode("utf-8-sig"))))
                page = reader.list(view.entity, view=view, limit=200)
                wanted = [row for row in page if row.id in oracle.rows(view.entity, "export")]
                if written != len(wanted) or len(table) - 1 != written or any(len(line) != len(page.paths) for line in table):
                    wrong.append(f"{role} {address}: list {len(wanted)}×{len(page.paths)}, export {written}, {[len(line) for line in table][:1]}")
                foreign = [row for row in world.alpha.rows[view.entity] if row.id not in oracle.rows(view.entity, "export")]
                text = file.getvalue().decode("utf-8-sig")
                wrong += [f"{role} {address}: {value}" for row in foreign for value in row.values.values()
                          if isinstance(value, str) and value.startswith("ZZ-") and value in text]
    return cells, wrong


def test_related_tabs_need_the_record_and_show_only_rows_of_the_role(world: World) -> None:
    cells, wrong = 0, []
    for role in world.catalog.roles:
        plan, oracle = world.assume(role), Oracle(world.alpha, "alice", [role])
        with world.reader(plan) as reader:
            for entity in seeded(world):
                for tab, target in world.catalog.entities[entity].related.items():
                    other, _, link = target.rpartition(".")
                    if other not in world.alpha.rows:
                        continue
                    for row in world.alpha.rows[entity]:
                        cells += 1
                        wrong += _related(reader, oracle, entity, row, tab, other, link)
    print(f"related tabs: {cells} cells")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 6_000


def _related(reader: Reader, oracle: Oracle, entity: str, row: Any, tab: str, other: str, link: str) -> list[str]:
    if not oracle.holds(entity, row, "read"):
        found = _refused(lambda: reader.related(entity, row.id, tab))
        return [] if found is NotFound else [f"{sorted(oracle.roles)} {entity} {row.id} {tab}: {found} for an unseen record"]
    if not oracle.may(other, "list"):
        found = _refused(lambda: reader.related(entity, row.id, tab))
        return [] if found in (NotAllowed, NotFound) else [f"{sorted(oracle.roles)} {entity} {row.id} {tab}: {found} without the right to list"]
    wanted = {r.id for r in oracle.place.rows[other] if r.values.get(link) == row.id} & oracle.rows(other, "list")
    found = ids(reader.related(entity, row.id, tab, limit=200))
    return [] if found == wanted else [f"{sorted(oracle.roles)} {entity} {row.id} {tab}: {found} for {wanted}"]


# -- through HTTP ------------------------------------------------------------------------------------------------------


def test_rest_lists_and_records_are_those_of_the_oracle_and_foreign_ids_look_like_none_at_all(world: World) -> None:
    roles = world.sample(list(world.catalog.roles))
    cells, wrong = rest_sweep(world, roles)
    print(f"REST: {len(roles)} roles, {cells} cells")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 130 * len(roles)


def rest_sweep(world: World, roles: list[str]) -> tuple[int, list[str]]:
    api, cells, wrong = world.api(), 0, []
    for role in roles:
        world.assume(role)
        oracle = Oracle(world.alpha, "alice", [role])
        for entity in seeded(world):
            asked, found = _rest(world, api, oracle, entity)
            cells, wrong = cells + asked, wrong + [f"{role} {entity} {text}" for text in found]
    return cells, wrong


def _rest(world: World, api: Any, oracle: Oracle, entity: str) -> tuple[int, list[str]]:
    """One role on one entity: its list, a record it sees, records it does not, an id of the other tenant, no id at all."""
    wrong: list[str] = []
    never = api.get(f"/{entity}/{RANDOM_ID}")
    answer = api.get(f"/{entity}?limit=200")
    if oracle.may(entity, "list"):
        found = {item["id"] for item in answer.json["items"]} if answer.status_code == 200 else answer.status_code
        wrong += [] if found == oracle.rows(entity, "list") else [f"list {found}"]
        wrong += _leaks(world, oracle, entity, answer.get_data(as_text=True), "list")
    else:
        wanted = 403 if oracle.touches(entity) else 404
        wrong += [] if answer.status_code == wanted else [f"list {answer.status_code} for {wanted}"]
    readable = oracle.rows(entity, "read")
    rows = world.alpha.rows[entity]
    seen = next((row for row in rows if row.id in readable), None)
    unseen = [row for row in rows if row.id not in readable]
    if seen is not None:
        got = api.get(f"/{entity}/{seen.id}")
        wrong += [] if got.status_code == 200 and got.json["id"] == seen.id else [f"get {seen.id}: {got.status_code}"]
        wrong += _leaks(world, oracle, entity, got.get_data(as_text=True), "get")
    doors = ("", "/history", "/actions") if oracle.touches(entity) else ("",)
    foreign = [f"/{entity}/{row.id}{door}" for row in unseen[:1] for door in doors] + [f"/{entity}/{row.id}" for row in unseen[-1:]]
    for path in [*foreign, f"/{entity}/{rows[-1].id + 500}"]:
        got = api.get(path)
        if (got.status_code, got.data) != (never.status_code, never.data) or got.status_code != 404:
            wrong.append(f"{path}: {got.status_code} {got.data[:80]!r} is not the answer for no id {never.data[:80]!r}")
    return 3 + len(foreign) + (1 if seen is not None else 0), wrong


def _leaks(world: World, oracle: Oracle, entity: str, body: str, door: str) -> list[str]:
    """Sentinels of rows of this entity that the role may not see, and every word of the other tenant."""
    hidden = [row for row in world.alpha.rows[entity] if not oracle.holds(entity, row, "list") and not oracle.holds(entity, row, "read")]
    words = {v for row in hidden for v in row.values.values() if isinstance(v, str) and v.startswith("ZZ-")}
    return [f"{door} leaks {word}" for word in words if word in body] + ([f"{door} leaks beta"] if "ZZ-beta" in body else [])


def test_list_pages_and_their_exports_hold_no_foreign_sentinel_for_any_role(world: World) -> None:
    browser, cells, wrong = world.browser(), 0, []
    roles = world.sample(list(world.catalog.roles))
    for role in roles:
        world.assume(role)
        oracle = Oracle(world.alpha, "alice", [role])
        for entity in seeded(world):
            page = browser.get(f"/e/{entity}/?size=200")
            wanted = 200 if oracle.may(entity, "list") else 403 if oracle.touches(entity) else 404
            cells += 1
            if page.status_code != wanted:
                wrong.append(f"{role} {entity}: page {page.status_code} for {wanted}")
            body = page.get_data(as_text=True)
            if oracle.may(entity, "export"):
                cells += 1
                body += browser.get(f"/e/{entity}/export?format=csv").get_data(as_text=True)
            wrong += [f"{role} {entity} {text}" for text in _leaks(world, oracle, entity, body, "page")]
    print(f"pages: {cells} pages and exports without a foreign word")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 29 * len(roles)


def test_the_oracle_knows_every_condition_and_scope_that_the_packs_use(world: World) -> None:
    from tests.generic.oracle import CONDITIONS

    used = {(g.entity, g.condition) for grants in world.catalog.grants.values() for g in grants if g.scope == "expression"}
    assert used == set(CONDITIONS)
    assert AccessPlan is not None
    assert set(world.alpha.rows) == set(seeded(world)) and all(world.alpha.rows.values())
