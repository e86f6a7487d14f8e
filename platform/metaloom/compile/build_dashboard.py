"""Effective document → Dashboard with its widgets; their conditions are answered by a database."""

from __future__ import annotations

import re
from types import MappingProxyType

from metaloom.compile.build_screen import order_of
from metaloom.compile.context import Context, entries, expression, flag, string, strings, text, words
from metaloom.compile.expressions import QUERY, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import entity_scope
from metaloom.model import Dashboard, Measure, Rows, Widget

ALERT = "platform.alert"
OPEN_ALERTS = "status in ['open', 'working']"
WIDTHS = {"number": 3, "trend": 8, "table": 6, "todo": 6}
LIMITS = {"bar": 20, "pie": 8, "funnel": 12, "ranking": 10, "table": 6, "todo": 6}
WIDTH, LIMIT = 4, 10
_MEASURE = re.compile(r"(\w+)\(([\w.]+)\)")


def build_dashboard(context: Context, folder: Folder, name: str, node: Node) -> Dashboard:
    """A dashboard; the conditions of its widgets are queued for the check."""
    address = f"{folder.pack}.{name}"
    roles = node.get("roles")
    widgets = {widget: _widget(context, folder, f"{address}/{widget}", widget, n) for widget, n in entries(node.get("widgets"))}
    return Dashboard(address, name, words(node.get("label")), tuple(context.find("role", n, folder.pack, address) for n in roles.value) if roles else (),
                     order_of(node), MappingProxyType(widgets), node.key)


def _widget(context: Context, folder: Folder, address: str, name: str, node: Node) -> Widget:
    get, kind = node.get, string(node.get("type"))
    width, limit = get("width"), get("limit")
    rows = _sources(context, folder, address, kind, node)
    if rows and rows[0].entity and get("part") is not None:
        _hold(context, address, rows[0].entity, get("part"))
    return Widget(
        address=address, name=name, type=kind, label=text(get("label")), rows=rows, help=text(get("help")), icon=string(get("icon")),
        width=int(width.value) if width else WIDTHS.get(kind, WIDTH), group="level" if kind == "alerts" else string(get("group")),
        period=string(get("period")), switch=flag(get("switch"), kind == "trend"), bucket=string(get("bucket")), chart=string(get("chart"), "line"),
        compare=string(get("compare")), better=string(get("better")), part=expression(get("part")), unit=text(get("unit")),
        sort="natural" if kind in ("alerts", "funnel") else string(get("sort"), "most"),
        limit=int(limit.value) if limit else LIMITS.get(kind, LIMIT), columns=strings(get("columns")), position=node.key)


def _sources(context: Context, folder: Folder, address: str, kind: str, node: Node) -> tuple[Rows, ...]:
    if kind == "alerts":
        entity = ALERT if ALERT in context.effective.entities else ""
        written = _hold(context, address, entity, node.get("filter")) if entity else ()
        return (Rows(entity, filters=(OPEN_ALERTS, *written)),) if entity else ()
    series = node.get("series")
    if series is None:
        return (_rows(context, folder, address, node, None),) if node.get("entity") is not None else ()
    return tuple(_rows(context, folder, f"{address}/series/{name}", n, node, name) for name, n in entries(series))


def _rows(context: Context, folder: Folder, address: str, node: Node, above: Node | None, name: str = "") -> Rows:
    """The rows of a widget, or of one series: what it leaves out it takes from ``above``, as long as it speaks of the same entity."""
    own = node.get("entity")
    shared = above if above is not None and (own is None or above.get("entity") is None) else None

    def given(key: str) -> Node | None:
        found = node.get(key)
        return shared.get(key) if found is None and shared is not None else found

    entity = context.find("entity", given("entity"), folder.pack, address)
    filters = [n.get("filter") for n in (shared, node) if n is not None and n.get("filter") is not None]
    return Rows(
        entity, string(given("list"), "main"), string(given("tab")), tuple(t for n in filters for t in _hold(context, address, entity, n)),
        _measure(string(given("measure"), "count")), string(given("date")), name, text(node.get("label")), string(node.get("colour")))


def _hold(context: Context, address: str, entity: str, node: Node | None) -> tuple[str, ...]:
    """The condition, queued for the check; nothing where none is written."""
    if node is None:
        return ()
    return (want(context, node, address, lambda catalog: entity_scope(catalog, entity), targets=QUERY) if entity else expression(node),)


def _measure(written: str) -> Measure:
    found = _MEASURE.fullmatch(written)
    return Measure(found[1], found[2]) if found else Measure()
