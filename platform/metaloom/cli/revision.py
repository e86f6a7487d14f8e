"""``metaloom revision``: what was published, when, by whom."""

from __future__ import annotations

from pathlib import Path

import click
import sqlalchemy as sa

from metaloom.cli._house import house
from metaloom.schema_change import recover, sources_of
from metaloom.storage.engine import pointer, publish, revision


@click.group("revision")
def command() -> None:
    """Published revisions of a tenant."""


@command.command("list")
@click.argument("tenant")
def list_(tenant: str) -> None:
    """Every revision; * marks the one that is served."""
    with house() as tenancy, tenancy.open(tenant).read() as conn:
        served = conn.scalar(sa.select(pointer.c.revision_number))
        for row in conn.execute(sa.select(revision).order_by(revision.c.number)):
            mark = "*" if row.number == served else " "
            click.echo(f"{mark} {row.number:>4}  {row.published_at:%Y-%m-%d %H:%M:%S}Z  {row.digest[:12]}  {row.author_name or '-'}  {row.reason or ''}")
        for row in conn.execute(sa.select(publish).where(publish.c.state != "done").order_by(publish.c.id)):
            click.echo(f"  {row.kind} to {row.target_number}: {row.state} {row.note or ''}".rstrip())


@command.command("show")
@click.argument("tenant")
@click.argument("number", type=int)
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Write the source texts of every layer into this folder.")
def show(tenant: str, number: int, folder: Path | None) -> None:
    """The source texts of a revision."""
    with house() as tenancy:
        for source in sources_of(tenancy.open(tenant), number):
            if folder is None:
                click.echo(f"{source.layer:<7} {source.path}")
                continue
            target = folder / source.layer / source.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source.text, encoding="utf-8")


@command.command("recover")
@click.argument("tenant")
def recover_(tenant: str) -> None:
    """Finish or undo what an interrupted publish left. The next publish does the same by itself."""
    with house() as tenancy:
        click.echo(recover(tenancy.open(tenant)) or "nothing was left open")
