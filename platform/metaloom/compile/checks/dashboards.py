"""Widgets have what they need, speak of what can be reckoned, and of what the people who see them may read."""

from __future__ import annotations

from collections.abc import Iterator

from metaloom.compile.checks.look import NUMBERS, TEXTUAL, check_path, follow, say, spot
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import IMPLICIT_LINKS, OWNER_LINKS, target_of
from metaloom.model import AccessGrant, Catalog, Dashboard, Entity, Field, FieldLevel, FieldType, Rows, Widget
from metaloom.model.dashboard import COUNTED
from metaloom.model.entity import LINK_TYPES
from metaloom.model.levels import grant_levels

_DATES = frozenset({FieldType.DATE, FieldType.DATETIME})
_INSTANTS = frozenset({"created_at", "updated_at"})
_BULKY = frozenset({FieldType.LONG_TEXT, FieldType.RICH_TEXT})
GROUPED = frozenset({FieldType.CHOICE, FieldType.STATE, FieldType.BOOLEAN, FieldType.INTEGER, *LINK_TYPES, *(TEXTUAL - _BULKY)})
NEEDED = {"number": ("entity",), "trend": ("date", "period"), "bar": ("entity", "group"), "pie": ("entity", "group"), "ranking": ("entity", "group"),
          "table": ("entity",)}
_ALL = ("type", "label", "help", "icon", "width")
_ROWS = ("entity", "list", "tab", "filter")
_COUNT = (*_ROWS, "measure", "date", "period", "switch", "unit")
FITTING = {
    "number": (*_COUNT, "part", "compare", "better"), "trend": (*_COUNT, "bucket", "chart", "series"), "bar": (*_COUNT, "group", "sort", "limit"),
    "pie": (*_COUNT, "group", "sort", "limit"), "ranking": (*_COUNT, "group", "sort", "limit"), "funnel": (*_COUNT, "group", "limit", "series"),
    "table": (*_ROWS, "columns", "limit"), "todo": ("limit",), "alerts": ("filter",), "links": (), "counts": ("limit",), "recent": (),
}


def _widgets(catalog: Catalog) -> Iterator[tuple[Dashboard, Widget, Catalog]]:
    for board in catalog.dashboards.values():
        for widget in board.widgets.values():
            yield board, widget, catalog


def _path(board: Dashboard, widget: Widget, *more: str) -> tuple[str, ...]:
    return ("dashboards", board.name, "widgets", widget.name, *more)


def _pack(board: Dashboard) -> str:
    return board.address.partition(".")[0]


def widgets_are_whole(catalog: Catalog, context: Context) -> None:
    """Each type has what it needs and nothing that would mean nothing."""
    for board, widget, _ in _widgets(catalog):
        written = context.effective.packs[_pack(board)].kinds["dashboards"].value[board.name].value["widgets"].value[widget.name]
        here = spot(context, _pack(board), *_path(board, widget))
        for key in written.value:
            if key not in (*_ALL, *FITTING[widget.type]):
                say(context, "ML-DASH-002", spot(context, _pack(board), *_path(board, widget, key)), widget.address, key=key, type=widget.type)
        keys = set(written.value) | ({"entity", "date"} if widget.type == "trend" and widget.rows and all(r.date for r in widget.rows) else set())
        for key in NEEDED.get(widget.type, ()):
            if key not in keys:
                say(context, "ML-DASH-001", here, widget.address, type=widget.type, key=key)
        if widget.type == "trend" and widget.period == "all":
            say(context, "ML-DASH-001", spot(context, _pack(board), *_path(board, widget, "period")), widget.address, type="trend", key="a period with an end")
        if widget.type == "funnel" and ("group" in keys) == ("series" in keys):
            say(context, "ML-DASH-001", here, widget.address, type="funnel", key="either group or series")
        for key, other in (("period", "date"), ("compare", "period"), ("switch", "period"), ("better", "compare")):
            lacks = key in keys and (not all(r.date for r in widget.rows) if other == "date" else other not in keys)
            if lacks and not (key == "period" and widget.type == "trend"):
                say(context, "ML-DASH-003", spot(context, _pack(board), *_path(board, widget, key)), widget.address, key=key, other=other)


def widgets_speak_of_what_can_be_reckoned(catalog: Catalog, context: Context) -> None:
    """Lists and tabs exist; a measure is of numbers, a group of codes, links or words, a date of days."""
    for board, widget, _ in _widgets(catalog):
        for rows in widget.rows:
            if rows.entity not in catalog.entities:
                continue
            _list_exists(catalog, context, board, widget, rows)
            for key, path in _paths(widget, rows):
                _reckonable(catalog, context, board, widget, rows, key, path)


def _paths(widget: Widget, rows: Rows) -> Iterator[tuple[str, str]]:
    yield from (("columns", path) for path in widget.columns)
    found = {"measure": rows.measure.path, "date": rows.date, "group": "" if widget.type == "alerts" else widget.group}
    yield from ((key, path) for key, path in found.items() if path)


def _spot(context: Context, board: Dashboard, widget: Widget, rows: Rows, key: str) -> tuple[str, ...]:
    """Where ``key`` of the rows is written: in the series, or in the widget."""
    written = context.effective.packs[_pack(board)].kinds["dashboards"].value[board.name].value["widgets"].value[widget.name]
    series = written.value["series"].value[rows.name] if rows.name else None
    return _path(board, widget, "series", rows.name, key) if series is not None and key in series.value else _path(board, widget, key)


def _list_exists(catalog: Catalog, context: Context, board: Dashboard, widget: Widget, rows: Rows) -> None:
    view = catalog.lists.get(f"{rows.entity}/{rows.list}")
    if view is None:
        known = [v.name for v in catalog.lists.values() if v.entity == rows.entity]
        say(context, "ML-REF-001", spot(context, _pack(board), *_spot(context, board, widget, rows, "list")), widget.address, what="list", name=rows.list,
            hint=_did_you_mean(rows.list, known))
    elif rows.tab and rows.tab not in view.tabs:
        say(context, "ML-REF-001", spot(context, _pack(board), *_spot(context, board, widget, rows, "tab")), widget.address, what="tab", name=rows.tab,
            hint=_did_you_mean(rows.tab, view.tabs))


def _reckonable(catalog: Catalog, context: Context, board: Dashboard, widget: Widget, rows: Rows, key: str, path: str) -> None:
    where = spot(context, _pack(board), *_spot(context, board, widget, rows, key))
    holder, found, wrong = follow(catalog, catalog.entities[rows.entity], path)
    if wrong:
        check_path(context, catalog, catalog.entities[rows.entity], path, where, widget.address)
        return
    if found is not None and found.encrypted and key != "columns":
        say(context, "ML-DASH-005", where, widget.address, path=path)
    elif key in _FITS and not _FITS[key](catalog, holder, found, path.rpartition(".")[2], rows):
        say(context, "ML-DASH-004", where, widget.address, path=path, type=found.type if found else path, what=_WHAT[key])


def _measured(catalog: Catalog, holder: Entity, field: Field | None, name: str, rows: Rows) -> bool:
    kinds = NUMBERS | (_DATES if rows.measure.how in ("min", "max") else frozenset())
    if field is None:
        return name in _INSTANTS and rows.measure.how in ("min", "max")
    return field.type in kinds and not (field.type is FieldType.RATE and rows.measure.how == "sum")


def _dated(catalog: Catalog, holder: Entity, field: Field | None, name: str, rows: Rows) -> bool:
    return name in _INSTANTS if field is None else field.type in _DATES


def _grouped(catalog: Catalog, holder: Entity, field: Field | None, name: str, rows: Rows) -> bool:
    return name in IMPLICIT_LINKS or name in OWNER_LINKS if field is None else field.type in GROUPED


_FITS = {"measure": _measured, "date": _dated, "group": _grouped}
_WHAT = {"measure": "reckoned like this", "date": "taken for a day", "group": "grouped by"}


def people_may_read_what_they_see(catalog: Catalog, context: Context) -> None:
    """A warning where a widget stays empty for a role of its dashboard, because the role may not list the rows or read a field."""
    for board, widget, _ in _widgets(catalog):
        if widget.type not in COUNTED and widget.type != "table":
            continue
        for role in board.roles:
            for rows in widget.rows:
                if rows.entity in catalog.entities and role:
                    _readable(catalog, context, board, widget, rows, role)


def _readable(catalog: Catalog, context: Context, board: Dashboard, widget: Widget, rows: Rows, role: str) -> None:
    here = spot(context, _pack(board), *_spot(context, board, widget, rows, "entity"))
    grants = _grants(catalog, catalog.entities[rows.entity], role)
    if not any("list" in grant.actions and grant.scope != "none" for grant in grants):
        say(context, "ML-DASH-006", here, widget.address, role=role, entity=rows.entity)
        return
    for key, path in _paths(widget, rows):
        if key == "columns":
            continue
        if not _reads(catalog, catalog.entities[rows.entity], path, role):
            say(context, "ML-DASH-007", spot(context, _pack(board), *_spot(context, board, widget, rows, key)), widget.address, role=role, path=path)


def _grants(catalog: Catalog, entity: Entity, role: str) -> list[AccessGrant]:
    """What the role, or everybody, holds on the entity; the rows of a child have the rights of their parent."""
    own = catalog.grants.get(entity.address, ())
    if not own and entity.child_of in catalog.entities:
        return _grants(catalog, catalog.entities[entity.child_of], role)
    return [grant for grant in own if grant.role in (role, "platform.everybody")]


def _reads(catalog: Catalog, entity: Entity, path: str, role: str) -> bool:
    """Whether some grant of the role shows every field on the way in the clear."""
    for name in path.split("."):
        field = entity.fields.get(name)
        grants = _grants(catalog, entity, role)
        child = not catalog.grants.get(entity.address) and entity.child_of
        if field is not None and not child and not any(grant_levels(entity, g).get(name, FieldLevel.HIDDEN) >= FieldLevel.READ for g in grants):
            return False
        target = target_of(field) if field is not None else ""
        if target not in catalog.entities:
            return True
        entity = catalog.entities[target]
    return True
