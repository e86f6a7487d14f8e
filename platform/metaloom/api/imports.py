"""Many new records at once, all or nothing if wanted, tried before, and taken back after."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context, permitted, record_id
from metaloom.api.saved import context_now
from metaloom.api.speech import locale
from metaloom.base.errors import Invalid, NotFound
from metaloom.base.messages import message
from metaloom.command import import_records, import_runs, undo_import
from metaloom.command.import_records import MODES, ROWS_MAX
from metaloom.model import Entity
from metaloom.record.schema import input_schema

NAME_MAX = 255


def run(entity: str) -> Response:
    """POST /<entity>/import"""
    no_other_parameters()
    found, body = _importable(entity), json_object()
    only(body, ("mode", "rows", "name"))
    rows, mode, name = body.get("rows"), body.get("mode", "dry_run"), body.get("name", "")
    if not isinstance(rows, list) or not 0 < len(rows) <= ROWS_MAX or not all(isinstance(row, dict) for row in rows):
        raise refused("rows", message("api.bulk_items", limit=ROWS_MAX))
    if mode not in MODES:
        raise refused("mode", message("field.choice"))
    if not isinstance(name, str) or len(name) > NAME_MAX:
        raise refused("name", message("record.not_text"))
    done = import_records(context(), found.address, [_row(found, row) for row in rows], mode, name=name)
    problems = [{"row": p.row, "field": p.problem.field, "message": p.problem.message.say(locale())} for p in done.problems]
    return answer({"created": list(done.created), "good": done.good, "run": done.run, "problems": problems})


def _row(entity: Entity, given: dict[str, Any]) -> Any:
    """The row as typed values, or what is wrong with it."""
    try:
        return input_schema(pinned().revision, entity.address, "create", source="json").load(given, zone=pinned().zone)
    except Invalid as wrong:
        return wrong


def runs(entity: str) -> Response:
    """GET /<entity>/imports"""
    no_other_parameters()
    found = _importable(entity)
    items = [{"id": one.id, "name": one.name, "at": one.at, "by": one.user_id, "rows": one.rows_read, "kept": one.rows_kept, "left": len(one.left),
              "taken_back": one.undone, "undone_at": one.undone_at} for one in import_runs(context_now(), pinned().conn, found.address)]
    return answer({"items": items})


def undo(entity: str, id: str) -> Response:
    """POST /<entity>/imports/<id>/undo"""
    no_other_parameters()
    found, key = _importable(entity), record_id(id)
    only(json_object(empty=True), ())
    if key not in {one.id for one in import_runs(context_now(), pinned().conn, found.address)}:
        raise NotFound
    done = undo_import(context(), key)
    return answer({"taken_back": done.taken_back, "kept": [{"id": one, "message": why.say(locale())} for one, why in done.kept],
                   "message": done.message.say(locale())})


def _importable(address: str) -> Entity:
    found = permitted(address, "import")
    if found.storage == "engine" or found.child_of:
        raise NotFound
    return found
