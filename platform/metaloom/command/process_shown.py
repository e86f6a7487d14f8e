"""Runs of processes for looking at: where they stand, step by step, and what this person may do. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotFound
from metaloom.base.text import Text
from metaloom.command import approval_rows, process_rows, rows
from metaloom.command.context import Context
from metaloom.command.move_process import VERBS, may_begin, may_handle, may_start, may_submit, refuse_unseen
from metaloom.command.process_run import ProcessRun, digest_of, load_state, pinned_process
from metaloom.command.run_command import refuse_unless_admin
from metaloom.command.unit import Unit
from metaloom.lifecycle import RunState
from metaloom.lifecycle.run import MANUAL, TASK
from metaloom.model import Catalog, Process


@dataclass(frozen=True)
class StepShown:
    """``standing``: done | now | waits | failed | ahead; ``note``: outcome of a call that was answered."""

    name: str
    label: Text
    type: str
    standing: str
    note: str = ""


@dataclass(frozen=True)
class RunShown:
    """``may``: what of ``VERBS`` this person may do now."""

    id: int
    row: Mapping[str, Any]
    process: Process
    state: RunState
    steps: tuple[StepShown, ...]
    may: tuple[str, ...]


def run_shown(ctx: Context, run_id: int, conn: sa.Connection | None = None) -> RunShown:
    """A run that this person may see; NotFound otherwise."""
    if conn is None:
        with ctx.tenant.read() as own:
            return run_shown(ctx, run_id, own)
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    row = process_rows.run(unit, run_id, lock=False)
    if row is None:
        raise NotFound
    refuse_unseen(unit, row, pinned_process(unit, row["process_digest"]))
    return _shown(unit, row)


def runs_shown(ctx: Context, entity: str, record_id: int, conn: sa.Connection, limit: int = 5) -> list[RunShown]:
    """The last runs about a record that the person may read, newest first."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    return [_shown(unit, row) for row in process_rows.runs_of(conn, unit.tables, entity, record_id, limit)]


def list_runs(ctx: Context, status: str | None = None, limit: int = 50) -> list[process_rows.Row]:
    """Runs of the whole tenant, newest first: open ones, or those in one status. For the engine itself and administrators."""
    with ctx.tenant.read() as conn:
        refuse_unless_admin(Unit(ctx, conn, "look", ctx.clock.now()))
        return process_rows.latest(conn, ctx.revision.tables, status, limit)


def run_log(ctx: Context, run_id: int, conn: sa.Connection | None = None) -> list[Mapping[str, Any]]:
    """Every event of a run that this person may see, oldest first; sealed answers stay out."""
    if conn is None:
        with ctx.tenant.read() as own:
            return run_log(ctx, run_id, own)
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    row = process_rows.run(unit, run_id, lock=False)
    if row is None:
        raise NotFound
    refuse_unseen(unit, row, pinned_process(unit, row["process_digest"]))
    return [{"seq": e["seq"], "kind": e["kind"], "step": e["step"], "at": e["at"], "actor": e["actor_id"],
             "data": {k: v for k, v in e["data"].items() if k not in ("result", "request", "at")}} for e in process_rows.log(conn, unit.tables, run_id)]


def names_in_run(ctx: Context, run_id: int, conn: sa.Connection) -> dict[int, str]:
    """What everybody who took part in a run is called, for those who may see it."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    row, log = process_rows.run(unit, run_id, lock=False), run_log(ctx, run_id, conn)
    return approval_rows.names_of(conn, unit.tables, {event["actor"] for event in log if event["actor"]} | {(row or {}).get("starter_id") or 0})


def startable(ctx: Context, entity: str, record_id: int, conn: sa.Connection) -> list[Process]:
    """Processes that this person may start by hand on the record now."""
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    processes = [p for p in unit.catalog.processes_of(entity) if p.by_hand is not None]
    record = rows.fetch(unit, entity, record_id) if processes else None
    if record is None or record.get("archived_at") is not None:
        return []
    busy = {row["process"] for row in process_rows.open_runs(conn, unit.tables, entity, record_id)}
    return [p for p in processes if p.name not in busy and may_start(unit, p, record) and may_begin(unit, p, record)]


def _shown(unit: Unit, row: dict[str, Any]) -> RunShown:
    process, state = pinned_process(unit, row["process_digest"]), load_state(row["state"])
    record = rows.fetch(unit, process.entity, row["record_id"]) if process.entity in unit.catalog.entities else None
    run = ProcessRun(unit, row["id"], row, process, state, record)
    may: tuple[str, ...] = ()
    if state.status in (MANUAL, TASK) and record is not None and may_handle(run):
        kind = process.steps[state.step].type
        may = tuple(verb for verb in VERBS if not (verb == "retry" and state.status == TASK)
                    and not (verb == "submit" and (not may_submit(run) or state.status == MANUAL and kind == "branch")))
    return RunShown(row["id"], row, process, state, _steps(process, state), may)


def _steps(process: Process, state: RunState) -> tuple[StepShown, ...]:
    """The steps of the definition in order; steps that were passed over stay ``ahead`` while the run is open."""
    return tuple(StepShown(name, step.label, step.type, _standing(state, name)) for name, step in process.steps.items())


def _standing(state: RunState, name: str) -> str:
    if name == state.step and state.status not in ("done",) and name not in state.passed[-1:]:
        return {"manual": "failed", "failed": "failed", "cancelled": "failed", "task": "waits", "waiting": "waits", "again": "waits"}.get(state.status, "now")
    return "done" if name in state.passed else "ahead"


# -- what a new revision means for open runs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProcessChange:
    """Open runs of a process that a catalog changes or takes away; they stay with the definition they began under."""

    address: str
    runs: int
    gone: bool

    def say(self) -> str:
        what = "is gone" if self.gone else "is changed"
        return f"process {self.address} {what}: {self.runs} open {'run stays' if self.runs == 1 else 'runs stay'} with the definition they began under"


def changed_processes(conn: sa.Connection, tables: Any, catalog: Catalog) -> list[ProcessChange]:
    """What ``catalog`` means for open runs."""
    found: dict[str, ProcessChange] = {}
    for row in process_rows.pinned(conn, tables):
        address = f"{row['entity']}/{row['process']}"
        process = catalog.processes.get(address)
        if process is None or digest_of(process) != row["process_digest"]:
            before = found[address].runs if address in found else 0
            found[address] = ProcessChange(address, before + row["runs"], process is None)
    return list(found.values())
