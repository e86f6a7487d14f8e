"""``metaloom new``: write the first files of a pack, a module, an entity, so that they pass ``metaloom check``. One file per word."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import click


class _Words(click.Group):
    """Finds what can be new among the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{name}").command
        return command


@click.group("new", cls=_Words)
def command() -> None:
    """Write the first files of something new; they pass `metaloom check` as they are."""
