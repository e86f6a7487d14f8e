"""``metaloom tenant``: make, list and drop tenants. Further words (``backup``) are modules ``_tenant_<word>`` beside this one."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

import click
import sqlalchemy as sa

import metaloom.cli
from metaloom.base.text import Text
from metaloom.cli._house import author, client_label, house, remember_client
from metaloom.cli._metadata import client_sources
from metaloom.cli.calendar import seed_new_tenant
from metaloom.schema_change import publish
from metaloom.storage import Tenancy

_PREFIX = "_tenant_"


class _Words(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        found = (m.name.removeprefix(_PREFIX) for m in pkgutil.iter_modules(metaloom.cli.__path__) if m.name.startswith(_PREFIX))
        return sorted({*super().list_commands(ctx), *found})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        own = super().get_command(ctx, name)
        if own is not None or name not in self.list_commands(ctx):
            return own
        word: click.Command = import_module(f"metaloom.cli.{_PREFIX}{name}").command
        return word


@click.group("tenant", cls=_Words)
def command() -> None:
    """Tenants: each has a database, users and metadata of its own."""


@command.command("create")
@click.argument("name")
@click.option("--client", help="The folder under tenants/ it is made from; its own name.")
@click.option("--label", help="What people call it; as its tenant.yaml says.")
@click.option("--url", help="A PostgreSQL database of its own.")
@click.option("--empty", is_flag=True, help="Publish nothing yet.")
def create(name: str, client: str | None, label: str | None, url: str | None, empty: bool) -> None:
    """Make the tenant NAME and publish its client's metadata."""
    with house() as tenancy:
        make_tenant(tenancy, name, client or name, label=label, url=url, empty=empty)


def make_tenant(tenancy: Tenancy, name: str, client: str, *, label: str | None = None, url: str | None = None, empty: bool = False) -> None:
    """The tenant with its tables and, unless ``empty``, the published metadata of its client.

    Metadata that is refused is refused before anything is made. ``label``: else the one in the client's ``tenant.yaml``.
    """
    sources = () if empty else client_sources(client)
    words = Text(label, label) if label else client_label(tenancy, sources) or Text(name, name)
    made = tenancy.create(name, words, after_create=login_tables(), url=url)
    if sources:
        revision = publish(made, sources, author(), "created")
        remember_client(made, client)
        seed_new_tenant(made)
        click.secho(f"{name}: created, revision {revision.number} is served", fg="green")
    else:
        click.secho(f"{name}: created, nothing is published yet (metaloom apply {name} --client …)", fg="green")


def login_tables() -> tuple[Callable[[sa.Connection], None], ...]:
    """What makes the login library's own tables; only ``app`` knows it."""
    from metaloom.app.login_tables import make_login_tables

    return (make_login_tables,)


@command.command("list")
def list_() -> None:
    """Tenants and the revision each one serves."""
    with house() as tenancy:
        closed = tenancy.closed_names()
        for name in sorted((*tenancy.names(), *closed)):
            tenant = tenancy.open(name, closed=True)
            try:
                number = str(tenant.revision().number)
            except Exception as error:
                number = f"- ({error})"
            click.echo(f"{name:<30} {tenant.label.zh}  {tenant.dialect}  revision {number}{'  closed' if name in closed else ''}")


@command.command("drop")
@click.argument("name")
@click.option("--yes", "confirmed", help="The tenant's name once more; without it you are asked.")
def drop(name: str, confirmed: str | None) -> None:
    """Destroy the tenant NAME with all its data."""
    with house() as tenancy:
        tenancy.open(name, closed=True)
        if (confirmed or click.prompt(f"this destroys all data of {name}; type its name to go on")) != name:
            raise click.ClickException("nothing was dropped")
        tenancy.drop(name)
        click.echo(f"{name} is gone")
