"""``metaloom user``: the first administrator of a tenant, and what nobody inside it can do alone."""

from __future__ import annotations

import secrets

import click
import sqlalchemy as sa

from metaloom.cli._acting import context_of, user_id_of
from metaloom.cli._house import house
from metaloom.command import assign_role, bind_login, confirm_role, save_user, set_password, unbind_login
from metaloom.storage.engine import role_assignment


@click.group("user")
def command() -> None:
    """Accounts, by whoever runs the machine. Passwords are made here, shown once, and changed at the first login."""


@command.command("create")
@click.argument("tenant")
@click.argument("username")
@click.option("--name", help="What people call them; the user name.")
@click.option("--email", required=True)
@click.option("--role", "roles", multiple=True, help="A role to hold in the whole tenant, for example platform.admin.")
def create(tenant: str, username: str, name: str | None, email: str, roles: tuple[str, ...]) -> None:
    """Make the account USERNAME in TENANT and print its first password."""
    with house() as tenancy:
        ctx, password = context_of(tenancy.open(tenant)), _password()
        made = save_user(ctx, None, {"username": username, "display_name": name or username, "email": email}, password=password, initial=True)
        for role in roles:
            assign_role(ctx, made.id, role)
        click.secho(f"{username} may log in; the password is not shown again and must be changed at the first login", fg="green", err=True)
        click.echo(password)


@command.command("password")
@click.argument("tenant")
@click.argument("username")
def password(tenant: str, username: str) -> None:
    """Give USERNAME a new first password and print it; every login of the account ends."""
    with house() as tenancy:
        opened, made = tenancy.open(tenant), _password()
        set_password(context_of(opened), user_id_of(opened, username), made, initial=True)
        click.echo(made)


@command.command("confirm")
@click.argument("tenant")
@click.argument("username")
def confirm(tenant: str, username: str) -> None:
    """Confirm the administrator's roles that wait for USERNAME, where the tenant has no second administrator."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        user_id = user_id_of(opened, username)
        with opened.read() as conn:
            waiting = conn.scalars(sa.select(role_assignment.c.id).where(role_assignment.c.user_id == user_id, role_assignment.c.waits_for_second)).all()
        if not waiting:
            raise click.ClickException(f"no role of {username} waits")
        for assignment in waiting:
            click.secho(confirm_role(context_of(opened), assignment).message.say("en"), fg="green")


@command.command("bind")
@click.argument("tenant")
@click.argument("username")
@click.argument("subject")
def bind(tenant: str, username: str, subject: str) -> None:
    """Bind USERNAME to the person whom the tenant's provider of logins calls SUBJECT (``sub`` in its tokens)."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        click.secho(bind_login(context_of(opened), user_id_of(opened, username), subject).message.say("en"), fg="green")


@command.command("unbind")
@click.argument("tenant")
@click.argument("username")
def unbind(tenant: str, username: str) -> None:
    """Let the provider's word open USERNAME no more; its logins end."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        click.secho(unbind_login(context_of(opened), user_id_of(opened, username)).message.say("en"), fg="green")


def _password() -> str:
    return f"{secrets.token_urlsafe(12)}-{secrets.randbelow(90) + 10}a"
