"""A named action of an entity: its steps, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import Invalid, NotFound, Problem
from metaloom.base.messages import message, words
from metaloom.command.context import ActionDone, Context
from metaloom.command.inputs import read_fields, refuse_same_person, refuse_unless
from metaloom.command.run_command import run_command_on
from metaloom.command.steps import Run, results_of, run_steps
from metaloom.command.store import check_version, locked_for
from metaloom.command.tell import slots_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.compile import prefixed_scopes, values_scope, with_names
from metaloom.compile.scope import record_scope
from metaloom.expression import Scope
from metaloom.model import Action, Entity


def run_action(ctx: Context, entity: str, id: int | None, name: str, input: Mapping[str, Any], row_version: int | None = None,
               reason: str = "") -> ActionDone:
    """Runs an action, or a plugin command declared on the entity under that name.

    Order: right → lock → version → four eyes → condition → input → steps → audit. NotFound for an unknown name or record;
    NotPossible when the state of the record or a check forbids it; nothing is stored then.
    """
    action = ctx.revision.catalog.actions.get(f"{entity}/{name}")
    if action is None:
        return run_command_on(ctx, entity, id, name, input, row_version, reason)
    body = [entity, id, name, input, row_version, reason]
    return perform(ctx, f"action:{name}", body, lambda unit: action_in(unit, action, id, input, row_version),
                   reason=reason, money=moves_money(ctx, action))


def moves_money(ctx: Context, action: Action) -> bool:
    """Whether a step runs a plugin command that is declared to move money."""
    return any(step.verb == "run" and (c := ctx.plugins.command(step.name)) is not None and c.money for step in _all_steps(action.steps))


def _all_steps(steps: tuple[Any, ...]) -> list[Any]:
    return [inner for step in steps for inner in (step, *_all_steps(step.steps), *_all_steps(step.otherwise))]


def action_in(unit: Unit, action: Action, record_id: int | None, given: Mapping[str, Any], row_version: int | None) -> ActionDone:
    """The same inside a running unit (bulk)."""
    entity = unit.entity(action.entity)
    right = action.permission or action.name
    permit(unit, entity.address, right)
    record = _record_for(unit, entity, action, record_id, right, row_version)
    refuse_same_person(unit, entity, record, action.maker_is_not, action.label)
    _refuse_without_reason(unit, action)
    refuse_unless(unit, entity, record, action.when, action.message, action.label)
    values = read_input(unit, action, record, given)
    frame = Run(unit, action, record, values)
    writes = len(unit.entries)
    run_steps(frame, action.steps)
    if len(unit.entries) == writes:
        unit.log(entity, record["id"] if record is not None else None, None, None)
    return _done(unit, entity, action, frame)


def _record_for(unit: Unit, entity: Entity, action: Action, record_id: int | None, right: str,
                row_version: int | None) -> Mapping[str, Any] | None:
    if action.on == "list":
        if record_id is not None:
            raise NotFound()
        return None
    if record_id is None:
        raise NotFound()
    record = locked_for(unit, entity.address, record_id, right)
    if row_version is not None or not unit.ctx.system:
        check_version(unit, entity.address, record, row_version)
    return record


def _refuse_without_reason(unit: Unit, action: Action) -> None:
    if action.asks_reason and not unit.reason.strip():
        raise Invalid([Problem("reason", message("command.reason_missing"))])


def read_input(unit: Unit, action: Action, record: Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The action's input, complete and checked. Conditions of its fields see the other inputs bare."""
    return read_fields(unit, action.input.fields, given, entity=unit.entity(action.entity), record=record,
                       scope=input_scope(unit, action))


def input_scope(unit: Unit, action: Action) -> Scope:
    scopes = unit.catalog.__dict__.setdefault("_input_scopes", {})
    if action.address not in scopes:
        base, own = record_scope(unit.catalog, action), values_scope(unit.catalog, action.input.fields)
        merged = Scope({**base.fields, **own.fields}, {**base.links, **own.links}, base.children, base.user)
        scopes[action.address] = with_names(merged, prefixed_scopes(unit.catalog, action))
    found: Scope = scopes[action.address]
    return found


def _done(unit: Unit, entity: Entity, action: Action, frame: Run) -> ActionDone:
    record = frame.record
    said = (words(action.done, **slots_of(unit, action.done, frame.names())) if action.done
            else message("command.done", action=action.label))
    return ActionDone(entity.address, record["id"] if record else None, record["row_version"] if record else None, said,
                      results_of(frame))
