"""Import of a spreadsheet: template, trial run with every problem by row, then the import itself; one of many rows is made in the background."""

from __future__ import annotations

import io
from typing import Any

from flask import Blueprint, g, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import NotAllowed, NotFound, NotPossible
from metaloom.base.messages import message
from metaloom.command import import_sheet
from metaloom.command.import_sheet import (
    column_of_problem,
    empty_sheet,
    failed_sheet,
    read_sheet,
    sheet_fields,
)
from metaloom.command.limits import limit
from metaloom.command.long_import import is_long
from metaloom.model import Entity
from metaloom.record import sheet
from metaloom.record.import_runs import ImportRun, called
from metaloom.record.sheet import XLSX
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.download import sent_file
from metaloom.web.frame import list_crumb, record_url, toast
from metaloom.web.i18n import translate
from metaloom.web.words import moment, whole
from metaloom.web.words import t as _t

blueprint = Blueprint("import", __name__)
PROBLEMS_SHOWN = 200
KEPT_SHOWN = 100
MAX_ID = 2**63 - 1
SHEETS = ("marked", "failed")
TONES = {"waiting": "", "running": "blue", "checked": "yellow", "done": "green", "failed": "red", "cancelled": "", "gone": ""}


@blueprint.get("/e/<entity>/import")
def show(entity: str) -> Any:
    pinned, definition = _importable(entity)
    return _page(pinned, definition)


@blueprint.get("/e/<entity>/import/template")
def download_template(entity: str) -> Any:
    """The empty sheet to fill in."""
    pinned, definition = _importable(entity)
    return sent_file(io.BytesIO(empty_sheet(pinned, entity, locale())), XLSX, f"{say(definition.label)}.xlsx", f"{entity}-import")


@blueprint.post("/e/<entity>/import")
def run(entity: str) -> Any:
    """A trial first; ``_mode`` all or good_rows imports the file of the trial, marked or failed gives a sheet to correct: all rows, or those alone that
    would stay behind."""
    pinned, definition = _importable(entity)
    try:
        kept = _kept(pinned)
        name, body = (kept.name, _stored(pinned, kept)) if kept is not None else _sent()
        given = read_sheet(pinned, entity, name, body)
        mode = request.form.get("_mode", "dry_run")
        if is_long(pinned, len(given.cells)):
            begun = command.begin_import(pinned, entity, given.numbered, name=name, locale=locale())
            return toast(redirect(url(f"/e/{entity}/imports/{begun.id}"), 303), begun.message.say(locale()))
        rows = command.read_import(pinned, entity, given.cells, "import")
        file_id = kept.id if kept is not None else command.upload_file(pinned.context(), name[-255:], body).id
        done = command.import_records(pinned.context(), entity, rows, "dry_run" if mode in SHEETS else mode, name=name,
                                      numbers=given.numbers)
    except NotPossible as refused:
        return _page(pinned, definition, refusal=refused.message.say(locale())), refused.status
    if mode in SHEETS:
        told: dict[int, list[tuple[str, str]]] = {}
        for p in done.problems:
            told.setdefault(p.row, []).append((p.problem.field.split(".", 1)[0], p.problem.message.say(locale())))
        fields = sheet_fields(pinned, entity)
        if mode == "marked":
            return _workbook(entity, sheet.marked(given.lines, fields, told, locale()), name, _t("import.marked_name"))
        wrong = [(number, cells, told[at]) for at, (number, cells) in enumerate(given.numbered, start=1) if at in told]
        return _workbook(entity, sheet.only_failed(wrong, fields, locale()), name, _t("import.failed_name"))
    if done.created:
        return toast(redirect(url(f"/e/{entity}/imports"), 303), translate(site().templates, locale(), "import.done", n=len(done.created)))
    problems = [(given.numbers[p.row - 1], column_of_problem(definition, p.problem.field, locale()), p.problem.message.say(locale()))
                for p in done.problems]
    return _page(pinned, definition, file_id=file_id, name=name, total=len(rows), good=done.good, problems=problems)


@blueprint.get("/e/<entity>/imports")
def show_runs(entity: str) -> Any:
    """The imports that were made, with what can be taken back."""
    pinned, definition = _importable(entity)
    return _runs(pinned, definition)


@blueprint.get("/e/<entity>/imports/<int:run>")
def show_run(entity: str, run: int) -> Any:
    """One import: how far it is, what came of it, every row that is not in; the page asks for itself again while it is under way."""
    pinned, definition = _importable(entity)
    return _run(pinned, definition, run)


@blueprint.get("/e/<entity>/imports/<int:run>/failed")
def download_failed(entity: str, run: int) -> Any:
    """The rows that are not in, and only those, as a sheet to correct: the first of them as a workbook, all as CSV."""
    pinned, _ = _importable(entity)
    found, kind = _import(pinned, entity, run), request.args.get("format", "xlsx")
    if kind not in ("xlsx", "csv"):
        raise NotFound
    return _workbook(entity, failed_sheet(pinned, pinned.looking(), found, locale(), format=kind), found.name, _t("import.failed_name"), kind)


@blueprint.post("/e/<entity>/imports/<int:run>/start")
def start(entity: str, run: int) -> Any:
    """Take the good rows of one that was checked, or go on with one that was stopped."""
    return _moved(entity, run, command.start_import)


@blueprint.post("/e/<entity>/imports/<int:run>/cancel")
def cancel(entity: str, run: int) -> Any:
    """Stop one that is under way; what came in stays."""
    return _moved(entity, run, command.cancel_import)


@blueprint.post("/e/<entity>/imports/<int:run>/corrected")
def correct(entity: str, run: int) -> Any:
    """The corrected sheet of failed rows, as the continuation of the same import."""
    pinned, definition = _importable(entity)
    _import(pinned, entity, run)
    try:
        done = command.correct_import(pinned.context(), run, read_sheet(pinned, entity, *_sent()).original)
    except NotPossible as refused:
        return _run(pinned, definition, run, refusal=refused.message.say(locale())), refused.status
    return toast(redirect(url(f"/e/{entity}/imports/{run}"), 303), done.message.say(locale()))


def _workbook(entity: str, book: bytes, name: str, what: str, kind: str = "xlsx") -> Any:
    return sent_file(io.BytesIO(book), XLSX if kind == "xlsx" else "text/csv", f"{called(name).rsplit('.', 1)[0]}-{what}.{kind}", f"{entity}-import")


def _moved(entity: str, run: int, move: Any) -> Any:
    pinned, definition = _importable(entity)
    _import(pinned, entity, run)
    try:
        done = move(pinned.context(), run)
    except NotPossible as refused:
        return _run(pinned, definition, run, refusal=refused.message.say(locale())), refused.status
    return toast(redirect(url(f"/e/{entity}/imports/{run}"), 303), done.message.say(locale()))


def _import(pinned: Current, entity: str, run: int) -> ImportRun:
    if run > MAX_ID:
        raise NotFound
    return command.import_run(pinned.looking(), pinned.conn, entity, run)


def _run(pinned: Current, definition: Entity, id: int, **result: Any) -> str:
    pinned.release()
    g.menu_here = f"list:{definition.address}/main"
    run = _import(pinned, definition.address, id)
    ctx = pinned.looking()
    failed = command.failed_rows(ctx, pinned.conn, run, PROBLEMS_SHOWN)
    problems = [(row.number, column_of_problem(definition, p.field, locale()), p.message.say(locale()))
                for row in failed for p in row.problems][:PROBLEMS_SHOWN]
    place = f"/e/{definition.address}/import"
    crumbs = [list_crumb(pinned, definition), (_t("import.runs"), url(f"{place}s")), (run.name or f"#{run.id}", "")]
    return render_template(
        "pages/import_run.html", entity=definition, crumbs=crumbs, run=run, place=url(f"{place}s/{run.id}"), problems=problems, tone=TONES[run.status],
        more=run.failed - len(failed), at_once=import_sheet.FAILED_AT_ONCE, at=moment(pinned, run.at), until=moment(pinned, run.expires_at),
        why=run.why(locale()),
        mine=run.user_id == ctx.actor.user_id, kept_rows=bool(failed), may_undo=bool(pinned.plan.may(definition.address, "delete")),
        **{"refusal": "", **result})


@blueprint.post("/e/<entity>/imports/<int:run>/undo")
def undo(entity: str, run: int) -> Any:
    """Take one back; what stays is shown with its reason."""
    pinned, definition = _importable(entity)
    _import(pinned, entity, run)
    try:
        done = command.undo_import(pinned.context(), run)
    except NotPossible as refused:
        return _runs(pinned, definition, refusal=refused.message.say(locale())), refused.status
    if not done.kept:
        return toast(redirect(url(f"/e/{entity}/imports"), 303), done.message.say(locale()))
    pinned.release()
    titles = {hit.id: hit.title for hit in pinned.reader.lookup(entity, ids=[id for id, _ in done.kept[:KEPT_SHOWN]], limit=KEPT_SHOWN)} \
        if pinned.plan.may(entity, "list") or pinned.plan.may(entity, "read") else {}
    kept = [(record_url(entity, id) if id in titles else "", titles.get(id, f"#{id}"), why.say(locale())) for id, why in done.kept[:KEPT_SHOWN]]
    return _runs(pinned, definition, said=done.message.say(locale()), kept=kept)


def _runs(pinned: Current, definition: Entity, **result: Any) -> str:
    pinned.release()
    g.menu_here = f"list:{definition.address}/main"
    found = command.import_runs(pinned.looking(), pinned.conn, definition.address)
    runs = [(one, TONES[one.status], moment(pinned, one.at), moment(pinned, one.undone_at) if one.undone_at else "") for one in found]
    crumbs = [list_crumb(pinned, definition), (_t("list.import"), url(f"/e/{definition.address}/import")), (_t("import.runs"), "")]
    names: dict[str, Any] = {"refusal": "", "said": "", "kept": [], **result}
    return render_template("pages/imports.html", entity=definition, crumbs=crumbs, runs=runs, busy=any(one.open for one in found),
                           may_undo=bool(pinned.plan.may(definition.address, "delete")), **names)


def _importable(entity: str) -> tuple[Current, Entity]:
    pinned = current()
    definition = pinned.entity(entity)
    if definition.storage == "engine" or definition.child_of:
        raise NotFound
    for action in ("import", "create"):
        verdict = pinned.plan.may(entity, action)
        if not verdict:
            raise NotAllowed(verdict.reason)
    return pinned, definition


def _sent() -> tuple[str, bytes]:
    """Name and bytes of the sheet that came with this request."""
    given = request.files.get("file")
    if given is None or not given.filename or given.filename.lower().rsplit(".", 1)[-1] not in ("xlsx", "csv"):
        raise NotPossible(message("sheet.kind"))
    return given.filename, given.stream.read()


def _kept(pinned: Current) -> Any:
    """The file of the trial, kept in staging between trial and import; None where the request brings one."""
    given, kept = request.files.get("file"), request.form.get("_file", "")
    if given is not None and given.filename:
        return None
    number = whole(kept)
    if number is None:
        raise NotPossible(message("sheet.kind"))
    return command.file_for(pinned.looking(), number)


def _stored(pinned: Current, kept: Any) -> bytes:
    with pinned.tenant.files.open(kept.digest) as stream:
        found: bytes = stream.read()
    return found


def _page(pinned: Current, definition: Entity, **result: Any) -> str:
    g.menu_here = f"list:{definition.address}/main"
    names: dict[str, Any] = {"refusal": "", "at_once": limit(pinned.catalog, "import_rows_at_once"), "file_id": 0, "name": "", "total": 0, "good": 0,
                             "problems": [], **result}
    crumbs = [list_crumb(pinned, definition), (translate(site().templates, locale(), "list.import"), "")]
    return render_template(
        "pages/import.html", entity=definition, fields=sheet_fields(pinned, definition.address), crumbs=crumbs,
        shown=names["problems"][:PROBLEMS_SHOWN], **names,
    )
