"""``metaloom tenant restore``: an archive as a tenant, closed until it is released."""

from __future__ import annotations

from pathlib import Path

import click

from metaloom.base.text import Text
from metaloom.cli._house import house
from metaloom.cli.doctor import look_at
from metaloom.cli.tenant import login_tables
from metaloom.schema_change import restore
from metaloom.storage import archive


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("name")
@click.option("--label", help="What people call it; as in the archive.")
@click.option("--url", help="A PostgreSQL database of its own.")
@click.option("--without-secrets", is_flag=True, help="Leave out named secrets (keys of gateways): a copy to try things in.")
def command(file: Path, name: str, label: str | None, url: str | None, without_secrets: bool) -> None:
    """Make the tenant NAME from FILE, on whatever database this installation uses, and look at its invariants.

    It is closed: nobody enters it and no worker works for it, so nothing is sent or paid twice, until ``metaloom tenant release NAME``.
    """
    with house() as tenancy:
        with archive.opened(file, (tenancy.settings.master_key, tenancy.settings.old_master_key)) as found:
            made = restore(tenancy, found, name, label=Text(label, label) if label else None, url=url, secrets=not without_secrets,
                           after_create=login_tables())
            rows = found.manifest.rows
        broken = look_at(made) if found.manifest.revision is not None else 0
        click.secho(f"{name}: {rows:,} rows restored; closed until: metaloom tenant release {name}", fg="yellow" if broken else "green")
        if broken:
            raise click.ClickException(f"{broken} invariants are broken; they are in the archive as they are here")
