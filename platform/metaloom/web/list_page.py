"""The list of any entity: search, tabs, table, export, choice of columns, actions on several rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from markupsafe import escape

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible
from metaloom.command.export_records import export_records
from metaloom.command.long_export import how_many
from metaloom.model import Action, FieldLevel
from metaloom.record.encode import choice_of
from metaloom.record.sheet import XLSX
from metaloom.storage.budget import TooSlow
from metaloom.web import i18n
from metaloom.web.board_page import board_zone
from metaloom.web.calendar_page import calendar_zone
from metaloom.web.cells import COLUMNS_KEPT, HINTS, READS, Head, heads, resolve
from metaloom.web.chart import aim_words
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.download import sent_file
from metaloom.web.drawn import drawn, framed, hole, pieces, zone
from metaloom.web.frame import REFUSED, json_answer, list_label, toast
from metaloom.web.list_chart import chart_zone
from metaloom.web.list_rows import draw_rows
from metaloom.web.listing import BOARD, CALENDAR, CHART, PREFIX, TABLE, ListState, read_state, search_fields
from metaloom.web.many_page import offered as offered_together
from metaloom.web.own import own_of
from metaloom.web.saved_page import default_address, opened_name
from metaloom.web.settings_page import PAGE_SIZES
from metaloom.web.words import whole

blueprint = Blueprint("list", __name__)
BULK_MAX = 200
FORMATS = {"csv": "text/csv", "xlsx": XLSX}


@dataclass(frozen=True)
class SortHead:
    """A table head with the address that sorts by it."""

    head: Head
    href: str
    state: str            # '' | ascending | descending



@blueprint.get("/e/<entity>/")
@blueprint.get("/e/<entity>/<name>/")
def show_list(entity: str, name: str = "main") -> Any:
    """The whole page, or only the table when htmx asks for it."""
    pinned = current()
    state = read_state(pinned, entity, name)
    g.menu_here = f"list:{entity}/{name}"
    verdict = pinned.plan.may(entity, "list")
    if not verdict:
        raise NotAllowed(verdict.reason)
    part = request.headers.get("HX-Target") == "listzone" and not request.headers.get("HX-History-Restore-Request")
    if state.default and not request.args and not part:
        wanted = default_address(pinned, state)
        if wanted:
            return redirect(wanted)
    try:
        if state.mode != TABLE:
            answer = make_response(_drawn_around(pinned, state, _view_zone(pinned, state), part))
            answer.vary.add("HX-Request")
            return answer
        page = pinned.reader.list(entity, sort=state.sort, cursor=state.cursor or None, limit=state.size, paths=_read_paths(pinned, state),
                                   **state.asked())
    except Invalid as refused:
        answer = make_response(_answered(pinned, state, None, [p.message.say(locale()) for p in refused.problems], part), 400)
    else:
        answer = make_response(_answered(pinned, state, page, [], part))
    answer.vary.add("HX-Request")
    return answer


# The other ways to look at the rows, each drawn in the place of the table.
VIEWS: dict[str, Callable[[Current, ListState], str]] = {BOARD: board_zone, CALENDAR: calendar_zone, CHART: chart_zone}


def _view_zone(pinned: Current, state: ListState) -> str:
    """The board, calendar or chart. What takes too long says so in its place: a narrower search and the table must stay in reach, the more so
    as the list opens next time in the way in which it was looked at last."""
    try:
        return VIEWS[state.mode](pinned, state)
    except TooSlow as slow:
        pinned.release()
        return render_template("list/too_slow.html", state=state, sentence=slow.message.say(locale()))


def _drawn_around(pinned: Current, state: ListState, zone_html: str, part: bool) -> Any:
    return zone_html if part else framed(_around(pinned, state, [], []), zone=zone_html)


def _around(pinned: Current, state: ListState, bulk: list[Action], together: Any) -> Any:
    """What surrounds the rows: title, search, tabs, tools."""
    return pieces("list/page.html", zone_html=hole("zone"), fields=search_fields(pinned, state), bulk=bulk, together=together,
                  crumbs=[(list_title(pinned, state), "")], aim=_aim_words(pinned, state), **_names(pinned, state), **_toolbar(pinned, state))


# What the address of a list may ask for without anything that somebody typed: such pages are drawn once for each person. So are those that
# ask for codes of the list's own choices and states, which are as few as the tabs.
PLAIN_ARGS = frozenset({"tab", "cursor", "sort", "size", "view"})


def _plain(pinned: Current, state: ListState) -> bool:
    return all(name in PLAIN_ARGS or _coded(pinned, state, name, value) for name, value in state.args.items(multi=True))


def _coded(pinned: Current, state: ListState, name: str, value: str) -> bool:
    """Whether the parameter asks for a choice or state that the metadata knows."""
    path = resolve(pinned, state.entity, name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
    return path is not None and choice_of(pinned.catalog, path.field, value, path.entity) is not None


def _answered(pinned: Current, state: ListState, page: Any, problems: list[str], part: bool) -> Any:
    """The page, or its table alone: what surrounds the rows may have been drawn before, the rows never."""
    hints = _hints(pinned, state)
    shown = () if page is None else _shown_paths(pinned, state) if hints else page.paths
    columns = heads(pinned, state.entity, shown, state.view)
    bulk, together = _bulk_actions(pinned, state), offered_together(pinned, state.entity)
    rows = draw_rows(pinned, state, page.rows, columns, _row_words(), picks=bool(bulk or together), hints=hints) if page is not None else ""
    prev, following = (page.prev_cursor, page.next_cursor) if page is not None else ("", "")
    key = (state.view.address, tuple((k, v) for k, v in state.args.items(multi=True) if k != "cursor"), state.size, state.density, state.columns,
           tuple(state.widths.items()), state.default, state.modes,
           page.paths if page is not None else (), page is not None and page.narrowed, bool(prev), bool(following))
    kept: Any = (lambda name, make: drawn(pinned, (name, *key), make)) if rows and _plain(pinned, state) else (lambda name, make: make())
    table = kept("zone", lambda: zone("list/zone.html", **_zone_names(pinned, state, page, columns, problems)))
    filled = table.fill(rows=rows, prev=escape(state.place + state.query(cursor=prev)) if prev else "",
                        next=escape(state.place + state.query(cursor=following)) if following else "")
    if part:
        return filled
    around = kept("page", lambda: _around(pinned, state, bulk, together))
    return framed(around, zone=filled)


def _aim_words(pinned: Current, state: ListState) -> str:
    """What the number is called whose rows these are; a key that means nothing is refused where the rows are."""
    try:
        return "" if state.aim is None else aim_words(pinned, state.aim)
    except Invalid:
        return ""


def _names(pinned: Current, state: ListState) -> dict[str, Any]:
    return {"state": state, "view": state.view, "entity": state.entity, "title": list_title(pinned, state)}


def _zone_names(pinned: Current, state: ListState, page: Any, columns: list[Head], problems: list[str]) -> dict[str, Any]:
    """What the table's surroundings are made of."""
    return _names(pinned, state) | {
        "problems": problems, "sizes": PAGE_SIZES, "filtered": _is_filtered(state), "page": page, "rows": bool(page is not None and page.rows),
        "columns": [_sort_head(state, replace(head, width=state.widths.get(head.path, head.width))) for head in columns],
        "bulk": bool(_bulk_actions(pinned, state) or offered_together(pinned, state.entity)),
        "total_paths": tuple(p for p in state.view.totals if p in page.paths) if page is not None else (),
        "rows_html": hole("rows"), "prev_url": hole("prev") if page is not None and page.prev_cursor else "",
        "next_url": hole("next") if page is not None and page.next_cursor else "", **_creating(pinned, state),
    }


def _row_words() -> dict[str, str]:
    t = i18n.translator(site().templates, locale())
    return {"view": t("list.view"), "edit": t("list.edit"), "more": t("list.row_more"), "select": t("list.select")}


def list_title(pinned: Current, state: ListState) -> str:
    """In the words of the list's own label, or of the menu."""
    return say(list_label(pinned.catalog, state.entity, state.view))


def own_columns(pinned: Current, state: ListState) -> list[str] | None:
    """The person's own choice of columns, as far as it is still readable; else the list's."""
    return _readable(pinned, state, state.columns) or None if state.columns else None


def _readable(pinned: Current, state: ListState, columns: Iterable[str]) -> list[str]:
    """Those that this person may see anywhere, masked at least."""
    kept = []
    for text in columns:
        path = resolve(pinned, state.entity, text)
        if path is not None and all(pinned.plan.field_level_anywhere(h.entity, h.field.name) >= FieldLevel.READ for h in path.hops) \
                and pinned.plan.field_level_anywhere(path.entity, path.field.name) >= FieldLevel.MASKED:
            kept.append(text)
    return kept


def _hints(pinned: Current, state: ListState) -> dict[str, str]:
    """By column: the field that is said beside it, as far as this person may read it."""
    address = state.entity.address
    return {shown: said for (entity, shown), said in HINTS.items()
            if entity == address and pinned.plan.field_level_anywhere(address, said) >= FieldLevel.READ}


def _shown_paths(pinned: Current, state: ListState) -> tuple[str, ...]:
    return pinned.reader.columns(state.entity.address, state.view, own_columns(pinned, state))


def _read_paths(pinned: Current, state: ListState) -> list[str] | None:
    """The columns, what their hints say, and what their words read; kept with the person's rights where the list is the catalog's own."""
    if pinned.catalog.lists.get(state.view.address) is not state.view:
        return _paths_to_read(pinned, state)
    key, kept = (state.view.address, state.columns, pinned.catalog.digest), pinned.plan.kept("read_paths", COLUMNS_KEPT)
    found: tuple[list[str] | None] | None = kept.get(key)
    if found is None:
        found = kept[key] = (_paths_to_read(pinned, state),)
    return found[0]


def _paths_to_read(pinned: Current, state: ListState) -> list[str] | None:
    hints, shown = _hints(pinned, state), _shown_paths(pinned, state)
    more = [hints[text] for text in shown if text in hints] + [text for one in shown for text in _read_along(pinned, state, one)]
    return list(dict.fromkeys((*shown, *more))) if more else own_columns(pinned, state)


def _read_along(pinned: Current, state: ListState, shown: str) -> list[str]:
    """The paths that the words of a column read besides its own, as far as this person may read them."""
    path = resolve(pinned, state.entity, shown)
    if path is None or (path.entity, path.field.name) not in READS:
        return []
    before = shown.removesuffix(path.field.name)
    return [before + name for name in READS[path.entity, path.field.name] if pinned.plan.field_level_anywhere(path.entity, name) >= FieldLevel.READ]


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


def _creating(pinned: Current, state: ListState) -> dict[str, Any]:
    address = state.entity.address
    writable = (state.entity.storage == "table" and not state.entity.child_of) or own_of(address).create is not None
    return {"may_create": writable and bool(pinned.plan.may(address, "create")), "new_url": url(f"/e/{address}/new")}


def _toolbar(pinned: Current, state: ListState) -> dict[str, Any]:
    address, may = state.entity.address, lambda action: bool(pinned.plan.may(state.entity.address, action))
    writable = state.entity.storage == "table" and not state.entity.child_of
    granted = pinned.plan.actions(address)
    actions = [a for a in pinned.catalog.actions_of(address) if a.on == "list" and (a.permission or a.name) in granted]
    return {
        **_creating(pinned, state), "may_export": may("export"), "may_import": writable and may("import") and may("create"),
        "may_restore": state.entity.archivable and may("restore"), "list_actions": actions,
        "import_url": url(f"/e/{address}/import"),
        "all_columns": heads(pinned, state.entity, _readable(pinned, state, dict.fromkeys((*(state.columns or ()), *state.view.columns))), state.view),
        "shown_columns": frozenset(state.columns or (p for p, c in state.view.columns.items() if not c.hidden)),
        "settings_url": url(f"/settings/list/{address}/{state.view.name}"),
        "many_url": url(f"/many/{address}/{state.view.name}"), "saved_url": url(f"/saved/{address}/{state.view.name}"),
        "saved_name": opened_name(pinned, state),
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
    """The whole filter as a file, with the columns and masks of the screen; too many rows for one answer are refused."""
    pinned = current()
    state, kind = _exported(pinned, entity, name)
    return _file(pinned, state, kind)


@blueprint.post("/e/<entity>/export")
@blueprint.post("/e/<entity>/<name>/export")
def begin_export(entity: str, name: str = "main") -> Any:
    """The file at once; where it has too many rows for that it is prepared in the background and shown among the person's exports."""
    pinned = current()
    state, kind = _exported(pinned, entity, name)
    about, at_once = how_many(pinned, entity, **state.asked())
    if at_once:
        return _file(pinned, state, kind)
    try:
        made = command.begin_export(pinned, entity, format=kind, name=_file_name(pinned, state, kind), about=about, locale=locale(), sort=state.sort,
                                    paths=own_columns(pinned, state), **state.asked())
    except NotPossible as refused:
        return toast(redirect(url("/exports"), 303), refused.message.say(locale()), REFUSED)
    return toast(redirect(url("/exports"), 303), made.message.say(locale()))


def _exported(pinned: Current, entity: str, name: str) -> tuple[ListState, str]:
    """The list and the format that this request asks for, by somebody who may export."""
    state = read_state(pinned, entity, name)
    kind = request.args.get("format", "xlsx")
    if kind not in FORMATS:
        raise NotFound
    verdict = pinned.plan.may(entity, "export")
    if not verdict:
        raise NotAllowed(verdict.reason)
    return state, kind


def _file(pinned: Current, state: ListState, kind: str) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it when it is sent
    try:
        export_records(pinned, state.entity.address, format=kind, file=file, sort=state.sort, paths=own_columns(pinned, state), **state.asked())
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return sent_file(file, FORMATS[kind], _file_name(pinned, state, kind), state.entity.address)


def _file_name(pinned: Current, state: ListState, kind: str) -> str:
    stamp = datetime.now(pinned.zone).strftime("%Y%m%d-%H%M%S")
    return f"{say(state.view.label or state.entity.label)}-{stamp}.{kind}"


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
    return {number: shown for id, version in pairs if (number := whole(id)) is not None and (shown := whole(version)) is not None}


def _why(refused: MetaloomError) -> str:
    problems = getattr(refused, "problems", ())
    return " ".join(p.message.say(locale()) for p in problems) or refused.message.say(locale())
