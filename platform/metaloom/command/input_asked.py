"""What an action or plugin command asks for, with the values its defaults give on a record: for the dialog on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotFound
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.context import Context
from metaloom.command.evaluate import fitted
from metaloom.command.inputs import names_of
from metaloom.command.run_action import input_scope as action_scope
from metaloom.command.run_command import input_scope as command_scope
from metaloom.command.unit import Unit
from metaloom.expression import Scope, compile, to_python
from metaloom.model import Field


@dataclass(frozen=True)
class InputAsked:
    """``fields`` in their order; ``defaults`` by name, as far as they can be known before the person has typed."""

    label: Text
    fields: Mapping[str, Field]
    defaults: Mapping[str, Any]
    asks_reason: bool
    confirm: Text | None
    style: str
    permission: str
    help: Text | None = None


def input_asked(ctx: Context, entity: str, id: int | None, name: str, conn: sa.Connection) -> InputAsked:
    """The dialog of ``name`` on a record (None: of a list). NotFound for a name that the entity does not have."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    action = ctx.revision.catalog.actions.get(f"{entity}/{name}")
    if action is not None:
        fields, scope, permission = action.input.fields, action_scope(unit, action), action.permission or action.name
        one: Any = action
    else:
        one = next((c for c in ctx.plugins.commands_on(entity) if c.name == name and not c.internal), None)
        if one is None:
            raise NotFound()
        fields, scope, permission = one.input, command_scope(unit, one, unit.entity(entity)), one.permission
    record = rows.fetch(unit, entity, id) if id is not None else None
    defaults = _defaults(unit, entity, fields, scope, record)
    return InputAsked(one.label, fields, defaults, one.asks_reason, one.confirm, one.style, permission, one.help)


def _defaults(unit: Unit, entity: str, fields: Mapping[str, Field], scope: Scope, record: Mapping[str, Any] | None) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(fields)
    names, env = names_of(unit, fields, values, unit.entity(entity), record)
    for name, field in fields.items():
        if field.default:
            found = to_python(compile(field.default, scope, None, frozenset({"python"})))(names, env)
            values[name] = fitted(field, found)
    return {name: value for name, value in values.items() if value is not None}
