"""What stood in a record after each of its changes, as far as its reader may see it: the present values, with the changes taken back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metaloom.audit import untyped
from metaloom.model import Entity, FieldLevel, FieldType
from metaloom.model.entity import FILE_TYPES
from metaloom.record.row import HistoryEntry, Row
from metaloom.record.schema import accepts

NOT_PUT_BACK = frozenset({FieldType.CHILD, *FILE_TYPES})


@dataclass(frozen=True)
class Version:
    """``entry``: the audit row after which the record stood so. ``values`` by field name, masked where the reader sees it masked.
    ``who``: the person; where it was not done ``by_hand``, the name of what did it."""

    entry: int
    at: datetime
    who: str
    by_hand: bool
    command: str
    values: Mapping[str, Any]


def versions(row: Row, entries: Sequence[HistoryEntry], sealed: Collection[str] = ()) -> tuple[Version, ...]:
    """The versions, newest first; ``entries`` newest first and without a gap. ``sealed``: fields of which the audit keeps a part only; what
    stands in the record is theirs until it was changed."""
    values: dict[str, Any] = {name: plain(value) for name, value in row.values.items() if "." not in name}
    found = []
    for entry in entries:
        changed = {change.field: change for change in entry.changes}
        values = {**values, **{name: plain(one.after) for name, one in changes_shown(changed) if name not in sealed or name not in values}}
        found.append(Version(entry.id, entry.at, entry.actor_title or entry.actor_name, entry.actor_id is not None, entry.command, values))
        values = {**values, **{name: plain(one.before) for name, one in changes_shown(changed)}}
    return tuple(found)


def changes_shown(changed: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The changes of fields that are no engine's own stamps."""
    return [(name, one) for name, one in changed.items() if name not in ("row_version", "updated_at", "updated_by")]


def differences(one: Version, other: Version) -> dict[str, tuple[Any, Any]]:
    """By field: what stood in the one and in the other, where that differs."""
    names = dict.fromkeys((*one.values, *other.values))
    stamps = ("updated_at", "updated_by", "id", "row_version")
    return {name: (one.values.get(name), other.values.get(name)) for name in names
            if name not in stamps and one.values.get(name) != other.values.get(name)}


def put_back(entity: Entity, row: Row, changed: Mapping[str, tuple[Any, Any]]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(what a restoring enters again, the fields that it leaves as they are): only what this person may enter in this record, reads in
    the clear, and a form would take."""
    values, left = {}, []
    for name, (then, _) in changed.items():
        field = entity.fields.get(name)
        if field is None or field.type is FieldType.STATE or field.computed:
            continue                                                    # follows from the rest, or is moved by actions alone
        if accepts(entity, field, "edit") and field.type not in NOT_PUT_BACK and not field.encrypted and row.levels.get(name) is FieldLevel.WRITE:
            values[name] = tuple(then) if isinstance(then, list) else then
        else:
            left.append(name)
    return values, tuple(left)


def plain(value: Any) -> Any:
    """A value of the record or of its audit, comparable: lists for tuples, nothing for what is empty.
    A multi_choice that was emptied and one that was never filled are alike, and are entered again as nothing (None)."""
    found = untyped(value)
    found = list(found) if isinstance(found, (tuple, frozenset, set)) else found
    return None if found in ("", []) else found
