"""``POST /<tenant>/notice/<provider>``: signed notices of other systems. No login and no cookie: the signature says who it is."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from metaloom.base.errors import NotFound
from metaloom.command.receive_notice import TOO_LONG, receive_notice
from metaloom.plugin.registry import installed
from metaloom.plugin.signed_notice import BODY_MAX, NoticeAnswer, SignedCall

ROOT = "/notice/"
blueprint = Blueprint("notice", __name__)


@blueprint.post(f"{ROOT}<name>")
def receive(name: str) -> Response:
    """One notice; the answer has the words of its provider, and one word for everything that is not signed."""
    here = g.get("metaloom")
    if here is None:
        raise NotFound
    here.release()
    if request.content_length is None or request.content_length > BODY_MAX:
        return _answered(TOO_LONG)
    call = SignedCall(headers={key.lower(): value[:2000] for key, value in request.headers.items()}, body=request.get_data(cache=False))
    return _answered(receive_notice(here.tenant, name[:60], call, plugins=installed(), clock=here.clock, address=request.remote_addr or "",
                                    request_id=here.request_id))


def _answered(said: NoticeAnswer) -> Response:
    return Response(said.body, said.status, content_type=said.content_type, headers={"Cache-Control": "no-store"})
