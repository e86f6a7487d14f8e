"""``metaloom new module``."""

from __future__ import annotations

from pathlib import Path

import click

from metaloom.cli.new._writing import finish, label, name, options, root_of, write


@click.command("module")
@click.argument("pack")
@click.argument("module")
@options
def command(pack: str, module: str, zh: str | None, en: str | None, root: Path | None) -> None:
    """Write the folder of a new module inside PACK."""
    base = root_of(root)
    if not (base / pack / "pack.yaml").is_file():
        raise click.ClickException(f"there is no pack {pack} in {base}; begin with: metaloom new pack {pack}")
    write({base / pack / name(module) / "module.yaml": f"module:\n  label: {label(module, zh, en)}\n"})
    finish(base)
    click.echo(f"next: metaloom new entity {pack} {module} <entity>")
