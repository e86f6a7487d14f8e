"""Language, theme and the personal settings of lists."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from flask import Blueprint, make_response, redirect, request

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.base.text import LOCALES
from metaloom.model.screen import VIEWS
from metaloom.web.current import current, site, url
from metaloom.web.security import inside
from metaloom.web.words import whole

blueprint = Blueprint("settings", __name__)
YEAR = 31_536_000
DENSITIES = ("normal", "dense")
PAGE_SIZES = (10, 20, 50, 100)
COLUMNS_MAX = 60
WIDTH_MIN, WIDTH_MAX = 40, 800


@blueprint.post("/settings/locale")
def set_locale() -> Any:
    """Speak another language from now on."""
    wanted = request.form.get("locale", "")
    answer = redirect(inside(request.form.get("next", "")))
    if wanted in LOCALES:
        answer.set_cookie("ml_locale", wanted, path=request.script_root or "/", max_age=YEAR, samesite="Lax", secure=request.is_secure)
    return answer


@blueprint.post("/settings/list/<entity>/<name>")
def set_list(entity: str, name: str) -> Any:
    """Columns, density, page size and way of looking at one list, for this person."""
    pinned = current()
    pinned.entity(entity)
    view = pinned.catalog.lists.get(f"{entity}/{name}")
    if view is None:
        raise Invalid([Problem("list", message("web.bad_request"))])
    visit = pinned.visit
    assert visit is not None
    kept = dict(visit.preferences.get(f"list:{entity}/{name}") or {})
    if request.form.get("reset"):
        kept = {name: kept[name] for name in ("default", "density", "view") if name in kept}
    if "density" in request.form:
        kept["density"] = request.form["density"] if request.form["density"] in DENSITIES else "normal"
    if "columns" in request.form:
        kept["columns"] = [path for path in request.form.getlist("columns") if path in view.columns][:COLUMNS_MAX]
    if request.form.get("size", "") in map(str, PAGE_SIZES):
        kept["size"] = int(request.form["size"])
    if request.form.get("view", "") in VIEWS:
        kept["view"] = request.form["view"]
    if "widths" in request.form:
        kept["widths"] = _widths(request.form["widths"], view.columns)
    pinned.release()
    site().logins.save_preference(pinned.tenant, visit.user_id, f"list:{entity}/{name}", kept or None)
    if "widths" in request.form or "view" in request.form:
        return "", 204
    if request.headers.get("HX-Request"):
        answer = make_response("", 204)
        answer.headers["HX-Refresh"] = "true"
        return answer
    return redirect(inside(request.form.get("next", "")) or url("/"))


def _widths(text: str, columns: Container[str]) -> dict[str, int]:
    """``path:pixels`` of each column that was drawn wider or narrower, divided by commas."""
    pairs = [part.rpartition(":")[::2] for part in text[:4000].split(",")]
    return {path: max(WIDTH_MIN, min(pixels, WIDTH_MAX)) for path, width in pairs[:COLUMNS_MAX] if path in columns and (pixels := whole(width, 5)) is not None}
