"""``metaloom outbox``: what waits in the outbox, and what gave up."""

from __future__ import annotations

import click
import sqlalchemy as sa

from metaloom.cli._house import house
from metaloom.job import retry_dead
from metaloom.storage import bell
from metaloom.storage.engine import outbox


@click.group("outbox")
def command() -> None:
    """Outbox rows of a tenant."""


@command.command("list")
@click.argument("tenant")
@click.option("--all", "everything", is_flag=True, help="Also what is done.")
def list_(tenant: str, everything: bool) -> None:
    """Rows that are not done."""
    query = sa.select(outbox).order_by(outbox.c.id)
    if not everything:
        query = query.where(outbox.c.state != "done")
    with house() as tenancy, tenancy.open(tenant).read() as conn:
        for row in conn.execute(query):
            click.echo(f"{row.id:>8} {row.state:<8} {row.kind:<10} tries {row.attempts:<3} {row.key}  {(row.last_error or '')[:120]}")


@command.command("retry")
@click.argument("tenant")
@click.argument("ids", nargs=-1, type=int, required=True)
def retry(tenant: str, ids: tuple[int, ...]) -> None:
    """Let rows that failed or died try again."""
    with house() as tenancy:
        count = retry_dead(tenancy.open(tenant), ids)
        bell.ring(tenant)
        click.echo(f"{count} rows will be tried again")
