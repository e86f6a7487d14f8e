"""A file as the answer to a request, under a name that every browser can show."""

from __future__ import annotations

from typing import IO, Any

from flask import Response, send_file

from metaloom.base.download import disposition


def sent_file(content: IO[bytes] | Any, media_type: str, name: str, stand_in: str, *, inline: bool = False) -> Response:
    """``content``: a stream or a path. ``stand_in``: see ``disposition``."""
    answer: Response = send_file(content, media_type)
    answer.headers["Content-Disposition"] = disposition(name, stand_in, inline=inline)
    return answer
