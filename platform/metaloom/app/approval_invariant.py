"""Approval: the case rebuilt from its log is the stored one, the rows of its tasks say the same, and signatures are those drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from metaloom.approval import CaseState, Event, codec, replay
from metaloom.base.clock import Clock
from metaloom.command.drawing import BYTES_MAX
from metaloom.record import Survey
from metaloom.storage import FileStore


def unlike_log(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock, files: FileStore) -> Iterator[str]:
    """A sentence for each case that is not what its log says. Cases, events and tasks are read side by side, once."""
    cases, log, tasks = tables.engine.approval_case, tables.engine.approval_event, tables.engine.approval_task
    columns = (cases.c.id, cases.c.state, cases.c.status, cases.c.seq, cases.c.finished_at, cases.c.chain_digest)
    logs = _by_case(conn.execute(sa.select(log.c.case_id, log.c.seq, log.c.kind, log.c.data).order_by(log.c.case_id, log.c.seq)))
    rows = _by_case(conn.execute(sa.select(tasks.c.case_id, tasks.c.task_no, tasks.c.status, tasks.c.assignee_id, tasks.c.decision)
                                 .order_by(tasks.c.case_id, tasks.c.task_no)))
    for case in conn.execute(sa.select(*columns).order_by(cases.c.id)):
        survey.looked += 1
        events = logs.of(case.id)
        yield from _compared(case, events, rows.of(case.id))
        yield from _signed(conn, tables, files, case, events)


def _compared(case: Any, events: list[Any], tasks: list[Any]) -> Iterator[str]:
    if [row.seq for row in events] != list(range(1, int(case.seq) + 1)):
        yield f"case {case.id}: its log has gaps or ends elsewhere than the case says"
        return
    try:
        state = replay(Event(row.kind, row.data) for row in events)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"case {case.id}: its log cannot be replayed ({type(error).__name__})"
        return
    if codec.dump_state(state) != case.state:
        yield f"case {case.id}: the stored state is not what its log says"
    if (state.status, state.finished, state.digest) != (case.status, case.finished_at is not None, case.chain_digest):
        yield f"case {case.id}: the row says {case.status}, its log {state.status}"
    if _said(state) != [(row.task_no, row.status, row.assignee_id, row.decision) for row in tasks]:
        yield f"case {case.id}: the rows of its tasks are not what its log says"
    if not state.finished and not state.active_steps() and not state.live_tasks():
        yield f"case {case.id} is running and nobody can go on with it"


def _signed(conn: sa.Connection, tables: Any, files: FileStore, case: Any, events: list[Any]) -> Iterator[str]:
    """Every drawn signature is the picture whose digest stands in the log: its row says so, and its bytes are there and those."""
    file = tables.engine.file
    for row in events:
        if drawn := row.data.get("signature"):
            kept = conn.scalar(sa.select(file.c.digest).where(file.c.id == drawn["file"]))
            if kept != drawn["digest"] or not files.intact(kept, BYTES_MAX):
                yield f"case {case.id}: the signature of event {row.seq} is not the picture that its log names"


def _said(state: CaseState) -> list[tuple[Any, ...]]:
    return [(no, task.status, task.assignee, task.decision or None) for no, task in sorted(state.tasks.items())]


class _by_case:  # noqa: N801 - reads like the function it is
    """Rows in order of their case, handed out case by case."""

    def __init__(self, rows: Any) -> None:
        self._groups = groupby(rows, key=lambda row: row.case_id)
        self._next: tuple[int, list[Any]] | None = None

    def of(self, case_id: int) -> list[Any]:
        while self._next is None or self._next[0] < case_id:
            found = next(self._groups, None)
            if found is None:
                return []
            self._next = (found[0], list(found[1]))
        return self._next[1] if self._next[0] == case_id else []
