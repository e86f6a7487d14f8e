"""Actions and plugin commands: on a record, on a list; and which of them a record offers now."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api import jobs
from metaloom.api.answer import answer, done, saved
from metaloom.api.body import json_object, only, refused
from metaloom.api.question import no_other_parameters
from metaloom.api.records import context, known_entity, one, reason_of, record_id, wanted_version
from metaloom.api.speech import say
from metaloom.base.messages import message
from metaloom.command import Offered, available_actions, run_action

BODY_KEYS = ("input", "reason")


def act(entity: str, id: str, action: str) -> Response:
    """POST /<entity>/<id>/<action>"""
    no_other_parameters()
    own = jobs.VERBS.get((entity, action))
    if own is not None:
        given = _input(json_object(empty=True))
        only(given, own[1])
        return saved(own[2](context(), record_id(id), given))
    found, key, version = known_entity(entity), record_id(id), wanted_version()
    body = json_object(empty=True)
    return done(run_action(context(), found.address, key, action, _input(body), version, reason=reason_of(body)))


def act_on_list(entity: str, action: str) -> Response:
    """POST /<entity>/<action>: an action that needs no record."""
    no_other_parameters()
    found = known_entity(entity)
    body = json_object(empty=True)
    return done(run_action(context(), found.address, None, action, _input(body), None, reason=reason_of(body)))


def _input(body: dict[str, Any]) -> dict[str, Any]:
    only(body, BODY_KEYS)
    given = body.get("input", {})
    if not isinstance(given, dict):
        raise refused("input", message("api.json_object"))
    return given


def offered(entity: str, id: str) -> Response:
    """GET /<entity>/<id>/actions: the buttons of the detail page, with the reason why one is grey."""
    no_other_parameters()
    found, key = known_entity(entity), record_id(id)
    row = one(found, key)
    return answer({"items": [_button(button) for button in available_actions(context(), found.address, row)]})


def _button(button: Offered) -> dict[str, Any]:
    return {"name": button.name, "label": say(button.label), "enabled": button.enabled, "reason": button.reason,
            "asks": button.asks, "money": button.money, "confirm": say(button.confirm)}
