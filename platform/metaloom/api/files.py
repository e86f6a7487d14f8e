"""Files: uploaded to a waiting place, attached by the record that names them, shown to those who may see that field."""

from __future__ import annotations

from flask import Response, request

from metaloom.api.answer import answer, sent_file
from metaloom.api.body import refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context, record_id
from metaloom.base.messages import message
from metaloom.command import file_for, upload_file


def upload() -> Response:
    """POST /files: one file as ``file`` of multipart/form-data; its id goes into the attachment field of a record."""
    no_other_parameters()
    given = request.files.getlist("file") if request.mimetype == "multipart/form-data" else []
    if len(given) != 1 or len(request.files) != 1:
        raise refused("file", message("api.file_missing"))
    ctx = context()
    stored = upload_file(ctx, given[0].filename or "", given[0].stream)
    shown = file_for(ctx, stored.id)
    made = answer({"id": shown.id, "name": shown.name, "size": shown.size, "media_type": shown.media_type}, 201,
                  Location=f"{request.script_root}/api/v1/files/{shown.id}")
    if stored.replayed:
        made.headers["Idempotency-Replayed"] = "true"
    return made


def download(id: str) -> Response:
    """GET /files/<id>: one's own upload, or a file of a record and field that one may read."""
    no_other_parameters()
    key = record_id(id)
    shown = file_for(context(), key)
    return sent_file(pinned().tenant.files.path(shown.digest), shown.media_type, shown.name, f"file-{key}")
