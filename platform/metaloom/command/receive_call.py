"""What other systems tell us: signed, fresh, once; then an action with the rights of a declared role, or a plugin command.

One way for all of them. A call is read by whoever can say whether it is genuine: by the webhook's own secret, or by a provider of the
door ``signed_notice``. What is genuine goes to everybody who hears it, each in a transaction that also holds the event: the same event
again does nothing, the same number with other words does nothing and is told to the administrators. Whoever cannot sign learns nothing:
an unknown name, a missing secret, a wrong signature and an old one have one answer, and leave one line per sender and day in the log.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

from metaloom.access import AccessPlan, Actor
from metaloom.access.actor import Assignment
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, Conflict, Invalid, MetaloomError, NotFound, Problem
from metaloom.base.messages import message
from metaloom.base.network import network_of
from metaloom.command import rows
from metaloom.command.approval_people import People
from metaloom.command.context import ActionDone, Context
from metaloom.command.handle_call import system_context
from metaloom.command.inputs import read_fields
from metaloom.command.notify import notify
from metaloom.command.providers import environment_for
from metaloom.command.run_action import action_in
from metaloom.command.run_command import command_in
from metaloom.command.unit import Unit, perform
from metaloom.compile import values_scope
from metaloom.message import post
from metaloom.message.hooks import Hooks
from metaloom.model import HookIn, Webhook
from metaloom.plugin.declaration import CommandDeclaration
from metaloom.plugin.registry import Registry
from metaloom.plugin.signed_notice import BODY_MAX, Notice, NoticeAnswer, SignedCall
from metaloom.storage import Tenant, rate

HOOK, NOTICE = "hook", "notice"
DOOR = "signed_notice"
EVENT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
UNSIGNED_PER_MINUTE = 30
"""Calls of one address that nobody signed, before it is no longer read at all."""
MINUTE = timedelta(minutes=1)
UNSIGNED_LINE, SENDERS_MAX, UNSIGNED_KEPT = "unsigned:", 200, timedelta(days=30)
"""Of unsigned calls: how their lines begin, how many senders of a day have one of their own, and how long they are kept."""
DONE, UNSIGNED, WRONG, IMPOSSIBLE = (200, "done"), (401, "unsigned"), (400, "invalid"), (409, "not_possible")
TOO_LONG, TOO_MANY, LATER = (413, "too_long"), (429, "too_many"), (503, "busy")
Outcome = tuple[int, str]
log = logging.getLogger("metaloom.call")


class NotGenuine(Exception):
    """The call does not carry the secret's signature, or is too old."""


@dataclass(frozen=True)
class Source:
    """Whose signature a call carries. ``address``: what the log and the counters call it. ``provider``: who reads and answers in its own
    words; '' for the secret of ``hook``. ``hook``: the webhook that was called, with its limit of calls."""

    address: str
    provider: str = ""
    hook: Webhook | None = None

    @property
    def into(self) -> HookIn | None:
        return self.hook.into if self.hook is not None else None


@dataclass(frozen=True)
class Ear:
    """Somebody who hears a genuine call: under which name and number it is written down, as which command it runs and what it does."""

    address: str
    event_id: str
    command: str
    act: Callable[[Unit], ActionDone]


def receive_call(tenant: Tenant, way: str, name: str, call: SignedCall, *, plugins: Registry, clock: Any, address: str = "",
                 request_id: str = "") -> NoticeAnswer:
    """The answer to one call. ``way`` ``hook``: ``name`` is a webhook; ``notice``: it is a provider that reads notices.

    *Done* is said only after the effect was committed, now or before: to a webhook's caller as one JSON word, to a provider's other
    side in the words that the provider knows."""
    if len(call.body) > BODY_MAX:
        return said(TOO_LONG)
    ctx = system_context(tenant, plugins=plugins, clock=clock, request_id=request_id, run_as=f"{way}:{name}"[:60])
    source = _hook(ctx, name) if way == HOOK else _provider(ctx, name)
    try:
        if _too_many(ctx, source, address):
            return said(TOO_MANY)
        notice = _read(ctx, source, call) if source is not None else None
        if source is None or notice is None:
            _note_unsigned(ctx, source, address)
            return said(UNSIGNED)
    except Busy:
        return said(LATER)
    crash_point("notice.read")
    outcome = _told(ctx, source, notice, call, address)
    crash_point("notice.taken")
    return ctx.plugins.provider(DOOR, source.provider, environment_for(ctx)).answer(outcome == DONE) if source.provider else said(outcome)


def said(outcome: Outcome) -> NoticeAnswer:
    """The engine's own words."""
    return NoticeAnswer(status=outcome[0], body=json.dumps({"status": outcome[1]}).encode() + b"\n", content_type="application/json")


# -- who it is -------------------------------------------------------------------------------------------------------------


def _hook(ctx: Context, name: str) -> Source | None:
    """The webhook by its address, or by its name where only one pack has it."""
    hooks = ctx.revision.catalog.webhooks
    found = [hooks[name]] if name in hooks else [hook for hook in hooks.values() if hook.name == name]
    if len(found) != 1 or found[0].into is None or not found[0].enabled:
        return None
    return Source(found[0].address, found[0].into.signed_by, found[0])


def _provider(ctx: Context, name: str) -> Source | None:
    return Source(f"notice/{name}", name) if name in ctx.plugins.provider_names(DOOR) else None


def _too_many(ctx: Context, source: Source | None, address: str) -> bool:
    """More unsigned calls of this sender than anybody needs, or more calls of any kind than the webhook takes."""
    network = network_of(address)
    counter, now = _counter(source, network), ctx.clock.now()
    with ctx.tenant.read() as conn:
        found = rate.standing(conn, [counter]).get(counter)
    if found is not None and found.since > now - MINUTE and found.hits >= UNSIGNED_PER_MINUTE:
        return True
    if source is None or source.into is None:
        return False
    with ctx.tenant.write() as conn:
        return rate.count(conn, rate.counter(HOOK, source.address, network), now, MINUTE).hits > source.into.per_minute


def _counter(source: Source | None, address: str) -> str:
    return rate.counter("unsigned", source.address if source is not None else "", address)


def _note_unsigned(ctx: Context, source: Source | None, address: str) -> None:
    """Counted; for an address that exists also written down, one line for each sender and day, and one for all senders beyond ``SENDERS_MAX``."""
    now, network = ctx.clock.now(), network_of(address)
    with ctx.tenant.write() as conn:
        rate.count(conn, _counter(source, network), now, MINUTE)
        if source is not None:
            hooks, day = Hooks(conn, ctx.revision.tables), f"{UNSIGNED_LINE}{now:%Y-%m-%d}:"
            event = f"{day}{network}"[:128]
            if hooks.call(source.address, event) is None:
                hooks.forget(UNSIGNED_LINE, now - UNSIGNED_KEPT)
                if hooks.lines(source.address, day, SENDERS_MAX) >= SENDERS_MAX:
                    event, network = f"{day}*", ""
            hooks.refuse(source.address, event, now, error=message("call.unsigned").say("zh"), address=network[:60] or None)


def _read(ctx: Context, source: Source, call: SignedCall) -> Notice | None:
    """What a genuine call says; None for everything else, whatever went wrong."""
    try:
        if source.provider:
            notice: Notice = ctx.plugins.provider(DOOR, source.provider, environment_for(ctx)).read(call)
            return notice
        assert source.into is not None
        return _read_by_secret(ctx, source.into, call)
    except Busy:  # nothing is known about the call: its sender asks again
        raise
    except Exception as refusal:  # a forger, a client without the secret, a provider at fault: nothing is believed
        log.warning("a call to %s of %s was refused: %s", source.address, ctx.tenant.name, type(refusal).__name__)
        return None


def _read_by_secret(ctx: Context, into: HookIn, call: SignedCall) -> Notice:
    """A right signature over id, time and body, not older (nor newer) than the window. The body is read later: its faults are answered."""
    given = {name: call.headers.get(name.lower(), "") for name in (post.EVENT, post.TIMESTAMP, post.SIGNATURE)}
    event_id, timestamp, secret = given[post.EVENT], given[post.TIMESTAMP], ctx.tenant.secrets.get(into.secret_ref)
    stamp = int(timestamp) if re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII) else 0
    signed = post.is_signed(secret or "-", event_id, stamp, call.body, given[post.SIGNATURE])
    fresh = abs(int(ctx.clock.now().timestamp()) - stamp) <= into.window
    if not (secret and signed and fresh and EVENT_ID.fullmatch(event_id)):
        raise NotGenuine
    return Notice(event_no=event_id, topic="")


# -- who hears it ----------------------------------------------------------------------------------------------------------


def _told(ctx: Context, source: Source, notice: Notice, call: SignedCall, address: str) -> Outcome:
    """Everybody who hears it has done what there was to do, or the first reason why somebody has not."""
    ears = _ears(ctx, source, notice, call)
    digest = sha256(call.body if not source.provider else json.dumps(notice.values, sort_keys=True, default=str).encode()).hexdigest()
    outcomes = [_heard(ctx, ear, digest, address) for ear in ears]
    return next((one for one in outcomes if one != DONE), DONE if outcomes else IMPOSSIBLE)


def _ears(ctx: Context, source: Source, notice: Notice, call: SignedCall) -> list[Ear]:
    """The webhook that was called by its secret; of a provider's notice every plugin command and every webhook that hears it."""
    if not source.provider:
        assert source.hook is not None
        return [_webhook(source.hook, notice.event_no, lambda: _given(call.body))]
    values = {**notice.values, "provider": source.provider, "event_no": notice.event_no}
    commands = [Ear(declared.address, _number(f"{source.provider}:{notice.event_no}"), declared.address, _command(declared, values))
                for declared in ctx.plugins.hearing(notice.topic)]
    hooks = [hook for hook in ctx.revision.catalog.webhooks.values() if hook.into is not None and hook.into.signed_by == source.provider and hook.enabled]
    return [*commands, *(_webhook(hook, _number(notice.event_no), partial(_declared, hook, values)) for hook in hooks)]


def _number(event_no: str) -> str:
    return event_no if len(event_no) <= 128 else sha256(event_no.encode()).hexdigest()


def _webhook(hook: Webhook, event_id: str, given: Callable[[], Mapping[str, Any]]) -> Ear:
    assert hook.into is not None
    return Ear(hook.address, event_id, f"action:{hook.into.action}", _action(hook.into, given))


def _declared(hook: Webhook, values: Mapping[str, Any]) -> Mapping[str, Any]:
    assert hook.into is not None
    return {name: values[name] for name in hook.into.body if name in values}


def _command(declared: CommandDeclaration, values: Mapping[str, Any]) -> Callable[[Unit], ActionDone]:
    given = {field: values.get(field) for field in declared.input}
    return lambda unit: command_in(unit, declared, None, given, None)


def _action(into: HookIn, given: Callable[[], Mapping[str, Any]]) -> Callable[[Unit], ActionDone]:
    """The action of a webhook, with the rights of its role in the company of the record."""
    def act(unit: Unit) -> ActionDone:
        values = read_fields(unit, into.body, given(), entity=None, record=None, scope=values_scope(unit.catalog, into.body), trusted=True)
        record = _record(unit, into, values)
        unit.ctx = _as_role(unit, into, record)
        unit.memory.pop("reader", None)
        return action_in(unit, unit.catalog.actions[f"{into.entity}/{into.action}"], record["id"] if record else None,
                         {name: values[source] for name, source in into.input.items()}, record["row_version"] if record else None)

    return act


# -- once ------------------------------------------------------------------------------------------------------------------


def _heard(ctx: Context, ear: Ear, digest: str, address: str) -> Outcome:
    """The event and its effect in one transaction: all of it or nothing."""
    try:
        if _done_before(ctx, ear, digest):
            return DONE
        perform(ctx, ear.command, [ear.address, ear.event_id], lambda unit: _once(unit, ear, digest, address))
    except Busy:
        return LATER
    except MetaloomError as error:
        if _done_before(ctx, ear, digest):  # the same event at the same moment: the other one did it
            return DONE
        _note_refusal(ctx, ear, address, error)
        return WRONG if isinstance(error, Invalid) else IMPOSSIBLE
    return DONE


def _once(unit: Unit, ear: Ear, digest: str, address: str) -> ActionDone:
    hooks = Hooks(unit.conn, unit.tables)
    if not hooks.claim(ear.address, ear.event_id, unit.now):
        raise Conflict(message("error.not_possible"))
    done = ear.act(unit)
    hooks.finish(ear.address, ear.event_id, entity=done.entity or None, record_id=done.id, address=address[:60] or None, digest=digest)
    return done


def _done_before(ctx: Context, ear: Ear, digest: str) -> bool:
    with ctx.tenant.write() as conn:
        hooks = Hooks(conn, ctx.revision.tables)
        earlier = hooks.call(ear.address, ear.event_id)
        if earlier is None or earlier["status"] != "done":
            return False
        hooks.repeated(earlier["id"])
    if earlier["digest"] not in (None, digest) and not earlier["error"]:
        _alarm(ctx, ear, earlier["id"])
    return True


def _alarm(ctx: Context, ear: Ear, call: int) -> None:
    """A known event number with other words: somebody is confused, or worse. Told once."""
    def work(unit: Unit) -> ActionDone:
        words = message("call.other_words", event=ear.event_id)
        Hooks(unit.conn, unit.tables).finish(ear.address, ear.event_id, error=words.say("zh")[:300])
        admins = People(unit, "platform.company", {"company": None}, 0).admins()
        notify(unit, admins, kind="alert", subject=words, entity="platform.webhook_call", record_id=call, urgent=True)
        return ActionDone("", None, None, words)

    log.error("event %s of %s came again with other words", ear.event_id, ear.address)
    perform(ctx, "call.other_words", [ear.address, ear.event_id], work)


def _note_refusal(ctx: Context, ear: Ear, address: str, error: MetaloomError) -> None:
    """Written down for the people who look after it; the answer says no more than the kind."""
    log.warning("event %s of %s was not taken: %s", ear.event_id, ear.address, error.code)
    with ctx.tenant.write() as conn:
        Hooks(conn, ctx.revision.tables).refuse(ear.address, ear.event_id, ctx.clock.now(), error=error.message.say("zh")[:300],
                                                address=address[:60] or None)


# -- what it says ----------------------------------------------------------------------------------------------------------


def _given(body: bytes) -> Mapping[str, Any]:
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
    if not isinstance(found, dict):
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
