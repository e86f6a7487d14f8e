"""``metaloom tenant release``: open a closed tenant, and say what becomes of the work that waited."""

from __future__ import annotations

import click

from metaloom.cli._house import house
from metaloom.schema_change import release


@click.command("release")
@click.argument("name")
@click.option("--send", "waiting", flag_value="send", help="Go on with what waited: the tenant it was taken from works no more.")
@click.option("--discard", "waiting", flag_value="discard", help="Give up what waited: the tenant it was taken from does it, or did.")
def command(name: str, waiting: str | None) -> None:
    """Open the closed tenant NAME to people and workers. With work in its outbox, say --send or --discard."""
    with house() as tenancy:
        waited = release(tenancy, name, waiting=waiting or "")
        said = {"send": "goes on", "discard": "was given up"}.get(waiting or "", "")
        click.secho(f"{name}: open" + (f"; {waited} pieces of work that waited: {said}" if waited else ""), fg="green")
