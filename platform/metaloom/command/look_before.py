"""What a plugin command shows in its dialog before anybody decides: figures of the record as it stands, and ways to fill the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.context import Context
from metaloom.command.run_command import checked_output
from metaloom.command.unit import Unit
from metaloom.command.work import PluginWork, failure_of
from metaloom.model import Field


@dataclass(frozen=True)
class Filling:
    """A button of the dialog: the input values that it fills in."""

    label: Text
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """``values`` by the name of their ``fields``; the first filling fills the dialog when it opens."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    fillings: tuple[Filling, ...] = ()


def look_before(ctx: Context, entity: str, name: str, record_id: int | None, conn: sa.Connection) -> Seen:
    """What the look of command ``name`` says about the record; nothing where it declares none. The caller has checked that the
    person holds the command's right on the record. ``conn`` reads only: a look that writes fails."""
    declared = next((c for c in ctx.plugins.commands_on(entity) if c.name == name and not c.internal), None)
    if declared is None or declared.look is None or record_id is None:
        return Seen()
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    record = rows.fetch(unit, entity, record_id)
    if record is None:
        return Seen()
    company = record.get("company")
    work = PluginWork(unit, declared.plugin, declared.address, (entity, record_id), company if isinstance(company, int) else None)
    try:
        output = ctx.plugins.look(declared.address)(work, record, {})
    except Exception as error:
        raise failure_of(declared.plugin, work.failure or error) from error
    values = checked_output(unit, declared, declared.look.output, output)
    fillings = tuple(Filling(one.label, {**one.values, **{name: values[said] for name, said in one.take.items()}})
                     for one in declared.look.presets if all(values[said] for said in one.take.values()))
    return Seen(declared.look.output, values, fillings)
