"""Values as cells: words, tags, numbers and links, decided once per column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from metaloom.access.plan import Memory
from metaloom.model import Catalog, Entity, Field, FieldLevel, FieldType, ListView
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES
from metaloom.record.encode import choice_of, said_for, words_for
from metaloom.record.paths import PATHS, Path, UnknownPath, target_of
from metaloom.web.current import Current, locale, say
from metaloom.web.frame import icon, record_url
from metaloom.web.words import bracketed

NUMBERS = frozenset({*EXACT_TYPES, FieldType.INTEGER})
UNSORTABLE = frozenset({FieldType.JSON, FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.MULTI_CHOICE, FieldType.TAGS, *FILE_TYPES})
UNPLAIN = frozenset({FieldType.CHOICE, FieldType.STATE, FieldType.TAGS, FieldType.COLOUR, FieldType.MULTI_CHOICE, *FILE_TYPES})
TABULAR = NUMBERS | {FieldType.DATE, FieldType.DATETIME, FieldType.TIME, FieldType.AUTO_NUMBER, FieldType.PHONE, FieldType.ID_CARD, FieldType.BANK_CARD}
COLUMNS_KEPT = 400
COLOURS = frozenset({"grey", "blue", "green", "orange", "red", "purple", "cyan", "yellow"})

# Codes that only the page of an entity can put into words, by (entity, field): from the value and the row it stands in.
# Pages add theirs when they are imported.
WORDS: dict[tuple[str, str], Callable[[Current, Any, Any], str]] = {}
# Other fields of the same record that such words read, by the same: a list asks for them, too.
READS: dict[tuple[str, str], tuple[str, ...]] = {}
# Where a cell said in such words leads, by the same; '' for nowhere.
GOALS: dict[tuple[str, str], Callable[[Current, Any, Any], str]] = {}

# What such words need to know of all rows of a list, asked once before they are drawn, by the same.
GATHER: dict[tuple[str, str], Callable[[Current, Sequence[Any]], None]] = {}
# A title that is a code, said in words wherever a link shows it, by entity.
NAMES: dict[str, Callable[[Current, str], str]] = {}

# The codes that such a field may hold, with their words: what a search offers instead of asking for the spelling.
CODES: dict[tuple[str, str], Callable[[Current], Iterable[tuple[str, str]]]] = {}

# What a list says when somebody points at a cell: (entity, field) → another field of the same row.
HINTS: dict[tuple[str, str], str] = {}


SPECIAL = re.compile("[&<>\"']").search


def escaped(text: str) -> str:
    """``text`` for HTML, most of which needs nothing."""
    return text if SPECIAL(text) is None else str(escape(text))


class Cell(NamedTuple):
    """``kind``: text | tag | tags | link | colour | files. ``css`` says how it stands."""

    kind: str
    text: str
    css: str = ""
    href: str = ""
    colour: str = ""
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def html(self) -> Markup:
        """The cell as it stands in tables, on cards and on detail pages."""
        return Markup(self.drawn)

    @property
    def drawn(self) -> str:
        """The same as plain text. In Python, because a list has hundreds of them."""
        kind, text = self.kind, escaped(self.text)
        if kind == "text":
            return f'<span class="{self.css}">{text}</span>'
        if kind == "tag":
            return f'<span class="tag {self.colour}">{text}</span>'
        if kind == "link":
            return f'<a href="{escaped(self.href)}" class="{self.css}">{text}</a>'
        if kind == "tags":
            return "".join(f'<span class="tag plain {colour}">{escaped(words)}</span> ' for words, colour in self.parts)
        if kind == "colour":
            return f'<svg class="icon icon-sm" aria-hidden="true"><rect width="24" height="24" rx="5" fill="{text}"/></svg> {text}'
        return f"{icon('paperclip', 'icon-sm')} {text}"


HIDDEN = Cell("text", "-", "muted")


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
    """The columns for ``paths``; a path that no longer resolves falls away. Kept where the list is the catalog's own."""
    asked = tuple(paths)
    if view is not None and pinned.catalog.lists.get(view.address) is not view:
        return _heads(pinned, entity, asked, view)
    key, kept = (entity.address, asked, view and view.address, pinned.catalog.digest, locale()), pinned.plan.kept("heads", COLUMNS_KEPT)
    found: list[Head] | None = kept.get(key)
    if found is None:
        found = kept[key] = _heads(pinned, entity, asked, view)
    return found


def _heads(pinned: Current, entity: Entity, paths: Iterable[str], view: ListView | None) -> list[Head]:
    found = []
    for text in paths:
        path = resolve(pinned, entity, text)
        if path is None:
            continue
        column = view.columns.get(text) if view else None
        label = say(column.label) if column and column.label else path_label(pinned, entity, path)
        found.append(Head(text, label + unit_of(path.field), "num" if path.field.type in NUMBERS else "", _sortable(path), path,
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


def unit_of(field: Field) -> str:
    """What stands behind a label: （元）, （月）; empty where the value needs none."""
    if field.unit:
        return bracketed(say(field.unit))
    if field.type is FieldType.MONEY:
        return bracketed("元" if field.currency == "CNY" and locale() == "zh" else field.currency)
    return ""


def _sortable(path: Path) -> bool:
    shown = path.title or path
    return not shown.field.encrypted and shown.field.type not in UNSORTABLE


def cell(pinned: Current, path: Path, row: Any) -> Cell:
    """The cell of ``row`` at ``path``; a path the row's reader may not see there is empty."""
    return cell_for(pinned, path)(row)


def cell_for(pinned: Current, path: Path) -> Callable[[Any], Cell]:
    """``cell`` of one column: all but the row is decided once, and kept with the person's rights, which end with every change of
    them and every publication. Codes that a page puts into words are asked for anew."""
    if (path.entity, path.field.name) in WORDS:
        return _made_for(pinned, path)
    kept = pinned.plan.kept("cells", COLUMNS_KEPT)
    begins = path.hops[0].entity if path.hops else path.entity
    key = (begins, path.text, *pinned.around)
    found: Callable[[Any], Cell] | None = kept.get(key)
    if found is None:
        found = kept[key] = _made_for(pinned, path)
    return found


Drawn = tuple[str, str, str, str]


def drawn_for(pinned: Current, path: Path) -> Callable[[FieldLevel | None], Callable[[Any], Drawn]]:
    """From the level at which rows show the column to what draws its cell: (kind, text, css, HTML) of ``cell_for``'s cell.

    Most cells of a list are words, tags and links that may be read: those are written without making a ``Cell`` first.
    """
    make = cell_for(pinned, path)

    def slow(row: Any) -> Drawn:
        one = make(row)
        return one.kind, one.text, one.css, one.drawn

    if (path.entity, path.field.name) in WORDS or path.field.type in UNPLAIN - {FieldType.CHOICE, FieldType.STATE}:
        return lambda level: slow
    kept = pinned.plan.kept("drawers", COLUMNS_KEPT)
    fast = kept.get(make)
    if fast is None:
        fast = kept[make] = _fast_for(pinned, path, slow)
    return lambda level: slow if level is None or level <= FieldLevel.MASKED else fast


def _fast_for(pinned: Current, path: Path, slow: Callable[[Any], Drawn]) -> Callable[[Any], Drawn]:
    """What draws a cell that may be read, in a row that holds it or nothing there."""
    text, kind = path.text, path.field.type
    if kind in (FieldType.CHOICE, FieldType.STATE):
        return _tags_for(text, slow)
    if kind in LINK_TYPES:
        return _links_for(pinned, path)
    say, cut = words_for(pinned.catalog, path.field, locale(), entity=path.entity, zone=pinned.zone), 16 if kind is FieldType.DATETIME else None
    css = "num" if kind in TABULAR else ""
    begin = f'<span class="{css}">'

    def fast(row: Any) -> Drawn:
        value = row.values.get(text)
        if value is None:
            return slow(row)
        words = say(value)[:cut]
        return "text", words, css, f"{begin}{words if SPECIAL(words) is None else escape(words)}</span>"

    return fast


Plain = Callable[[Sequence[Any]], list[str | None]]


def plain_for(pinned: Current, path: Path, begin: str, long: int) -> Plain | None:
    """What writes whole table cells of words or of links that may be read, for rows at once, as ``drawn_for`` would have each written from ``begin`` on.
    None stands for a row that holds nothing there, which is not written here, nor is a column of codes, lists or files. ``long``: words above it are
    said as a title, too.
    """
    kind, text = path.field.type, path.text
    if (path.entity, path.field.name) in WORDS or kind in UNPLAIN:
        return None
    if kind in LINK_TYPES:
        return _plain_links(pinned, path, begin)
    say, cut = words_for(pinned.catalog, path.field, locale(), entity=path.entity, zone=pinned.zone), 16 if kind is FieldType.DATETIME else None
    opened, titled, ended = f'{begin}><span class="{"num" if kind in TABULAR else ""}">', f'{begin} title="', "</span></td>"

    def plain(rows: Sequence[Any]) -> list[str | None]:
        cells: list[str | None] = []
        for row in rows:
            value = row.values.get(text)
            words = "-" if value is None else say(value)[:cut]
            if words == "-":
                cells.append(None)
                continue
            shown = words if SPECIAL(words) is None else escape(words)
            cells.append(f"{opened}{shown}{ended}" if len(words) <= long else f'{titled}{shown}"{opened[len(begin):]}{shown}{ended}')
        return cells

    return plain


def _plain_links(pinned: Current, path: Path, begin: str) -> Plain:
    target, text = target_of(path.field), path.text
    if target in NAMES or not _opens(pinned, target) or _called(pinned, target):
        return lambda rows: [None] * len(rows)
    opened = f'{begin}><a href="{escaped(record_url(target, ""))}'

    def plain(rows: Sequence[Any]) -> list[str | None]:
        cells: list[str | None] = []
        for row in rows:
            value, words = row.values.get(text), row.titles.get(text)
            if type(value) is not int or not words or words == "-":
                cells.append(None)
                continue
            shown = words if SPECIAL(words) is None else escape(words)
            cells.append(f'{opened}{value}" class="{"gone" if text in row.struck else ""}">{shown}</a></td>')
        return cells

    return plain


def _links_for(pinned: Current, path: Path) -> Callable[[Any], Drawn]:
    link, text = _link_for(pinned, path), path.text
    nothing = Cell("text", "-", "muted ")

    def drawn(row: Any) -> Drawn:
        value = row.values.get(text)
        one = (nothing if text in row.values else HIDDEN) if value is None else link(row, value)
        return one.kind, one.text, one.css, one.drawn

    return drawn


def _tags_for(text: str, slow: Callable[[Any], Drawn]) -> Callable[[Any], Drawn]:
    """Few codes, many rows."""
    known: dict[Any, Drawn] = Memory(COLUMNS_KEPT)

    def tag(row: Any) -> Drawn:
        value = row.values.get(text)
        found = known.get(value)
        if found is None:
            found = slow(row)
            if value is not None:
                known[value] = found
        return found

    return tag


def _made_for(pinned: Current, path: Path) -> Callable[[Any], Cell]:
    text, masked, shown = path.text, FieldLevel.MASKED, _shown_for(pinned, path)
    empty = Cell("text", "-", "muted " + ("num" if path.field.type in NUMBERS else ""))

    def made(row: Any) -> Cell:
        if text not in row.values:
            return HIDDEN
        value = row.values[text]
        if row.levels.get(text) is masked:
            return Cell("text", str(value) if value else "-", "num muted")
        return empty if value is None or value == () else shown(row, value)

    return made


def _shown_for(pinned: Current, path: Path) -> Callable[[Any, Any], Cell]:
    """From a row and its value at ``path``, which is there and may be seen, to the cell."""
    kind = path.field.type
    in_words, leads = WORDS.get((path.entity, path.field.name)), GOALS.get((path.entity, path.field.name))
    if in_words is not None and path.hops:
        before = path.text.removesuffix(path.field.name)
        return lambda row, value: Cell("text", in_words(pinned, value, _behind(row, before)))
    if in_words is not None and leads is not None:
        return lambda row, value: _leading(in_words(pinned, value, row), leads(pinned, value, row))
    if in_words is not None:
        return lambda row, value: Cell("text", in_words(pinned, value, row))
    catalog = pinned.catalog            # what follows is kept longer than the request
    said = said_for(catalog, path, locale(), pinned.zone)
    if kind is FieldType.TAGS:
        return lambda row, value: Cell("tags", said(row), parts=tuple((str(v), "grey") for v in value))
    if kind is FieldType.COLOUR:
        return lambda row, value: Cell("colour", str(value), "num")
    if kind in (FieldType.CHOICE, FieldType.STATE):
        tags: dict[Any, Cell] = {}  # few codes, many rows

        def tag(row: Any, value: Any) -> Cell:
            found = tags.get(value)
            if found is None:
                colour = _colour(catalog, path, value)
                found = tags[value] = Cell("text" if kind is FieldType.CHOICE and colour == "grey" else "tag", said(row), colour=colour)
            return found

        return tag
    if kind is FieldType.MULTI_CHOICE:
        return lambda row, value: Cell("tags", said(row), parts=tuple(_part(catalog, path, code) for code in value))
    if kind in LINK_TYPES:
        return _link_for(pinned, path)
    if kind in FILE_TYPES:
        return lambda row, value: Cell("files", said(row), "num")
    if kind is FieldType.DATETIME:
        return lambda row, value: Cell("text", said(row)[:16], "num")
    css = "num" if kind in TABULAR else ""
    return lambda row, value: Cell("text", said(row), css)


def _behind(row: Any, before: str) -> Any:
    """What the row knows of the record behind a link."""
    return replace(row, values={text.removeprefix(before): value for text, value in row.values.items() if text.startswith(before)})


def _leading(words: str, href: str) -> Cell:
    return Cell("link", words, href=href) if href else Cell("text", words)


def titled(pinned: Current, entity: Entity, row: Any) -> Any:
    """The row with a title in words, where the title is such a code."""
    in_words = WORDS.get((entity.address, entity.title))
    return replace(row, title=in_words(pinned, row.values[entity.title], row)) if in_words is not None and row.values.get(entity.title) else row


def _colour(catalog: Catalog, path: Path, value: Any) -> str:
    found = choice_of(catalog, path.field, value, path.entity)
    return found.colour if found and found.colour in COLOURS else "grey"


def _part(catalog: Catalog, path: Path, code: str) -> tuple[str, str]:
    choices = catalog.choices.get(path.field.choices)
    found = choices.items.get(code) if choices else None
    return (say(found.label), found.colour if found.colour in COLOURS else "grey") if found else (code, "grey")


def _link_for(pinned: Current, path: Path) -> Callable[[Any, Any], Cell]:
    target, text = target_of(path.field), path.text
    opens, called, before, name = _opens(pinned, target), _called(pinned, target), record_url(target, ""), NAMES.get(target)

    def link(row: Any, value: Any) -> Cell:
        words, struck = row.titles.get(text) or "-", "gone" if text in row.struck else ""
        words = called.get(words, words) if name is None or words == "-" else name(pinned, words)
        return Cell("link", words, struck, f"{before}{value}") if opens and words != "-" else Cell("text", words, struck)

    return link


def _opens(pinned: Current, target: str) -> bool:
    """Whether a link to a record of ``target`` leads there."""
    return target in pinned.catalog.entities and bool(pinned.plan.may(target, "read"))


def _called(pinned: Current, target: str) -> dict[str, str]:
    """For a ``target`` whose title is a code: the words that it is said in wherever a link shows it."""
    codes = CODES.get((target, pinned.catalog.entities[target].title)) if target in pinned.catalog.entities else None
    return dict(codes(pinned)) if codes is not None else {}
