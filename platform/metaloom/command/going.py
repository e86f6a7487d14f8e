"""A run of a job while a worker is at it: what its steps share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from metaloom.command import evaluate
from metaloom.command.context import Context
from metaloom.command.run_mass import Kept
from metaloom.command.unit import Unit
from metaloom.compile import entity_scope
from metaloom.compile.scope import company_path
from metaloom.expression import Checked, Env
from metaloom.job import runs as run_rows
from metaloom.job.outbox import Row
from metaloom.job.runs import RunRow
from metaloom.model import Job, JobStep


class Tried(Exception):
    """Leaves the transaction of a dry run, which must not be kept."""


@dataclass
class Going:
    """A run under way in this process."""

    ctx: Context
    row: Row
    run: RunRow
    job: Job
    until: float
    kept: Kept = field(default_factory=dict)

    @property
    def tired(self) -> bool:
        """Other work waits for this worker too: after some seconds, or when the worker is to end, the run is put back and goes on later."""
        return time.monotonic() >= self.until or self.row.stopping()


def read_again(ctx: Context, run_id: int) -> RunRow:
    """The run as it is now."""
    with ctx.tenant.read() as conn:
        run = run_rows.read_run(conn, run_id)
    assert run is not None
    return run


def write_run(going: Going, change: Callable[[Any], None]) -> None:
    """A change of the run in a transaction of its own."""
    with going.ctx.tenant.write() as conn:
        change(conn)
    going.run = read_again(going.ctx, going.run.id)


def wanted_records(going: Going, step: JobStep, conn: Any) -> tuple[Checked, Env, Any]:
    """Which records: the condition of the step, in the run's company, among those that failed where it is a re-run."""
    text, run = step.where, going.run
    if going.job.per == "company":
        text = f"({text}) and {company_path(going.ctx.revision.catalog, step.entity)} == user.company"
    checked = evaluate.checked(entity_scope(going.ctx.revision.catalog, step.entity), text)
    among = None
    if run.rerun_of_id is not None:
        stopped = run_rows.stopped_at(conn, run.rerun_of_id)
        among = run_rows.failed_records(run.rerun_of_id, run.step) if stopped is None or run.step < stopped else None
    return checked, env_of(unit_of(going, conn), run), among


def env_of(unit: Unit, run: RunRow) -> Env:
    """What expressions know: the business date is that of the run."""
    env = unit.env(run.company_id)
    return replace(env, business_date=run.business_date or env.business_date)


def unit_of(going: Going, conn: Any) -> Unit:
    """A unit of this run for reading."""
    return Unit(going.ctx, conn, f"job:{going.job.address}", going.ctx.clock.now())
