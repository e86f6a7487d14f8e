"""Values as JSON answers. The same value is always the same bytes, so that a repeated request gets the same body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
from flask import Response, g, request, send_file

from metaloom.api.speech import locale
from metaloom.base.download import disposition
from metaloom.base.messages import Message
from metaloom.base.text import Text
from metaloom.command import ActionDone, Saved
from metaloom.model import FieldLevel

_KEPT_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
# Whatever is more than text, numbers, lists and maps is spelled by ``plain``, for both writers.
SPELLED = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_APPEND_NEWLINE


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """``body`` as JSON; header names are written with ``_`` for ``-``."""
    made = Response(written(body), status, mimetype="application/json")
    for name, value in headers.items():
        made.headers[name.replace("_", "-")] = value
    return made


def written(body: object) -> bytes:
    """``body`` as a line of JSON. What the fast writer knows nothing of (whole numbers of more than 64 bits, keys that are no text, halves of
    characters) goes to Python's own."""
    try:
        return orjson.dumps(body, plain, SPELLED)
    except orjson.JSONEncodeError:
        return (json.dumps(body, separators=(",", ":"), default=plain) + "\n").encode()


def plain(value: object) -> object:
    """Exact numbers as text, instants in UTC, words in the reader's language."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Text, Message)):
        return value.say(locale())
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    raise TypeError(type(value).__name__)


def in_utc(value: Any) -> Any:
    """An instant that was kept as text with its offset, or a list of them, spelled as every other instant of an answer; all else as it is."""
    if isinstance(value, (list, tuple)):
        return [in_utc(one) for one in value]
    return value[:-6] + "Z" if isinstance(value, str) and _KEPT_INSTANT.fullmatch(value) else value


def sent_file(content: Any, media_type: str, name: str, stand_in: str, *, inline: bool = False) -> Response:
    """A file, a stream or a path, as the answer. ``stand_in``: see ``disposition``."""
    made: Response = send_file(content, media_type, etag=False)
    made.headers["Content-Disposition"] = disposition(name, stand_in, inline=inline)
    return made


def etag(row_version: int) -> str:
    """A record's ETag is its version."""
    return f'"{row_version}"'


def saved(result: Saved, status: int = 200) -> Response:
    """What a command stored: id, version, and the sentence that the screens would show."""
    title = result.title if titles_are_open(result.entity) else f"#{result.id}"
    body = {"id": result.id, "row_version": result.row_version, "title": title, "message": told(result)}
    made = answer(body, status, ETag=etag(result.row_version))
    if status == 201:
        made.headers["Location"] = f"{request.script_root}/api/v1/{result.entity}/{result.id}"
    return _replayed(made, result.replayed)


def done(result: ActionDone) -> Response:
    """What an action did, with its named results."""
    body = {"id": result.id, "row_version": result.row_version, "message": told(result), "results": dict(result.results)}
    made = answer(body)
    if result.row_version is not None:
        made.headers["ETag"] = etag(result.row_version)
    return _replayed(made, result.replayed)


def told(result: Saved | ActionDone) -> str:
    """The command's sentence; it names the record only to those who may read the name in every row they reach."""
    said = result.message
    if "title" in said.slots and not titles_are_open(result.entity):
        said = replace(said, slots={**said.slots, "title": f"#{result.id}"})
    return said.say(locale())


def titles_are_open(address: str) -> bool:
    """Whether the person reads the title of every record of the entity in the clear."""
    plan = g.metaloom.plan
    entity = plan.catalog.entities.get(address)
    if entity is None or entity.title not in entity.fields:
        return True
    rights = plan.rights(address)
    return all(rights.levels(frozenset({i}))[entity.title] >= FieldLevel.READ for i in range(len(rights.scopes)))


def _replayed(made: Response, replayed: bool) -> Response:
    if replayed:
        made.headers["Idempotency-Replayed"] = "true"
    return made
