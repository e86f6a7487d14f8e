"""A person's own messages in the application: what waits, what there is, what was read, what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from metaloom.base.errors import Invalid, LoginRequired, NotFound, Problem
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.command.context import ActionDone, Context
from metaloom.command.unit import Unit, perform
from metaloom.message import Box, Reach
from metaloom.message.box import IN_APP, Note

MARK_MAX = 200

register({
    "message.marked": ("已标为已读。", "Marked as read."),
    "message.preferred": ("消息设置已保存。", "Your message settings were saved."),
    "message.kind.approval.task": ("审批待办", "Approval tasks"),
    "message.kind.approval.copy": ("审批抄送", "Copies of approvals"),
    "message.kind.approval.urged": ("审批催办", "Urged approvals"),
    "message.kind.approval.late": ("审批超时", "Late approvals"),
    "message.kind.approval.result": ("审批结果", "Results of approvals"),
    "message.kind.alert": ("风险预警", "Alerts"),
    "message.kind.job": ("任务结果", "Results of jobs"),
    "message.kind.export": ("导出结果", "Results of exports"),
    "message.kind.import": ("导入结果", "Results of imports"),
    "message.kind.comment": ("评论提醒", "Mentions in comments"),
})

# Kinds that the engine itself speaks of; templates of the packs are kinds too.
ENGINE_KINDS = ("approval.task", "approval.copy", "approval.urged", "approval.late", "approval.result", "alert", "job", "export", "import", "comment")


@dataclass(frozen=True)
class Wish:
    """One line of the preferences: a kind, and for each channel whether the person wants it, may choose, and what holds by itself."""

    kind: str
    label: Text
    important: bool
    channels: Mapping[str, bool]


def my_messages(ctx: Context, conn: sa.Connection, *, unread: bool | None = None, before: int | None = None, limit: int = 20) -> list[Note]:
    """The messages of the person who asks, newest first."""
    return Box(conn, ctx.revision.tables).notes(_me(ctx), unread=unread, before=before, limit=limit)


def my_message(ctx: Context, conn: sa.Connection, id: int) -> Note:
    """One own message; NotFound for anybody else's."""
    found = Box(conn, ctx.revision.tables).notes(_me(ctx), before=id + 1, limit=1)
    if not found or found[0].id != id:
        raise NotFound()
    return found[0]


def read_messages(ctx: Context, ids: Sequence[int] | None = None) -> ActionDone:
    """Marks own messages read: these, or all of them. Other people's ids change nothing and say nothing."""
    if ids is not None and len(ids) > MARK_MAX:
        raise Invalid([Problem("ids", message("record.too_many_values", limit=MARK_MAX))])

    def work(unit: Unit) -> ActionDone:
        Box(unit.conn, unit.tables).mark_read(_me(ctx), ids)
        return ActionDone("platform.message", None, None, message("message.marked"))

    return perform(ctx, "read_messages", [list(ids) if ids is not None else None], work)


def wishes(ctx: Context, conn: sa.Connection) -> list[Wish]:
    """What the person may be told, and on which channels it is wanted."""
    said = Box(conn, ctx.revision.tables).preferences([_me(ctx)]).get(_me(ctx), {})
    found = []
    for kind, label, important, channels in _kinds(ctx):
        wanted = {channel: True if important and by_itself else said.get((kind, channel), by_itself) for channel, by_itself in channels.items()}
        found.append(Wish(kind, label, important, wanted))
    return found


def prefer_messages(ctx: Context, wanted: Mapping[tuple[str, str], bool]) -> ActionDone:
    """Keeps what the person wants, by (kind, channel). What is important stays on; unknown kinds and channels are Invalid."""
    known = {kind: (important, channels) for kind, _, important, channels in _kinds(ctx)}
    wrong = [f"{kind}.{channel}" for kind, channel in wanted if channel not in known.get(kind, (False, {}))[1]]
    if wrong:
        raise Invalid([Problem(name, message("field.unknown")) for name in wrong])
    kept = {(kind, channel): wants for (kind, channel), wants in wanted.items() if wants or not known[kind][0]}

    def work(unit: Unit) -> ActionDone:
        Box(unit.conn, unit.tables).prefer(_me(ctx), kept)
        unit.log(None, None, None, {f"{kind}.{channel}": wants for (kind, channel), wants in kept.items()})
        return ActionDone("platform.message_preference", None, None, message("message.preferred"))

    return perform(ctx, "prefer_messages", [sorted((k, c, w) for (k, c), w in wanted.items())], work)


def _kinds(ctx: Context) -> list[tuple[str, Text, bool, dict[str, bool]]]:
    """Every kind a person may hear of: (kind, words, important, channel → wanted by itself)."""
    reach = Reach.of(ctx.revision.catalog.settings)
    mail = {"email": False} if reach.mail else {}
    names = (message(f"message.kind.{kind}") for kind in ENGINE_KINDS)
    found = [(kind, Text(name.say("zh"), name.say("en")), False, {IN_APP: True, **mail}) for kind, name in zip(ENGINE_KINDS, names, strict=True)]
    told_by_rules = _channels_of_rules(ctx)
    for template in ctx.revision.catalog.messages.values():
        if IN_APP in template.channels:
            by_itself = told_by_rules.get(template.address) or {IN_APP, "email"}
            ways = {channel: channel in by_itself for channel in reach.outside if channel in template.channels}
            found.append((template.address, template.label, template.important, {IN_APP: IN_APP in by_itself, **mail, **ways}))
    return found


def _channels_of_rules(ctx: Context) -> dict[str, set[str]]:
    """By template: the channels on which warning rules tell it to this person by themselves, where they name them."""
    found: dict[str, set[str]] = {}
    held = ctx.actor.role_addresses
    for rule in ctx.revision.catalog.warning_rules.values():
        for receiver in (*rule.receivers, *(r for step in rule.escalate for r in step.to)):
            if receiver.template and receiver.channels and (not receiver.role or receiver.role in held):
                found.setdefault(receiver.template, set()).update(receiver.channels)
    return found


def _me(ctx: Context) -> int:
    if ctx.actor.user_id is None:
        raise LoginRequired()
    return ctx.actor.user_id
