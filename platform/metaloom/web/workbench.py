"""The first page after login: quick links, what waits in the lists, where one was last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, redirect, render_template, request

from metaloom.model import QuickLink
from metaloom.web.current import Current, current, say, site, url
from metaloom.web.frame import list_url

blueprint = Blueprint("workbench", __name__)
NUMBERS_MAX = 8
TENANT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


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


@blueprint.get("/")
def index() -> Any:
    """The workbench of a tenant; without tenant: the installation's front tenant, or a question."""
    if g.get("metaloom") is None:
        return _choose_tenant()
    pinned = current()
    g.menu_here = "page:workbench"
    return render_template("pages/workbench.html", tiles=list(_tiles(pinned)), numbers=list(_numbers(pinned))[:NUMBERS_MAX], here_page="workbench")


def _choose_tenant() -> Any:
    """Who uses this installation is nobody's business: the visitor types the name, known or not."""
    root = request.environ.get("metaloom.root", "")
    name = request.args.get("tenant", "").strip().lower() or site().settings.front
    if TENANT_NAME.fullmatch(name):
        return redirect(f"{root}/{name}/")
    return render_template("pages/tenants.html", action=f"{root}/")


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
