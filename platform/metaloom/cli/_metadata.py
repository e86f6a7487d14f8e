"""What the words about metadata share: where the folders are, which sources are meant, how findings are printed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

import click

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.compile import EMPTY, PluginManifest, Source, read_sources, tenant_sources
from metaloom.compile.source import ENGINE_PACK


def metadata_root() -> Path:
    """``METALOOM_METADATA``, else ``metadata/`` here, else the packs that came with the installation."""
    if given := os.environ.get("METALOOM_METADATA"):
        return Path(given)
    if Path("metadata").is_dir():
        return Path("metadata")
    spec = find_spec("metaloom_packs")
    if spec is None or not spec.submodule_search_locations:
        raise click.ClickException("no metadata folder: run this in a checkout or set METALOOM_METADATA")
    return Path(next(iter(spec.submodule_search_locations)))


def tenants_root() -> Path:
    """``METALOOM_TENANTS``, else ``tenants/`` here."""
    return Path(os.environ.get("METALOOM_TENANTS") or "tenants")


def engine_root(metadata: Path) -> Path:
    """Where the engine's own pack lies: beside the others, else in the installation."""
    if (metadata / ENGINE_PACK).is_dir():
        return metadata
    spec = find_spec("metaloom_packs")
    return Path(next(iter(spec.submodule_search_locations or ()), metadata)) if spec else metadata


def packs_in(metadata: Path) -> tuple[str, ...]:
    """Every folder that holds a pack."""
    return tuple(sorted(p.parent.name for p in metadata.glob("*/pack.yaml") if p.parent.name != ENGINE_PACK))


def pack_sources(metadata: Path, packs: Iterable[str]) -> tuple[Source, ...]:
    return read_sources({"engine": engine_root(metadata), "pack": metadata}, tuple(packs))


def client_sources(client: str) -> tuple[Source, ...]:
    return tenant_sources(metadata_root(), tenants_root(), client)


def plugin_manifest() -> PluginManifest:
    """The commands of the installed plugins; what of them could not be loaded is said on stderr."""
    from metaloom.plugin import registry

    loaded = registry.installed()
    for diagnostic in loaded.diagnostics:
        click.echo(f"plugin off: {diagnostic}", err=True)
    return loaded.manifest() if not loaded.diagnostics else EMPTY


def show(findings: Iterable[Diagnostic]) -> None:
    """Findings as ``file:line:column CODE message — cure``, warnings in yellow."""
    for found in findings:
        colour = "red" if found.severity == "error" else "yellow"
        cure = f"\n    {found.hint}" if found.hint else ""
        click.echo(f"{found.position} {click.style(found.code, fg=colour, bold=True)} {found.message}{cure}", err=True)


def as_json(found: Diagnostic) -> Mapping[str, object]:
    return {"code": found.code, "severity": found.severity, "file": found.position.file, "line": found.position.line,
            "column": found.position.column, "message": found.message, "hint": found.hint, "address": found.address}


def say_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def refuse(error: MetadataRefused, as_text: bool = True) -> None:
    """Show every finding and leave with 1."""
    if as_text:
        show(error.diagnostics)
    raise SystemExit(1)
