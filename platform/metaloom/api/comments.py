"""What people say about a record, read and said through the record."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer, etag, told
from metaloom.api.body import json_object, only
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters, number
from metaloom.api.records import context, known_entity, record_id, wanted_version
from metaloom.api.saved import context_now
from metaloom.base.errors import NotFound
from metaloom.command import add_comment, change_comment, comments_of, remove_comment
from metaloom.command.comment import PAGE_MAX
from metaloom.model import Entity
from metaloom.record.comments import Comment

VALUES = ("text", "mentions", "files")


def list_comments(entity: str, id: str) -> Response:
    """GET /<entity>/<id>/comments: newest first; ``before`` continues below an id."""
    given = no_other_parameters(("limit", "before"))
    found, key = _commented(entity), record_id(id)
    limit = number(given, "limit", 1, PAGE_MAX) if "limit" in given else 50
    before = number(given, "before", 1, 10**12) if "before" in given else None
    return answer({"items": [_out(one) for one in comments_of(context_now(), pinned().conn, found.address, key, before=before, limit=limit)]})


def create_comment(entity: str, id: str) -> Response:
    """POST /<entity>/<id>/comments"""
    no_other_parameters()
    found, key = _commented(entity), record_id(id)
    done = add_comment(context(), found.address, key, _values())
    return answer({"id": done.id, "row_version": done.row_version, "message": told(done)}, 201, ETag=etag(done.row_version))


def edit_comment(entity: str, id: str, comment: str) -> Response:
    """PATCH /<entity>/<id>/comments/<comment>: one's own, while it is fresh."""
    no_other_parameters()
    found, key, one = _commented(entity), record_id(id), record_id(comment)
    done = change_comment(context(), found.address, key, one, _values(), wanted_version())
    return answer({"id": done.id, "row_version": done.row_version, "message": told(done)}, ETag=etag(done.row_version))


def delete_comment(entity: str, id: str, comment: str) -> Response:
    """DELETE /<entity>/<id>/comments/<comment>: one's own; that it was taken back stays."""
    no_other_parameters()
    found, key = _commented(entity), record_id(id)
    done = remove_comment(context(), found.address, key, record_id(comment))
    return answer({"id": done.id, "row_version": done.row_version, "message": told(done)})


def _commented(address: str) -> Entity:
    found = known_entity(address)
    if not found.comments:
        raise NotFound
    return found


def _values() -> dict[str, Any]:
    body = json_object()
    only(body, VALUES)
    return {name: body[name] for name in VALUES if name in body}


def _out(one: Comment) -> dict[str, Any]:
    return {"id": one.id, "row_version": one.row_version, "author": {"id": one.author_id, "name": one.author}, "at": one.at, "edited_at": one.edited_at,
            "removed_at": one.removed_at, "text": one.text, "mentions": [{"id": user, "name": name} for user, name in one.mentions.items()],
            "files": [{"id": file.id, "name": file.name, "size": file.size, "media_type": file.media_type} for file in one.files]}
