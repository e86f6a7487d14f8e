"""``metaloom secret``: named secrets of plugins, and the keys under which everything is encrypted."""

from __future__ import annotations

import sys

import click

from metaloom.cli._house import house
from metaloom.storage.settings import new_key


@click.group("secret")
def command() -> None:
    """Secrets of a tenant. Metadata only names them; values are encrypted under METALOOM_MASTER_KEY."""


@command.command("set")
@click.argument("tenant")
@click.argument("name")
@click.option("--from-stdin", is_flag=True, help="Read the value from standard input instead of asking for it.")
def set_(tenant: str, name: str, from_stdin: bool) -> None:
    """Store the secret NAME (for example gateway_sandbox.key). It cannot be read back with this command."""
    value = sys.stdin.read().rstrip("\n") if from_stdin else click.prompt("value", hide_input=True, confirmation_prompt=True)
    if not value:
        raise click.ClickException("the value is empty")
    with house() as tenancy:
        tenancy.open(tenant).secrets.set(name, value)
        click.echo(f"{tenant}: {name} is stored")


@command.command("list")
@click.argument("tenant")
def list_(tenant: str) -> None:
    """Names of the stored secrets."""
    with house() as tenancy:
        for name in tenancy.open(tenant).secrets.names():
            click.echo(name)


@command.command("rotate")
@click.argument("tenant")
@click.option("--master", is_flag=True, help="Wrap the keys with the new METALOOM_MASTER_KEY; METALOOM_OLD_MASTER_KEY opens them.")
def rotate(tenant: str, master: bool) -> None:
    """A new data key for everything written from now on; what is there stays readable."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        if not master:
            click.echo(f"{tenant}: data key {opened.secrets.rotate()} is in use")
            return
        if not tenancy.settings.old_master_key:
            raise click.ClickException("set METALOOM_OLD_MASTER_KEY to the key that was used until now")
        click.echo(f"{tenant}: {opened.secrets.rewrap(tenancy.settings.old_master_key)} keys are wrapped with the new master key")


@command.command("new-key")
def new_key_() -> None:
    """Print a fresh master key."""
    click.echo(new_key())
