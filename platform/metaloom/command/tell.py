"""What a sentence of metadata may print: a slot shows what the person reads, masked where it is masked, ``-`` where it is hidden.

Rules, actions and commands work with whole records, whoever asks; their words must not carry out what the screen hides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from string import Formatter
from typing import TYPE_CHECKING, Any

from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.live import Linked, Live, Names, Shown
from metaloom.model import Field, FieldLevel
from metaloom.record.mask import mask
from metaloom.record.paths import DIRECTORY, UnknownPath, field_of

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

UNSEEN = "-"
ALWAYS = ("id", "row_version")
Place = tuple[str, int | None]


def slots_of(unit: Unit, text: Text, names: Mapping[str, Any]) -> dict[str, Any]:
    """Values for ``{amount}`` and ``{product.amount_min}`` in the words of a rule or action, as far as the person reads them;
    amounts with thousands separators."""
    paths = {name for said in (text.zh, text.en) for _, name, _, _ in Formatter().parse(said) if name}
    return {path: found for path in paths if (found := _slot(unit, names, path)) is not None}


def may_read_all(unit: Unit, names: Mapping[str, Any], paths: Iterable[tuple[str, ...]]) -> bool:
    """Whether the person reads every field of these paths in the clear."""
    return all(_walk(unit, names, path)[1] >= FieldLevel.READ for path in paths)


def _slot(unit: Unit, names: Mapping[str, Any], path: str) -> Any:
    value, level, field = _walk(unit, names, path.split("."))
    if value is None or isinstance(value, (Mapping, list)):
        return None
    if level is FieldLevel.HIDDEN:
        return UNSEEN
    if level is FieldLevel.MASKED and field is not None:
        return mask(field, value) or UNSEEN
    return f"{value:,f}" if isinstance(value, Decimal) else value


def _walk(unit: Unit, names: Mapping[str, Any], path: Iterable[str]) -> tuple[Any, FieldLevel, Field | None]:
    """(value, the least level on the way, the last field) of a path; None for a path that leads nowhere."""
    current: Any = names
    least, field = FieldLevel.WRITE, None
    for name in path:
        if not isinstance(current, Mapping):
            return None, least, None
        if isinstance(current, Names):
            current = current if name in current.own else current.record
        place = _place(current)
        if place is not None:
            level, field = _level(unit, place, name)
            least = min(least, level)
        try:
            current = current[name]
        except KeyError:
            return None, least, None
    return current, least, field


def _place(current: Any) -> Place | None:
    """(entity, id or None) of a record; None for what is no record: input, results of a command."""
    if isinstance(current, Live):
        return current.entity, current.raw.get("id")
    if isinstance(current, Linked):
        return current.entity, current.id
    if isinstance(current, Shown):
        return current.entity, current.id
    return None


def _level(unit: Unit, place: Place, name: str) -> tuple[FieldLevel, Field | None]:
    address, record_id = place
    entity = unit.entity(address)
    try:
        field = field_of(entity, name)
    except UnknownPath:
        return FieldLevel.READ, None
    if unit.ctx.system or name in ALWAYS or (address in DIRECTORY and name == entity.title):
        return FieldLevel.READ, field
    return _levels(unit, address, record_id).get(name, FieldLevel.HIDDEN), field


def _levels(unit: Unit, address: str, record_id: int | None) -> Mapping[str, FieldLevel]:
    """The person's levels on a stored row; on one that is not stored yet, the best of the grants by which it may be entered."""
    rights = unit.ctx.plan.rights(address)
    if record_id is None:
        entering = [held for held in rights.held if {"create", "edit"} & held.grant.actions]
        return {name: max((rights.grant_level(held, name) for held in entering), default=FieldLevel.HIDDEN) for name in rights.entity.fields}
    key = ("told", address, record_id)
    if key not in unit.memory:
        known = unit.memory.get(("levels", address, record_id))
        unit.memory[key] = known if known is not None else rights.levels(rows.scopes_of(unit, address, record_id))
    found: Mapping[str, FieldLevel] = unit.memory[key]
    return found
