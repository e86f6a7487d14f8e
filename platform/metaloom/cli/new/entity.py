"""``metaloom new entity``."""

from __future__ import annotations

from pathlib import Path

import click

from metaloom.cli._metadata import pack_sources
from metaloom.cli.new._writing import finish, label, name, options, root_of, write
from metaloom.compile import compile_catalog


@click.command("entity")
@click.argument("pack")
@click.argument("module")
@click.argument("entity")
@options
def command(pack: str, module: str, entity: str, zh: str | None, en: str | None, root: Path | None) -> None:
    """Write a new entity with two fields, a list, a form, and rights for the first role of PACK."""
    base = root_of(root)
    if not (base / pack / module / "module.yaml").is_file():
        raise click.ClickException(f"there is no module {pack}/{module} in {base}; begin with: metaloom new module {pack} {module}")
    folder = base / pack / module / name(entity)
    write({
        folder / "entity.yaml": f"""entity:
  label: {label(entity, zh, en)}
  title: name
  owned_by: [company, org_unit, user]
  fields:
    name: {{type: text, length: 60, required: true, search: contains, pinyin: true, label: {{zh: 名称, en: Name}}}}
    note: {{type: long_text, label: {{zh: 备注, en: Note}}}}
""",
        folder / "list.yaml": """list:
  columns: [name, owner.display_name, created_at]
  search: [name]
  sort: [-created_at]
""",
        folder / "form.yaml": """form:
  sections:
    basic: {label: {zh: 基本信息, en: Basic information}, fields: [name, note]}
""",
        folder / "access.yaml": f"""access:
  {_first_role(base, pack)}: {{scope: company, actions: [list, read, create, edit, delete, restore, export, history]}}
""",
    })
    finish(base)


def _first_role(base: Path, pack: str) -> str:
    """The first role of the pack; the engine's administrator where the pack has none."""
    roles = compile_catalog(pack_sources(base, (pack,))).roles
    return next((address.partition(".")[2] for address in roles if address.startswith(f"{pack}.")), "platform.admin")
