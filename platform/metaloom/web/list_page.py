"""The list of any entity: search, tabs, table, cards, export, choice of columns, actions on several rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g, make_response, render_template, request, send_file
from markupsafe import Markup, escape

from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound
from metaloom.command.export_records import export_records
from metaloom.model import Action
from metaloom.web.cells import Cell, Head, cell_for, heads, titled
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.frame import json_answer, record_url
from metaloom.web.listing import ListState, read_state, search_fields
from metaloom.web.own import own_of
from metaloom.web.settings_page import PAGE_SIZES

blueprint = Blueprint("list", __name__)
BULK_MAX = 200
LONG, CARD_CELLS = 18, 7
FORMATS = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@dataclass(frozen=True)
class SortHead:
    """A table head with the address that sorts by it."""

    head: Head
    href: str
    state: str            # '' | ascending | descending


@dataclass(frozen=True)
class TableRow:
    row: Any
    href: str
    edit: str
    cells: tuple[Any, ...]
    table: Markup         # the cells in a row of the table
    facts: Markup         # some of them on a card
    tag: Markup           # the first tag, at the head of a card


@blueprint.get("/e/<entity>/")
@blueprint.get("/e/<entity>/<name>/")
def show_list(entity: str, name: str = "main") -> Any:
    """The whole page, or only the table when htmx asks for it."""
    pinned = current()
    state = read_state(pinned, entity, name)
    g.menu_here = f"list:{entity}/{name}"
    table = _table(pinned, state)
    if request.headers.get("HX-Target") == "listzone" and not request.headers.get("HX-History-Restore-Request"):
        answer = make_response(render_template("list/zone.html", **table), table["status"])
    else:
        answer = make_response(render_template("list/page.html", fields=search_fields(pinned, state), **table, **_toolbar(pinned, state),
                                               crumbs=[(table["title"], "")]), table["status"])
    answer.vary.add("HX-Request")
    return answer


def _table(pinned: Current, state: ListState) -> dict[str, Any]:
    """One page of rows as cells; a question that cannot be answered gives its problems instead of rows."""
    verdict = pinned.plan.may(state.entity.address, "list")
    if not verdict:
        raise NotAllowed(verdict.reason)
    names: dict[str, Any] = {"state": state, "view": state.view, "entity": state.entity, "title": _title(pinned, state),
                             "problems": [], "status": 200, "sizes": PAGE_SIZES, "zone_url": state.place, "filtered": _is_filtered(state)}
    try:
        page = pinned.reader.list(state.entity.address, sort=state.sort, cursor=state.cursor or None, limit=state.size, paths=_paths(pinned, state),
                                  **state.asked())
    except Invalid as refused:
        return names | {"problems": [p.message.say(locale()) for p in refused.problems], "status": 400, "page": None, "rows": [], "columns": [],
                        "total_paths": ()}
    columns = heads(pinned, state.entity, page.paths, state.view)
    rows = list(_rows(pinned, state, page.rows, columns))
    return names | {"page": page, "rows": rows, "columns": [_sort_head(state, head) for head in columns],
                    "total_paths": tuple(p for p in state.view.totals if p in page.paths), "may_edit": bool(pinned.plan.may(state.entity.address, "edit")),
                    "bulk": _bulk_actions(pinned, state)}


def _title(pinned: Current, state: ListState) -> str:
    """The list's own label, or what the menu calls it: the page answers the click in the same words."""
    here = (state.view.address, state.view.address.removesuffix("/main"))
    called = (item.label for menu in pinned.catalog.menus.values() for item in menu.items.values() if item.list in here)
    own = state.view.label if state.view.label != state.entity.label else None
    return say(own or next(called, None) or state.entity.label)


def _paths(pinned: Current, state: ListState) -> list[str] | None:
    """The person's own choice of columns, as far as it is still readable; else the list's."""
    if not state.columns:
        return None
    from metaloom.model import FieldLevel
    from metaloom.web.cells import resolve

    kept = []
    for text in state.columns:
        path = resolve(pinned, state.entity, text)
        if path is not None and all(pinned.plan.field_level_anywhere(h.entity, h.field.name) >= FieldLevel.READ for h in path.hops) \
                and pinned.plan.field_level_anywhere(path.entity, path.field.name) >= FieldLevel.MASKED:
            kept.append(text)
    return kept or None


def _rows(pinned: Current, state: ListState, rows: Iterable[Any], columns: list[Head]) -> Iterator[TableRow]:
    """Rows with their markup; what a column needs is decided once."""
    makers = [cell_for(pinned, head.resolved) for head in columns]
    before = record_url(state.entity.address, "")
    for row in rows:
        href = f"{before}{row.id}" if "read" in row.actions else ""
        edit = f"{before}{row.id}/edit" if "edit" in row.actions and not row.archived and _editable(pinned, state, row) else ""
        cells = tuple([make(row) for make in makers])
        html = [one.html for one in cells]
        tags = [shown for one, shown in zip(cells, html, strict=True) if one.kind == "tag"]
        yield TableRow(titled(pinned, state.entity, row), href, edit, cells, _table_cells(columns, cells, html, href),
                       _card_facts(columns, cells, html), tags[0] if tags else Markup())


def _table_cells(columns: list[Head], cells: Sequence[Cell], html: Sequence[Markup], href: str) -> Markup:
    """The first cell stays in sight and leads to the record; a long text can be read whole by pointing at it."""
    parts = []
    for at, (head, one, shown) in enumerate(zip(columns, cells, html, strict=True)):
        whole = f' title="{escape(one.text)}"' if one.kind == "text" and len(one.text) > LONG else ""
        if at == 0 and href and one.kind in ("text", "link"):
            shown = Markup(f'<a href="{escape(href)}" class="{one.css.replace("muted", "")}">{escape(one.text)}</a>')
        parts.append(f'<td class="{head.css}{"" if at else " stick-l"}"{whole}>{shown}</td>')
    return Markup("".join(parts))


def _card_facts(columns: list[Head], cells: Sequence[Cell], html: Sequence[Markup]) -> Markup:
    """What a phone shows of a row: the next cells after the first that say something; tags stand elsewhere."""
    return Markup("".join(f"<dt>{escape(head.label)}</dt><dd>{shown}</dd>" for head, one, shown in
                          list(zip(columns, cells, html, strict=True))[1:CARD_CELLS] if one.kind != "tag" and one.text != "-"))


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


def _sort_head(state: ListState, head: Head) -> SortHead:
    if not head.sortable:
        return SortHead(head, "", "")
    order = state.sort or tuple(s for s in state.view.sort)
    now = "descending" if f"-{head.path}" in order else "ascending" if head.path in order else ""
    following = {"": head.path, "ascending": f"-{head.path}", "descending": "" if state.sort else head.path}[now]
    return SortHead(head, state.place + state.query(sort=following or None), now)


def _is_filtered(state: ListState) -> bool:
    return bool(state.filters or state.q or state.archived)


def _bulk_actions(pinned: Current, state: ListState) -> list[Action]:
    granted = pinned.plan.actions(state.entity.address)
    return [a for a in pinned.catalog.actions_of(state.entity.address) if a.bulk and a.on == "record" and (a.permission or a.name) in granted]


def _toolbar(pinned: Current, state: ListState) -> dict[str, Any]:
    address, may = state.entity.address, lambda action: bool(pinned.plan.may(state.entity.address, action))
    writable = state.entity.storage == "table" and not state.entity.child_of
    granted = pinned.plan.actions(address)
    actions = [a for a in pinned.catalog.actions_of(address) if a.on == "list" and (a.permission or a.name) in granted]
    return {
        "may_create": (writable or own_of(address).create is not None) and may("create"),
        "may_export": may("export"), "may_import": writable and may("import") and may("create"),
        "may_restore": state.entity.archivable and may("restore"), "list_actions": actions,
        "new_url": url(f"/e/{address}/new"), "import_url": url(f"/e/{address}/import"),
        "all_columns": heads(pinned, state.entity, state.view.columns, state.view),
        "shown_columns": frozenset(state.columns or (p for p, c in state.view.columns.items() if not c.hidden)),
        "settings_url": url(f"/settings/list/{address}/{state.view.name}"),
    }


# ---------------------------------------------------------------------------------------- fragments that come later


@blueprint.get("/e/<entity>/count")
@blueprint.get("/e/<entity>/<name>/count")
def show_count(entity: str, name: str = "main") -> Any:
    """The number of rows, as text for a tile."""
    pinned = current()
    state = read_state(pinned, entity, name)
    return Response(_number(pinned.reader.count(entity, **state.asked())), mimetype="text/html")


@blueprint.get("/e/<entity>/counts")
@blueprint.get("/e/<entity>/<name>/counts")
def show_counts(entity: str, name: str = "main") -> Any:
    """The counts of all tabs and of this filter, swapped into their places."""
    pinned = current()
    state = read_state(pinned, entity, name)
    reader = pinned.reader
    tabs = reader.tab_counts(entity, state.view, filters=state.filters, q=state.q or None) if state.view.tabs and not state.archived else {}
    total = tabs.get(state.tab) or reader.count(entity, **state.asked())
    return render_template("list/counts.html", tabs={tab: _number(n) for tab, n in tabs.items()}, total=_number(total))


@blueprint.get("/e/<entity>/totals")
@blueprint.get("/e/<entity>/<name>/totals")
def show_totals(entity: str, name: str = "main") -> Any:
    """Sums over the whole filter, as JSON for the foot of the table."""
    from metaloom.record.encode import display
    from metaloom.web.cells import resolve

    pinned = current()
    state = read_state(pinned, entity, name)
    sums = pinned.reader.totals(entity, state.view.totals, **state.asked())
    words = {}
    for text, value in sums.items():
        path = resolve(pinned, state.entity, text)
        words[text] = display(pinned.catalog, path.field, value, locale()) if path and value is not None else "-"
    return json_answer(words)


def _number(count: Any) -> str:
    return f"{count.number:,}" + ("" if count.exact else "+")


# ---------------------------------------------------------------------------------------------------------- export


@blueprint.get("/e/<entity>/export")
@blueprint.get("/e/<entity>/<name>/export")
def export_list(entity: str, name: str = "main") -> Any:
    """The whole filter as a file, with the columns and masks of the screen."""
    pinned = current()
    state = read_state(pinned, entity, name)
    kind = request.args.get("format", "xlsx")
    if kind not in FORMATS:
        raise NotFound
    verdict = pinned.plan.may(entity, "export")
    if not verdict:
        raise NotAllowed(verdict.reason)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it when it is sent
    try:
        export_records(pinned, entity, format=kind, file=file, sort=state.sort, paths=_paths(pinned, state), **state.asked())
    except BaseException:
        file.close()
        raise
    file.seek(0)
    stamp = datetime.now(pinned.zone).strftime("%Y%m%d-%H%M%S")
    return send_file(file, FORMATS[kind], as_attachment=True, download_name=f"{say(state.view.label or state.entity.label)}-{stamp}.{kind}")


# ------------------------------------------------------------------------------------------- actions on a selection


@dataclass(frozen=True)
class Outcome:
    id: int
    title: str
    good: bool
    text: str


@blueprint.post("/e/<entity>/bulk/<action>")
def run_bulk(entity: str, action: str) -> Any:
    """One action on several records: all must lie in the person's scope, then each succeeds or fails by itself."""
    from metaloom import command

    pinned = current()
    definition = pinned.entity(entity)
    versions = _picked(request.form.getlist("ids"))
    ids = list(versions)
    found = pinned.catalog.actions.get(f"{entity}/{action}")
    if not ids or (found is None or not found.bulk):
        raise NotFound
    titles = {hit.id: hit.title for hit in pinned.reader.lookup(entity, ids=ids, limit=len(ids))}
    if len(pinned.reader.visible(entity, ids, action=found.permission or action)) != len(ids):
        raise NotFound
    ctx = pinned.context()
    outcomes = []
    for id in ids:
        try:
            done = command.run_action(ctx, entity, id, action, {}, versions[id], request.form.get("reason", "")[:2000])
            outcomes.append(Outcome(id, titles.get(id, str(id)), True, done.message.say(locale())))
        except MetaloomError as refused:
            outcomes.append(Outcome(id, titles.get(id, str(id)), False, _why(refused)))
    return render_template("list/bulk_done.html", outcomes=outcomes, label=say(found.label), entity=definition)


def _picked(texts: list[str]) -> dict[int, int]:
    """``id:row_version`` of each chosen row, as it was shown."""
    pairs = [text.partition(":")[::2] for text in texts[:BULK_MAX]]
    return {int(id): int(version) for id, version in pairs if all(p.isascii() and p.isdigit() and len(p) < 19 for p in (id, version))}


def _why(refused: MetaloomError) -> str:
    problems = getattr(refused, "problems", ())
    return " ".join(p.message.say(locale()) for p in problems) or refused.message.say(locale())
