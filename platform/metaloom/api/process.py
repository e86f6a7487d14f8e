"""Processes: a run with its steps and log, starting one, and what people do with one that waits for them."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer, done
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context, known_entity, one, record_id, wanted_version
from metaloom.api.speech import locale, say
from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.command import (
    RunShown,
    continue_by_hand,
    give_up_process,
    retry_process,
    run_log,
    run_shown,
    start_process,
)
from metaloom.command.move_process import VERBS, asked_of
from metaloom.record.schema import schema_of

# verb → what its body may hold
BODIES = {"retry": ("seq",), "submit": ("result", "reason", "seq"), "give_up": ("reason", "seq")}


def start(entity: str, id: str, name: str) -> Response:
    """POST /<entity>/<id>/process/<name>"""
    no_other_parameters()
    found, key, version = known_entity(entity), record_id(id), wanted_version()
    only(json_object(empty=True), ())
    one(found, key)
    return done(start_process(context(), found.address, key, name, version))


def run(id: str) -> Response:
    """GET /process/<id>: where the run stands, step by step, and what the person may do."""
    no_other_parameters()
    found = _shown(id)
    row, state = found.row, found.state
    return answer({
        "id": found.id, "entity": row["entity"], "record_id": row["record_id"], "process": row["process"], "label": say(found.process.label),
        "status": state.status, "step": state.step, "seq": state.seq, "starter": state.by or None, "tries": state.attempt, "reference": row["reference"],
        "why": row["error"] if locale() == "zh" else row["error_en"], "started_at": _text(row["started_at"]), "since": _text(row["since"]),
        "due_at": _text(row["due_at"]), "finished_at": _text(row["finished_at"]), "may": list(found.may),
        "steps": [{"step": s.name, "label": say(s.label), "type": s.type, "standing": s.standing} for s in found.steps]})


def events(id: str) -> Response:
    """GET /process/<id>/events: the log, oldest first; answers of providers are sealed and stay out."""
    no_other_parameters()
    return answer({"items": [{**event, "at": _text(event["at"])} for event in run_log(context(), record_id(id))]})


def move(id: str, verb: str) -> Response:
    """POST /process/<id>/retry|submit|give_up; ``seq`` is that of the run that was looked at."""
    no_other_parameters()
    key, body = record_id(id), json_object(empty=True)
    if verb not in VERBS:
        raise NotFound
    only(body, BODIES[verb])
    seq, reason = body.get("seq"), body.get("reason", "")
    if seq is not None and (not isinstance(seq, int) or isinstance(seq, bool)):
        raise refused("seq", message("field.type"))
    if not isinstance(reason, str):
        raise refused("reason", message("record.not_text"))
    if verb == "retry":
        return done(retry_process(context(), key, seq))
    if verb == "give_up":
        return done(give_up_process(context(), key, reason, seq))
    return done(continue_by_hand(context(), key, _result(_shown(id), body.get("result", {})), reason, seq))


def _result(found: RunShown, given: Any) -> dict[str, Any]:
    """What is entered, read by the fields of the step."""
    if not isinstance(given, dict):
        raise refused("result", message("api.json_object"))
    step = found.process.steps.get(found.state.step)
    return dict(schema_of(pinned().revision, asked_of(step) if step is not None else {}, source="json").load(given, zone=pinned().zone))


def _shown(id: str) -> RunShown:
    return run_shown(context(), record_id(id))


def _text(at: Any) -> str | None:
    return at.isoformat() if at is not None else None
