"""Many new records at once, all or nothing if wanted, tried before, and taken back after."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from metaloom.api.answer import answer
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context, permitted, record_id
from metaloom.api.saved import context_now
from metaloom.api.speech import locale
from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.command import (
    begin_import,
    cancel_import,
    failed_rows,
    import_records,
    import_run,
    import_runs,
    read_import,
    start_import,
    undo_import,
)
from metaloom.command.import_records import MODES, ROWS_MAX
from metaloom.command.limits import limit
from metaloom.command.long_import import is_long
from metaloom.model import Entity
from metaloom.record.import_runs import ImportRun

NAME_MAX, PROBLEMS_MAX = 255, 1_000


def run(entity: str) -> Response:
    """POST /<entity>/import: at once, or 202 and where to look how far it is."""
    no_other_parameters()
    found, body = _importable(entity), json_object()
    only(body, ("mode", "rows", "name"))
    rows, mode, name = body.get("rows"), body.get("mode", "dry_run"), body.get("name", "")
    most = limit(pinned().catalog, "import_rows_max")
    if not isinstance(rows, list) or not 0 < len(rows) <= most or not all(isinstance(row, dict) for row in rows):
        raise refused("rows", message("api.bulk_items", limit=most))
    if mode not in MODES:
        raise refused("mode", message("field.choice"))
    if not isinstance(name, str) or len(name) > NAME_MAX:
        raise refused("name", message("record.not_text"))
    if is_long(pinned(), len(rows)) and not (mode == "all" and len(rows) <= ROWS_MAX):
        begun = begin_import(pinned(), found.address, list(enumerate(rows, start=1)), name=name, source="json", mode=mode, locale=locale(),
                             key=request.headers.get("Idempotency-Key"))
        out = answer(_out(import_run(context_now(), pinned().conn, found.address, begun.id)), 202, Location=_place(found.address, begun.id))
        if begun.replayed:
            out.headers["Idempotency-Replayed"] = "true"
        return out
    done = import_records(context(), found.address, read_import(pinned(), found.address, rows, "json"), mode, name=name)
    problems = [{"row": p.row, "field": p.problem.field, "message": p.problem.message.say(locale())} for p in done.problems]
    return answer({"created": list(done.created), "good": done.good, "run": done.run, "problems": problems})


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
    problems = [{"row": row.number, "field": one.field, "message": one.message.say(locale())}
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
