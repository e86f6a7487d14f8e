"""What providers are made with, for one client: settings from its metadata, secrets, a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.command.context import Context
from metaloom.plugin import Environment


def environment_for(ctx: Context) -> Environment:
    """The environment of the tenant. ``settings: {plugins: {<plugin>: {…}}}`` in its ``tenant.yaml`` sets plugins up."""
    settings = ctx.revision.catalog.settings.get("plugins")
    return Environment(
        tenant=ctx.tenant.name,
        settings=settings if isinstance(settings, Mapping) else {},
        secret=lambda name: _secret(ctx, name),
        folder=ctx.tenant.settings.home / "plugins" / ctx.tenant.name,
        clock=ctx.clock,
    )


def _secret(ctx: Context, name: str) -> str:
    value: Any = ctx.tenant.secrets.get(name)
    if value is None:
        raise KeyError(name)
    return str(value)
