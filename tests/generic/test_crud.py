"""Create, change, archive, restore: what the grants allow works for every entity, what they do not is refused with no effect."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Stale
from metaloom.model import Entity, FieldType
from metaloom.record.schema import accepts
from tests.generic import values
from tests.generic.factory import HINTS, Factory, stored
from tests.generic.oracle import Oracle
from tests.generic.world import World


def has_own_commands(entity: Entity) -> bool:
    """Engine tables are written by commands of their own (save_user, assign_role, set_substitute); create_record refuses them."""
    return entity.storage == "engine"


def creators(world: World) -> list[tuple[str, str]]:
    """(entity, role) for every role that may create."""
    return [(a, role) for a, entity in world.catalog.entities.items() if not has_own_commands(entity)
            for role in sorted({g.role for g in world.catalog.grants.get(a, ()) if "create" in g.actions})]


def count(world: World, entity: str) -> int:
    with world.alpha.tenant.read() as conn:
        return conn.scalar(sa.select(sa.func.count()).select_from(world.alpha.tenant.revision().tables.of(entity))) or 0


def audits(world: World) -> int:
    return count(world, "platform.audit_entry")


def refusal(ask: Any) -> type[MetaloomError] | None:
    try:
        ask()
    except MetaloomError as error:
        return type(error)
    return None


def test_every_role_that_may_create_makes_a_record_that_reads_back_as_it_was_sent(sandbox: World) -> None:
    made = creators(sandbox)
    for address, role in made:
        entity, before = sandbox.catalog.entities[address], audits(sandbox)
        saved, sent = Factory(sandbox, role).create(address)
        found = stored(sandbox, address, saved.id)
        for name, value in sent.items():
            if entity.fields[name].type is not FieldType.CHILD:
                assert found[name] == value, (address, role, name)
        lifecycle = sandbox.catalog.lifecycles.get(address)
        assert lifecycle is None or found[lifecycle.field] == lifecycle.initial
        assert found["created_by"] == sandbox.alpha.people["alice"] and saved.row_version == 1
        assert audits(sandbox) > before, f"{address}: created without an audit row"
        with sandbox.reader(sandbox.assume(role)) as reader:
            assert reader.get(address, saved.id).id == saved.id
    entities = {address for address, _ in made}
    print(f"create: {len(entities)} entities by {len(made)} pairs of role and entity; hints for {len(HINTS)}")
    assert len(entities) >= 14 and len(made) >= 17 and len(HINTS) <= 6


def test_nobody_else_creates_anything(sandbox: World) -> None:
    allowed, cells = set(creators(sandbox)), 0
    for role in sandbox.catalog.roles:
        ctx = sandbox.context(role)
        for address, entity in sandbox.catalog.entities.items():
            if (address, role) in allowed:
                continue
            cells += 1
            before = count(sandbox, address)
            sent = {f.name: values.plain(sandbox.catalog, entity, f, "ZZ") for f in entity.fields.values() if accepts(entity, f, "create")}
            sent = {name: value for name, value in sent.items() if value is not None}
            wanted = {NotPossible} if entity.child_of or has_own_commands(entity) else {NotAllowed}
            found = refusal(lambda a=address, s=sent: command.create_record(ctx, a, s))  # noqa: B023
            assert found in wanted | {NotAllowed}, (role, address, found)
            assert count(sandbox, address) == before
    print(f"create refused: {cells} pairs of role and entity")
    assert cells >= 840


def a_text(entity: Entity, catalog: Any, role: str, factory: Factory) -> str | None:
    """A field that the role may change to any text."""
    for field in entity.fields.values():
        free = field.type in (FieldType.TEXT, FieldType.LONG_TEXT) and not (field.unique or field.pattern or field.visible_when)
        if free and accepts(entity, field, "edit") and factory.takes(entity, field) and entity.address not in HINTS:
            return field.name
    return None


def test_a_record_is_changed_archived_and_restored_by_those_who_may_and_stale_versions_are_refused(sandbox: World) -> None:
    changed = archived = restored = 0
    for address, role in creators(sandbox):
        factory = Factory(sandbox, role)
        entity, rights = sandbox.catalog.entities[address], factory.ctx.plan.actions(address)
        saved, _ = factory.create(address)
        name = a_text(entity, sandbox.catalog, role, factory)
        version = saved.row_version
        if name and "edit" in rights:
            done = command.change_record(factory.ctx, address, saved.id, {name: "ZZ-changed"}, version)
            assert stored(sandbox, address, saved.id)[name] == "ZZ-changed"
            late = refusal(lambda: command.change_record(factory.ctx, address, saved.id, {name: "ZZ-late"}, version))  # noqa: B023
            assert late is Stale, (address, role, name, saved, done, stored(sandbox, address, saved.id))
            assert refusal(lambda: command.change_record(factory.ctx, address, saved.id, {name: "ZZ-none"}, None)) is Stale  # noqa: B023
            assert stored(sandbox, address, saved.id)[name] == "ZZ-changed"
            version, changed = done.row_version, changed + 1
        if "delete" in rights and entity.delete == "archive":
            version = command.archive_record(factory.ctx, address, saved.id, version, reason="test").row_version
            assert stored(sandbox, address, saved.id)["archived_at"] is not None
            archived += 1
            if "restore" in rights:
                command.restore_record(factory.ctx, address, saved.id, version, reason="test")
                assert stored(sandbox, address, saved.id)["archived_at"] is None
                restored += 1
        elif entity.storage == "table":
            assert refusal(lambda: command.archive_record(factory.ctx, address, saved.id, version, reason="t")) in (NotAllowed, NotPossible)  # noqa: B023
    print(f"changed {changed}, archived {archived}, restored {restored}")
    assert changed >= 11 and archived >= 10 and restored >= 6


@pytest.mark.parametrize("verb", ["edit", "delete", "restore", "transfer"])
def test_rows_and_verbs_outside_the_grants_are_refused_for_every_role(sandbox: World, verb: str) -> None:
    """One own, one colleague's, one foreign row of every entity: the oracle says which refusal, and nothing changes."""
    cells = 0
    for role in sandbox.catalog.roles:
        ctx, oracle = sandbox.context(role), Oracle(sandbox.alpha, "alice", [role])
        for address, rows in sandbox.alpha.rows.items():
            if sandbox.catalog.entities[address].child_of:
                continue
            for row in (rows[0], rows[2], rows[6], rows[-1]):
                if oracle.holds(address, row, verb):
                    continue
                cells += 1
                before = stored(sandbox, address, row.id)
                found = refusal(lambda a=address, r=row: ask(ctx, verb, a, r.id))  # noqa: B023
                wanted = {NotFound} if oracle.may(address, verb) else {NotAllowed}
                if oracle.may(address, verb) and oracle.holds(address, row, "read"):
                    wanted = {NotAllowed, NotFound}
                if sandbox.catalog.entities[address].storage != "table" or sandbox.catalog.entities[address].delete != "archive":
                    wanted |= {NotPossible}
                assert found in wanted, (role, address, row.owner, verb, found, wanted)
                assert stored(sandbox, address, row.id) == before
    print(f"{verb}: {cells} refusals")
    assert cells >= 2_000


def ask(ctx: command.Context, verb: str, address: str, id: int) -> Any:
    if verb == "edit":
        return command.change_record(ctx, address, id, {}, 1)
    if verb == "delete":
        return command.archive_record(ctx, address, id, 1, reason="test")
    if verb == "restore":
        return command.restore_record(ctx, address, id, 1, reason="test")
    return command.transfer_record(ctx, address, id, user=ctx.actor.user_id, row_version=1, reason="test")


# -- mass assignment ---------------------------------------------------------------------------------------------------


def system_only(entity: Entity, field: Any, purpose: str) -> bool:
    """The rule of `accepts`, written a second time: it must not be asked about itself."""
    return bool(field.type in (FieldType.STATE, FieldType.AUTO_NUMBER) or field.computed or field.read_only or (field.fixed and purpose == "edit"))


def forbidden(world: World, entity: Entity, purpose: str) -> dict[str, Any]:
    """What no input may carry: reserved, owner, read-only, computed, numbered, fixed and state fields, and names unknown."""
    found: dict[str, Any] = {"id": 1, "row_version": 7, "created_at": "2020-01-01T00:00:00Z", "created_by": 1, "updated_by": 1, "archived_at": None,
                             "company_id": 2, "org_unit_id": 4, "owner_id": 5, "is_deleted": True, "tenant_id": 2, "no_such_field": 1}
    for field in entity.fields.values():
        if system_only(entity, field, purpose):
            value = values.plain(world.catalog, entity, field, "ZZ")
            found[field.name] = values.as_json(value) if value is not None else 1
    return found


def test_no_input_sets_what_only_the_system_sets(sandbox: World) -> None:
    cells, wrong = assignment_sweep(sandbox)
    print(f"mass assignment: {cells} requests")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 500


def assignment_sweep(world: World) -> tuple[int, list[str]]:
    cells, wrong = 0, []
    api = world.api()
    for address, role in creators(world):
        entity, factory = world.catalog.entities[address], Factory(world, role)
        saved, sent = factory.create(address)
        body = {name: values.as_json(value) for name, value in sent.items()}
        rows, before = count(world, address), stored(world, address, saved.id)
        for name, value in forbidden(world, entity, "create").items():
            cells += 1
            answer = api.call("POST", f"/{address}", {**body, name: value})
            if answer.status_code != 400 or count(world, address) != rows:
                wrong.append(f"{role} create {address} with {name}: {answer.status_code} {answer.get_data(as_text=True)[:200]}")
                rows = count(world, address)
        if "edit" not in factory.ctx.plan.actions(address):
            continue
        for name, value in forbidden(world, entity, "edit").items():
            cells += 1
            answer = api.call("PATCH", f"/{address}/{saved.id}", {name: value}, If_Match=f'"{saved.row_version}"')
            if answer.status_code != 400 or stored(world, address, saved.id) != before:
                wrong.append(f"{role} change {address} {name}: {answer.status_code} {answer.get_data(as_text=True)[:200]}")
    return cells, wrong


def test_a_field_that_the_role_may_only_read_is_refused_as_input(sandbox: World) -> None:
    cells = 0
    for address, role in creators(sandbox):
        entity, factory = sandbox.catalog.entities[address], Factory(sandbox, role)
        saved, _ = factory.create(address)
        for field in entity.fields.values():
            value = values.plain(sandbox.catalog, entity, field, "ZZ")
            if value is None or not accepts(entity, field, "edit") or factory.takes(entity, field):
                continue
            cells += 1
            before = stored(sandbox, address, saved.id)
            assert refusal(lambda n=field.name, v=value: command.change_record(factory.ctx, address, saved.id, {n: v}, 1)) is Invalid  # noqa: B023
            assert stored(sandbox, address, saved.id) == before, (address, field.name)
    print(f"read-only by grant: {cells} fields")
    assert cells >= 1


def test_every_record_of_every_entity_prints_for_those_who_may_read_it(world: World) -> None:
    """One row of each entity on its default paper, and on every template that its pack has; nobody else gets a paper."""
    browser, printed, refused = world.browser(), 0, 0
    for role in ("platform.auditor", "lending.fin_check", "workshop.technician"):
        world.assume(role)
        oracle = Oracle(world.alpha, "alice", [role])
        for address, rows in world.alpha.rows.items():
            seen = next((row for row in rows if oracle.holds(address, row, "read")), None)
            if seen is None:
                refused += 1
                assert browser.http.get(f"/alpha/e/{address}/{rows[0].id}/print").status_code in (403, 404), (role, address)
            elif role == "platform.auditor" or world.catalog.prints_of(address):
                whens = {one.name: one.when for one in world.catalog.prints_of(address)}
                for name in ("main", *whens):
                    answer = browser.http.get(f"/alpha/e/{address}/{seen.id}/print/{name}")
                    if answer.status_code == 409 and whens.get(name):       # rows stand in any state, a paper asks for one
                        refused += 1
                        continue
                    assert answer.status_code == 200 and answer.data.startswith(b"%PDF-"), (role, address, name, answer.status_code)
                    printed += 1
    print(f"printed: {printed} papers, {refused} refused")
    assert printed >= 60 and refused >= 20
