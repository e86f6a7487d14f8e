"""A new record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaloom.base.errors import NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.store import new_record, title_of
from metaloom.command.unit import Unit, perform, permit


def create_record(ctx: Context, entity: str, values: Mapping[str, Any], faults: Sequence[Problem] = ()) -> Saved:
    """Stores a new record of ``entity``; child fields hold lists of rows.

    Defaults, numbers, computed fields, the initial state and whom it belongs to are filled in. NotAllowed without the right
    to create, or to create rows of that owner; Invalid names every field at fault. ``faults``: what was wrong with the input
    beside ``values``: nothing is stored then, and Invalid names both, whatever key it came with.
    """
    return perform(ctx.with_key(None) if faults else ctx, "create", [entity, values], lambda unit: create_in(unit, entity, values, faults))


def create_in(unit: Unit, address: str, values: Mapping[str, Any], faults: Sequence[Problem] = ()) -> Saved:
    """The same inside a running unit (import, bulk)."""
    entity = unit.entity(address)
    if entity.child_of:
        raise NotPossible(message("command.inside_parent", entity=entity.label))
    permit(unit, address, "create")
    stored = new_record(unit, address, values, faults=faults)
    refuse_outside_own_rows(unit, address, stored["id"], stored)
    title = title_of(unit, entity, stored)
    return Saved(address, stored["id"], stored["row_version"], title, message("command.created", entity=entity.label, title=title))


def refuse_outside_own_rows(unit: Unit, address: str, record_id: int, stored: Mapping[str, Any] | None = None) -> None:
    """A person creates rows only where a grant to create covers them; those who may not see it at all may still hand it in."""
    if unit.ctx.system:
        return
    try:
        actions, _ = rows.standing(unit, address, record_id, stored)
    except NotFound:
        if unit.ctx.plan.may(address, "read") or unit.ctx.plan.may(address, "list"):
            raise NotAllowed(message("command.outside_own_rows")) from None
        return
    if "create" not in actions:
        raise NotAllowed(message("command.outside_own_rows"))
