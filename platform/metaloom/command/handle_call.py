"""A call to the world out of the outbox, and what its reply does: exactly once (P1, P6).

The worker has claimed the row. The provider is called outside every transaction, with a deadline; whatever goes wrong
there is *unknown*. Then the command ``on_result`` runs under an idempotency key made of the row's id, so that a worker
that died between the call and its result, and the one that takes over, have one effect together. The repeated call
carries the same reference, and the other side answers for the payment it has.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from metaloom.access import AccessPlan, Actor
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command.context import ActionDone, Context
from metaloom.command.providers import environment_for
from metaloom.command.run_command import command_in
from metaloom.command.unit import perform
from metaloom.command.work import OUTBOX_KIND, PAYLOAD_ADDRESS
from metaloom.plugin.doors import DOORS, Door
from metaloom.plugin.registry import Registry, installed
from metaloom.record import Writer
from metaloom.storage import Tenant

DEADLINE_SECONDS = 20.0
log = logging.getLogger("metaloom.command")
T = TypeVar("T")


def handle_call(tenant: Tenant, row: Any, *, plugins: Registry | None = None, clock: Clock | None = None,
                deadline: float = DEADLINE_SECONDS) -> ActionDone | None:
    """Carries out one outbox row of kind ``call``: ``row`` has ``id`` and ``payload``. None when nobody wants the reply, or its subject left the
    states in which the call was to be made. Bytes in the
    reply are stored before the result command, which gets their digest (``work.file``).

    Raises what the result command raised; the row is then tried again later, with the same reference.
    """
    task: Mapping[str, Any] = row["payload"] if isinstance(row, Mapping) else row.payload
    row_id = row["id"] if isinstance(row, Mapping) else row.id
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id=f"{OUTBOX_KIND}-{row_id}")
    crash_point("call.after_claim")
    if not _still_wanted(ctx, task):
        log.info("call %s was dropped: its subject is past it", row_id)
        return None
    reply = ask(ctx, task, deadline)
    reply = {name: tenant.files.put(value).digest if isinstance(value, bytes) and value else value for name, value in reply.items()}
    crash_point("call.after_send")
    if not task["on_result"]:
        return None
    done = deliver(ctx.with_key(f"{OUTBOX_KIND}-{row_id}"), task, reply)
    crash_point("call.after_result")
    return done


def _still_wanted(ctx: Context, task: Mapping[str, Any]) -> bool:
    """Whether the subject is in one of the states in which the call is to be made; read at the last moment, since people may have ended it."""
    wanted = task.get("while_in")
    if not wanted:
        return True
    entity, record_id = task["subject"]
    with ctx.tenant.read() as conn:
        found = Writer(conn, ctx.tenant, ctx.revision, user_id=None, now=ctx.clock.now()).stored(entity, record_id)
    return found is not None and found[ctx.revision.catalog.lifecycles[entity].field] in wanted


def system_context(tenant: Tenant, *, plugins: Registry, clock: Clock, request_id: str = "", run_as: str = "worker") -> Context:
    """The engine itself, under the revision that is published now."""
    revision = tenant.revision()
    actor = Actor.system(run_as)
    return Context(tenant=tenant, revision=revision, actor=actor, plan=AccessPlan(revision, actor), channel="job", clock=clock,
                   request_id=request_id, plugins=plugins, system=True)


def ask(ctx: Context, task: Mapping[str, Any], deadline: float) -> dict[str, Any]:
    """The provider's reply as plain values; *unknown* (or the door's word for it) when it raised or took too long."""
    door = DOORS[task["door"]]
    payload = json.loads(ctx.tenant.secrets.decrypt(PAYLOAD_ADDRESS, task["sealed"]))
    assert door.perform is not None and door.accident is not None
    try:
        return in_time(lambda: _performed(ctx, door, task, payload), deadline)
    except Exception as error:
        return door.accident(payload, error)


def _performed(ctx: Context, door: Door, task: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    provider = ctx.plugins.provider(door.name, task["provider"], environment_for(ctx))
    assert door.perform is not None
    return door.perform(provider, task["method"], payload)


def in_time(call: Callable[[], T], deadline: float) -> T:
    """The call's result, or TimeoutError; a call that hangs is left behind in its thread, which holds no transaction."""
    answer: queue.SimpleQueue[tuple[T] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put((call(),))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=run, name="provider-call", daemon=True).start()
    try:
        found = answer.get(timeout=deadline)
    except queue.Empty:
        raise TimeoutError(f"no answer within {deadline:g} s") from None
    if isinstance(found, Exception):
        raise found
    return found[0]


def deliver(ctx: Context, task: Mapping[str, Any], reply: Mapping[str, Any]) -> ActionDone:
    """Runs the result command on the record the call was about; a second delivery of the same row is a replay."""
    declared = ctx.plugins.command(task["on_result"])
    if declared is None:
        raise NotPossible(message("command.no_command", name=task["on_result"]))
    subject = task.get("subject")
    record_id = subject[1] if subject and declared.on == subject[0] else None
    given = {name: _plain(reply.get(name)) for name in declared.input}
    crash_point("call.before_result")
    return perform(ctx, declared.address, [declared.address, record_id], lambda unit: command_in(unit, declared, record_id, given, None))


def _plain(value: Any) -> Any:
    """Values of a reply as input: dates in mappings become text, as JSON has them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, (str, int, Decimal, type(None))) else value.isoformat() if isinstance(value, (date, datetime)) else value
