"""What an action or plugin command asks for, and the values its defaults give on a record: for the dialog on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotFound
from metaloom.base.text import Text
from metaloom.command.context import Context
from metaloom.command.evaluate import fitted
from metaloom.command.inputs import names_of
from metaloom.command.live import Shown
from metaloom.command.run_action import input_scope as action_scope
from metaloom.command.run_command import input_scope as command_scope
from metaloom.command.tell import may_read_all
from metaloom.command.unit import Unit
from metaloom.expression import compile, to_python
from metaloom.model import Action, Field
from metaloom.record import Row


@dataclass(frozen=True)
class InputAsked:
    """``fields`` in their order. ``permission``: the right that the button needs. ``action``: where metadata declares it."""

    name: str
    label: Text
    fields: Mapping[str, Field] = field(default_factory=dict)
    asks_reason: bool = False
    confirm: Text | None = None
    style: str = ""
    permission: str = ""
    help: Text | None = None
    action: Action | None = None


def input_asked(ctx: Context, entity: str, name: str) -> InputAsked:
    """What ``name`` asks for on a record or list of ``entity``. NotFound for a name that the entity does not have."""
    one: Any = ctx.revision.catalog.actions.get(f"{entity}/{name}")
    if one is not None:
        return InputAsked(name, one.label, one.input.fields, one.asks_reason, one.confirm, one.style, one.permission or name, one.help, one)
    one = _command(ctx, entity, name)
    return InputAsked(name, one.label, one.input, one.asks_reason, one.confirm, one.style, one.permission, one.help)


def defaults_asked(ctx: Context, entity: str, asked: InputAsked, row: Row | None, conn: sa.Connection) -> dict[str, Any]:
    """The defaults by name, on the record that is looked at (None: on a list), as far as they are known before anybody has typed and
    the person reads what they are made of."""
    if not any(one.default for one in asked.fields.values()):
        return {}
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    scope = action_scope(unit, asked.action) if asked.action is not None else command_scope(
        unit, _command(ctx, entity, asked.name), unit.entity(entity))
    record = Shown(unit, row) if row is not None else None
    values: dict[str, Any] = dict.fromkeys(asked.fields)
    names, env = names_of(unit, asked.fields, values, unit.entity(entity), record)
    for name, one in asked.fields.items():
        if one.default:
            checked = compile(one.default, scope, None, frozenset({"python"}))
            if not may_read_all(unit, names, checked.paths):
                continue
            found = to_python(checked)(names, env)
            values[name] = fitted(one, found)
    return {name: value for name, value in values.items() if value is not None}


def _command(ctx: Context, entity: str, name: str) -> Any:
    found = next((c for c in ctx.plugins.commands_on(entity) if c.name == name and not c.internal), None)
    if found is None:
        raise NotFound
    return found
