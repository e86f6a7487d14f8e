"""Commands of plugins: declared in `plugin.yaml`, checked by the engine, written in Python, inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import Message, message, words
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.inputs import read_fields, refuse_same_person, refuse_unless
from metaloom.command.live import Live, Names
from metaloom.command.steps import state_after
from metaloom.command.store import check_version, locked_for
from metaloom.command.tell import slots_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.command.work import PluginWork, failure_of
from metaloom.compile import entity_scope, values_scope, with_names
from metaloom.expression import Scope
from metaloom.model import Entity, Field, FieldType
from metaloom.plugin import PluginFault
from metaloom.plugin.declaration import CommandDeclaration
from metaloom.record.values import BadValue, Reading, read

ADMIN = "platform.admin"


def run_command(ctx: Context, name: str, id: int | None, input: Mapping[str, Any], row_version: int | None = None,
                reason: str = "") -> ActionDone:
    """Runs ``plugin.command``. The same order and refusals as ``run_action``; ``results`` is the command's output.

    Commands without a record (``on: none``) are for administrators and jobs.
    """
    declared = ctx.plugins.command(name)
    if declared is None or (declared.internal and not ctx.system):
        raise NotFound(message("command.no_command", name=name))
    body = [name, id, input, row_version, reason]
    return perform(ctx, name, body, lambda unit: command_in(unit, declared, id, input, row_version), reason=reason, money=declared.money)


def run_command_on(ctx: Context, entity: str, id: int | None, name: str, input: Mapping[str, Any], row_version: int | None,
                   reason: str) -> ActionDone:
    """A plugin command by its short name on the entity it is declared for."""
    for declared in ctx.plugins.commands_on(entity):
        if declared.name == name:
            return run_command(ctx, declared.address, id, input, row_version, reason)
    found = ctx.revision.catalog.entities.get(entity)
    raise NotFound(message("command.unknown_action", entity=found.label if found else entity, action=name))


def command_in(unit: Unit, declared: CommandDeclaration, record_id: int | None, given: Mapping[str, Any],
               row_version: int | None) -> ActionDone:
    """The same inside a running unit."""
    if not declared.on:
        refuse_unless_admin(unit)
        output = _run(unit, declared, None, None, given, trusted=unit.ctx.system)
        if not unit.entries:
            unit.log(None, None, None, None)
        return ActionDone("", None, None, _said(unit, declared, {}), output)
    entity = unit.entity(declared.on)
    permit(unit, entity.address, declared.permission)
    if record_id is None:
        raise NotFound()
    _lock_first(unit, entity, declared, record_id)
    record = locked_for(unit, entity.address, record_id, declared.permission)
    if row_version is not None or not unit.ctx.system:
        check_version(unit, entity.address, record, row_version)
    refuse_same_person(unit, entity, record, declared.maker_is_not, declared.label)
    if declared.asks_reason and not unit.reason.strip():
        raise Invalid([Problem("reason", message("command.reason_missing"))])
    refuse_wrong_state(unit, entity, declared, record)
    refuse_unless(unit, entity, record, declared.when, declared.message, declared.label)
    refuse_unless_fired(unit, entity, declared, record)
    writes = len(unit.entries)
    output = _run(unit, declared, entity, record, given, trusted=unit.ctx.system)
    if len(unit.entries) == writes:
        unit.log(entity, record_id, None, None)
    after = rows.fetch(unit, entity.address, record_id)
    names = Names({"input": given}, Live(unit, entity, after)) if after is not None else {}
    return ActionDone(entity.address, record_id, after["row_version"] if after else None, _said(unit, declared, names), output)


def _lock_first(unit: Unit, entity: Entity, declared: CommandDeclaration, record_id: int) -> None:
    """What the record hangs on, where the command writes both and others lock it before its records: two at once never wait for each other."""
    if not declared.locks_first:
        return
    link = entity.fields.get(declared.locks_first)
    if link is None or link.type is not FieldType.LINK or not link.fixed:
        raise PluginFault(declared.plugin, f"{declared.address}: {declared.locks_first} is no fixed link of {entity.address}")
    found = rows.fetch(unit, entity.address, record_id)
    if found is not None and found[link.name] is not None:
        rows.fetch(unit, link.entity, found[link.name], lock=True)


def refuse_unless_admin(unit: Unit) -> None:
    """Whole-tenant commands: the role that administers all of it, or the engine itself."""
    if not unit.ctx.system and not unit.ctx.actor.holds_everywhere(ADMIN):
        raise NotAllowed(message("command.admin_only"))


def refuse_wrong_state(unit: Unit, entity: Entity, declared: CommandDeclaration, record: Mapping[str, Any]) -> None:
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    if not declared.allowed_states or lifecycle is None:
        return
    state = record[lifecycle.field]
    if state not in declared.allowed_states:
        label = lifecycle.states[state].label if state in lifecycle.states else Text(str(state), str(state))
        raise NotPossible(words(declared.message) if declared.message
                          else message("command.wrong_state", state=label, action=declared.label))


def refuse_unless_fired(unit: Unit, entity: Entity, declared: CommandDeclaration, record: Mapping[str, Any] | None) -> None:
    """What the command always fires must be possible, before anything else happens."""
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    if declared.fires and lifecycle is not None and record is not None:
        state_after(unit, entity, lifecycle, record, declared.fires)


def run_inside(unit: Unit, name: str, entity: str, record: Mapping[str, Any] | None,
               given: Mapping[str, Any]) -> tuple[dict[str, Any], CommandDeclaration]:
    """A command as a step of an action, in the action's transaction and under the action's right."""
    declared = unit.ctx.plugins.command(name)
    if declared is None:
        raise NotPossible(message("command.no_command", name=name))
    subject = None
    if declared.on:
        if record is None or declared.on != entity:
            raise PluginFault(declared.plugin, f"{name} works on {declared.on}, not on {entity}")
        subject = record
        refuse_wrong_state(unit, unit.entity(entity), declared, record)
    return _run(unit, declared, unit.entity(declared.on) if declared.on else None, subject, given, trusted=True), declared


def run_on(unit: Unit, name: str, record_id: int | None, given: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A command that another command runs: in its transaction and under its right."""
    declared = unit.ctx.plugins.command(name)
    if declared is None:
        raise NotPossible(message("command.no_command", name=name))
    if not declared.on:
        return _run(unit, declared, None, None, given, trusted=True, depth=depth)
    entity = unit.entity(declared.on)
    record = rows.fetch(unit, entity.address, record_id, lock=True) if record_id is not None else None
    if record is None:
        raise NotFound()
    refuse_wrong_state(unit, entity, declared, record)
    refuse_unless(unit, entity, record, declared.when, declared.message, declared.label)
    return _run(unit, declared, entity, record, given, trusted=True, depth=depth)


def _run(unit: Unit, declared: CommandDeclaration, entity: Entity | None, record: Mapping[str, Any] | None,
         given: Mapping[str, Any], *, trusted: bool, depth: int = 0) -> dict[str, Any]:
    """Reads the input, calls the handler, believes nothing it returns before it is checked."""
    values = read_fields(unit, declared.input, given, entity=entity, record=record, scope=input_scope(unit, declared, entity), trusted=trusted)
    company = record.get("company") if record is not None else None
    work = PluginWork(unit, declared.plugin, declared.address, (entity.address, record["id"]) if entity and record else None,
                      company if isinstance(company, int) else None, partial(run_on, unit), depth)
    handler = unit.ctx.plugins.handler(declared.address)
    try:
        output = handler(work, record, values)
    except Exception as error:
        raise failure_of(declared.plugin, work.failure or error) from error
    if work.failure is not None:
        raise failure_of(declared.plugin, work.failure)
    return checked_output(unit, declared, declared.output, output)


def input_scope(unit: Unit, declared: CommandDeclaration, entity: Entity | None) -> Scope:
    scopes = unit.catalog.__dict__.setdefault("_command_scopes", {})
    if declared.address not in scopes:
        own = values_scope(unit.catalog, declared.input)
        base = entity_scope(unit.catalog, entity.address) if entity is not None else Scope()
        merged = Scope({**base.fields, **own.fields}, {**base.links, **own.links}, base.children, base.user)
        prefixed = {"input": own, **({"record": base} if entity is not None else {})}
        scopes[declared.address] = with_names(merged, prefixed)
    found: Scope = scopes[declared.address]
    return found


def checked_output(unit: Unit, declared: CommandDeclaration, fields: Mapping[str, Field], output: object) -> dict[str, Any]:
    """The output exactly as declared: every field, no other, each of its type. PluginFault otherwise."""
    given = {} if output is None else output
    if not isinstance(given, Mapping) or set(given) != set(fields):
        shown = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise PluginFault(declared.plugin, f"{declared.address} returned {shown}, declared is {sorted(fields)}")
    how = Reading(unit.catalog.choices, unit.ctx.tenant.zone)
    found = {}
    for name, field in fields.items():
        if isinstance(given[name], float):
            raise PluginFault(declared.plugin, f"{declared.address} returned a float as {name}")
        try:
            found[name] = read(field, given[name], how)
        except BadValue:
            raise PluginFault(declared.plugin, f"{declared.address} returned a value as {name} that is no {field.type}") from None
    return found


def _said(unit: Unit, declared: CommandDeclaration, names: Mapping[str, Any]) -> Message:
    return words(declared.done, **slots_of(unit, declared.done, names)) if declared.done else message("command.done", action=declared.label)

