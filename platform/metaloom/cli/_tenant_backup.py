"""``metaloom tenant backup`` and ``verify``: a tenant as one file, and whether such a file is whole."""

from __future__ import annotations

from pathlib import Path

import click

from metaloom.base.clock import SystemClock
from metaloom.cli._house import house
from metaloom.storage import archive


@click.command("backup")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def command(name: str, file: Path) -> None:
    """Write everything the tenant NAME holds to FILE while it is used: rows, uploads, revisions, encrypted secrets."""
    with house() as tenancy:
        made = archive.write(tenancy.open(name, closed=True), file, SystemClock().now())
        click.secho(f"{file}: {made.rows:,} rows of {len(made.tables)} tables, {made.files:,} uploads, {file.stat().st_size:,} bytes", fg="green")
        click.echo(f"it opens with the master key {made.key_print} only; keep the key, and keep it elsewhere")
        if made.missing:
            click.secho(f"{len(made.missing)} uploads of which rows speak were not found: {', '.join(made.missing[:5])}", fg="yellow", err=True)
