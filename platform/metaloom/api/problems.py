"""Errors as ``application/problem+json`` (RFC 9457): code, sentence in the reader's language, problems by field.

A 404 is the same bytes for a record of someone else and for one that never existed; only the header tells the requests
apart (decision 15). A stale version is 412 here, where the screens say 409.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from metaloom.api.speech import locale
from metaloom.base.errors import LoginRequired, MetaloomError, NotFound, Stale, headers_of
from metaloom.base.messages import Message, message

log = logging.getLogger("metaloom.api")
MEDIA_TYPE = "application/problem+json"
_SENTENCES = {404: "error.not_found", 405: "error.method", 413: "api.json_size", 429: "error.too_many"}


def register_problems(blueprint: Blueprint) -> None:
    """Every error below the blueprint becomes a problem document."""
    blueprint.register_error_handler(MetaloomError, told)
    blueprint.register_error_handler(HTTPException, http)
    blueprint.register_error_handler(Exception, unexpected)


def told(error: MetaloomError) -> Response:
    """The answer to an error that a person can be told."""
    status = 412 if isinstance(error, Stale) else error.status
    more: dict[str, Any] = {}
    problems = [{"field": p.field, "message": p.message.say(locale())} for p in getattr(error, "problems", ())]
    if problems:
        more["problems"] = problems
    if isinstance(error, Stale) and error.row_version is not None:
        more["row_version"] = error.row_version
    if isinstance(error, LoginRequired):
        more["login"] = {"method": "POST", "path": login_path(), "header": "Authorization: Bearer"}
    answer = problem(status, error.message, **more)
    answer.headers.update(headers_of(error))
    if isinstance(error, LoginRequired):
        answer.headers["WWW-Authenticate"] = challenge()
    return answer


def login_path() -> str:
    """Where a person of this tenant gets a token."""
    return f"{request.script_root}/api/v1/auth/login"


def challenge() -> str:
    """How to come in: a token in ``Authorization`` (RFC 6750), and where to get one."""
    given = ', error="invalid_token"' if request.headers.get("Authorization") else ""
    return f'Bearer realm="metaloom", login="{login_path()}"{given}'


def http(error: HTTPException) -> Response:
    """The answer to what the web framework refused."""
    if isinstance(error, RequestEntityTooLarge):
        return problem(413, message("storage.file_too_large", limit="-"))
    status = error.code or 500
    if status < 400 and error.response is not None:
        return Response(status=status, headers=error.get_response().headers.to_wsgi_list())
    if status >= 500:
        return unexpected(error)
    answer = told(NotFound()) if status == 404 else problem(status, message(_SENTENCES.get(status, "error.not_possible")))
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    return answer


def unexpected(error: Exception) -> Response:
    """The answer to a mistake of ours: the request id, and nothing of the error."""
    request_id = getattr(g.get("metaloom"), "request_id", "-")
    log.error("unexpected error, request %s %s %s", request_id, request.method, request.path, exc_info=error)
    return problem(500, message("error.unexpected"), request_id=request_id)


def problem(status: int, said: Message, **more: Any) -> Response:
    """A problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": said.code,
            "message": said.say(locale()), **more}
    return Response(json.dumps(body, ensure_ascii=False) + "\n", status, mimetype=MEDIA_TYPE)
