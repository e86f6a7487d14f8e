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
from metaloom.web.current import Current, current, locale, say, site
from metaloom.web.frame import list_url, toast
from metaloom.web.i18n import translate

blueprint = Blueprint("import", __name__)
PROBLEMS_SHOWN = 200
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
        rows = _read(pinned, definition, name, body)
        mode = request.form.get("_mode", "dry_run")
        done = command.import_records(pinned.context(), entity, rows, mode)
    except NotPossible as refused:
        return _page(pinned, definition, refusal=refused.message.say(locale())), refused.status
    if mode != "dry_run" and done.created:
        return toast(redirect(list_url(entity), 303), translate(site().templates, locale(), "import.done", n=len(done.created)))
    problems = [(p.row, _label(definition, p.problem.field), p.problem.message.say(locale())) for p in done.problems]
    return _page(pinned, definition, file_id=file_id, name=name, total=len(rows), good=done.good, problems=problems)


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


def _read(pinned: Current, definition: Entity, name: str, body: bytes) -> list[Any]:
    schema = input_schema(pinned.revision, definition.address, "create", source="import")
    raw = sheet.by_field(sheet.read_rows(name, body), _fields(pinned, definition))
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
