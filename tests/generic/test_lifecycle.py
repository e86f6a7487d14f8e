"""Actions: every action of every entity, by every role, from every state (reliability §2b 48, 49)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from metaloom.model import Action, Entity
from tests.generic.factory import store, stored
from tests.generic.oracle import Oracle
from tests.generic.test_crud import audits, count
from tests.generic.world import Seed, World


def plugin_commands(world: World) -> dict[str, list[Any]]:
    """Entity → plugin commands declared for it that people may call."""
    return {a: [c for c in world.registry.commands_on(a) if not c.internal] for a in world.catalog.entities}


def wanted_right(action: Any) -> str:
    return action.permission or action.name


def fired(action: Action) -> Iterator[str]:
    """Names of transitions that the action's own steps always fire."""
    return (step.name for step in action.steps if step.verb == "transition" and not step.target and not step.when)


def wrong_states(world: World, entity: Entity, action: Any) -> set[str]:
    """States from which the action cannot succeed, whatever the input."""
    lifecycle = world.catalog.lifecycles[entity.address]
    if hasattr(action, "allowed_states"):
        return set(lifecycle.states) - set(action.allowed_states) if action.allowed_states else set()
    wrong: set[str] = set()
    for name in fired(action):
        wrong |= set(lifecycle.states) - set(lifecycle.transitions[name].from_states)
    return wrong


def everything(world: World) -> list[tuple[Entity, Any]]:
    found: list[tuple[Entity, Any]] = []
    for address, entity in world.catalog.entities.items():
        found += [(entity, a) for a in world.catalog.actions_of(address)] + [(entity, c) for c in plugin_commands(world)[address]]
    return found


def test_every_action_needs_its_right_on_that_row(sandbox: World) -> None:
    api, cells, wrong = sandbox.api(), 0, []
    for role in sandbox.sample(list(sandbox.catalog.roles)):
        sandbox.assume(role)
        oracle = Oracle(sandbox.alpha, "alice", [role])
        for entity, action in everything(sandbox):
            rows, right = sandbox.alpha.rows[entity.address], wanted_right(action)
            for row in (rows[0], rows[-1]):
                if oracle.holds(entity.address, row, right):
                    continue
                cells += 1
                before = stored(sandbox, entity.address, row.id)
                answer = post(api, entity, row.id, action.name, before["row_version"])
                status = 404 if not oracle.touches(entity.address) else 403 if not oracle.may(entity.address, right) else (
                    403 if oracle.holds(entity.address, row, "read") else 404)
                if answer.status_code != status or stored(sandbox, entity.address, row.id) != before:
                    wrong.append(f"{role} {entity.address}/{action.name} {row.owner}: {answer.status_code} for {status}")
    print(f"actions without the right: {cells} cells over {len(everything(sandbox))} actions")
    assert not wrong, "\n".join(wrong[:20])
    assert len(everything(sandbox)) >= 40 and cells >= 1_500 / (1 if sandbox.whole else 4.6)


def post(api: Any, entity: Entity, id: int, name: str, version: int) -> Any:
    key = f"k-{entity.address}-{id}-{name}-{version}"
    return api.call("POST", f"/{entity.address}/{id}/{name}", {"reason": "test"}, If_Match=f'"{version}"', Idempotency_Key=key)


def test_an_action_from_a_wrong_state_is_409_with_no_effect(sandbox: World) -> None:
    cells, wrong = forged_sweep(sandbox)
    print(f"forged transitions: {cells} pairs of action and wrong state")
    assert not wrong, "\n".join(wrong[:20])
    assert cells >= 100          # decisions of approvals are no actions: tests/approval tries theirs


def forged_sweep(world: World) -> tuple[int, list[str]]:
    api, cells, wrong = world.api(), 0, []
    for entity, action in everything(world):
        if entity.address not in world.catalog.lifecycles:
            continue
        lifecycle = world.catalog.lifecycles[entity.address]
        role, row = somebody(world, entity, wanted_right(action), action)
        if role is None:
            continue
        world.assume(role)
        for state in sorted(wrong_states(world, entity, action)):
            try:
                store(world, entity.address, row.id, **{lifecycle.field: state})
            except sa.exc.IntegrityError:
                continue  # a unique rule over open records: a record that another suite made holds this state already
            cells += 1
            before, writes = stored(world, entity.address, row.id), (audits(world), count(world, "platform.outbox"))
            answer = post(api, entity, row.id, action.name, before["row_version"])
            if answer.status_code != 409 or stored(world, entity.address, row.id) != before:
                wrong.append(f"{entity.address}/{action.name} from {state}: {answer.status_code} {answer.get_data(as_text=True)[:160]}")
            elif (audits(world), count(world, "platform.outbox")) != writes:
                wrong.append(f"{entity.address}/{action.name} from {state}: refused, yet something was written")
    return cells, wrong


def somebody(world: World, entity: Entity, right: str, action: Any) -> tuple[Any, Seed]:
    """A role that holds the right on a row of another person's (four eyes would refuse before the state does)."""
    rows = world.alpha.rows[entity.address]
    for strict in (True, False):
        for role in world.catalog.roles:
            oracle = Oracle(world.alpha, "alice", [role])
            for row in rows:
                foreign = row.owner != "alice" and not any(row.values.get(n) == oracle.user for n in action.maker_is_not.split(","))
                if oracle.holds(entity.address, row, right) and (foreign or not strict):
                    return role, row
    return None, rows[0]


def test_unknown_actions_transitions_and_ids_are_404_for_everybody_who_may_read(sandbox: World) -> None:
    api, cells = sandbox.api(), 0
    for address, rows in sandbox.alpha.rows.items():
        role = next((r for r in sandbox.catalog.roles if Oracle(sandbox.alpha, "alice", [r]).holds(address, rows[0], "read")), None)
        if role is None:
            continue
        sandbox.assume(role)
        actions = {a.name for _, a in everything(sandbox) if _.address == address}
        lifecycle = sandbox.catalog.lifecycles.get(address)
        names = {"no_such_action", "set", "__class__", *(lifecycle.transitions if lifecycle else ())} - actions
        for name in sorted(names):
            cells += 1
            before = stored(sandbox, address, rows[0].id)
            answer = api.call("POST", f"/{address}/{rows[0].id}/{name}", {}, If_Match='"1"')
            assert answer.status_code == 404, (address, name, answer.status_code, answer.get_data(as_text=True)[:200])
            assert stored(sandbox, address, rows[0].id) == before
    print(f"unknown actions: {cells} cells")
    assert cells >= 90


def test_a_right_of_the_catalog_belongs_to_an_action_or_a_standard_verb(sandbox: World) -> None:
    """A misspelt right would be silently inert."""
    from metaloom.model.access import STANDARD_ACTIONS

    known = {address: {*STANDARD_ACTIONS, *(wanted_right(a) for e, a in everything(sandbox) if e.address == address)} for address in sandbox.catalog.entities}
    stray = {(g.entity, g.role, right) for grants in sandbox.catalog.grants.values() for g in grants for right in g.actions - known[g.entity]}
    assert not stray, sorted(stray)
