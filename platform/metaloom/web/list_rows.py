"""The rows of a list as markup, a table that folds into cards on a phone: in Python, because a page has hundreds of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from metaloom.model import FieldLevel
from metaloom.web.cells import COLUMNS_KEPT, GATHER, WORDS, Drawn, Head, Plain, drawn_for, escaped, plain_for, titled
from metaloom.web.current import Current
from metaloom.web.frame import record_url
from metaloom.web.listing import ListState
from metaloom.web.own import own_of

LONG, CARD_CELLS = 18, 7


def draw_rows(pinned: Current, state: ListState, rows: Iterable[Any], columns: Sequence[Head], words: dict[str, str], *, picks: bool,
              hints: Mapping[str, str]) -> str:
    """The rows of the table, which a phone lays out as cards: a cell knows its label, whether it says nothing, and which one stands in the head.
    ``words``: view, edit, more, select. ``picks``: a box at each row for actions on several.
    ``hints``: by column, the value of the row that is said to who points at its cell."""
    rows = list(rows)
    for head in columns:
        if (state.entity.address, head.path) in GATHER:
            GATHER[state.entity.address, head.path](pinned, rows)
    places = _places(pinned, state, columns, hints)
    words = {name: escaped(word) for name, word in words.items()}
    before, table = escaped(record_url(state.entity.address, "")), []
    plain, editable = (state.entity.address, state.entity.title) not in WORDS, _editable(pinned, state)
    hrefs = [f"{before}{row.id}" if "read" in row.actions else "" for row in rows]
    lines = _lines(places, rows, hrefs)
    for row, href in zip(rows, hrefs, strict=True):
        title = escaped((row if plain else titled(pinned, state.entity, row)).title)
        edit = f"{before}{row.id}/edit" if "edit" in row.actions and not row.archived and editable(row) else ""
        pick = (f'<td class="c-sel stick-l"><input type="checkbox" name="ids" value="{row.id}:{row.row_version}" data-pick '
                f'aria-label="{words["select"]} {title}"></td>') if picks else ""
        cells = "".join(next(lines[id(row.levels)], ()))
        table.append(f'<tr{" class=gone" if row.archived else ""}>{pick}{cells}<td class="stick-r">{_acts(href, edit, title, words)}</td></tr>\n')
    return "".join(table)


def _lines(places: Sequence[_Place], rows: Sequence[Any], hrefs: Sequence[str]) -> dict[int, Iterator[tuple[str, ...]]]:
    """The cells of each row, for the rows of one combination of scopes in their order. Written column by column: what writes a cell is chosen
    and called once for all of them. The rows hold their levels, so an id of levels is nobody else's."""
    alike: dict[int, list[tuple[Any, str]]] = {}
    for row, href in zip(rows, hrefs, strict=True):
        alike.setdefault(id(row.levels), []).append((row, href))
    lines = {}
    for levels, found in alike.items():
        these, tagged = [row for row, _ in found], [False] * len(found)
        lines[levels] = zip(*[_column(place, these[0].levels.get(place.path), these, found, tagged) for place in places], strict=True)
    return lines


def _column(place: _Place, level: FieldLevel | None, rows: Sequence[Any], found: Sequence[tuple[Any, str]], tagged: list[bool]) -> list[str]:
    """``found``: the rows with the addresses that they lead to. ``tagged``: which of them have a tag further left."""
    _, draw, plain = place.drawers(level)
    cells = [None] * len(rows) if plain is None else plain(rows)
    return [_cell(place, draw, *found[at], at, tagged) if cell is None else cell for at, cell in enumerate(cells)]


def _cell(place: _Place, draw: Callable[[Any], Drawn], row: Any, href: str, at: int, tagged: list[bool]) -> str:
    kind, text, css, shown = draw(row)
    begin = place.begin
    if place.opens:
        if href and kind in ("text", "link"):
            shown = f'<a href="{href}" class="{css.replace("muted", "")}">{escaped(text)}</a>'
    elif kind == "tag":
        begin, tagged[at] = place.later if tagged[at] else place.tag, True
    elif text == "-":
        begin = place.empty
    told = row.values.get(place.hint) if place.hint else text if kind == "text" and len(text) > LONG else None
    return f'{begin} title="{escaped(str(told))}">{shown}</td>' if told else f"{begin}>{shown}</td>"


def _acts(href: str, edit: str, title: str, words: dict[str, str]) -> str:
    view = f'<a href="{href}">{words["view"]}</a>' if href else ""
    change = f'<a href="{edit}">{words["edit"]}</a>' if edit else ""
    more = (f'<button type="button" data-row-menu="{href}/menu" aria-label="{words["more"]} {title}" aria-haspopup="true">{words["more"]}</button>'
            if href else "")
    return f'<span class="rowacts">{view}{change}{more}</span>'


def _places(pinned: Current, state: ListState, columns: Sequence[Head], hints: Mapping[str, str]) -> list[_Place]:
    """The columns, kept with the person's rights; codes that a page puts into words are asked for anew."""
    def made() -> list[_Place]:
        names = [head.path for head in columns]
        heads = names.index(state.entity.title) if state.entity.title in names else 0
        return [_Place(pinned, at, head, hints.get(head.path), at == heads) for at, head in enumerate(columns)]

    if any((head.resolved.entity, head.resolved.field.name) in WORDS for head in columns):
        return made()
    key = (state.entity.address, tuple((head.path, head.label, head.css) for head in columns), tuple(sorted(hints.items())), *pinned.around)
    kept = pinned.plan.kept("places", COLUMNS_KEPT)
    found: list[_Place] | None = kept.get(key)
    if found is None:
        found = kept[key] = made()
    return found


class _Place:
    """A column of the table and its line on a card: all but the row. ``begin`` is of a cell like others, ``tag`` of the first tag of a row,
    ``later`` of another one, ``empty`` of a cell without a value. ``opens``: whether it leads to the record, as the first column does
    and the record's title, which heads the card."""

    __slots__ = ("_drawer", "_made", "_plain", "begin", "empty", "hint", "later", "opens", "path", "tag")

    def __init__(self, pinned: Current, at: int, head: Head, hint: str | None, heads: bool) -> None:
        self.path, self.hint, self._drawer = head.path, hint, drawn_for(pinned, head.resolved)
        self.opens = at == 0 or heads
        label = "" if heads else f' data-l="{escaped(head.label)}"'

        def begin(on_card: str) -> str:
            return f'<td class="{" ".join(filter(None, (head.css, "" if at else "stick-l", on_card)))}"{label}'

        self.begin = begin("head" if heads else "" if at < CARD_CELLS else "off")
        self.tag, self.later, self.empty = begin("tag1"), begin("off"), begin("off")
        self._plain = None if self.opens or hint else plain_for(pinned, head.resolved, self.begin, LONG)
        self._made: dict[FieldLevel | None, tuple[_Place, Callable[[Any], Drawn], Plain | None]] = {}

    def drawers(self, level: FieldLevel | None) -> tuple[_Place, Callable[[Any], Drawn], Plain | None]:
        """Of rows that show the column at ``level``: this place, what draws a cell, and what writes one that is like most."""
        made = self._made.get(level)
        if made is None:
            plain = self._plain if level is not None and level > FieldLevel.MASKED else None
            made = self._made[level] = self, self._drawer(level), plain
        return made


def _editable(pinned: Current, state: ListState) -> Callable[[Any], bool]:
    """Whether a row may be changed, as far as the list knows its state; the form asks again."""
    entity = state.entity
    if entity.append_only or (entity.storage == "engine" and own_of(entity.address).change is None):
        return lambda row: False
    lifecycle = pinned.catalog.lifecycles.get(entity.address)
    if lifecycle is None:
        return lambda row: True
    field, fixed = lifecycle.field, frozenset(name for name, found in lifecycle.states.items() if not found.editable)
    return lambda row: row.values.get(field) not in fixed
