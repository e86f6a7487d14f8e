"""Who acts when a word of the command line changes something: the machine, or the account that was named."""

from __future__ import annotations

from dataclasses import replace

import click
import sqlalchemy as sa

from metaloom.base.clock import SystemClock
from metaloom.command import system_context
from metaloom.command.context import Context
from metaloom.plugin.registry import installed
from metaloom.storage import Tenant
from metaloom.storage.engine import user


def context_of(tenant: Tenant) -> Context:
    """Commands as whoever runs the machine: channel ``cli``, no person."""
    return replace(system_context(tenant, plugins=installed(), clock=SystemClock(), run_as="cli"), channel="cli")


def user_id_of(tenant: Tenant, username: str) -> int:
    """The account of this name; refused when there is none."""
    with tenant.read() as conn:
        found = conn.scalar(sa.select(user.c.id).where(user.c.username == username))
    if found is None:
        raise click.ClickException(f"there is no user {username}")
    return int(found)
