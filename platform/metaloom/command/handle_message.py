"""A message out of the outbox: handed over at most once, and *unknown* where nobody can say.

The message carries its reference from the moment it was written. Before the call it is marked *unknown* in a transaction
of its own; a worker that dies after that leaves it so, and the next one asks the provider what became of the reference
instead of sending again. E-mail knows no such question: an unknown mail stays unknown until a person sends it anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy
from metaloom.command.context import Context
from metaloom.command.handle_call import DEADLINE_SECONDS, in_time, system_context
from metaloom.command.outgoing import ADDRESS
from metaloom.command.providers import environment_for
from metaloom.job.outbox import ATTEMPTS_MAX
from metaloom.message import Box, Reach, mail, plain
from metaloom.message.box import Outgoing
from metaloom.plugin import message_channel
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant

DOOR = "message_channel"


@dataclass(frozen=True)
class Outcome:
    """``status`` of the message from now on. ``again``: the outbox tries once more (to send a message that certainly was not
    sent, or to ask about one of which nobody knows)."""

    status: str
    again: bool = False
    error: str = ""
    provider_no: str = ""


class NotYet(Busy):
    """Nothing certain came back; the outbox tries again after a pause."""


def handle_message(tenant: Tenant, row: Any, *, plugins: Registry | None = None, clock: Clock | None = None,
                   deadline: float = DEADLINE_SECONDS) -> Mapping[str, object] | None:
    """Carries out one outbox row of kind ``message``. None when the message is settled already."""
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id=f"message-{row.payload['id']}")
    with tenant.write() as conn:
        taken = Box(conn, ctx.revision.tables).take(row.payload["id"], ctx.clock.now())
    if taken is None:
        return None
    crash_point("call.after_claim")
    outcome = _sent(ctx, taken, deadline)
    crash_point("call.after_send")
    if outcome.again and row.attempts >= ATTEMPTS_MAX and outcome.status == "queued":
        outcome = Outcome("failed", error=outcome.error)
    _keep(ctx, taken, outcome)
    if outcome.again:
        raise NotYet()
    return {"message": taken.id, "status": outcome.status}


def _keep(ctx: Context, taken: Outgoing, outcome: Outcome) -> None:
    now = ctx.clock.now()
    values: dict[str, Any] = {"status": outcome.status, "error": outcome.error[:1000] or None, "updated_at": now}
    if outcome.status in ("sent", "delivered"):
        values |= {"sent_at": now, "provider_no": outcome.provider_no[:100] or None, "why": None}
    if outcome.status == "delivered":
        values["delivered_at"] = now
    with ctx.tenant.write() as conn:
        Box(conn, ctx.revision.tables).note(taken.id, **values)


def _sent(ctx: Context, taken: Outgoing, deadline: float) -> Outcome:
    sealed = json.loads(ctx.tenant.secrets.decrypt(ADDRESS, taken.sealed))
    reach = Reach.of(ctx.revision.catalog.settings)
    if taken.channel == "email":
        return _mailed(ctx, reach, taken, sealed["address"])
    provider = reach.channels.get(taken.channel)
    if provider is None:
        return Outcome("failed", error="the channel is not set up any more")
    return _carried(ctx, provider, taken, sealed, deadline)


# -- e-mail ---------------------------------------------------------------------------------------------------------------


def _mailed(ctx: Context, reach: Reach, taken: Outgoing, address: str) -> Outcome:
    if not taken.first:
        return Outcome("unknown", error="the connection broke, or the worker ended, while the mail was handed over")
    server = reach.mail
    if server is None:
        return Outcome("failed", error="there is no mail server any more")
    password = ctx.tenant.secrets.get(server.secret) if server.secret else ""
    try:
        composed = mail.compose(server, to=address, subject=taken.subject, body=_with_link(reach, taken), reference=taken.reference,
                                at=ctx.clock.now())
        answer = mail.deliver(server, password or "", composed)
    except mail.NotSent as error:
        return Outcome("queued", again=True, error=str(error))
    except mail.Refused as error:
        return Outcome("failed", error=str(error))
    except mail.Unknown as error:
        return Outcome("unknown", error=str(error))
    return Outcome("sent", provider_no=answer)


def _with_link(reach: Reach, taken: Outgoing) -> str:
    """The text, and below it the way to the record, where the client said under which address it is reached."""
    path = taken.link or (f"/e/{taken.entity}/{taken.record_id}" if taken.record_id is not None else "")
    return f"{taken.body}\n\n{reach.base_url}{path}\n" if reach.base_url and path else taken.body


# -- providers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    ctx: Context
    provider: str
    deadline: float
    payload: Mapping[str, Any] = field(default_factory=dict)

    def make(self, method: str, **payload: Any) -> Mapping[str, Any]:
        """The provider's reply; *unknown* for whatever went wrong."""
        try:
            channel = self.ctx.plugins.provider(DOOR, self.provider, environment_for(self.ctx))
        except (LookupError, ValueError) as error:
            return {"outcome": "absent", "text": str(error)}
        try:
            return in_time(lambda: message_channel.perform(channel, method, payload), self.deadline)
        except Exception as error:
            return message_channel.accident(payload, error)


def _carried(ctx: Context, provider: str, taken: Outgoing, sealed: Mapping[str, Any], deadline: float) -> Outcome:
    call = _Call(ctx, provider, deadline)
    if not taken.first:
        reply = call.make("query", reference=taken.reference)
        if reply["outcome"] != "never_seen":
            return _outcome(reply)
    length = ctx.plugins.provider(DOOR, provider, environment_for(ctx)).length_max() if provider in ctx.plugins.provider_names(DOOR) else 0
    return _outcome(call.make("send", reference=taken.reference, address=sealed["address"], text=plain(taken.body, length or 500),
                              subject=taken.subject, template_code=sealed["template_code"], fields=sealed["fields"]))


def _outcome(reply: Mapping[str, Any]) -> Outcome:
    said = " ".join(filter(None, (str(reply.get("code") or ""), str(reply.get("text") or ""))))
    status = {"accepted": "sent", "delivered": "delivered", "refused": "failed", "absent": "queued"}.get(str(reply["outcome"]), "unknown")
    return Outcome(status, again=status in ("unknown", "queued"), error=said if status in ("failed", "unknown", "queued") else "",
                   provider_no=str(reply.get("provider_no") or ""))
