"""What all new things share: names, labels, files that are never overwritten, and the check afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from metaloom.base.diagnostic import MetadataRefused
from metaloom.cli._metadata import metadata_root, pack_sources, packs_in, show
from metaloom.compile import compile_catalog
from metaloom.compile.checks.names import why_reserved
from metaloom.compile.layout import NAME


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every new thing."""
    folder = click.Path(file_okay=False, path_type=Path)
    function = click.option("--root", type=folder, help="The metadata folder (default: the one of this checkout).")(function)
    function = click.option("--en", help="English label.")(function)
    return click.option("--zh", help="Chinese label.")(function)


def name(word: str) -> str:
    """``word`` where it can be a name in metadata; else click says why not."""
    if not NAME.fullmatch(word):
        raise click.BadParameter(f"{word}: lower-case letters, digits and _, beginning with a letter, at most 48")
    if why := why_reserved(word):
        raise click.BadParameter(f"{word} is reserved ({why})")
    return word


def label(word: str, zh: str | None, en: str | None) -> str:
    """A label on one line of YAML, in quotes whatever it holds."""
    english = en or word.replace("_", " ").capitalize()
    return f"{{zh: {quoted(zh or english)}, en: {quoted(english)}}}"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def write(files: Mapping[Path, str]) -> None:
    """Write all files or none; an existing file is never touched."""
    taken = [path for path in files if path.exists()]
    if taken:
        raise click.ClickException(f"{taken[0]} exists already; nothing was written")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")


def finish(root: Path) -> None:
    """Check everything under ``root`` and say what is wrong with it."""
    try:
        catalog = compile_catalog(pack_sources(root, packs_in(root)))
    except MetadataRefused as refused:
        show(refused.diagnostics)
        raise SystemExit(1) from None
    show(catalog.warnings)
    click.secho("metaloom check: good", fg="green")


def root_of(given: Path | None) -> Path:
    return given or metadata_root()
