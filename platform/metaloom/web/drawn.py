"""Markup that is drawn once and used by many requests: text with holes, which each request fills with what is its own."""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from flask import render_template
from markupsafe import Markup, escape

from metaloom.web import frame
from metaloom.web.current import Current, current

# Marks that nobody can type: they are of this process, and none leaves it, because every hole is filled.
_MARK = secrets.token_hex(8)
BEGIN, END, BETWEEN = f"\ue000{_MARK}", f"{_MARK}\ue001", f"\ue002{_MARK}"
HOLE = re.compile(f"{BEGIN}([a-z_]+){END}")
KEPT = 24


def hole(name: str) -> Markup:
    """The place of a value that each request knows."""
    return Markup(f"{BEGIN}{name}{END}")


class Drawn:
    """HTML with holes."""

    def __init__(self, html: str) -> None:
        self._parts = HOLE.split(html)  # text, name, text, name, … text

    def fill(self, **values: str) -> Markup:
        """``values`` are HTML already; a hole without a value is empty."""
        parts = list(self._parts)
        parts[1::2] = [values.get(name, "") for name in parts[1::2]]
        return Markup("".join(parts))


class _Shelf:
    """The latest pieces of one person's rights: it ends with the plan, so with every publication and change of rights."""

    def __init__(self) -> None:
        self._pieces: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            found = self._pieces.get(key)
            if found is not None:
                self._pieces.move_to_end(key)
                return found
        made = make()
        with self._lock:
            self._pieces[key] = made
            while len(self._pieces) > KEPT:
                self._pieces.popitem(last=False)
        return made


def drawn(pinned: Current, key: Hashable, make: Callable[[], Any]) -> Any:
    """What ``make`` draws for this person in this language, kept under ``key``. It must be the same for each request with that key."""
    shelf = pinned.plan.memory.get("drawn")
    if shelf is None:
        shelf = pinned.plan.memory["drawn"] = _Shelf()
    return shelf.get((key, *pinned.around), make)


def pieces(template: str, **names: Any) -> tuple[Drawn, ...]:
    """Title, head, scripts, crumbs and content of a page that extends ``frame``, with holes for tokens and the own address."""
    return tuple(Drawn(part) for part in render_template(template, frame="hole.html", between=BETWEEN, **names, **_holes()).split(BETWEEN))


def zone(template: str, **names: Any) -> Drawn:
    """A fragment with the same holes."""
    return Drawn(render_template(template, **names, **_holes()))


def framed(page: tuple[Drawn, ...], here_page: str = "", **values: str) -> Markup:
    """A page of ``pieces`` with everything filled in, inside the frame; ``values`` for its own holes."""
    given = ours()
    own = {**given, **values}
    title, head, scripts, crumbs, content = (part.fill(**own) for part in page)
    return _shell(current(), here_page).fill(title=title, head=head, scripts=scripts, crumbs=crumbs, content=content, menu=frame.menu_here(current()),
                                             toasts=frame.toasts_html(), **given)


def ours() -> dict[str, str]:
    """The values of this request for the holes that every piece has."""
    token = frame.csrf_token()
    return {"csrf": frame.csrf_field(token), "token": token, "here": escape(frame.here())}


def render_page(template: str, **names: Any) -> Markup:
    """A page whose content is its own and whose frame was drawn before."""
    return framed(pieces(template, **names), names.get("here_page", ""))


def _holes() -> dict[str, Any]:
    return {"csrf": lambda: hole("csrf"), "csrf_token": lambda: hole("token"), "here": hole("here")}


def _shell(pinned: Current, here_page: str) -> Drawn:
    visit = pinned.visit
    company = (visit.company_name, visit.business_date) if visit is not None else ()
    key = ("frame", here_page, company, frame.looks(pinned))
    found: Drawn = drawn(pinned, key, lambda: Drawn(render_template("shell.html", hole=hole, here_page=here_page, menu_html=hole("menu"), **_holes())))
    return found
