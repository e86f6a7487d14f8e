"""What the worker does for approvals: a limit that ran out, and the end of a sub-chain. Exactly once each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.approval.event import SYSTEM
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.messages import message
from metaloom.command.approval_case import Case, done, locked_case, make_move, next_timer
from metaloom.command.context import ActionDone
from metaloom.command.handle_call import system_context
from metaloom.command.unit import Unit, perform
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant


def handle_timer(tenant: Tenant, row: Any, *, plugins: Registry | None = None, clock: Clock | None = None) -> Mapping[str, Any]:
    """Outbox rows of kind ``approval.timer``. One whose task is done, whose clock stands, or that was set anew does nothing."""
    return _run(tenant, row, expire_in, plugins, clock)


def handle_sub_done(tenant: Tenant, row: Any, *, plugins: Registry | None = None, clock: Clock | None = None) -> Mapping[str, Any]:
    """Outbox rows of kind ``approval.sub_done``: the case above hears how the sub-chain ended."""
    return _run(tenant, row, sub_done_in, plugins, clock)


def _run(tenant: Tenant, row: Any, work: Any, plugins: Registry | None, clock: Clock | None) -> Mapping[str, Any]:
    payload: Mapping[str, Any] = row["payload"] if isinstance(row, Mapping) else row.payload
    key = row["key"] if isinstance(row, Mapping) else row.key
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id=key[:64]).with_key(key)
    done_ = perform(ctx, work.__name__, dict(payload), lambda unit: work(unit, payload))
    return {"moved": bool(done_.results.get("moved", True)) and not done_.replayed}


def expire_in(unit: Unit, payload: Mapping[str, Any]) -> ActionDone:
    """The limit of a task ran out, or its next escalation is due."""
    case = locked_case(unit, payload["case"])
    task = case.state.tasks.get(payload["task"])
    if case.state.finished or task is None or next_timer(task) != (payload["n"], payload["at"]):
        return _nothing(case)
    make_move(case, "expire", SYSTEM, task.no, {"n": payload["n"]})
    return done(case, message("approval.moved", kind="expire"))


def sub_done_in(unit: Unit, payload: Mapping[str, Any]) -> ActionDone:
    """The case that a sub-chain's step waits for is over."""
    case = locked_case(unit, payload["case"])
    if case.state.finished or not case.state.is_active(payload["step"]):
        return _nothing(case)
    make_move(case, "sub_done", SYSTEM, None, {"step": payload["step"], "result": payload["result"]})
    return done(case, message("approval.moved", kind="sub_done"))


def _nothing(case: Case) -> ActionDone:
    return done(case, message("approval.moved", kind="-"), moved=False)
