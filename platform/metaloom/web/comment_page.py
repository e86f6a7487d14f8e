"""Saying something about a record: what the timeline of its page sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotFound, Problem
from metaloom.command.comment import TEXT_MAX
from metaloom.web.current import Current, current, locale
from metaloom.web.detail_page import MAX_ID
from metaloom.web.errors import wants_fragment
from metaloom.web.file_page import file_facts
from metaloom.web.frame import json_answer, record_url, toast
from metaloom.web.timeline import timeline_panel
from metaloom.web.words import form_ids, whole

blueprint = Blueprint("comment", __name__)


@blueprint.get("/e/<entity>/<int:id>/comments/people")
def people(entity: str, id: int) -> Any:
    """Colleagues whose name begins so and who read the record, for the picker behind @."""
    pinned = _pinned(entity, id)
    hits = command.people_to_mention(pinned.looking(), pinned.conn, entity, id, request.args.get("q", "").strip())
    return json_answer({"items": [{"id": str(hit.id), "title": hit.title, "subtitle": hit.subtitle} for hit in hits]})


@blueprint.post("/e/<entity>/<int:id>/comments")
def add(entity: str, id: int) -> Any:
    """Say it; the timeline comes back with it on top."""
    pinned = _pinned(entity, id)
    try:
        done = command.add_comment(pinned.context(), entity, id, _given())
    except Invalid as wrong:
        return _wrong(pinned, entity, id, None, wrong.problems)
    return _after(pinned, entity, id, done)


@blueprint.get("/e/<entity>/<int:id>/comments/<int:comment>")
def ask(entity: str, id: int, comment: int) -> Any:
    """The words once more in a field, as long as they may be changed."""
    pinned = _pinned(entity, id)
    one = _one(pinned, entity, id, comment)
    if not command.may_change_comment(pinned.looking(), one):
        raise NotFound
    return render_template("detail/comment_form.html", **_form(pinned, entity, id, one, ()))


@blueprint.post("/e/<entity>/<int:id>/comments/<int:comment>")
def change(entity: str, id: int, comment: int) -> Any:
    """Change it, or take it back (``do=remove``)."""
    pinned = _pinned(entity, id)
    if request.form.get("do") == "remove":
        return _after(pinned, entity, id, command.remove_comment(pinned.context(), entity, id, comment))
    try:
        done = command.change_comment(pinned.context(), entity, id, comment, _given(), whole(request.form.get("_version", "")))
    except Invalid as wrong:
        return _wrong(pinned, entity, id, comment, wrong.problems)
    return _after(pinned, entity, id, done)


def _pinned(entity: str, id: int) -> Current:
    pinned = current()
    if not pinned.entity(entity).comments or id > MAX_ID:
        raise NotFound
    return pinned


def _one(pinned: Current, entity: str, id: int, comment: int) -> Any:
    found = command.comments_of(pinned.looking(), pinned.conn, entity, id, before=min(comment, MAX_ID - 1) + 1, limit=1)
    if not found or found[0].id != comment:
        raise NotFound
    return found[0]


def _given() -> dict[str, Any]:
    """The words as they were typed; of the picked colleagues those whose name still stands in them."""
    text = request.form.get("text", "")
    picked = [part.partition(":") for part in request.form.getlist("mention")]
    mentions = form_ids([id for id, _, name in picked if name and f"@{name}" in text])
    return {"text": text, "mentions": mentions, "files": form_ids(request.form.get("files", "").split(","))}


def _form(pinned: Current, entity: str, id: int, one: Any, problems: Sequence[Problem]) -> dict[str, Any]:
    sent = request.form if request.method == "POST" else None
    return {
        "post": record_url(entity, id, "/comments" + (f"/{one.id}" if one is not None else "")), "people": record_url(entity, id, "/comments/people"),
        "text": sent.get("text", "") if sent is not None else one.text, "version": one.row_version if one is not None else "", "text_max": TEXT_MAX,
        "mentions": [f"{user}:{name}" for user, name in one.mentions.items()] if sent is None else sent.getlist("mention"),
        "files": [{"id": f.id, "name": f.name} for f in one.files] if sent is None else tuple(
            file_facts(pinned, form_ids(sent.get("files", "").split(","))).values()), "one": one,
        "cancel": record_url(entity, id, "/tab/timeline"),
        "problems": [p.message.say(locale()) for p in problems]}


def _wrong(pinned: Current, entity: str, id: int, comment: int | None, problems: Sequence[Problem]) -> Any:
    """What is wrong with it, where it was typed; without scripts as a sentence on the record's page."""
    if not wants_fragment():
        return toast(redirect(record_url(entity, id, "?tab=timeline"), 303), " ".join(p.message.say(locale()) for p in problems), "bad")
    try:
        one = _one(pinned, entity, id, comment) if comment is not None else None
    except MetaloomError:
        one = None
    shown = render_template("detail/comment_form.html", **_form(pinned, entity, id, one, problems))
    return shown, 200, {"HX-Retarget": "closest form", "HX-Reswap": "outerHTML"}


def _after(pinned: Current, entity: str, id: int, done: Any) -> Any:
    if not wants_fragment():
        return toast(redirect(record_url(entity, id, "?tab=timeline"), 303), done.message.say(locale()))
    row = pinned.reader.get(entity, id)
    return timeline_panel(pinned, pinned.entity(entity), row)
