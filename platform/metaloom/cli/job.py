"""``metaloom job``: the jobs of a tenant, their runs, and running them by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from time import sleep
from typing import Any

import click
import sqlalchemy as sa

from metaloom.base.clock import SystemClock
from metaloom.cli._house import house
from metaloom.command import rerun_failed, schedule_jobs, start_job, system_context
from metaloom.command.context import Context
from metaloom.job.runs import OPEN, errors_of, jobs_known, run_by_id, runs_of
from metaloom.plugin.registry import installed
from metaloom.record.import_runs import ImportRuns
from metaloom.storage import Tenant, bell

POLL_SECONDS = 0.5


@click.group("job")
def command() -> None:
    """Jobs of a tenant. A worker carries out what is started here."""


@command.command("list")
@click.argument("tenant")
def list_(tenant: str) -> None:
    """The jobs of TENANT, with their schedule and when each comes next."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        for name, row in sorted(_known(opened).items()):
            state = "gone" if not row["active"] else "paused" if row["paused"] else "on"
            due = f"{row['next_at'].astimezone(opened.zone):%Y-%m-%d %H:%M}" if row["next_at"] else "-"
            click.echo(f"{name:<40} {state:<7} {row['schedule'] or 'by hand':<16} {row['per']:<8} next {due:<17} {row['label']}")


@command.command("run")
@click.argument("tenant")
@click.argument("job")
@click.option("--company", help="Code of the company, for a job that runs per company.")
@click.option("--dry-run", is_flag=True, help="Try everything, keep nothing but the report.")
@click.option("--wait", is_flag=True, help="Show how far it is until it is over.")
def run(tenant: str, job: str, company: str | None, dry_run: bool, wait: bool) -> None:
    """Begin a run of JOB now."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        row = _known(opened).get(job)
        if row is None:
            raise click.ClickException(f"there is no job {job}; see: metaloom job list {tenant}")
        made = start_job(_context(opened), row["id"], company=_company(opened, company) if company else None, dry_run=dry_run)
        bell.ring(tenant)
        click.secho(f"run {made.id} waits for a worker; see: metaloom job history {tenant}", fg="green")
        if wait:
            _watch(opened, made.id)


@command.command("watch")
@click.argument("tenant")
@click.argument("number", type=int)
@click.option("--import", "of_import", is_flag=True, help="NUMBER is that of an import in the background, as its page says it.")
def watch(tenant: str, number: int, of_import: bool) -> None:
    """Show how far the run NUMBER is until it is over. Exit code 1 when it failed in part or as a whole."""
    with house() as tenancy:
        (_watch_import if of_import else _watch)(tenancy.open(tenant), number)


@command.command("history")
@click.argument("tenant")
@click.argument("job", required=False)
@click.option("--errors", "wanted", type=int, help="What failed in the run of this number.")
def history(tenant: str, job: str | None, wanted: int | None) -> None:
    """The last runs, or what failed in one of them."""
    with house() as tenancy, tenancy.open(tenant).read() as conn:
        for error in errors_of(conn, wanted, 1000) if wanted is not None else ():
            click.echo(f"step {error['step'] + 1}  {error['entity'] or '-'} {error['record_id'] or ''}  {error['sentence_en']}")
        for row in runs_of(conn, job) if wanted is None else ():
            begun = f"{row['started_at']:%Y-%m-%d %H:%M:%S}" if row["started_at"] else "-"
            click.echo(f"{row['id']:>7} {row['status']:<9} {row['origin']:<9} {begun:<20} done {row['done']:<7} failed {row['failed']:<5} {row['key']}")


@command.command("rerun")
@click.argument("tenant")
@click.argument("number", type=int)
def rerun(tenant: str, number: int) -> None:
    """Run again what failed in the run NUMBER."""
    with house() as tenancy:
        made = rerun_failed(_context(tenancy.open(tenant)), number)
        bell.ring(tenant)
        click.secho(f"run {made.id} waits for a worker", fg="green")


def _known(tenant: Tenant) -> dict[str, dict[str, Any]]:
    """Every job, also of a tenant that no worker has looked at yet."""
    schedule_jobs(tenant, clock=SystemClock())
    with tenant.read() as conn:
        return {name: dict(row) for name, row in jobs_known(conn).items()}


def _context(tenant: Tenant) -> Context:
    return replace(system_context(tenant, plugins=installed(), clock=SystemClock(), run_as="cli"), channel="cli")


def _company(tenant: Tenant, code: str) -> int:
    table = tenant.revision().tables.of("platform.company")
    with tenant.read() as conn:
        found = conn.scalar(sa.select(table.c.id).where(table.c.code == code))
    if found is None:
        raise click.ClickException(f"there is no company {code}")
    return int(found)


def _watch(tenant: Tenant, number: int) -> None:
    def look() -> tuple[str, str]:
        with tenant.read() as conn:
            row = run_by_id(conn, number)
        if row is None:
            raise click.ClickException(f"there is no run {number}")
        behind = row["done"] + row["skipped"] + row["failed"]
        percent = f"{min(100, behind * 100 // row['total'])}%" if row["total"] else ""
        return row["status"], f"run {number} {row['status']:<9} {percent:>4} {behind:,} of {row['total']:,} records, {row['failed']:,} failed"

    status = _until_over(look)
    if status != "done":
        raise click.ClickException(f"the run ended as {status}; see: metaloom job history {tenant.name} --errors {number}")


def _watch_import(tenant: Tenant, number: int) -> None:
    said = ""

    def look() -> tuple[str, str]:
        nonlocal said
        with tenant.read() as conn:
            run = ImportRuns(conn).one(number)
        if run is None:
            raise click.ClickException(f"there is no import {number}")
        said = f"{run.failed:,} rows of the import {number} failed: {run.why('en') or 'its page names each'}" if run.failed or run.why("en") else ""
        what = "good" if run.checking else "made"
        made = run.good if run.checking else run.rows_kept
        return run.status, f"import {number} {run.status:<9} {run.percent:>3}% {run.done:,} of {run.total:,} rows, {made:,} {what}, {run.failed:,} failed"

    status = _until_over(look)
    if said or status not in ("checked", "done"):
        raise click.ClickException(said or f"the import ended as {status}")


def _until_over(look: Callable[[], tuple[str, str]]) -> str:
    """Says each line of ``look`` (status, line) until it is over, written over on a terminal, one below the other elsewhere; the last status."""
    said, live = "", sys.stdout.isatty()
    while True:
        status, line = look()
        if line != said:
            click.echo(f"\r{line}\x1b[K" if live else line, nl=not live)
        said = line
        if status not in OPEN:
            break
        sleep(POLL_SECONDS)
    if live:
        click.echo()
    return status
