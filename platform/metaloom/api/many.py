"""The same change of many records, tried before, and taken back after."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import ID_MAX, context, known_entity, permitted, reason_of, record_id
from metaloom.api.speech import locale
from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.command.bulk_edit import MANY_MAX, VERBS, ManyDone, change_many, undo_many
from metaloom.model import Entity
from metaloom.record.schema import schema_of


def change(entity: str) -> Response:
    """POST /<entity>/many"""
    no_other_parameters()
    found = _entity(entity)
    body = json_object()
    only(body, ("verb", "items", "values", "reason", "trial"))
    verb, trial, given = body.get("verb"), body.get("trial", False), body.get("values", {})
    if not isinstance(verb, str) or verb not in VERBS:
        raise refused("verb", message("field.choice"))
    permitted(found.address, VERBS[verb])
    if not isinstance(trial, bool):
        raise refused("trial", message("api.not_flag"))
    if not isinstance(given, dict):
        raise refused("values", message("api.json_object"))
    fields = {name: found.fields[name] for name in given if name in found.fields}
    if len(fields) != len(given):
        raise refused(f"values.{next(name for name in given if name not in fields)[:60]}", message("field.unknown"))
    values = dict(schema_of(pinned().revision, fields, source="json").load(given, zone=pinned().zone)) if verb == "edit" and fields else {}
    return answer(_out(change_many(context(), found.address, _items(body), verb, values, reason_of(body), trial=trial)))


def undo(id: str) -> Response:
    """POST /many/<id>/undo"""
    no_other_parameters()
    key = record_id(id)
    only(json_object(empty=True), ())
    return answer(_out(undo_many(context(), key)))


def _entity(address: str) -> Entity:
    """The entity, for someone who may do one of these things to some of its records: the missing right is told before anything else."""
    found = known_entity(address)
    if not any(pinned().plan.may(found.address, right) for right in VERBS.values()):
        permitted(found.address, VERBS["edit"])                         # says why not
    if found.storage != "table" or found.child_of or found.append_only:
        raise NotFound
    return found


def _items(body: dict[str, Any]) -> dict[int, int]:
    items = body.get("items")
    if not isinstance(items, list) or not 0 < len(items) <= MANY_MAX or not all(isinstance(one, dict) and set(one) == {"id", "row_version"} for one in items):
        raise refused("items", message("api.bulk_version"))
    if not all(isinstance(v, int) and not isinstance(v, bool) and 0 < v <= ID_MAX for one in items for v in one.values()):
        raise refused("items", message("api.bulk_version"))
    return {one["id"]: one["row_version"] for one in items}


def _out(done: ManyDone) -> dict[str, Any]:
    items = [{"id": one.id, "outcome": one.how, **({"message": one.why.say(locale())} if one.how == "refused" else {})} for one in done.outcomes]
    return {"done": done.count("done"), "unchanged": done.count("same"), "refused": done.count("refused"), "run": done.run,
            "message": done.message.say(locale()), "items": items}
