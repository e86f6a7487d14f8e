"""Versions of a record: what differs between two, and entering one of them again."""

from __future__ import annotations

from flask import Response

from metaloom.api.answer import answer, etag, told
from metaloom.api.body import json_object, only
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters, number
from metaloom.api.records import context, known_entity, permitted, reader, record_id, wanted_version
from metaloom.base.errors import NotFound
from metaloom.command.restore_version import restore_version, version, versions_of
from metaloom.command.versions import differences
from metaloom.record import UnknownPath
from metaloom.record.encode import json_value
from metaloom.record.paths import field_of


def compare(entity: str, id: str) -> Response:
    """GET /<entity>/<id>/versions"""
    given = no_other_parameters(("a", "b"))
    found, key = known_entity(entity), record_id(id)
    _, all_ = versions_of(reader(), found.address, key)
    items = [{"entry": one.entry, "at": one.at, "who": one.who, "command": one.command} for one in all_]
    if "a" not in given and "b" not in given:
        return answer({"items": items, "differences": []})
    one, other = (version(all_, number(given, name, 1, 10**12)) if name in given else all_[0] for name in ("a", "b"))
    changed = []
    for name, pair in differences(one, other).items():
        try:
            shown = json_value(field_of(found, name))
        except UnknownPath:
            continue
        changed.append({"field": name, **{side: None if value is None else shown(value) for side, value in zip(("a", "b"), pair, strict=True)}})
    return answer({"items": items, "differences": changed})


def restore(entity: str, id: str, entry: str) -> Response:
    """POST /<entity>/<id>/versions/<entry>/restore"""
    no_other_parameters()
    found = permitted(entity, "edit")
    permitted(entity, "history")
    if found.storage != "table" or found.append_only or found.child_of:
        raise NotFound
    key, at, shown = record_id(id), record_id(entry), wanted_version()
    only(json_object(empty=True), ())
    pinned().release()
    done = restore_version(context(), reader(), found.address, key, at, shown)
    return answer({"id": key, "row_version": done.saved.row_version, "message": told(done.saved), "left": list(done.left)}, ETag=etag(done.saved.row_version))
