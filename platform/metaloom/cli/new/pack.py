"""``metaloom new pack``."""

from __future__ import annotations

from pathlib import Path

import click

from metaloom.cli.new._writing import finish, label, name, options, root_of, write


@click.command("pack")
@click.argument("pack")
@options
def command(pack: str, zh: str | None, en: str | None, root: Path | None) -> None:
    """Write the folder of a new pack: its card and a first role."""
    base = root_of(root)
    folder = base / name(pack)
    write({
        folder / "pack.yaml": f"""pack:
  version: 0.1.0
  format: 2
  label: {label(pack, zh, en)}
  depends: {{platform: ">=1.0"}}
""",
        folder / "roles.yaml": """roles:
  clerk: {label: {zh: 经办, en: Clerk}}
""",
    })
    finish(base)
    click.echo(f"next: metaloom new module {pack} <module>")
