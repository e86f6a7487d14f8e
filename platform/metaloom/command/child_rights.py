"""Child rows with rights of their own: what a person may do to one is said by the grants that cover that very row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from metaloom.base.errors import NotAllowed
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.model import Entity, FieldLevel

if TYPE_CHECKING:
    from metaloom.command.unit import Unit


def judged(unit: Unit, child: Entity) -> bool:
    """Whether rows of the child are asked about one by one: it has grants of its own, and a person acts. Without grants of
    their own they stand and fall with their parent, which was judged already."""
    return not unit.ctx.system and bool(unit.catalog.grants.get(child.address))


def remember(unit: Unit, child: Entity, record_id: int) -> None:
    """The levels of a stored row, for whoever asks next what of it may be written."""
    unit.memory["levels", child.address, record_id] = _standing(unit, child, record_id)[1]


def seen(unit: Unit, child: Entity, record_id: int) -> bool:
    """Whether the person sees the row at all."""
    return bool(_standing(unit, child, record_id)[0] & {"read", "list"})


def refuse_without(unit: Unit, child: Entity, record_id: int, action: str) -> None:
    """NotAllowed unless the person may do ``action`` to this row."""
    if action not in _standing(unit, child, record_id)[0]:
        raise NotAllowed(message("command.row_denied", action=unit.ctx.plan.action_label(child.address, action)))


def refuse_new(unit: Unit, child: Entity, record_id: int, names: Iterable[str]) -> None:
    """NotAllowed when the row that was just added lies outside the rows in which the person may add these values."""
    actions, levels = _standing(unit, child, record_id)
    if "create" not in actions or any(levels.get(name, FieldLevel.HIDDEN) < FieldLevel.WRITE for name in names):
        raise NotAllowed(message("command.outside_own_rows"))


def _standing(unit: Unit, child: Entity, record_id: int) -> tuple[frozenset[str], Mapping[str, FieldLevel]]:
    rights, holding = unit.ctx.plan.rights(child.address), rows.scopes_of(unit, child.address, record_id)
    return rights.actions_in(holding), rights.levels(holding)
