"""The eye beside a masked value: asks why, then shows it once, in a dialog that keeps nothing."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, NotFound
from metaloom.command.unmask_field import REASON_MAX
from metaloom.model import FieldLevel
from metaloom.web.current import Current, current, locale, say
from metaloom.web.detail_page import MAX_ID
from metaloom.web.frame import record_url

blueprint = Blueprint("unmask", __name__)


@blueprint.get("/e/<entity>/<int:id>/unmask/<field>")
def ask(entity: str, id: int, field: str) -> Any:
    """The reason is asked first."""
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    row = pinned.reader.get(entity, id, children=False)
    if "unmask" not in row.actions:
        raise NotAllowed(pinned.plan.may(entity, "unmask").reason if not pinned.plan.may(entity, "unmask") else None)
    if field not in definition.fields or row.levels.get(field, FieldLevel.HIDDEN) is not FieldLevel.MASKED:
        raise NotFound
    return _dialog(pinned, entity, id, field)


@blueprint.post("/e/<entity>/<int:id>/unmask/<field>")
def see(entity: str, id: int, field: str) -> Any:
    """The whole value."""
    pinned = current()
    pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    try:
        done = command.unmask_field(pinned.context(), entity, id, field, request.form.get("reason", "")[:2000])
    except Invalid as wrong:
        return _dialog(pinned, entity, id, field, problems=[p.message.say(locale()) for p in wrong.problems]), 422
    return _dialog(pinned, entity, id, field, value=str(done.results["value"]), shown=True)


def _dialog(pinned: Current, entity: str, id: int, field: str, **more: Any) -> str:
    label = say(pinned.catalog.entities[entity].fields[field].label)
    return render_template("detail/unmask.html", label=label, post=record_url(entity, id, f"/unmask/{field}"),
                           reason=request.form.get("reason", ""), reason_max=REASON_MAX, **{"problems": (), "value": "", "shown": False, **more})
