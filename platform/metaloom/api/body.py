"""Reading request bodies: strict JSON (``base/strict_json.py``) of at most 1 MB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import request

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.base.strict_json import depth, parse, refused

SIZE_MAX = 1024 * 1024


def json_object(*, empty: bool = False) -> dict[str, Any]:
    """The body as an object. ``empty``: no body at all counts as ``{}``."""
    raw = _raw()
    if empty and not raw:
        return {}
    if request.mimetype != "application/json":
        raise _unsupported()
    found = parse(raw)
    if not isinstance(found, dict):
        raise refused("", message("api.json_object"))
    return found


def json_value() -> Any:
    """The body as whatever JSON it is."""
    raw = _raw()
    if request.mimetype != "application/json":
        raise _unsupported()
    return parse(raw)


def only(body: dict[str, Any], known: Iterable[str]) -> None:
    """Invalid for keys that the request does not know (nothing sent is ever silently inert)."""
    unknown = [key for key in body if key not in frozenset(known)]
    if unknown:
        raise Invalid([Problem(str(key)[:120], message("api.unknown_key")) for key in unknown])


class Unsupported(Invalid):
    """The body is of another media type."""

    status, code = 415, "api.json_type"


def _unsupported() -> Unsupported:
    text = message("api.json_type")
    return Unsupported([Problem("", text)], text)


def _raw() -> bytes:
    too_large = refused("", message("api.json_size", limit=SIZE_MAX // 1024))
    if (request.content_length or 0) > SIZE_MAX:
        raise too_large
    raw = request.stream.read(SIZE_MAX + 1)
    if len(raw) > SIZE_MAX:
        raise too_large
    return raw


__all__ = ["SIZE_MAX", "Unsupported", "depth", "json_object", "json_value", "only", "parse", "refused"]
