"""``POST /<tenant>/hook/<name>``: calls of other systems. No login and no cookie: the signature says who it is."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from metaloom.api.answer import answer
from metaloom.base.errors import NotFound
from metaloom.command.receive_webhook import BODY_MAX, Call, receive_webhook
from metaloom.message.post import EVENT, SIGNATURE, TIMESTAMP
from metaloom.plugin.registry import installed

ROOT = "/hook/"
blueprint = Blueprint("hook", __name__)


@blueprint.post(f"{ROOT}<name>")
def receive(name: str) -> Response:
    """One call; the answer is one word with its status, the same for everything that is not signed."""
    here = g.get("metaloom")
    if here is None:
        raise NotFound
    here.release()
    if (request.content_length or 0) > BODY_MAX:
        return answer({"status": "invalid"}, 413)
    call = Call(name[:120], request.get_data(cache=False), request.headers.get(EVENT, "")[:200], request.headers.get(TIMESTAMP, "")[:20],
                request.headers.get(SIGNATURE, "")[:500], request.remote_addr or "",
                {name.lower(): value[:2000] for name, value in request.headers.items()})
    status, word = receive_webhook(here.tenant, call, plugins=installed(), clock=here.clock, request_id=here.request_id)
    return answer({"status": word}, status)
