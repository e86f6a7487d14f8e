"""Values as cells: words, tags, numbers and links, decided once per column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from metaloom.model import Entity, Field, FieldLevel, FieldType, ListView
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES
from metaloom.record.encode import choice_of, display_cell
from metaloom.record.paths import PATHS, Path, UnknownPath, target_of
from metaloom.web.current import Current, locale, say
from metaloom.web.frame import record_url

NUMBERS = frozenset({*EXACT_TYPES, FieldType.INTEGER})
UNSORTABLE = frozenset({FieldType.JSON, FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.MULTI_CHOICE, FieldType.TAGS, *FILE_TYPES})
TABULAR = NUMBERS | {FieldType.DATE, FieldType.DATETIME, FieldType.TIME, FieldType.AUTO_NUMBER, FieldType.PHONE, FieldType.ID_CARD, FieldType.BANK_CARD}
COLOURS = frozenset({"grey", "blue", "green", "orange", "red", "purple", "cyan", "yellow"})

# Codes that only the page of an entity can put into words, by (entity, field); pages add theirs when they are imported.
WORDS: dict[tuple[str, str], Callable[[Current, Any], str]] = {}


@dataclass(frozen=True, slots=True)
class Cell:
    """``kind``: text | tag | tags | link | colour | files. ``css`` says how it stands."""

    kind: str
    text: str
    css: str = ""
    href: str = ""
    colour: str = ""
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """A column of a table: its words, how its cells stand, and where a click on it leads."""

    path: str
    label: str
    css: str
    sortable: bool
    resolved: Path
    width: int | None = None


def heads(pinned: Current, entity: Entity, paths: Iterable[str], view: ListView | None = None) -> list[Head]:
    """The columns for ``paths``; a path that no longer resolves falls away."""
    found = []
    for text in paths:
        path = resolve(pinned, entity, text)
        if path is None:
            continue
        column = view.columns.get(text) if view else None
        label = say(column.label) if column and column.label else path_label(pinned, entity, path)
        found.append(Head(text, label + _unit(path.field), "num" if path.field.type in NUMBERS else "", _sortable(path), path,
                          column.width if column else None))
    return found


def resolve(pinned: Current, entity: Entity, text: str) -> Path | None:
    try:
        return PATHS.of(pinned.revision).path(entity.address, text)
    except (UnknownPath, KeyError):
        return None


def path_label(pinned: Current, entity: Entity, path: Path) -> str:
    """``customer.name`` → 客户 · 姓名; the title of a link is called like the link."""
    if not path.hops:
        return say(path.field.label)
    last = path.hops[-1]
    if pinned.catalog.entities[last.target].title == path.field.name:
        return say(last.field.label)
    return f"{say(last.field.label)} · {say(path.field.label)}"


def _unit(field: Field) -> str:
    if field.unit:
        return f" ({say(field.unit)})"
    if field.type is FieldType.MONEY:
        return " (元)" if field.currency == "CNY" and locale() == "zh" else f" ({field.currency})"
    return ""


def _sortable(path: Path) -> bool:
    shown = path.title or path
    return not shown.field.encrypted and shown.field.type not in UNSORTABLE


def cell(pinned: Current, path: Path, row: Any) -> Cell:
    """The cell of ``row`` at ``path``; a path the row's reader may not see there is empty."""
    if path.text not in row.values:
        return Cell("text", "-", "muted")
    value = row.values[path.text]
    if row.levels.get(path.text) is FieldLevel.MASKED:
        return Cell("text", str(value) if value else "-", "num muted")
    kind = path.field.type
    words = display_cell(pinned.catalog, path, row, value, locale(), pinned.zone)
    if value is None or value == ():
        return Cell("text", "-", "muted " + ("num" if kind in NUMBERS else ""))
    in_words = WORDS.get((path.entity, path.field.name))
    if in_words is not None:
        return Cell("text", in_words(pinned, value))
    if kind in (FieldType.CHOICE, FieldType.STATE):
        return Cell("tag", words, colour=_colour(pinned, path, value))
    if kind is FieldType.MULTI_CHOICE:
        return Cell("tags", words, parts=tuple(_part(pinned, path, code) for code in value))
    if kind is FieldType.TAGS:
        return Cell("tags", words, parts=tuple((str(v), "grey") for v in value))
    if kind in LINK_TYPES:
        return _link(pinned, path, row, value, words)
    if kind is FieldType.COLOUR:
        return Cell("colour", str(value), "num")
    if kind in FILE_TYPES:
        return Cell("files", words, "num")
    if kind is FieldType.DATETIME:
        words = words[:16]
    return Cell("text", words, "num" if kind in TABULAR else "")


def titled(pinned: Current, entity: Entity, row: Any) -> Any:
    """The row with a title in words, where the title is such a code."""
    in_words = WORDS.get((entity.address, entity.title))
    return replace(row, title=in_words(pinned, row.values[entity.title])) if in_words is not None and row.values.get(entity.title) else row


def _colour(pinned: Current, path: Path, value: Any) -> str:
    found = choice_of(pinned.catalog, path.field, value, path.entity)
    return found.colour if found and found.colour in COLOURS else "grey"


def _part(pinned: Current, path: Path, code: str) -> tuple[str, str]:
    choices = pinned.catalog.choices.get(path.field.choices)
    found = choices.items.get(code) if choices else None
    return (say(found.label), found.colour if found.colour in COLOURS else "grey") if found else (code, "grey")


def _link(pinned: Current, path: Path, row: Any, value: Any, words: str) -> Cell:
    target = target_of(path.field)
    struck = "gone" if path.text in row.struck else ""
    if words == "-" or target not in pinned.catalog.entities or not pinned.plan.may(target, "read"):
        return Cell("text", words, struck)
    return Cell("link", words, struck, record_url(target, value))
