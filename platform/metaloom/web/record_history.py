"""The changes of a record in the reader's words: who changed what, from what to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaloom.audit import untyped
from metaloom.base.errors import MetaloomError
from metaloom.model import Entity
from metaloom.model.entity import FILE_TYPES, LINK_TYPES
from metaloom.record.encode import display
from metaloom.record.paths import UnknownPath, field_of, target_of
from metaloom.web.code_words import command_words, doer_words
from metaloom.web.current import Current, locale, say
from metaloom.web.words import t as _t


@dataclass(frozen=True)
class Moment:
    when: str
    who: str
    login: str
    what: str
    channel: str
    reason: str
    changes: tuple[tuple[str, str, str], ...]


def moment_of(pinned: Current, definition: Entity, entry: Any, titles: Mapping[tuple[str, int], str]) -> Moment:
    changes = tuple((say(field_of(definition, c.field).label), *(said(pinned, definition, c.field, v, titles) for v in (c.before, c.after)))
                    for c in entry.changes)
    when = entry.at.astimezone(pinned.zone).strftime("%Y-%m-%d %H:%M:%S")
    who, login = (entry.actor_title or entry.actor_name, entry.actor_name) if entry.actor_id is not None else (doer_words(pinned, entry.actor_name), "")
    return Moment(when, who, login, command_words(pinned, entry.command, definition.address), _t(f"channel.{entry.channel}"), entry.reason,
                  tuple(c for c in changes if c[1] != c[2]))


def said(pinned: Current, definition: Entity, name: str, value: Any, titles: Mapping[tuple[str, int], str]) -> str:
    one, value = field_of(definition, name), untyped(value)
    if value is None or value == "" or value == []:
        return ""
    if one.type in LINK_TYPES:
        return titles.get((target_of(one), value), f"#{value}")
    if one.type in FILE_TYPES:
        return _t("detail.files", n=len(value))
    try:
        return display(pinned.catalog, one, tuple(value) if isinstance(value, list) else value, locale(), entity=definition.address, zone=pinned.zone)
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        return str(value)


def titles_now(definition: Entity, row: Any) -> dict[tuple[str, int], str]:
    """The names that the page itself shows beside the record's links."""
    return {(target_of(field_of(definition, name)), row.values[name]): title for name, title in row.titles.items()
            if "." not in name and isinstance(row.values.get(name), int)}


def link_titles(pinned: Current, definition: Entity, entries: Sequence[Any]) -> dict[tuple[str, int], str]:
    """Names of linked records that the entries speak of, as far as this person may find them."""
    wanted: dict[str, set[int]] = {}
    for change in (c for e in entries for c in e.changes):
        try:
            one = field_of(definition, change.field)
        except UnknownPath:
            continue
        if one.type in LINK_TYPES:
            wanted.setdefault(target_of(one), set()).update(v for v in (change.before, change.after) if isinstance(v, int))
    found: dict[tuple[str, int], str] = {}
    for target, ids in wanted.items():
        try:
            found |= {(target, hit.id): hit.title for hit in pinned.reader.lookup(target, ids=sorted(ids)[:200], limit=200)}
        except MetaloomError:
            continue
    return found
