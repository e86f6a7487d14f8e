"""``metaloom tenant verify``: is an archive whole, and nobody's but ours?"""

from __future__ import annotations

from pathlib import Path

import click

from metaloom.cli._house import house
from metaloom.storage import archive


@click.command("verify")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Read FILE as a restore would, and change nothing; exit code 1 when it is damaged or was changed."""
    with house() as tenancy:
        with archive.opened(file, (tenancy.settings.master_key, tenancy.settings.old_master_key)) as found:
            found.verify()
            said = found.manifest
        click.secho(f"{file}: {said.tenant} as of {said.taken_at}, revision {said.revision}, {said.rows:,} rows, {said.files:,} uploads: whole", fg="green")
