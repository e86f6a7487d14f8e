"""Import of a spreadsheet: template, trial run with every problem by row, then the import itself."""

from __future__ import annotations

import io
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, send_file

from metaloom.base.errors import NotAllowed, NotFound, NotPossible
from metaloom.base.messages import message
from metaloom.model import Entity, Field, FieldLevel
from metaloom.record.paths import target_of
from metaloom.record.schema import input_schema
from metaloom.web import sheet
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.frame import list_url, record_url, toast
from metaloom.web.i18n import translate
from metaloom.web.words import moment
from metaloom.web.words import t as _t

blueprint = Blueprint("import", __name__)
PROBLEMS_SHOWN = 200
KEPT_SHOWN = 100
MAX_ID = 2**63 - 1
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.get("/e/<entity>/import")
def show(entity: str) -> Any:
    pinned, definition = _importable(entity)
    return _page(pinned, definition)


@blueprint.get("/e/<entity>/import/template")
def download_template(entity: str) -> Any:
    """The empty sheet to fill in."""
    pinned, definition = _importable(entity)
    body = sheet.template(_fields(pinned, definition), say, translate(site().templates, locale(), "js.required"))
    return send_file(io.BytesIO(body), XLSX, as_attachment=True, download_name=f"{say(definition.label)}.xlsx")


@blueprint.post("/e/<entity>/import")
def run(entity: str) -> Any:
    """A trial first; ``_mode`` all or good_rows imports the file of the trial."""
    from metaloom import command

    pinned, definition = _importable(entity)
    try:
        file_id, name, body = _file(pinned)
        raw = sheet.read_rows(name, body)
        rows = _read(pinned, definition, raw)
        mode = request.form.get("_mode", "dry_run")
        done = command.import_records(pinned.context(), entity, rows, "dry_run" if mode == "marked" else mode, name=name)
    except NotPossible as refused:
        return _page(pinned, definition, refusal=refused.message.say(locale())), refused.status
    if mode == "marked":
        told: dict[int, list[tuple[str, str]]] = {}
        for p in done.problems:
            told.setdefault(p.row, []).append((p.problem.field.split(".", 1)[0], p.problem.message.say(locale())))
        book = sheet.marked(raw, _fields(pinned, definition), told, locale())
        called = f"{name.rsplit('.', 1)[0]}-" + _t("import.marked_name") + ".xlsx"
        return send_file(io.BytesIO(book), XLSX, as_attachment=True, download_name=called)
    if done.created:
        return toast(redirect(url(f"/e/{entity}/imports"), 303), translate(site().templates, locale(), "import.done", n=len(done.created)))
    problems = [(raw[p.row].number, _label(definition, p.problem.field), p.problem.message.say(locale())) for p in done.problems]
    return _page(pinned, definition, file_id=file_id, name=name, total=len(rows), good=done.good, problems=problems)


@blueprint.get("/e/<entity>/imports")
def show_runs(entity: str) -> Any:
    """The imports that were made, with what can be taken back."""
    pinned, definition = _importable(entity)
    return _runs(pinned, definition)


@blueprint.post("/e/<entity>/imports/<int:run>/undo")
def undo(entity: str, run: int) -> Any:
    """Take one back; what stays is shown with its reason."""
    from metaloom import command

    pinned, definition = _importable(entity)
    if run > MAX_ID or run not in {one.id for one in command.import_runs(pinned.looking(), pinned.conn, entity)}:
        raise NotFound
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
    from metaloom import command

    pinned.release()
    g.menu_here = f"list:{definition.address}/main"
    found = command.import_runs(pinned.looking(), pinned.conn, definition.address)
    runs = [(one, moment(pinned, one.at), moment(pinned, one.undone_at) if one.undone_at else "") for one in found]
    crumbs = [(say(definition.label), list_url(definition.address)), (_t("list.import"), url(f"/e/{definition.address}/import")), (_t("import.runs"), "")]
    names: dict[str, Any] = {"refusal": "", "said": "", "kept": [], **result}
    return render_template("pages/imports.html", entity=definition, crumbs=crumbs, runs=runs,
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


def _fields(pinned: Current, definition: Entity) -> list[Field]:
    return sheet.import_fields(definition, lambda name: pinned.plan.field_level_anywhere(definition.address, name) >= FieldLevel.WRITE)


def _file(pinned: Current) -> tuple[int, str, bytes]:
    """The file of this request, kept in staging between trial and import."""
    from metaloom import command

    given = request.files.get("file")
    if given is not None and given.filename:
        body, name = given.stream.read(), given.filename
        if name.lower().rsplit(".", 1)[-1] not in ("xlsx", "csv"):
            raise NotPossible(message("sheet.kind"))
        return command.upload_file(pinned.context(), name[-255:], body).id, name, body
    kept = request.form.get("_file", "")
    if not (kept.isascii() and kept.isdigit() and len(kept) < 19):
        raise NotPossible(message("sheet.kind"))
    found = command.file_for(pinned.looking(), int(kept))
    with pinned.tenant.files.open(found.digest) as stream:
        return found.id, found.name, stream.read()


def _read(pinned: Current, definition: Entity, rows: list[sheet.Line]) -> list[Any]:
    schema = input_schema(pinned.revision, definition.address, "create", source="import")
    raw = sheet.by_field(rows, _fields(pinned, definition))
    known: dict[tuple[str, str], int | None] = {}

    def resolve(one: Field, given: Any) -> int | None:
        """A link by its natural key, or by its title when only one record has it."""
        key = (one.name, str(given))
        if key not in known:
            known[key] = _linked(pinned, target_of(one), given)
        return known[key]

    return sheet.load_all(raw, lambda row: schema.load(row, zone=pinned.zone, resolve=resolve))


def _linked(pinned: Current, target: str, given: Any) -> int | None:
    from metaloom.base.errors import MetaloomError

    entity = pinned.catalog.entities.get(target)
    if entity is None:
        return None
    for name in (*entity.natural_key[:1], entity.title):
        try:
            found = pinned.reader.by_key(target, {name: str(given)})
        except MetaloomError:
            continue
        if found is not None:
            return found
    return None


def _label(definition: Entity, path: str) -> str:
    one = definition.fields.get(path.split(".", 1)[0])
    return say(one.label) if one else path


def _page(pinned: Current, definition: Entity, **result: Any) -> str:
    g.menu_here = f"list:{definition.address}/main"
    names: dict[str, Any] = {"refusal": "", "file_id": 0, "name": "", "total": 0, "good": 0, "problems": [], **result}
    crumbs = [(say(definition.label), list_url(definition.address)), (translate(site().templates, locale(), "list.import"), "")]
    return render_template(
        "pages/import.html", entity=definition, fields=_fields(pinned, definition), crumbs=crumbs, shown=names["problems"][:PROBLEMS_SHOWN], **names
    )
