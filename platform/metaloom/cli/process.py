"""``metaloom process``: runs of processes of a tenant, and trying one again."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metaloom.base.errors import MetaloomError
from metaloom.cli._acting import context_of
from metaloom.cli._house import house
from metaloom.cli._metadata import say_json
from metaloom.command import list_runs, retry_process, run_log, run_shown
from metaloom.lifecycle.run import KINDS, OPEN

LIMIT = 50


@click.group("process")
def command() -> None:
    """Runs of processes of a tenant."""


@command.command("list")
@click.argument("tenant")
@click.option("--status", type=click.Choice([*OPEN, "done", "failed", "cancelled"]), help="Only runs in this status; the open ones without it.")
@click.option("--limit", type=click.IntRange(1, 1000), default=LIMIT, show_default=True, help="At most so many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def list_(tenant: str, status: str | None, limit: int, as_json: bool) -> None:
    """Runs of TENANT, newest first: where each stands and why."""
    with house() as tenancy:
        found = list_runs(context_of(tenancy.open(tenant)), status, limit)
    if as_json:
        say_json([{key: _plain(value) for key, value in row.items()} for row in found])
        return
    console, table = Console(highlight=False), Table(title=f"{len(found)} runs", title_justify="left")
    for head in ("run", "process", "record", "status", "step", "since", "why"):
        table.add_column(head, overflow="fold")
    for row in found:
        table.add_row(*map(escape, (str(row["id"]), f"{row['entity']}/{row['process']}", str(row["record_id"]), row["status"], row["step"] or "-",
                                    _plain(row["since"]) or "-", row["error_en"] or "-")))
    console.print(table)


@command.command("show")
@click.argument("tenant")
@click.argument("run", type=int)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def show(tenant: str, run: int, as_json: bool) -> None:
    """One run of TENANT: its steps and its log."""
    with house() as tenancy:
        ctx = context_of(tenancy.open(tenant))
        shown, log = _told(lambda: run_shown(ctx, run)), _told(lambda: run_log(ctx, run))
    if as_json:
        say_json({"id": shown.id, "status": shown.state.status, "step": shown.state.step, "steps": [[s.name, s.standing] for s in shown.steps],
                  "log": [{**event, "at": _plain(event["at"])} for event in log]})
        return
    click.echo(f"{shown.process.address} on record {shown.row['record_id']}: {shown.state.status}"
               + (f" ({shown.row['error_en']})" if shown.row["error_en"] else ""))
    click.echo("  " + " > ".join(f"{s.name} [{s.standing}]" for s in shown.steps))
    width = max(map(len, KINDS))
    for event in log:
        click.echo(f"  {event['seq']:>4}  {_plain(event['at'])}  {event['kind']:<{width}}  {event['step'] or ''}")


@command.command("retry")
@click.argument("tenant")
@click.argument("runs", type=int, nargs=-1, required=True)
def retry(tenant: str, runs: tuple[int, ...]) -> None:
    """Try again the step of RUNS that waits for people; a call asks with the same reference as before. Leaves with 1 when one could not be."""
    good = True
    with house() as tenancy:
        ctx = context_of(tenancy.open(tenant))
        for run in runs:
            try:
                click.echo(f"run {run}: {retry_process(ctx, run).message.say('en')}")
            except MetaloomError as error:
                good = False
                click.secho(f"run {run}: {error.message.say('en')}", fg="red")
    if not good:
        raise SystemExit(1)


def _told(look: Any) -> Any:
    try:
        return look()
    except MetaloomError as error:
        raise click.ClickException(error.message.say("en")) from error


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value
