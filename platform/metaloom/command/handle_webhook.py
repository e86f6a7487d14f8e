"""A delivery out of the outbox, and delivering once more on the word of a person.

A receiver may get an event twice (after a time-out): it carries the same event id, and the receiver keeps one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaloom.base.clock import Clock, SystemClock
from metaloom.base.errors import Busy, Invalid, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.handle_call import in_time, system_context
from metaloom.command.tell_webhooks import BODY, put_delivery
from metaloom.command.unit import Unit, perform, permit
from metaloom.job.outbox import ATTEMPTS_MAX
from metaloom.message import post
from metaloom.message.hooks import Hooks
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant

DELIVERY, RIGHT = "platform.webhook_delivery", "edit"
DEADLINE = 15.0

register({
    "webhook.redelivered": ("已重新发送。", "It is being delivered again."),
    "webhook.queued": ("这条回调还在等待发送。", "This delivery is still waiting."),
    "webhook.gone": ("回调“{name}”已不存在或已停用。", "The webhook “{name}” is gone or switched off."),
})


class NotYet(Busy):
    """The other system did not take it; the outbox tries again after a pause."""


def handle_webhook(tenant: Tenant, row: Any, *, plugins: Registry | None = None, clock: Clock | None = None) -> Mapping[str, object] | None:
    """Carries out one outbox row of kind ``webhook``. After the last try the delivery is dead, and a person may send it again."""
    number = row.payload["id"]
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id=f"webhook-{number}")
    with tenant.read() as conn:
        found = Hooks(conn, ctx.revision.tables).delivery(number)
    if found is None or found["status"] != "queued":
        return None
    now = ctx.clock.now()
    values: dict[str, Any] = {"tries": found["tries"] + 1, "updated_at": now, "error": None}
    try:
        values |= {"status": "delivered", "answer_status": _delivered(ctx, found), "delivered_at": now}
    except post.NotDelivered as error:
        dead = error.for_good or row.attempts >= ATTEMPTS_MAX
        values |= {"status": "dead" if dead else "queued", "answer_status": error.status or None, "error": error.why}
    with tenant.write() as conn:
        Hooks(conn, ctx.revision.tables).note(number, **values)
    if values["status"] == "queued":
        raise NotYet()
    return {"delivery": number, "status": values["status"]}


def _delivered(ctx: Context, found: Mapping[str, Any]) -> int:
    hook = ctx.revision.catalog.webhooks.get(found["webhook"])
    if hook is None or hook.out is None or not hook.enabled:
        raise post.NotDelivered("the webhook is gone or switched off", for_good=True)
    out, secret = hook.out, ctx.tenant.secrets.get(hook.out.secret_ref)
    if not secret:
        raise post.NotDelivered("the secret is not set")
    body = ctx.tenant.secrets.decrypt(BODY, found["body"]).encode()
    allowed = ctx.revision.catalog.settings.get("webhook_hosts")
    timestamp = int(ctx.clock.now().timestamp())
    try:
        return in_time(lambda: post.deliver(out.url, body, secret=secret, event_id=found["event_id"], timestamp=timestamp,
                                            allowed=allowed if isinstance(allowed, Sequence) else ()), DEADLINE)
    except TimeoutError:
        raise post.NotDelivered("no answer in time") from None


def redeliver_webhook(ctx: Context, id: int, reason: str) -> ActionDone:
    """Delivers an event once more under its own event id. The right is ``edit`` on ``platform.webhook_delivery``; with a reason."""
    return perform(ctx, "redeliver_webhook", [id, reason], lambda unit: _redeliver(unit, id), reason=reason)


def _redeliver(unit: Unit, number: int) -> ActionDone:
    permit(unit, DELIVERY, RIGHT)
    if not unit.ctx.system and RIGHT not in rows.standing(unit, DELIVERY, number)[0]:
        raise NotFound()
    if not unit.reason.strip():
        raise Invalid([Problem("reason", message("command.reason_missing"))])
    hooks = Hooks(unit.conn, unit.tables)
    old = hooks.delivery(number, lock=True)
    if old is None:
        raise NotFound()
    if old["status"] == "queued":
        raise NotPossible(message("webhook.queued"))
    hook = unit.catalog.webhooks.get(old["webhook"])
    if hook is None or hook.out is None or not hook.enabled:
        raise NotPossible(message("webhook.gone", name=old["webhook"]))
    new = hooks.queue(webhook=old["webhook"], event=old["event"], event_id=old["event_id"], entity=old["entity"], record_id=old["record_id"],
                      body=old["body"], resend_of=number, created_at=unit.now, updated_at=unit.now)
    put_delivery(unit, new)
    unit.log(unit.entity(DELIVERY), number, None, {"resend_of": number, "event_id": old["event_id"]})
    return ActionDone(DELIVERY, new, 1, message("webhook.redelivered"))
