"""Exports that are made in the background: asked for, watched, fetched, taken back. A person has the own ones alone."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from metaloom.api.answer import answer, sent_file
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import EXPORT_KEYS, no_other_parameters, read_question
from metaloom.api.records import EXPORT_TYPES, context, known_entity, record_id, renamed
from metaloom.api.speech import locale
from metaloom.base.errors import Invalid, NotAllowed
from metaloom.base.messages import message
from metaloom.command import begin_export, cancel_export, my_export, my_exports, open_export, throw_export_away
from metaloom.command.long_export import how_many
from metaloom.record.export_runs import ExportRun


def begin(entity: str) -> Response:
    """POST /<entity>/exports: 202, and where to look how far it is. The query string is that of the list; ``format`` stands in the body, or there."""
    found = known_entity(entity)
    if not (verdict := pinned().plan.may(found.address, "export")):      # before anything of the question is told
        raise NotAllowed(verdict.reason)
    asked = read_question(pinned().revision, found, EXPORT_KEYS)
    format = _format(json_object(empty=True))
    try:
        about, _ = how_many(pinned(), found.address, **asked.asked)
        made = begin_export(pinned(), found.address, format=format, name=f"{found.address}.{format}", about=about, locale=locale(), sort=asked.sort,
                            paths=asked.columns, key=request.headers.get("Idempotency-Key"), **asked.asked)
    except Invalid as wrong:
        raise renamed(wrong) from None
    out = answer(_out(my_export(pinned(), made.id)), 202, Location=_place(made.id))
    if made.replayed:
        out.headers["Idempotency-Replayed"] = "true"
    return out


def _format(body: dict[str, Any]) -> str:
    only(body, ("format",))
    if "format" in body and "format" in request.args:
        raise refused("format", message("api.repeated", name="format"))
    format = body.get("format", request.args.get("format", "csv"))
    if not isinstance(format, str) or format not in EXPORT_TYPES:
        raise refused("format", message("record.bad_format", format=str(format)[:20]))
    return format


def exports() -> Response:
    """GET /exports: the latest hundred, newest first."""
    no_other_parameters()
    return answer({"items": [_out(run) for run in my_exports(pinned())]})


def export(id: str) -> Response:
    """GET /exports/<id>"""
    no_other_parameters()
    return answer(_out(my_export(pinned(), record_id(id))))


def file(id: str) -> Response:
    """GET /exports/<id>/file: the finished file; 409 before it is ready and after it is gone."""
    no_other_parameters()
    found = open_export(pinned(), record_id(id))
    made = sent_file(found.content, EXPORT_TYPES[found.format], found.name, found.entity)
    made.content_length = found.size
    return made


def cancel(id: str) -> Response:
    """POST /exports/<id>/cancel: one that is not finished is not made."""
    return _changed(id, cancel_export)


def delete(id: str) -> Response:
    """DELETE /exports/<id>: a finished file goes before its time."""
    return _changed(id, throw_export_away)


def _changed(id: str, change: Any) -> Response:
    no_other_parameters()
    only(json_object(empty=True), ())
    change(context(), record_id(id))
    return answer(_out(my_export(pinned(), record_id(id))))


def _out(run: ExportRun) -> dict[str, Any]:
    return {"id": run.id, "entity": run.entity, "name": run.name, "format": run.format, "status": run.status, "rows": run.rows,
            "total": {"number": run.total, "exact": run.total_exact}, "size": run.size, "asked_at": run.created_at, "finished_at": run.finished_at,
            "expires_at": run.expires_at, "message": run.why(locale()), "file": f"{_place(run.id)}/file" if run.status == "done" else None}


def _place(id: int) -> str:
    return f"{request.script_root}/api/v1/exports/{id}"
