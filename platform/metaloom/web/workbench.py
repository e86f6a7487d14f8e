"""The first page after login: the person's dashboard, its widgets each fetched by itself, so that the page stands at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, make_response, redirect, render_template, request

from metaloom.base.errors import Invalid
from metaloom.command.dashboard import dashboards_of, figures, periods_of, shown, widget_of
from metaloom.model import Dashboard, QuickLink, Widget
from metaloom.model.dashboard import CHARTS
from metaloom.storage.budget import TooSlow
from metaloom.web.chart import drawing
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.frame import list_url
from metaloom.web.inbox_page import waiting_lines

blueprint = Blueprint("workbench", __name__)
NUMBERS_MAX = 8
TENANT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
AT_ONCE = frozenset({"links", "counts", "recent"})       # they ask the database nothing, so they stand in the page itself
ICONS = {"todo": "rubber-stamp", "alerts": "bell-ringing", "links": "bolt", "counts": "inbox", "recent": "history", "trend": "chart-line", "bar": "chart-bar",
         "pie": "chart-pie", "funnel": "filter", "ranking": "sort-descending", "table": "table"}


@dataclass(frozen=True)
class Tile:
    label: str
    icon: str
    href: str


@dataclass(frozen=True)
class Number:
    """A tab of a list with its count; the count is asked for after the page stands."""

    label: str
    group: str
    href: str
    count_url: str


@dataclass(frozen=True)
class Place:
    """A widget's place on the page. ``href``: its fragment; '' for one that stands at once. ``periods``: what may be chosen."""

    widget: Widget
    label: str
    icon: str
    href: str
    periods: tuple[str, ...]


@blueprint.get("/")
def index() -> Any:
    """The workbench of a tenant; without tenant: the installation's front tenant, or a question."""
    if g.get("metaloom") is None:
        return _choose_tenant()
    pinned = current()
    g.menu_here = "page:workbench"
    boards = dashboards_of(pinned)
    asked = request.args.get("board", "")
    board = next((b for b in boards if b.address == asked), boards[0] if boards else None)
    places = [_place(pinned, board, widget) for widget in board.widgets.values() if shown(pinned, widget)] if board is not None else []
    kinds = {place.widget.type for place in places}
    return render_template(
        "pages/workbench.html", boards=boards, board=board, places=places, charts=bool(kinds & CHARTS), here_page="workbench",
        tiles=list(_tiles(pinned)) if "links" in kinds or board is None else [],
        numbers=list(_numbers(pinned))[:NUMBERS_MAX] if "counts" in kinds else [])


def _choose_tenant() -> Any:
    """Who uses this installation is nobody's business: the visitor types the name, known or not."""
    root = request.environ.get("metaloom.root", "")
    name = request.args.get("tenant", "").strip().lower() or site().settings.front
    if TENANT_NAME.fullmatch(name):
        return redirect(f"{root}/{name}/")
    return render_template("pages/tenants.html", action=f"{root}/")


def _place(pinned: Current, board: Dashboard, widget: Widget) -> Place:
    href = "" if widget.type in AT_ONCE else url(f"/board/{board.address}/{widget.name}")
    return Place(widget, say(widget.label), widget.icon or ICONS.get(widget.type, ""), href, periods_of(widget))


@blueprint.get("/board/<board>/<widget>")
def show_widget(board: str, widget: str) -> Any:
    """One widget, reckoned now. What cannot be reckoned says so in its own place; the others stand."""
    pinned = current()
    found = widget_of(pinned, board, widget)
    try:
        made = figures(pinned, found, request.args.get("period", ""), locale())
    except Invalid:
        return render_template("board/unreadable.html")
    except TooSlow as slow:
        pinned.release()
        return make_response(render_template("board/trouble.html", sentence=slow.message.say(locale())))
    lines, more = waiting_lines(pinned, found.limit) if found.type == "todo" else ([], False)
    return render_template(f"board/{_TEMPLATES.get(found.type, 'chart')}.html", f=drawing(pinned, made), widget=found, lines=lines, more=more)


_TEMPLATES = {"number": "number", "ranking": "ranking", "funnel": "funnel", "alerts": "alerts", "todo": "todo", "table": "table"}


def _tiles(pinned: Current) -> Iterator[Tile]:
    held = pinned.actor.role_addresses
    for link in sorted(pinned.catalog.quick_links.values(), key=lambda q: q.order):
        if link.roles and not held.intersection(link.roles):
            continue
        href = _target(pinned, link)
        if href:
            yield Tile(say(link.label), link.icon or "link", href)


def _target(pinned: Current, link: QuickLink) -> str:
    """Where the link leads, empty when the person may not go there."""
    if link.create:
        return url(f"/e/{link.create}/new") if link.create in pinned.catalog.entities and pinned.plan.may(link.create, "create") else ""
    entity, _, name = link.list.partition("/")
    return list_url(entity, name) if entity in pinned.catalog.entities and pinned.plan.may(entity, "list") else ""


def _numbers(pinned: Current) -> Iterator[Number]:
    """Filtered tabs of the lists that stand in the menu, in menu order."""
    seen = set()
    for menu in sorted(pinned.catalog.menus.values(), key=lambda m: m.order):
        for item in sorted(menu.items.values(), key=lambda i: i.order):
            entity, _, name = item.list.partition("/")
            view = pinned.catalog.lists.get(f"{entity}/{name or 'main'}")
            if view is None or view.address in seen or not pinned.plan.may(entity, "list"):
                continue
            seen.add(view.address)
            for tab in view.tabs.values():
                if tab.filter:
                    query = urlencode({"tab": tab.name})
                    place = list_url(entity, view.name)
                    yield Number(say(tab.label), say(item.label), f"{place}?{query}", f"{place}count?{query}")
