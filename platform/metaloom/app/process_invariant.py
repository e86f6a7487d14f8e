"""Processes: the run rebuilt from its log is the stored one, and every open run has a way on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from metaloom.base.clock import Clock
from metaloom.command.process_run import dump_state
from metaloom.lifecycle import RunEvent, RunState, replay
from metaloom.record import Survey


def unlike_log(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """A sentence for each run that is not what its log says, or with which nobody goes on. Runs and events are read side by side, once."""
    runs, log, box = tables.engine.process_run, tables.engine.process_step, tables.engine.outbox
    columns = (runs.c.id, runs.c.state, runs.c.status, runs.c.seq, runs.c.finished_at, runs.c.open_key)
    queued = sa.select(box.c.payload).where(box.c.kind == "process.step", box.c.state.in_(("pending", "running")))
    waits = {row.payload.get("run") for row in conn.execute(queued)}
    logs = {run: list(events) for run, events in groupby(
        conn.execute(sa.select(log.c.run_id, log.c.seq, log.c.kind, log.c.data).order_by(log.c.run_id, log.c.seq)), key=lambda row: row.run_id)}
    for run in conn.execute(sa.select(*columns).order_by(runs.c.id)):
        survey.looked += 1
        yield from _compared(run, logs.get(run.id, []), run.id in waits)


def _compared(run: Any, events: list[Any], waits: bool) -> Iterator[str]:
    if [row.seq for row in events] != list(range(1, int(run.seq) + 1)):
        yield f"run {run.id}: its log has gaps or ends elsewhere than the run says"
        return
    try:
        state: RunState = replay(RunEvent(row.kind, row.data) for row in events)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"run {run.id}: its log cannot be replayed ({type(error).__name__})"
        return
    if dump_state(state) != run.state:
        yield f"run {run.id}: the stored state is not what its log says"
    if (state.status, state.ended, state.ended) != (run.status, run.finished_at is not None, run.open_key is None):
        yield f"run {run.id}: the row says {run.status}, its log {state.status}"
    if not state.ended and state.status not in ("manual", "task") and not waits:
        yield f"run {run.id} is {state.status} and nobody goes on with it"
