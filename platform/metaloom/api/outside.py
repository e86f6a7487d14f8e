"""``POST /<tenant>/hook/<name>`` and ``POST /<tenant>/notice/<provider>``: what other systems tell us.

No login and no cookie: the signature says who it is. Both go one way (`command/receive_call.py`).
"""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from metaloom.base.errors import NotFound
from metaloom.command.receive_call import HOOK, NOTICE, TOO_LONG, receive_call, said
from metaloom.plugin.registry import installed
from metaloom.plugin.signed_notice import BODY_MAX, NoticeAnswer, SignedCall

ROOTS = (f"/{HOOK}/", f"/{NOTICE}/")
blueprint = Blueprint("outside", __name__)


@blueprint.post(f"/{HOOK}/<name>")
def hook(name: str) -> Response:
    """A call for a webhook; the answer is one word with its status, the same for everything that is not signed."""
    return _receive(HOOK, name)


@blueprint.post(f"/{NOTICE}/<name>")
def notice(name: str) -> Response:
    """A notice in a provider's own form; the answer has the words of its provider."""
    return _receive(NOTICE, name)


def _receive(way: str, name: str) -> Response:
    here = g.get("metaloom")
    if here is None:
        raise NotFound
    here.release()
    if (request.content_length or 0) > BODY_MAX:
        return _answered(said(TOO_LONG))
    body = _body()
    if len(body) > BODY_MAX:
        return _answered(said(TOO_LONG))
    call = SignedCall(headers={key.lower(): value[:2000] for key, value in request.headers.items()}, body=body)
    return _answered(receive_call(here.tenant, way, name[:120], call, plugins=installed(), clock=here.clock, address=request.remote_addr or "",
                                  request_id=here.request_id))


def _body() -> bytes:
    """What was sent, at most one byte more than is allowed: a call in chunks says no length beforehand."""
    parts, left = [], BODY_MAX + 1
    while left and (part := request.stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _answered(answer: NoticeAnswer) -> Response:
    return Response(answer.body, answer.status, content_type=answer.content_type, headers={"Cache-Control": "no-store"})
