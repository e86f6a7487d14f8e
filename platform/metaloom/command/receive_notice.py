"""A notice that another system signs: read by its provider, heard by plugin commands, once.

Whoever cannot sign learns nothing: an unknown name, a provider that is not set up, a wrong signature and an old one have one
answer. One notice has one effect: each command that hears it runs under an idempotency key made of provider and event number.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from typing import Any

from metaloom.base.errors import MetaloomError
from metaloom.command.context import Context
from metaloom.command.crash import crash_point
from metaloom.command.handle_call import system_context
from metaloom.command.providers import environment_for
from metaloom.command.run_command import command_in
from metaloom.command.unit import perform
from metaloom.plugin.registry import Registry
from metaloom.plugin.signed_notice import BODY_MAX, Notice, NoticeAnswer, SignedCall
from metaloom.storage import Tenant, rate

DOOR = "signed_notice"
UNSIGNED_PER_MINUTE = 30
"""Calls of one address that nobody signed, before it is no longer read at all; genuine notices are not counted."""
UNSIGNED = NoticeAnswer(status=401, body=b"unsigned")
TOO_MANY = NoticeAnswer(status=429, body=b"too many")
TOO_LONG = NoticeAnswer(status=413, body=b"too long")
log = logging.getLogger("metaloom.notice")


def receive_notice(tenant: Tenant, name: str, call: SignedCall, *, plugins: Registry, clock: Any, address: str = "",
                   request_id: str = "") -> NoticeAnswer:
    """The answer in the words that the other side wants; *taken* only after the effect was committed, now or before."""
    if len(call.body) > BODY_MAX:
        return TOO_LONG
    ctx = system_context(tenant, plugins=plugins, clock=clock, request_id=request_id, run_as=f"notice:{name}"[:60])
    if _shut_out(ctx, name, address):
        return TOO_MANY
    try:
        provider = plugins.provider(DOOR, name, environment_for(ctx))
        notice: Notice = provider.read(call)
    except Exception as refusal:  # a forger, a client without the secret, a provider at fault: nothing is believed
        log.warning("notice for %s of %s refused: %s", name[:60], tenant.name, type(refusal).__name__)
        _count_unsigned(ctx, name, address)
        return UNSIGNED
    crash_point("notice.read")
    taken = _told(ctx, name, notice)
    crash_point("notice.taken")
    answer: NoticeAnswer = provider.answer(taken)
    return answer


def _told(ctx: Context, name: str, notice: Notice) -> bool:
    """Whether everybody who hears the topic has done what there was to do."""
    key = "notice-" + hashlib.sha256(f"{name}\0{notice.event_no}".encode()).hexdigest()
    said = {**notice.values, "provider": name, "event_no": notice.event_no}
    hearing = ctx.plugins.hearing(notice.topic)
    taken = bool(hearing)
    for declared in hearing:
        given = {field: said.get(field) for field in declared.input}
        body = [declared.address, {field: str(value) for field, value in sorted(given.items())}]
        try:
            perform(ctx.with_key(f"{key}-{declared.name}"), declared.address, body,
                    lambda unit, declared=declared, given=given: command_in(unit, declared, None, given, None))
        except MetaloomError as refusal:
            log.warning("notice %s of %s was not taken: %s", notice.event_no, name, refusal.code)
            taken = False
    return taken


def _counter(name: str, address: str) -> str:
    return rate.counter("notice", name, address)


def _shut_out(ctx: Context, name: str, address: str) -> bool:
    counter, since = _counter(name, address), ctx.clock.now() - timedelta(minutes=1)
    with ctx.tenant.read() as conn:
        found = rate.standing(conn, [counter]).get(counter)
    return found is not None and found.since > since and found.hits >= UNSIGNED_PER_MINUTE


def _count_unsigned(ctx: Context, name: str, address: str) -> None:
    with ctx.tenant.write() as conn:
        rate.count(conn, _counter(name, address), ctx.clock.now(), timedelta(minutes=1))
