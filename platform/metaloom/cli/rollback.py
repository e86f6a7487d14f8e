"""``metaloom rollback``: serve another revision again; no data is lost."""

from __future__ import annotations

import click

from metaloom.cli._house import author, house
from metaloom.schema_change import rollback


@click.command("rollback")
@click.argument("tenant")
@click.argument("number", type=int)
@click.option("--reason", default="", help="Kept in the journal.")
@click.option("--allow", multiple=True, metavar="WORD", help="Permit what loses data: narrow:<entity>/<field>, retype:…")
def command(tenant: str, number: int, reason: str, allow: tuple[str, ...]) -> None:
    """Serve revision NUMBER of TENANT again. What was entered meanwhile is kept and found again when you roll forward."""
    with house() as tenancy:
        revision = rollback(tenancy.open(tenant), number, author(), reason, allow=allow)
        click.secho(f"{tenant}: revision {revision.number} is served (digest {revision.digest[:12]})", fg="green")
