"""A call from another system: signed, fresh, once; then an action with the rights of a declared role.

Whoever cannot sign learns nothing: an unknown name, a missing secret, a wrong signature and an old one have one answer.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from metaloom.access import AccessPlan, Actor
from metaloom.access.actor import Assignment
from metaloom.base.errors import Busy, Conflict, Invalid, MetaloomError, NotFound, Problem
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.approval_people import People
from metaloom.command.context import ActionDone, Context
from metaloom.command.handle_call import system_context
from metaloom.command.inputs import read_fields
from metaloom.command.providers import environment_for
from metaloom.command.run_action import action_in
from metaloom.command.unit import Unit, perform
from metaloom.compile import values_scope
from metaloom.message import post
from metaloom.message.hooks import Hooks
from metaloom.model import HookIn, Webhook
from metaloom.storage import Tenant, rate

EVENT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
BODY_MAX = 65_536
DONE, UNSIGNED, WRONG, IMPOSSIBLE, TOO_MANY, LATER = (200, "done"), (401, "unsigned"), (400, "invalid"), (409, "not_possible"), (429, "too_many"), (503, "busy")
Answer = tuple[int, str]
log = logging.getLogger("metaloom.hook")


@dataclass(frozen=True)
class Call:
    """One request as it came in; ``headers`` by name in small letters, ``address`` of the sender."""

    name: str
    body: bytes
    event_id: str
    timestamp: str
    signature: str
    address: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def receive_webhook(tenant: Tenant, call: Call, *, plugins: Any, clock: Any, request_id: str = "") -> Answer:
    """The status and word of the answer. The same event again is answered as done without doing it again."""
    ctx = system_context(tenant, plugins=plugins, clock=clock, request_id=request_id, run_as=f"hook:{call.name}"[:60])
    hook = _known(ctx, call.name)
    if hook is None or hook.into is None:
        return UNSIGNED
    try:
        if _too_many(ctx, hook, hook.into, call):
            return TOO_MANY
        if hook.into.door:
            read = _read_by_provider(ctx, hook.into, call)
            return _answer(ctx, hook, hook.into, read) if read is not None else UNSIGNED
        if not _is_genuine(ctx, hook.into, call):
            return UNSIGNED
        return _answer(ctx, hook, hook.into, call)
    except Busy:
        return LATER


def _known(ctx: Context, name: str) -> Webhook | None:
    """The webhook by its address, or by its name where only one pack has it."""
    hooks = ctx.revision.catalog.webhooks
    found = [hooks[name]] if name in hooks else [hook for hook in hooks.values() if hook.name == name]
    return found[0] if len(found) == 1 and found[0].into is not None and found[0].enabled else None


def _too_many(ctx: Context, hook: Webhook, into: HookIn, call: Call) -> bool:
    with ctx.tenant.write() as conn:
        counted = rate.count(conn, rate.counter("hook", hook.address, call.address), ctx.clock.now(), timedelta(minutes=1))
    return counted.hits > into.per_minute


def _is_genuine(ctx: Context, into: HookIn, call: Call) -> bool:
    """A right signature over id, time and body, not older (nor newer) than the window."""
    secret = ctx.tenant.secrets.get(into.secret_ref)
    stamp = int(call.timestamp) if re.fullmatch(r"[0-9]{1,12}", call.timestamp, re.ASCII) else 0
    signed = post.is_signed(secret or "-", call.event_id, stamp, call.body, call.signature)
    fresh = abs(int(ctx.clock.now().timestamp()) - stamp) <= into.window
    return bool(secret) and signed and fresh and EVENT_ID.fullmatch(call.event_id) is not None


def _read_by_provider(ctx: Context, into: HookIn, call: Call) -> Call | None:
    """The call as the provider reads it, when its signature and time hold; None for everything else, whatever went wrong."""
    try:
        provider = ctx.plugins.provider(into.door, into.provider, environment_for(ctx))
        found = provider.notice(call.headers, call.body)
        body = json.dumps(dict(found.values), ensure_ascii=False).encode()
    except Exception as error:  # what anybody on the network can send must not tell anything
        log.warning("a call to %s was not read by %s/%s: %s", call.name, into.door, into.provider, type(error).__name__)
        return None
    return replace(call, event_id=found.event_id, body=body) if EVENT_ID.fullmatch(found.event_id) else None


def _answer(ctx: Context, hook: Webhook, into: HookIn, call: Call) -> Answer:
    if _done_before(ctx, hook, call):
        return DONE
    try:
        _act(ctx, hook, into, call)
    except Busy:
        raise
    except MetaloomError as error:
        if _done_before(ctx, hook, call):  # the same event at the same moment: the other one did it
            return DONE
        _refused(ctx, hook, call, error)
        return WRONG if isinstance(error, Invalid) else IMPOSSIBLE
    return DONE


def _done_before(ctx: Context, hook: Webhook, call: Call) -> bool:
    with ctx.tenant.write() as conn:
        hooks = Hooks(conn, ctx.revision.tables)
        earlier = hooks.call(hook.address, call.event_id)
        if earlier is None or earlier["status"] != "done":
            return False
        hooks.repeated(earlier["id"])
        return True


def _act(ctx: Context, hook: Webhook, into: HookIn, call: Call) -> None:
    """The event, its record and the action in one transaction: all of it or nothing."""
    given = _given(call.body, into)
    def work(unit: Unit) -> ActionDone:
        hooks = Hooks(unit.conn, unit.tables)
        if not hooks.claim(hook.address, call.event_id, unit.now):
            raise Conflict(message("error.not_possible"))
        values = read_fields(unit, into.body, given, entity=None, record=None, scope=values_scope(unit.catalog, into.body), trusted=True)
        record = _record(unit, into, values)
        unit.ctx = _as_role(unit, into, record)
        unit.memory.pop("reader", None)
        done = action_in(unit, unit.catalog.actions[f"{into.entity}/{into.action}"], record["id"] if record else None,
                         {name: values[source] for name, source in into.input.items()}, record["row_version"] if record else None)
        hooks.finish(hook.address, call.event_id, entity=into.entity, record_id=done.id, address=call.address[:60] or None)
        return done

    perform(ctx, f"action:{into.action}", [hook.address, call.event_id], work)


def _given(body: bytes, into: HookIn) -> Mapping[str, Any]:
    """The body as a flat object of declared names; Invalid for anything else."""
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError
        return dict(pairs)

    def never(text: str) -> Any:
        raise ValueError(text)

    try:
        found = json.loads(body, object_pairs_hook=once, parse_constant=never, parse_float=str)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or len(body) > BODY_MAX:
        raise Invalid([Problem("", message("field.type"))])
    return found


def _record(unit: Unit, into: HookIn, values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one record that the call means; NotFound for none and for several."""
    if not into.find:
        return None
    wanted = {field: values[name] for field, name in into.find.items()}
    if any(value is None for value in wanted.values()):
        raise NotFound()
    found = rows.find(unit, into.entity, wanted, limit=2, live_only=True)
    if len(found) != 1:
        raise NotFound()
    record: Mapping[str, Any] = found[0]
    return record


def _as_role(unit: Unit, into: HookIn, record: Mapping[str, Any] | None) -> Context:
    """From here on with the rights of the role, in the company of the record."""
    company = People(unit, into.entity, record, 0).company if record is not None else None
    actor = Actor.system(unit.ctx.actor.run_as, roles=(Assignment(into.role, company),), company_id=company)
    return replace(unit.ctx, actor=actor, plan=AccessPlan(unit.revision, actor, unit.ctx.plan.org), channel="api", system=False)


def _refused(ctx: Context, hook: Webhook, call: Call, error: MetaloomError) -> None:
    """Written down for the people who look after it; the answer says no more than the kind."""
    with ctx.tenant.write() as conn:
        Hooks(conn, ctx.revision.tables).refuse(hook.address, call.event_id, ctx.clock.now(), error=error.message.say("zh")[:300],
                                                address=call.address[:60] or None)
