"""A change of a record by its form, the API or an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaloom.base.errors import NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command.approval_guard import refuse_in_approval
from metaloom.command.context import Context, Saved
from metaloom.command.store import change_stored, check_version, locked_for, title_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.lifecycle import editable


def change_record(ctx: Context, entity: str, id: int, values: Mapping[str, Any], row_version: int | None,
                  faults: Sequence[Problem] = ()) -> Saved:
    """Changes some fields of a record; a child field that is given replaces all its rows.

    ``row_version`` is the one that was shown: Stale when the record moved on, or when it is missing. NotPossible in a state
    that is not editable. Values equal to the stored ones change nothing, and then nothing is written. ``faults``: what was
    wrong with the input beside ``values``: nothing is changed then, and Invalid names both, whatever key it came with.
    """
    return perform(ctx.with_key(None) if faults else ctx, "change", [entity, id, values, row_version],
                   lambda unit: change_in(unit, entity, id, values, row_version, faults))


def change_in(unit: Unit, address: str, record_id: int, values: Mapping[str, Any], row_version: int | None,
              faults: Sequence[Problem] = ()) -> Saved:
    """The same inside a running unit."""
    entity = unit.entity(address)
    if entity.child_of:
        raise NotPossible(message("command.inside_parent", entity=entity.label))
    permit(unit, address, "edit")
    before = locked_for(unit, address, record_id, "edit")
    check_version(unit, address, before, row_version)
    refuse_in_approval(unit, address, before)
    lifecycle = unit.catalog.lifecycles.get(address)
    if lifecycle is not None:
        editable(lifecycle, before[lifecycle.field])
    stored = change_stored(unit, address, before, values, faults=faults)
    title = title_of(unit, entity, stored)
    said = "command.unchanged" if stored is before else "command.changed"
    return Saved(address, record_id, stored["row_version"], title, message(said, entity=entity.label, title=title))
