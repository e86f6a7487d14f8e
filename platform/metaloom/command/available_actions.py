"""What a person may be offered on a record: actions and plugin commands, with the reason where one is grey."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import MetaloomError
from metaloom.command.context import Context, Offered
from metaloom.command.evaluate import checked
from metaloom.command.inputs import refuse_same_person, refuse_unless
from metaloom.command.live import Shown
from metaloom.command.run_action import moves_money
from metaloom.command.run_command import refuse_unless_fired, refuse_wrong_state
from metaloom.command.steps import state_after
from metaloom.command.unit import Unit
from metaloom.compile import entity_scope
from metaloom.lifecycle import editable, fire
from metaloom.model import Action, Entity, Step, Transition
from metaloom.plugin.declaration import CommandDeclaration
from metaloom.record import Row

READING = ("check", "get", "notify", "send")


def available_actions(ctx: Context, entity: str, row: Row | None, conn: sa.Connection | None = None, *,
                      day: date | None = None) -> tuple[Offered, ...]:
    """The buttons for ``row`` (None: those of the list). Only what the person has the right to on this row.

    ``conn``: a connection to read on; without one a reading transaction is opened. ``day``: the business date of the
    person's company, where the caller has read it.
    """
    if conn is None:
        with ctx.tenant.read() as own:
            return _offered(ctx, entity, row, own, day)
    return _offered(ctx, entity, row, conn, day)


def may_edit(ctx: Context, entity: str, row: Row) -> bool:
    """Whether the form is offered: the right on this row, a state that is editable, not archived."""
    found = ctx.revision.catalog.entities[entity]
    if "edit" not in row.actions or row.archived or found.append_only or found.storage != "table" or found.child_of:
        return False
    lifecycle = ctx.revision.catalog.lifecycles.get(entity)
    if lifecycle is None:
        return True
    state: str | None = row.values.get(lifecycle.field)
    return state is not None and state in lifecycle.states and lifecycle.states[state].editable


def _offered(ctx: Context, entity: str, row: Row | None, conn: sa.Connection, day: date | None) -> tuple[Offered, ...]:
    catalog = ctx.revision.catalog
    unit = Unit(ctx, conn, "look", ctx.clock.now(), days={ctx.actor.company_id: day} if day is not None else {})
    on = "list" if row is None else "record"
    granted = ctx.plan.actions(entity) if row is None else row.actions
    if row is not None and row.archived:
        return ()
    record = Shown(unit, row) if row is not None else None
    found = [_action(unit, action, record) for action in catalog.actions_of(entity)
             if action.on == on and (action.permission or action.name) in granted]
    if row is not None:
        found += [_command(unit, c, record) for c in ctx.plugins.commands_on(entity) if c.permission in granted]
    return tuple(found)


def _action(unit: Unit, action: Action, record: Any) -> Offered:
    entity = unit.entity(action.entity)
    reason = _refusal(
        lambda: refuse_unless(unit, entity, record, action.when, action.message, action.label),
        lambda: _refuse_first_transition(unit, action, record),
        lambda: refuse_same_person(unit, entity, record, action.maker_is_not, action.label),
    )
    return Offered(action.name, action.label, action.style, action.icon, reason is None, reason,
                   asks=bool(action.input.fields) or action.asks_reason, confirm=action.confirm,
                   money=moves_money(unit.ctx, action), bulk=action.bulk, on=action.on)


def _refuse_first_transition(unit: Unit, action: Action, record: Any) -> None:
    """An action whose own transition is impossible from this state is not possible, whatever its other steps; nor where the transition's
    condition does not hold, unless a step before it may make it hold."""
    lifecycle = unit.catalog.lifecycles.get(action.entity)
    place = next((i for i, s in enumerate(action.steps) if s.verb == "transition" and not s.target and not s.when), None)
    if lifecycle is None or place is None or record is None:
        return
    entity, name = unit.entity(action.entity), action.steps[place].name
    if _settled(unit, entity, lifecycle.transitions.get(name), action.steps[:place]):
        state_after(unit, entity, lifecycle, record, name)
    else:
        fire(lifecycle, record[lifecycle.field], name)


def _settled(unit: Unit, entity: Entity, transition: Transition | None, before: Sequence[Step]) -> bool:
    """Whether the steps before a transition leave what its condition looks at as it is."""
    if transition is None or not transition.when:
        return True
    asked = {path[0] for path in checked(entity_scope(unit.catalog, entity.address), transition.when).paths}
    reckoned = any(entity.fields[name].computed for name in asked if name in entity.fields)
    return all(step.verb in READING or (step.verb == "set" and not reckoned and not asked & set(step.values)) for step in before)


def _command(unit: Unit, declared: CommandDeclaration, record: Any) -> Offered:
    entity = unit.entity(declared.on)
    reason = _refusal(
        lambda: refuse_wrong_state(unit, entity, declared, record),
        lambda: refuse_unless(unit, entity, record, declared.when, declared.message, declared.label),
        lambda: refuse_unless_fired(unit, entity, declared, record),
        lambda: refuse_same_person(unit, entity, record, declared.maker_is_not, declared.label),
    )
    return Offered(declared.name, declared.label, declared.style, declared.icon, reason is None, reason,
                   asks=bool(declared.input) or declared.asks_reason, confirm=declared.confirm, money=declared.money,
                   bulk=declared.bulk)


def _refusal(*checks: Any) -> Any:
    for check in checks:
        try:
            check()
        except MetaloomError as error:
            return error.message
    return None


__all__ = ["available_actions", "editable", "may_edit"]
