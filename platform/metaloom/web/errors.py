"""Errors become answers: pages for people, fragments and toasts for htmx; never a stack trace (decision 15)."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, g, make_response, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from metaloom.base.errors import Invalid, LoginRequired, MetaloomError, NotFound, headers_of
from metaloom.base.messages import message
from metaloom.web.current import locale, url

log = logging.getLogger("metaloom.web")

_SENTENCE_OF_STATUS = {
    400: "web.bad_request", 404: "error.not_found", 405: "error.method", 408: "error.busy", 413: "web.too_large", 414: "web.bad_request",
    415: "web.bad_request", 422: "web.bad_request", 429: "error.too_many", 431: "web.bad_request",
}


def register_error_pages(app: Flask) -> None:
    """Answer every error of the screens; the API answers its own below ``/api/``."""
    app.register_error_handler(MetaloomError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def wants_fragment() -> bool:
    return request.headers.get("HX-Request") == "true"


def _known(error: MetaloomError) -> AnyResponse:
    if isinstance(error, LoginRequired):
        return login_redirect()
    answer = error_answer(error.status, error.message.say(locale()), problems=getattr(error, "problems", ()))
    answer.headers.update(headers_of(error))
    return answer


def login_redirect() -> AnyResponse:
    """To the login page and back; htmx and other script requests get 401 and are sent there by the browser."""
    here = request.script_root + (request.full_path.rstrip("?") if request.method == "GET" and not wants_fragment() else "/")
    target = f"{url('/login/')}?next={_quoted(here)}"
    if wants_fragment() or request.accept_mimetypes.best == "application/json":
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = url("/login/")
        return answer
    return redirect(target)


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/")


def _http(error: HTTPException) -> AnyResponse:
    if error.code is not None and error.code < 400:
        return error.get_response()
    status = error.code or 500
    if status >= 500:
        return _unexpected(error)
    sentence = message(_SENTENCE_OF_STATUS.get(status, "web.bad_request")).say(locale())
    answer = error_answer(status, sentence)
    allow = getattr(error, "valid_methods", None)
    if status == 405 and allow:
        answer.headers["Allow"] = ", ".join(sorted(allow))
    return answer


def _unexpected(error: Exception) -> AnyResponse:
    pinned = g.get("metaloom")
    log.error("unexpected error, request %s %s %s", getattr(pinned, "request_id", "-"), request.method, request.path, exc_info=error)
    sentence = message("error.unexpected").say(locale())
    try:
        return error_answer(500, sentence)
    except Exception:  # the page itself cannot be drawn: say the least
        log.exception("the error page could not be drawn")
        return Response(f"{sentence} {getattr(pinned, 'request_id', '')}", 500, mimetype="text/plain")


def error_answer(status: int, sentence: str, problems: Any = ()) -> Response:
    """The page, or for htmx a toast that replaces nothing."""
    pinned = g.get("metaloom")
    request_id = getattr(pinned, "request_id", "")
    if wants_fragment():
        answer = make_response(render_template("parts/error_fragment.html", sentence=sentence, request_id=request_id, status=status,
                                               problems=[p.message.say(locale()) for p in problems]), status)
        answer.headers["HX-Retarget"] = "#toasts"
        answer.headers["HX-Reswap"] = "beforeend"
        return answer
    heading = message(f"web.heading.{status if status in _HEADINGS else 400}").say(locale())
    # The body of a refused page holds the request id only where it must be told to someone (decision 15: 404 bodies are alike).
    shown = request_id if status >= 500 else ""
    return make_response(render_template("pages/error.html", status=status, heading=heading, sentence=sentence, request_id=shown,
                                         actor=_actor_or_none(), problems=[p.message.say(locale()) for p in problems]), status)


_HEADINGS = frozenset({400, 401, 403, 404, 405, 409, 413, 428, 429, 500, 503})


def _actor_or_none() -> Any:
    """The person, for the frame around the page; an error while asking leaves the bare page."""
    try:
        return g.metaloom.actor
    except Exception:
        return None


__all__ = ["Invalid", "NotFound", "error_answer", "login_redirect", "register_error_pages", "wants_fragment"]
