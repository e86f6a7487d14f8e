"""The command line: ``metaloom <word>``. One file per word in this folder, imported when the word is used.

A word is a module here whose ``command`` is a click command; there is no list to keep. A group of tools that a plugin brings is a word
too. Exit codes: 0 done, 1 refused (the reason is on stderr), 2 wrong usage.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import click

from metaloom.base import heap


class _Words(click.Group):
    """Finds its commands among the modules of this package, then among the plugins' tools."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_own_words(), *_brought().groups()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _own_words():
            group: click.Command | None = _brought().group_of(name)
            return group
        command: click.Command = import_module(f"{__name__}.{name.replace('-', '_')}").command
        return command


def _own_words() -> list[str]:
    return [m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]


def _brought() -> Any:
    """Imported when needed: loading the plugins takes longer than most words."""
    return import_module(f"{__name__}._tools")


@click.group(cls=_Words, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="metaloom")
def main() -> None:
    """metaloom: YAML in, a running application out."""
    heap.calm()
