"""A person's own exports: how far they are, the finished files, taking one back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, redirect, render_template

from metaloom import command
from metaloom.base.errors import MetaloomError, NotFound
from metaloom.command.limits import limit
from metaloom.record.export_runs import ExportRun
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.download import sent_file
from metaloom.web.form_page import MAX_ID
from metaloom.web.frame import REFUSED, toast
from metaloom.web.list_page import FORMATS
from metaloom.web.words import moment
from metaloom.web.words import t as _t

blueprint = Blueprint("export", __name__)
PAGE = "/exports"
TONES = {"waiting": "", "running": "blue", "done": "green", "failed": "red", "cancelled": "", "gone": ""}
UNITS = (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10))


@dataclass(frozen=True)
class Line:
    """An export as a line. ``about``: the number of rows that it will have, as far as it was counted."""

    run: ExportRun
    entity: str
    tone: str
    about: str
    size: str
    asked: str
    expires: str
    why: str


@blueprint.get("/exports")
def show_list() -> Any:
    """All exports of the person, newest first; the page asks for itself again while one is under way."""
    pinned = current()
    g.menu_here = ""
    lines = [_line(pinned, run) for run in command.my_exports(pinned)]
    return render_template("pages/exports.html", lines=lines, busy=any(one.run.open for one in lines), hours=limit(pinned.catalog, "export_keep_hours"),
                           crumbs=[(_t("export.mine"), "")])


@blueprint.get("/exports/<int:id>/file")
def download(id: int) -> Any:
    """The file of a finished export."""
    pinned = current()
    if id > MAX_ID:
        raise NotFound
    found = command.open_export(pinned, id)
    answer = sent_file(found.content, FORMATS[found.format], found.name, found.entity)
    answer.content_length = found.size
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@blueprint.post("/exports/<int:id>/cancel")
def cancel(id: int) -> Any:
    """Ends one that waits or is being made."""
    return _done(command.cancel_export, id)


@blueprint.post("/exports/<int:id>/delete")
def delete(id: int) -> Any:
    """Deletes a finished file."""
    return _done(command.throw_export_away, id)


def _done(what: Any, id: int) -> Any:
    pinned = current()
    if id > MAX_ID:
        raise NotFound
    try:
        said, kind = what(pinned.context(), id).message, ""
    except NotFound:
        raise
    except MetaloomError as refused:
        said, kind = refused.message, REFUSED
    return toast(redirect(url(PAGE), 303), said.say(locale()), kind)


def _line(pinned: Current, run: ExportRun) -> Line:
    entity = pinned.catalog.entities.get(run.entity)
    total = f"{run.total:,}" + ("" if run.total_exact else "+")
    return Line(run, say(entity.label) if entity is not None else run.entity, TONES[run.status], total, file_size(run.size), moment(pinned, run.created_at),
                moment(pinned, run.expires_at), run.why(locale()))


def file_size(size: int) -> str:
    """Bytes in one unit: 3.2 MB."""
    for unit, of in UNITS:
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} B"
