"""Many new records at once, all or nothing if wanted, tried before, and taken back after."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from metaloom.api.answer import answer, sent_file
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import EXPORT_TYPES, ID_MAX, context, permitted, record_id
from metaloom.api.saved import context_now
from metaloom.api.speech import locale
from metaloom.base.errors import NotFound, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command import (
    begin_import,
    cancel_import,
    correct_import,
    failed_rows,
    file_for,
    import_records,
    import_run,
    import_runs,
    read_import,
    start_import,
    undo_import,
)
from metaloom.command.import_records import MODES, ROWS_MAX
from metaloom.command.import_sheet import (
    SheetRead,
    column_of_problem,
    empty_sheet,
    failed_sheet,
    read_sheet,
)
from metaloom.command.limits import limit
from metaloom.command.long_import import is_long
from metaloom.model import Entity
from metaloom.record.import_runs import ImportRun, called
from metaloom.record.sheet import XLSX

NAME_MAX, PROBLEMS_MAX = 255, 1_000


@dataclass(frozen=True)
class Given:
    """What came to be imported: ``rows`` of a JSON body, numbered from 1, or those of a ``sheet``, numbered as a person sees them there."""

    name: str
    mode: str
    rows: Sequence[Mapping[str, Any]]
    sheet: SheetRead | None = None

    @property
    def source(self) -> str:
        return "json" if self.sheet is None else "import"

    @property
    def numbers(self) -> Sequence[int]:
        return range(1, len(self.rows) + 1) if self.sheet is None else self.sheet.numbers


def run(entity: str) -> Response:
    """POST /<entity>/import: rows, or a workbook or CSV file, at once, or 202 and where to look how far it is."""
    no_other_parameters()
    found = _importable(entity)
    given = _given(found)
    if is_long(pinned(), len(given.rows)) and not (given.mode == "all" and len(given.rows) <= ROWS_MAX):
        begun = begin_import(pinned(), found.address, list(zip(given.numbers, given.rows, strict=True)), name=given.name, source=given.source,
                             mode=given.mode, locale=locale(), key=request.headers.get("Idempotency-Key"))
        out = answer(_out(import_run(context_now(), pinned().conn, found.address, begun.id)), 202, Location=_place(found.address, begun.id))
        if begun.replayed:
            out.headers["Idempotency-Replayed"] = "true"
        return out
    read = read_import(pinned(), found.address, given.rows, given.source)
    done = import_records(context(), found.address, read, given.mode, name=given.name, numbers=given.numbers)
    problems = [_problem(found, given.numbers[p.row - 1], p.problem, sheet=given.sheet is not None) for p in done.problems]
    return answer({"created": list(done.created), "good": done.good, "run": done.run, "problems": problems})


def _given(entity: Entity) -> Given:
    if request.mimetype == "multipart/form-data":
        mode = _mode(_one_part(request.form.to_dict(flat=False), ("mode",)).get("mode", "dry_run"))
        sheet = _sent_sheet(entity)
        return Given(sheet.name, mode, sheet.cells, sheet)
    body = json_object()
    only(body, ("mode", "rows", "file", "name"))
    mode, name = _mode(body.get("mode", "dry_run")), body.get("name", "")
    if not isinstance(name, str) or len(name) > NAME_MAX:
        raise refused("name", message("record.not_text"))
    if "rows" in body and "file" in body:
        raise refused("file", message("api.import_source"))
    if "file" in body:
        sheet = _kept_sheet(entity, body["file"])
        return Given(name or sheet.name, mode, sheet.cells, sheet)
    rows, most = body.get("rows"), limit(pinned().catalog, "import_rows_max")
    if not isinstance(rows, list) or not 0 < len(rows) <= most or not all(isinstance(row, dict) for row in rows):
        raise refused("rows", message("api.bulk_items", limit=most))
    return Given(name, mode, rows)


def _mode(mode: Any) -> str:
    if mode not in MODES:
        raise refused("mode", message("field.choice"))
    return str(mode)


def _one_part(given: Mapping[str, list[str]], known: Sequence[str]) -> dict[str, str]:
    """The parts of a form beside its file: each known, each once."""
    only(dict(given), known)
    for name, values in given.items():
        if len(values) > 1:
            raise refused(name, message("api.repeated", name=name))
    return {name: values[0] for name, values in given.items()}


def _sent_sheet(entity: Entity) -> SheetRead:
    """The file that came with this request."""
    sent = request.files.getlist("file")
    if len(sent) != 1 or len(request.files) != 1:
        raise refused("file", message("api.file_missing"))
    size = sent[0].stream.seek(0, 2)
    sent[0].stream.seek(0)
    pinned().tenant.files.refuse_over_size(size)
    return _read_sheet(entity, called(sent[0].filename or ""), sent[0].stream.read())


def _kept_sheet(entity: Entity, id: Any) -> SheetRead:
    """One's own upload, or any other file that one may see."""
    if isinstance(id, bool) or not isinstance(id, int) or not 0 < id <= ID_MAX:
        raise refused("file", message("api.id"))
    try:
        shown = file_for(context_now(), id)
    except NotFound:
        raise refused("file", message("api.no_such_file")) from None
    with pinned().tenant.files.open(shown.digest) as stream:
        return _read_sheet(entity, shown.name, stream.read())


def _read_sheet(entity: Entity, name: str, body: bytes) -> SheetRead:
    try:
        return read_sheet(pinned(), entity.address, name, body)
    except NotPossible as wrong:
        raise refused("file", wrong.message) from None


def _problem(entity: Entity, row: int, problem: Problem, *, sheet: bool) -> dict[str, Any]:
    """``column``: what the header of a sheet calls the field, empty for a problem of the whole row."""
    column = {"column": column_of_problem(entity, problem.field, locale())} if sheet else {}
    return {"row": row, "field": problem.field, **column, "message": problem.message.say(locale())}


def template(entity: str) -> Response:
    """GET /<entity>/import/template: the empty workbook to fill in."""
    no_other_parameters()
    found = _importable(entity)
    return _workbook(empty_sheet(pinned(), found.address, locale()), found.address)


def failed(entity: str, id: str) -> Response:
    """GET /<entity>/imports/<id>/failed: the rows that are not in, what is wrong beside each: the first of them as a workbook, or all as CSV."""
    kind = no_other_parameters(("format",)).get("format", "xlsx")
    if kind not in EXPORT_TYPES:
        raise refused("format", message("record.bad_format", format=kind[:20]))
    found, key = _importable(entity), record_id(id)
    run = import_run(context_now(), pinned().conn, found.address, key)
    body, name = failed_sheet(pinned(), context_now(), run, locale(), format=kind), f"{found.address}-{run.id}"
    return sent_file(io.BytesIO(body), EXPORT_TYPES[kind], f"{name}.{kind}", name)


def correct(entity: str, id: str) -> Response:
    """POST /<entity>/imports/<id>/corrected: that workbook, corrected, as the continuation of the same import."""
    no_other_parameters()
    found, key = _importable(entity), record_id(id)
    if request.mimetype == "multipart/form-data":
        only(dict(request.form), ())
        import_run(context_now(), pinned().conn, found.address, key)
        sheet = _sent_sheet(found)
    else:
        body = json_object()
        only(body, ("file",))
        import_run(context_now(), pinned().conn, found.address, key)
        sheet = _kept_sheet(found, body.get("file"))
    correct_import(context(), key, sheet.original)
    return _shown(found, key)


def _workbook(book: bytes, name: str) -> Response:
    return sent_file(io.BytesIO(book), XLSX, f"{name}.xlsx", name)


def read(entity: str, id: str) -> Response:
    """GET /<entity>/imports/<id>: how far it is, and what is wrong with rows that are not in."""
    no_other_parameters()
    return _shown(_importable(entity), record_id(id))


def start(entity: str, id: str) -> Response:
    """POST /<entity>/imports/<id>/start: takes the good rows of one that was checked, or goes on with one that was stopped."""
    return _moved(entity, id, start_import)


def cancel(entity: str, id: str) -> Response:
    """POST /<entity>/imports/<id>/cancel: stops one that is under way; what came in stays."""
    return _moved(entity, id, cancel_import)


def _moved(entity: str, id: str, move: Any) -> Response:
    no_other_parameters()
    found, key = _importable(entity), record_id(id)
    only(json_object(empty=True), ())
    import_run(context_now(), pinned().conn, found.address, key)
    move(context(), key)
    return _shown(found, key)


def _shown(entity: Entity, id: int) -> Response:
    ctx = context_now()
    run = import_run(ctx, pinned().conn, entity.address, id)
    problems = [_problem(entity, row.number, one, sheet=run.source == "import")
                for row in failed_rows(ctx, pinned().conn, run, PROBLEMS_MAX) for one in row.problems]
    return answer({**_out(run), "problems": problems})


def _out(run: ImportRun) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "status": run.status, "mode": run.mode, "rows": run.rows_read, "total": run.total, "done": run.done,
            "good": run.good, "kept": run.rows_kept, "failed": run.failed, "left": run.rows_left, "taken_back": run.undone, "asked_at": run.at,
            "finished_at": run.finished_at, "expires_at": run.expires_at, "message": run.why(locale())}


def _place(entity: str, id: int) -> str:
    return f"{request.script_root}/api/v1/{entity}/imports/{id}"


def runs(entity: str) -> Response:
    """GET /<entity>/imports"""
    no_other_parameters()
    found = _importable(entity)
    items = [{"id": one.id, "name": one.name, "at": one.at, "by": one.user_id, "rows": one.rows_read, "kept": one.rows_kept, "left": one.rows_left,
              "status": one.status, "taken_back": one.undone, "undone_at": one.undone_at} for one in import_runs(context_now(), pinned().conn, found.address)]
    return answer({"items": items})


def undo(entity: str, id: str) -> Response:
    """POST /<entity>/imports/<id>/undo"""
    no_other_parameters()
    found, key = _importable(entity), record_id(id)
    only(json_object(empty=True), ())
    import_run(context_now(), pinned().conn, found.address, key)
    done = undo_import(context(), key)
    return answer({"taken_back": done.taken_back, "kept": [{"id": one, "message": why.say(locale())} for one, why in done.kept],
                   "message": done.message.say(locale())})


def _importable(address: str) -> Entity:
    found = permitted(address, "import")
    if found.storage == "engine" or found.child_of:
        raise NotFound
    return found
