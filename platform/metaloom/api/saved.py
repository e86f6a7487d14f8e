"""Lists that people keep: the search, order and columns of a list under a name, for oneself or shared."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer, told
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context, known_entity, plugins, record_id
from metaloom.api.speech import locale
from metaloom.base.errors import NotFound
from metaloom.base.messages import message
from metaloom.command import change_saved_list, forget_saved_list, may_change, save_list, saved_list, saved_lists
from metaloom.command.context import Context
from metaloom.record.saved_lists import SavedList

VALUES = ("name", "query", "columns", "shared", "roles")
SHARED = ("nobody", "roles", "everybody")


def list_saved() -> Response:
    """GET /saved?entity=…&list=…"""
    given = no_other_parameters(("entity", "list"))
    entity = known_entity(given.get("entity", ""))
    return answer({"items": [_out(one) for one in saved_lists(context_now(), pinned().conn, entity.address, given.get("list") or "main")]})


def read_saved(id: str) -> Response:
    """GET /saved/<id>"""
    no_other_parameters()
    return answer(_out(saved_list(context_now(), pinned().conn, record_id(id))))


def create_saved() -> Response:
    """POST /saved"""
    no_other_parameters()
    body = json_object()
    only(body, ("entity", "list", *VALUES))
    entity, name = body.get("entity"), body.get("list", "main")
    if not isinstance(entity, str) or not isinstance(name, str):
        raise refused("entity", message("record.not_text"))
    done = save_list(context(), known_entity(entity).address, name, {key: body[key] for key in VALUES if key in body})
    return answer({"id": done.id, "message": told(done)}, 201)


def change_saved(id: str) -> Response:
    """PATCH /saved/<id>"""
    no_other_parameters()
    key, body = record_id(id), json_object()
    only(body, VALUES)
    done = change_saved_list(context(), key, body)
    return answer({"id": done.id, "message": told(done)})


def delete_saved(id: str) -> Response:
    """DELETE /saved/<id>"""
    no_other_parameters()
    key = record_id(id)
    only(json_object(empty=True), ())
    done = forget_saved_list(context(), key)
    return answer({"id": done.id, "message": told(done)})


def context_now() -> Context:
    """The context of a question: the request's own read transaction stays open."""
    here = pinned()
    return Context(tenant=here.tenant, revision=here.revision, actor=here.actor, plan=here.plan, channel=here.channel, locale=locale(), clock=here.clock,
                   request_id=here.request_id, plugins=plugins())


def _out(one: SavedList) -> dict[str, Any]:
    if one.entity not in pinned().catalog.entities:
        raise NotFound
    return {"id": one.id, "entity": one.entity, "list": one.list, "name": one.name, "own": one.owner_id == pinned().actor.user_id, "shared": one.shared,
            "roles": list(one.roles), "query": {key: list(values) for key, values in one.query.items()}, "columns": list(one.columns),
            "left_out": one.left_out, "may_change": may_change(context_now(), one)}
