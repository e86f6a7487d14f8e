"""``metaloom api-key``: keys for programs that use the REST API as a person."""

from __future__ import annotations

from datetime import timedelta

import click
import sqlalchemy as sa

from metaloom.cli._acting import context_of, user_id_of
from metaloom.cli._house import house
from metaloom.command.api_key import create_api_key, revoke_api_key
from metaloom.storage.engine import api_key, user


@click.group("api-key")
def command() -> None:
    """API keys. A key may do what its person may do; it is shown once, when it is made."""


@command.command("create")
@click.argument("tenant")
@click.argument("username")
@click.option("--name", required=True, help="What it is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="It ends after so many days; without this it ends when revoked.")
def create(tenant: str, username: str, name: str, days: int | None) -> None:
    """Make a key for USERNAME of TENANT and print it."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        ctx = context_of(opened)
        expires_at = ctx.clock.now() + timedelta(days=days) if days else None
        saved, key = create_api_key(ctx, name, user_id=user_id_of(opened, username), expires_at=expires_at)
        click.secho(f"key {saved.id} for {username}; it is not shown again", fg="green", err=True)
        click.echo(key)


@command.command("list")
@click.argument("tenant")
def list_(tenant: str) -> None:
    """The keys of TENANT with their first characters."""
    with house() as tenancy, tenancy.open(tenant).read() as conn:
        rows = conn.execute(sa.select(api_key.c.id, user.c.username, api_key.c.prefix, api_key.c.name, api_key.c.last_used_at,
                                      api_key.c.expires_at, api_key.c.revoked_at)
                            .join_from(api_key, user, user.c.id == api_key.c.user_id).order_by(api_key.c.id))
        for row in rows:
            state = "revoked" if row.revoked_at else f"until {row.expires_at:%Y-%m-%d}" if row.expires_at else "live"
            used = f"{row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else "never used"
            click.echo(f"{row.id:>5}  {row.prefix}…  {row.username:<20} {state:<18} {used:<17} {row.name}")


@command.command("revoke")
@click.argument("tenant")
@click.argument("key_id", type=int)
def revoke(tenant: str, key_id: int) -> None:
    """End the key with this number at once."""
    with house() as tenancy:
        click.secho(revoke_api_key(context_of(tenancy.open(tenant)), key_id).message.say("en"), fg="green")
