"""The bell, its panel, the list of a person's messages, and what the person wants to be told.

What a message says was decided for its receiver when it was written; where it leads is judged anew when it is opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command.context import Context, Saved
from metaloom.command.my_messages import ENGINE_KINDS
from metaloom.message import Reach
from metaloom.message.box import Note
from metaloom.model import Catalog, Field, FieldType
from metaloom.web import i18n
from metaloom.web.cells import WORDS
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.errors import wants_fragment
from metaloom.web.frame import json_answer, record_url, toast
from metaloom.web.own import Own, Verb, register
from metaloom.web.words import whole

blueprint = Blueprint("message", __name__)
PANEL, PAGE = 8, 30
SHOWN = {"": None, "unread": True, "read": False}
INSIDE = re.compile(r"/(?![/\\])[^\s\\]*")
_MESSAGE, _DELIVERY = "platform.message", "platform.webhook_delivery"


@dataclass(frozen=True)
class Line:
    """A message as a line."""

    note: Note
    kind: str
    at: str
    leads: bool


@blueprint.get("/message/count")
def count() -> Any:
    """What waits, asked for by the page itself now and then: it is no visit of the person, and unchanged it is 304."""
    g.by_itself = True
    pinned = current()
    found = command.waiting(pinned.looking(), pinned.conn)
    answer = json_answer({"unread": found.unread, "todo": found.todo})
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.set_etag(f"{pinned.actor.user_id}-{found.unread}-{found.todo}-{found.newest}")
    return answer.make_conditional(request)


@blueprint.get("/message/panel")
def panel() -> Any:
    """The latest messages, below the bell."""
    pinned = current()
    return render_template("message/panel.html", lines=_lines(pinned, command.my_messages(pinned.looking(), pinned.conn, limit=PANEL)))


@blueprint.get("/message/")
def show_list() -> Any:
    """All messages of the person, newest first."""
    pinned = current()
    shown = request.args.get("show", "unread")
    if shown not in SHOWN:
        shown = ""
    notes = command.my_messages(pinned.looking(), pinned.conn, unread=SHOWN[shown], before=_number(request.args.get("before")), limit=PAGE + 1)
    return render_template("message/list.html", lines=_lines(pinned, notes[:PAGE]), shown=shown, here_page="message",
                           more=notes[PAGE - 1].id if len(notes) > PAGE else None, crumbs=[(_t("note.title"), None)])


@blueprint.post("/message/<int:id>/open")
def open_message(id: int) -> Any:
    """Marks a message read and goes where it leads; the page there asks for rights anew."""
    pinned = current()
    note = command.my_message(pinned.looking(), pinned.conn, id)
    command.read_messages(pinned.context(), [note.id])
    return redirect(_goal(note) or url("/message/?show="))


@blueprint.post("/message/read")
def mark() -> Any:
    """Marks messages read: those named, or all."""
    ids = [number for text in request.form.getlist("id") if (number := _number(text)) is not None]
    if not ids and not request.form.get("all"):
        raise Invalid([Problem("id", message("web.bad_request"))])
    pinned = current()
    done = command.read_messages(pinned.context(), None if request.form.get("all") else ids)
    if wants_fragment():
        answer = make_response("", 204)
        answer.headers["HX-Refresh"] = "true"
        return answer
    return toast(redirect(url("/message/")), done.message.say(locale()), "ok")


@blueprint.get("/message/settings")
def settings() -> Any:
    """What the person wants to be told, and how."""
    pinned = current()
    wishes = command.wishes(pinned.looking(), pinned.conn)
    reach = Reach.of(pinned.catalog.settings)
    channels = list(dict.fromkeys(channel for wish in wishes for channel in wish.channels))
    quiet = tuple(hour.strftime("%H:%M") for hour in reach.quiet) if reach.quiet else None
    return render_template("message/settings.html", wishes=wishes, channels=channels, quiet=quiet,
                           crumbs=[(_t("note.title"), url("/message/")), (_t("note.settings"), None)])


@blueprint.post("/message/settings")
def save_settings() -> Any:
    """Keeps them. A box that is not ticked is a no; what is important stays a yes."""
    pinned = current()
    wishes = command.wishes(pinned.looking(), pinned.conn)
    ticked = set(request.form.getlist("want"))
    wanted = {(wish.kind, channel): f"{wish.kind}|{channel}" in ticked for wish in wishes for channel in wish.channels}
    done = command.prefer_messages(pinned.context(), wanted)
    return toast(redirect(url("/message/settings")), done.message.say(locale()), "ok")


def _t(key: str) -> str:
    return i18n.translator(site().templates, locale())(key)


def _lines(pinned: Current, notes: list[Note]) -> list[Line]:
    return [Line(note, _kind(pinned.catalog, note.kind), note.created_at.astimezone(pinned.zone).strftime("%Y-%m-%d %H:%M"), bool(_goal(note)))
            for note in notes]


def _kind(catalog: Catalog, kind: str) -> str:
    """The words for a kind: a template's, an action's, or one of the engine's."""
    if kind in catalog.messages:
        return say(catalog.messages[kind].label)
    entity, _, name = kind.partition("/action/")
    action = catalog.actions.get(f"{entity}/{name}")
    if action is not None:
        return say(action.label)
    return message(f"message.kind.{kind}").say(locale()) if kind in ENGINE_KINDS else ""


def kind_words(pinned: Current, kind: str, row: Any = None) -> str:
    """A kind in words, for the log; the code of one that is gone."""
    return _kind(pinned.catalog, kind) or kind


def _hook_words(pinned: Current, address: str, row: Any = None) -> str:
    hook = pinned.catalog.webhooks.get(address)
    return say(hook.label) if hook is not None else address


def _event_words(pinned: Current, event: str, row: Any) -> str:
    """``transition:settle`` and ``action:freeze`` by their labels, ``created`` and the like by what people call it."""
    kind, _, name = event.partition(":")
    entity = str(row.values.get("entity") or "")
    lifecycle = pinned.catalog.lifecycles.get(entity)
    found = lifecycle.transitions.get(name) if kind == "transition" and lifecycle is not None else pinned.catalog.actions.get(f"{entity}/{name}")
    said = say(found.label) if found is not None and found.label is not None else ""
    return said or (_t(f"hook.event.{event}") if event in ("created", "changed", "archived") else event)


WORDS[_MESSAGE, "kind"] = WORDS[_MESSAGE, "template"] = kind_words
for _hooks in (_DELIVERY, "platform.webhook_call"):
    WORDS[_hooks, "webhook"] = _hook_words
WORDS[_DELIVERY, "event"] = _event_words


def _goal(note: Note) -> str:
    """Where a message leads, inside this tenant; empty for nowhere."""
    if note.link and INSIDE.fullmatch(note.link):
        return url(note.link)
    return record_url(note.entity, note.record_id) if note.entity and note.record_id is not None else ""


def _number(text: str | None) -> int | None:
    return whole(text or "")


# -- the log of what was sent, on the generic screens ------------------------------------------------------------------------


def _reason(catalog: Catalog) -> dict[str, Field]:
    return {"reason": Field("reason", FieldType.TEXT, Text("原因", "Reason"), length=500, required=True)}


def _again(pinned: Current, row: Any) -> bool:
    return row.values.get("channel") != "in_app" and row.values.get("status") != "queued"


def _resend(ctx: Context, id: int, values: Any, version: int | None) -> Saved:
    done = command.resend_message(ctx, id, str(values.get("reason") or ""))
    return Saved(_MESSAGE, id, version or 1, "", done.message)


register(_MESSAGE, Own(verbs={"resend": Verb(
    "resend", Text("重新发送", "Send again"), "send", (_MESSAGE, "edit"), _resend, _reason, _again, asks=True,
    confirm=Text("对方可能再次收到同一条消息。", "The receiver may get the same message a second time."))}))


def _redeliver(ctx: Context, id: int, values: Any, version: int | None) -> Saved:
    done = command.redeliver_webhook(ctx, id, str(values.get("reason") or ""))
    return Saved(_DELIVERY, id, version or 1, "", done.message)


register(_DELIVERY, Own(verbs={"redeliver": Verb(
    "redeliver", Text("重新发送", "Deliver again"), "send", (_DELIVERY, "edit"), _redeliver, _reason,
    lambda pinned, row: row.values.get("status") != "queued", asks=True)}))
