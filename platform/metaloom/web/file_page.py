"""Files: upload into staging, and download with the rights of the record and field they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, request

from metaloom.base.errors import Invalid, MetaloomError, NotFound, Problem
from metaloom.base.messages import message
from metaloom.web.current import Current, current, url
from metaloom.web.download import sent_file
from metaloom.web.frame import json_answer

blueprint = Blueprint("file", __name__)
# Shown in the browser; everything else is offered for saving, so that nothing uploaded ever runs here.
FACTS_MAX = 60
INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"})


@blueprint.post("/files")
def upload() -> Any:
    """One file into staging; the saving of a record takes it over."""
    from metaloom import command

    pinned = current()
    given = request.files.get("file")
    if given is None or not given.filename:
        raise Invalid([Problem("file", message("web.no_such_file"))])
    try:
        stored = command.upload_file(pinned.context(), given.filename[-255:], given.stream)
    except MetaloomError as refused:
        from metaloom.web.current import locale

        words = [p.message.say(locale()) for p in getattr(refused, "problems", ())] or [refused.message.say(locale())]
        return json_answer({"error": " ".join(words)}, refused.status)
    return json_answer({"id": str(stored.id), "name": stored.title, "url": url(f"/file/{stored.id}")}, 201)


@blueprint.get("/file/<int:id>")
def download(id: int) -> Any:
    """The bytes, if the person may see the field of the record that holds them (or uploaded them a moment ago)."""
    from metaloom import command

    pinned = current()
    if id >= 2**63:
        raise NotFound
    found = command.file_for(pinned.context(), id)
    path = pinned.tenant.files.path(found.digest)
    inline = found.media_type in INLINE and request.args.get("save") != "1"
    answer = sent_file(path, found.media_type if inline else "application/octet-stream", found.name, f"file-{id}", inline=inline)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; sandbox"
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


def file_facts(pinned: Current, ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
    """Name, size and kind of files, for forms and details; what the person may not see is absent."""
    from metaloom import command

    found: dict[int, Mapping[str, Any]] = {}
    for id in dict.fromkeys(ids[:FACTS_MAX]):
        try:
            one = command.file_for(pinned.looking(), id)
        except MetaloomError:
            continue
        found[id] = {"id": one.id, "name": one.name, "size": one.size, "image": one.media_type.startswith("image/")}
    return found
