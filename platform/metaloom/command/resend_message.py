"""Sending a message once more, on the word of a person: a new message with a reference of its own."""

from __future__ import annotations

import json

from metaloom.base.errors import Invalid, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.outgoing import ADDRESS, Letter, post_letters
from metaloom.command.unit import Unit, perform, permit
from metaloom.message import Box

MESSAGE = "platform.message"
RIGHT = "edit"
AGAIN = frozenset({"failed", "unknown", "suppressed", "sent", "delivered"})

register({
    "message.resent": ("已重新发送。", "It is being sent again."),
    "message.resend_in_app": ("站内消息不需要重发。", "A message in the application is not sent again."),
    "message.resend_queued": ("这条消息还在等待发送。", "This message is still waiting to be sent."),
    "message.resend_important": ("该地址已退订，不能重发。", "The address opted out; it cannot be sent again."),
    "message.collected": ("已收取 {count} 条回执。", "{count} receipts were stored."),
})


def resend_message(ctx: Context, id: int, reason: str) -> ActionDone:
    """Sends a message that left the house once more. The right is ``edit`` on ``platform.message``; a reason is asked for.

    NotPossible for messages of the application, for one that is still queued, and where the address opted out meanwhile.
    """
    return perform(ctx, "resend_message", [id, reason], lambda unit: resend_in(unit, id), reason=reason)


def resend_in(unit: Unit, message_id: int) -> ActionDone:
    """The same inside a running unit."""
    permit(unit, MESSAGE, RIGHT)
    if not unit.ctx.system and RIGHT not in rows.standing(unit, MESSAGE, message_id)[0]:
        raise NotFound()
    if not unit.reason.strip():
        raise Invalid([Problem("reason", message("command.reason_missing"))])
    old = Box(unit.conn, unit.tables).stored(message_id)
    if old is None:
        raise NotFound()
    if old["channel"] == "in_app":
        raise NotPossible(message("message.resend_in_app"))
    if old["status"] not in AGAIN:
        raise NotPossible(message("message.resend_queued"))
    sealed = json.loads(unit.ctx.tenant.secrets.decrypt(ADDRESS, old["sealed"]))
    letter = Letter(
        channel=old["channel"], address=sealed["address"], kind=old["kind"], template=old["template"] or "", subject=old["subject"],
        body=old["body"] or "", receiver=old["receiver_id"], entity=old["entity"] or "", record_id=old["record_id"], link=old["link"] or "",
        urgent=bool(old["urgent"]), template_code=sealed["template_code"], fields=sealed["fields"], resend_of=message_id,
        important=_is_important(unit, old["template"]))
    new = post_letters(unit, [letter])[0]
    made = Box(unit.conn, unit.tables).stored(new)
    assert made is not None
    if made["why"] == "opt_out":
        raise NotPossible(message("message.resend_important"))
    unit.log(unit.entity(MESSAGE), message_id, None, {"status": made["status"], "resend_of": message_id, "reference": made["reference"]})
    return ActionDone(MESSAGE, new, 1, message("message.resent"))


def _is_important(unit: Unit, template: str | None) -> bool:
    known = unit.catalog.messages.get(template or "")
    return known is not None and known.important
