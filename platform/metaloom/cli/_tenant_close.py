"""``metaloom tenant close``: nobody enters a tenant and no worker works for it, until it is released."""

from __future__ import annotations

import click

from metaloom.cli._house import house


@click.command("close")
@click.argument("name")
def command(name: str) -> None:
    """Close the tenant NAME: from the next second nobody enters it, and no worker begins anything for it."""
    with house() as tenancy:
        tenancy.shut(name)
        click.echo(f"{name}: closed; open it again with: metaloom tenant release {name}")
