"""One record of any entity: facts, what can be done with it, its fields, its related lists, its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from flask import Blueprint, g, render_template, request
from markupsafe import Markup

from metaloom import command
from metaloom.base.errors import NotFound
from metaloom.command.approval_words import steps_said
from metaloom.model import Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import FILE_TYPES
from metaloom.record.filters import Filter
from metaloom.web.cells import Cell, cell, heads, path_label, resolve, titled, unit_of
from metaloom.web.current import Current, current, say, url
from metaloom.web.drawn import render_page
from metaloom.web.file_page import file_facts
from metaloom.web.frame import list_crumb, list_url, notice_waiting, record_url
from metaloom.web.own import offered as own_offered
from metaloom.web.own import own_of
from metaloom.web.record_history import link_titles, moment_of, titles_now
from metaloom.web.timeline import timeline_panel
from metaloom.web.words import moment
from metaloom.web.words import t as _t

blueprint = Blueprint("detail", __name__)
MAX_ID = 2**63 - 1
CASE = "platform.approval_case"
TIMELINE = "timeline"
RELATED_ROWS = 20
HISTORY_ROWS = 30
STAMPS = ("company", "org_unit", "owner", "created_by", "created_at", "updated_by", "updated_at")
WIDE = frozenset({FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.JSON, *FILE_TYPES})


class Above(NamedTuple):
    """A strip above the head of the page. ``locked``: why the record cannot be edited meanwhile."""

    html: str
    locked: str = ""


# What other pages put above a record, drawn with the page: what came later would push everything down. Pages add theirs when they are imported.
ABOVE: dict[str, Callable[[Current, Entity, Any], Above]] = {}


@dataclass(frozen=True)
class Fact:
    label: str
    cell: Cell
    big: bool = False


@dataclass(frozen=True)
class Shown:
    """A field as a line of the detail page."""

    label: str
    cell: Cell
    full: bool = False
    files: tuple[Mapping[str, Any], ...] = ()
    copy: bool = False
    unmask: str = ""        # where the whole value may be asked for


@dataclass(frozen=True)
class Block:
    """A section, or a child grid (``columns`` and ``rows``)."""

    label: str
    lines: tuple[Shown, ...] = ()
    columns: tuple[Any, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


@dataclass(frozen=True)
class Tab:
    name: str
    label: str


# ---------------------------------------------------------------------------------------------------------- the page


@blueprint.get("/e/<entity>/<int:id>")
def show(entity: str, id: int) -> Any:
    """The whole page; the first tab's content stands in it, the others come when they are opened."""
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    row = titled(pinned, definition, pinned.reader.get(entity, id))
    pinned.opened(definition, id)
    g.menu_here = f"list:{entity}/main"
    tabs = tabs_of(pinned, definition, row)
    picked = request.args.get("tab", "")
    opened = picked if picked in {tab.name for tab in tabs} else "info"
    above = [ABOVE[name](pinned, definition, row) for name in sorted(ABOVE)]
    return render_page(
        "detail/page.html", entity=definition, row=row, tabs=tabs, opened=opened, facts=facts_of(pinned, definition, row),
        subtitle="" if definition.subtitle in definition.header else _words(pinned, definition, row, definition.subtitle),
        state=_state(pinned, definition, row),
        blocks=blocks_of(pinned, definition, row), own_panel=_own_panel(pinned, definition, row), panel_first=own_of(definition.address).panel_first,
        panel="" if opened == "info" else Markup(_panel(pinned, definition, row, opened)),
        here_url=record_url(entity, id), notice=notice_waiting(),
        above=Markup("".join(one.html for one in above)), locked=next((one.locked for one in above if one.locked), ""), **_buttons(pinned, definition, row),
        crumbs=[list_crumb(pinned, definition), (row.title, "")],
    )


@blueprint.get("/e/<entity>/<int:id>/tab/<name>")
def show_tab(entity: str, id: int, name: str) -> Any:
    """The content of one tab."""
    pinned, definition = _entity(entity, id)
    row = pinned.reader.get(entity, id)
    if name not in {tab.name for tab in tabs_of(pinned, definition, row)}:
        raise NotFound
    if name == "info":
        return render_template("detail/info.html", blocks=blocks_of(pinned, definition, row), entity=definition, row=row,
                               own_panel=_own_panel(pinned, definition, row), panel_first=own_of(definition.address).panel_first)
    return _panel(pinned, definition, row, name)


@blueprint.get("/e/<entity>/<int:id>/counts")
def show_counts(entity: str, id: int) -> Any:
    """How many rows wait behind each tab of related records, swapped into the tabs after the page stands."""
    pinned, definition = _entity(entity, id)
    counts = pinned.reader.related_counts(entity, id, list(definition.related))
    shown = {tab: f"{n.number:,}" + ("" if n.exact else "+") for tab, n in counts.items()}
    if definition.comments:
        shown[TIMELINE] = str(command.comment_count(pinned.looking(), pinned.conn, entity, id) or "")
    return render_template("detail/counts.html", counts=shown)


@blueprint.get("/e/<entity>/<int:id>/menu")
def row_menu(entity: str, id: int) -> Any:
    """What a row of a list offers: the buttons of its page."""
    pinned, definition = _entity(entity, id)
    row = pinned.reader.get(entity, id, children=False)
    return render_template("detail/menu.html", entity=definition, row=row, here_url=record_url(entity, id), **_buttons(pinned, definition, row))


def _entity(entity: str, id: int) -> tuple[Current, Entity]:
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    return pinned, definition


def _own_panel(pinned: Current, definition: Entity, row: Any) -> Markup:
    """What a page of its own adds below the fields."""
    panel = own_of(definition.address).panel
    return Markup(panel(pinned, row) if panel is not None else "")


# ------------------------------------------------------------------------------------------------------ head of the page


def facts_of(pinned: Current, definition: Entity, row: Any) -> list[Fact]:
    """The first questions answered: the header fields of the metadata that this person may see."""
    paths = [text for text in definition.header if text != definition.title and resolve(pinned, definition, text) is not None]
    found = []
    for text in paths:
        path = resolve(pinned, definition, text)
        if path is not None and text in row.values and path.field.type is not FieldType.STATE:
            big = path.field.type in (FieldType.MONEY, FieldType.INTEGER, FieldType.RATE, FieldType.DATE)
            found.append(Fact(path_label(pinned, definition, path) + unit_of(path.field), cell(pinned, path, row), big))
    return found


def _state(pinned: Current, definition: Entity, row: Any) -> Cell | None:
    lifecycle = pinned.catalog.lifecycles.get(definition.address)
    path = resolve(pinned, definition, lifecycle.field) if lifecycle else None
    return cell(pinned, path, row) if path and lifecycle and lifecycle.field in row.values else None


def _words(pinned: Current, definition: Entity, row: Any, name: str) -> str:
    path = resolve(pinned, definition, name) if name else None
    words = cell(pinned, path, row).text if path and name in row.values else ""
    return "" if words in ("-", row.title) else words


def _buttons(pinned: Current, definition: Entity, row: Any) -> dict[str, Any]:
    """Actions and commands by importance: two stand open, the rest under *more*; grey ones say why."""
    ctx = pinned.looking()
    own = own_of(definition.address)
    offered = [*command.available_actions(ctx, definition.address, row, pinned.conn, day=_day(pinned)), *own_offered(pinned, definition.address, row)]
    ready = [o for o in offered if o.enabled]
    first = [o for o in ready if o.style == "primary"][:2] or [o for o in ready if o.style != "danger"][:1]
    may = row.actions
    return {
        "prints": command.print_offers(ctx, pinned.entity(definition.address), row, pinned.conn),
        "first": first, "others": [o for o in ready if o not in first], "grey": [o for o in offered if not o.enabled],
        "edit_url": record_url(definition.address, row.id, "/edit") if command.may_edit(ctx, definition.address, row) or
                    (own.change is not None and "edit" in row.actions and not row.archived) else "",
        "may_delete": _deletable(definition, row) and "delete" in may, "archives": definition.archivable,
        "may_restore": row.archived and "restore" in may,
        "elsewhere": own.elsewhere(pinned, row) if not row.archived else None,
        "may_transfer": bool(definition.ownership.owned_by) and not row.archived and "transfer" in may,
    }


def _day(pinned: Current) -> date | None:
    """The business date that the session brought along; a token brings none."""
    return pinned.visit.business_date if pinned.visit is not None and pinned.visit.session_id else None


def _deletable(definition: Entity, row: Any) -> bool:
    return definition.storage == "table" and definition.delete != "never" and not definition.child_of and not row.archived


# --------------------------------------------------------------------------------------------------------------- tabs


def tabs_of(pinned: Current, definition: Entity, row: Any) -> list[Tab]:
    tabs = [Tab("info", _t("detail.info"))]
    if definition.comments:
        tabs.append(Tab(TIMELINE, _t("timeline.title")))
    for name, target in definition.related.items():
        other, _, link = target.rpartition(".")
        if pinned.plan.may(other, "list") and pinned.plan.field_level_anywhere(other, link) >= FieldLevel.READ:
            label = definition.related_labels.get(name)
            tabs.append(Tab(name, say(label or pinned.catalog.entities[other].label)))
    if _has_chains(pinned, definition):
        tabs.append(Tab("approval", _t("approval.tab")))
    if "history" in row.actions:
        tabs.append(Tab("history", _t("detail.history")))
    return tabs


def _panel(pinned: Current, definition: Entity, row: Any, name: str) -> Any:
    if name == TIMELINE and definition.comments and name not in definition.related:
        return timeline_panel(pinned, definition, row)
    if name == "history":
        return _history(pinned, definition, row)
    if name == "approval" and name not in definition.related:
        return _cases(pinned, definition, row)
    return _related(pinned, definition, row, name)


def _has_chains(pinned: Current, definition: Entity) -> bool:
    return any(chain.entity == definition.address for chain in pinned.catalog.chains.values())


def _cases(pinned: Current, definition: Entity, row: Any) -> Any:
    """The approvals of the record, newest first, as far as this person may see them."""
    page = pinned.reader.list(CASE, filters=[Filter("entity", "eq", definition.address), Filter("record_id", "eq", row.id)], sort=["-started_at"],
                              paths=["entity", "chain", "status", "initiator", "current_steps", "started_at", "finished_at"], limit=RELATED_ROWS)
    states = pinned.catalog.choices["platform.approval_status"].items
    chains = {chain.name: say(chain.label) for chain in pinned.catalog.chains.values() if chain.entity == definition.address}
    cases = [(url(f"/case/{one.id}"), chains.get(one["chain"], one["chain"]), states.get(one["status"]), say(steps_said(pinned.catalog, one.values)),
              one.titles.get("initiator", ""), moment(pinned, one["started_at"]), moment(pinned, one["finished_at"])) for one in page.rows]
    return render_template("approval/cases.html", cases=cases)


def _related(pinned: Current, definition: Entity, row: Any, name: str) -> Any:
    """Rows of the other entity that point here, as its own list shows them, without the column that says so."""
    other, _, link = definition.related[name].rpartition(".")
    target = pinned.catalog.entities[other]
    view = pinned.catalog.lists.get(f"{other}/main")
    page = pinned.reader.related(definition.address, row.id, name, view=view, limit=RELATED_ROWS, cursor=request.args.get("cursor") or None)
    columns = [h for h in heads(pinned, target, page.paths, view) if h.path != link and not h.path.startswith(link + ".")]
    rows = [(record_url(other, r.id) if "read" in r.actions else "", tuple(cell(pinned, h.resolved, r) for h in columns), r) for r in page.rows]
    kept_here = (target.storage == "table" or own_of(other).create is not None) and not target.child_of and not target.append_only
    creatable = kept_here and link in target.fields and pinned.plan.may(other, "create")
    new = f"{url('/e/' + other + '/new')}?{link}={row.id}&next={record_url(definition.address, row.id)}?tab={name}" if creatable else ""
    return render_template("detail/related.html", entity=target, columns=columns, rows=rows, page=page, new_url=new,
                           all_url=f"{list_url(other)}?f.{link}={row.id}",
                           more_url=f"{record_url(definition.address, row.id, '/tab/' + name)}?cursor={page.next_cursor}" if page.next_cursor else "",
                           part=bool(request.args.get("cursor")))


def blocks_of(pinned: Current, definition: Entity, row: Any) -> list[Block]:
    """The sections of the form as lines, then what no form holds, then where the record comes from."""
    form = pinned.catalog.forms.get(definition.address)
    files = file_facts(pinned, [i for f in definition.fields.values() if f.type in FILE_TYPES for i in row.values.get(f.name) or ()])
    blocks, placed = [], set()
    for section in form.sections.values() if form else ():
        lines, grids = [], []
        for name in section.fields:
            placed.add(name)
            one = definition.fields.get(name)
            if one is None or row.levels.get(name, FieldLevel.HIDDEN) is FieldLevel.HIDDEN:
                continue
            if one.type is FieldType.CHILD:
                grids.append(_grid(pinned, one, row))
            elif line := _line(pinned, definition, row, name, files):
                lines.append(line)
        if lines:
            blocks.append(Block(say(section.label), tuple(lines)))
        blocks += [grid for grid in grids if grid]
    # The head of the page shows these; a masked value is asked for here alone.
    heads_it = (n for n in definition.header if row.levels.get(n) is not FieldLevel.MASKED)
    placed |= {definition.title, definition.subtitle, *heads_it, *(n for n, f in definition.fields.items() if f.type is FieldType.STATE)}
    rest = [n for n, f in definition.fields.items() if n not in placed and f.type is not FieldType.CHILD]
    blocks += _rest(pinned, definition, row, rest, files)
    return blocks


def _rest(pinned: Current, definition: Entity, row: Any, names: Sequence[str], files: Mapping[int, Mapping[str, Any]]) -> list[Block]:
    lines = [line for name in names if (line := _line(pinned, definition, row, name, files))]
    stamps = [line for name in STAMPS if name not in definition.fields and (line := _line(pinned, definition, row, name, files))]
    return [Block(_t(key), tuple(part)) for key, part in (("detail.more", lines), ("detail.record", stamps)) if part]


def _line(pinned: Current, definition: Entity, row: Any, name: str, files: Mapping[int, Mapping[str, Any]]) -> Shown | None:
    path = resolve(pinned, definition, name)
    if path is None or name not in row.values:
        return None
    one = path.field
    if one.visible_when == "false" or one.visible_when and row.values[name] in (None, "", ()):
        return None  # kept for the engine alone, or a field for other kinds of records: its form would not ask for it here
    attached = tuple(files[i] for i in row.values.get(name) or () if i in files) if one.type in FILE_TYPES else ()
    masked = row.levels.get(name) is FieldLevel.MASKED and "unmask" in row.actions and row.values.get(name) not in (None, "")
    return Shown(say(one.label) + unit_of(one), cell(pinned, path, row), one.type in WIDE, attached, one.type is FieldType.AUTO_NUMBER,
                 record_url(definition.address, row.id, f"/unmask/{name}") if masked else "")


def _grid(pinned: Current, one: Field, row: Any) -> Block | None:
    """The rows of a child field as a small table."""
    child = pinned.catalog.entities[one.entity]
    names = [f.name for f in child.fields.values() if f.name != child.parent_field and f.type is not FieldType.CHILD and f.visible_when != "false"]
    rows = row.children.get(one.name, ())
    columns = [h for h in heads(pinned, child, names) if not rows or any(h.path in r.values for r in rows)]
    return Block(say(one.label), (), tuple(columns), tuple(tuple(cell(pinned, h.resolved, r) for h in columns) for r in rows))


# ------------------------------------------------------------------------------------------------------------ history


def _history(pinned: Current, definition: Entity, row: Any) -> Any:
    before = request.args.get("before", type=int)
    entries = pinned.reader.history(definition.address, row.id, limit=HISTORY_ROWS + 1, before=before)
    shown = entries[:HISTORY_ROWS]
    titles = {**link_titles(pinned, definition, shown), **titles_now(definition, row)}
    more = f"{record_url(definition.address, row.id, '/tab/history')}?before={shown[-1].id}" if len(entries) > HISTORY_ROWS else ""
    return render_template("detail/history.html", moments=[moment_of(pinned, definition, e, titles) for e in shown], more_url=more, part=before is not None,
                           versions_url=record_url(definition.address, row.id, "/versions") if len(entries) > 1 else "")
