"""The rows of a list as markup, for the table and for the cards of a phone: in Python, because a page has hundreds of cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaloom.web.cells import GATHER, WORDS, Head, cell_for, escaped, titled
from metaloom.web.current import Current
from metaloom.web.frame import record_url
from metaloom.web.listing import ListState
from metaloom.web.own import own_of

LONG, CARD_CELLS = 18, 7


def draw_rows(pinned: Current, state: ListState, rows: Iterable[Any], columns: Sequence[Head], words: dict[str, str], *, picks: bool,
              hints: Mapping[str, str]) -> tuple[str, str]:
    """(rows of the table, cards). ``words``: view, edit, more, select. ``picks``: a box at each row for actions on several.
    ``hints``: by column, the value of the row that is said to who points at its cell."""
    rows = list(rows)
    for head in columns:
        if (state.entity.address, head.path) in GATHER:
            GATHER[state.entity.address, head.path](pinned, rows)
    makers = [(at, head.css + ("" if at else " stick-l"), escaped(head.label), cell_for(pinned, head.resolved), hints.get(head.path))
              for at, head in enumerate(columns)]
    words = {name: escaped(word) for name, word in words.items()}
    before, table, cards = escaped(record_url(state.entity.address, "")), [], []
    plain = (state.entity.address, state.entity.title) not in WORDS
    for row in rows:
        title = escaped((row if plain else titled(pinned, state.entity, row)).title)
        href = f"{before}{row.id}" if "read" in row.actions else ""
        edit = f"{before}{row.id}/edit" if "edit" in row.actions and not row.archived and _editable(pinned, state, row) else ""
        cells, facts, tag = [], [], ""
        for at, css, label, make, hint in makers:
            one = make(row)
            kind, text, shown = one.kind, one.text, one.drawn
            if at == 0 and href and kind in ("text", "link"):
                shown = f'<a href="{href}" class="{one.css.replace("muted", "")}">{escaped(text)}</a>'
            told = row.values.get(hint) if hint else text if kind == "text" and len(text) > LONG else None
            whole = f' title="{escaped(str(told))}"' if told else ""
            cells.append(f'<td class="{css}"{whole}>{shown}</td>')
            if kind == "tag":
                tag = tag or shown
            elif 0 < at < CARD_CELLS and text != "-":
                facts.append(f"<dt>{label}</dt><dd>{shown}</dd>")
        acts = _acts(href, edit, title, words)
        pick = (f'<td class="c-sel stick-l"><input type="checkbox" name="ids" value="{row.id}:{row.row_version}" data-pick '
                f'aria-label="{words["select"]} {title}"></td>') if picks else ""
        table.append(f'<tr{" class=gone" if row.archived else ""}>{pick}{"".join(cells)}<td class="stick-r">{acts}</td></tr>\n')
        head = f'<a href="{href}">{title}</a>' if href else f"<span>{title}</span>"
        tick = (f'<label class="cardpick"><input type="checkbox" class="form-check-input" value="{row.id}:{row.row_version}" data-pick '
                f'data-card aria-label="{words["select"]} {title}"></label>') if picks else ""
        cards.append(f'<article class="card1"><div class="t">{tick}{head}{tag}</div><dl>{"".join(facts)}</dl>{acts}</article>\n')
    return "".join(table), "".join(cards)


def _acts(href: str, edit: str, title: str, words: dict[str, str]) -> str:
    view = f'<a href="{href}">{words["view"]}</a>' if href else ""
    change = f'<a href="{edit}">{words["edit"]}</a>' if edit else ""
    more = (f'<button type="button" data-row-menu="{href}/menu" aria-label="{words["more"]} {title}" aria-haspopup="true">{words["more"]}</button>'
            if href else "")
    return f'<span class="rowacts">{view}{change}{more}</span>'


def _editable(pinned: Current, state: ListState, row: Any) -> bool:
    """As far as the list knows the state; the form asks again."""
    entity = state.entity
    if entity.append_only or (entity.storage == "engine" and own_of(entity.address).change is None):
        return False
    lifecycle = pinned.catalog.lifecycles.get(entity.address)
    if lifecycle is None or lifecycle.field not in row.values:
        return True
    found = lifecycle.states.get(row.values[lifecycle.field])
    return found is None or found.editable
