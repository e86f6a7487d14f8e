"""``metaloom check``: hold metadata against everything the compiler knows, without a database."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.cli._metadata import (
    as_json,
    client_sources,
    metadata_root,
    pack_sources,
    packs_in,
    plugin_manifest,
    say_json,
    show,
    tenants_root,
)
from metaloom.compile import Source, compile_catalog


@click.command("check")
@click.option("--tenant", "tenant", help="Check this client: its packs and its overlays.")
@click.option("--path", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Check the packs in this folder, or the one pack it is.")
@click.option("--json", "json_out", is_flag=True, help="Answer as JSON on stdout.")
@click.option("--strict", is_flag=True, help="Warnings refuse, too.")
def command(tenant: str | None, path: Path | None, json_out: bool, strict: bool) -> None:
    """Check metadata: every pack and client here, or what --tenant or --path names.

    Prints every finding as file:line:column CODE message. Leaves with 1 when something is refused.
    """
    results = [_check(name, sources) for name, sources in _targets(tenant, path)]
    errors = sum(len(r["errors"]) for r in results)
    warnings = sum(len(r["warnings"]) for r in results)
    if json_out:
        say_json({"ok": not errors, "results": [_plain(r) for r in results]})
    else:
        for result in results:
            _print(result)
    if errors or (strict and warnings):
        raise SystemExit(1)


def _targets(tenant: str | None, path: Path | None) -> list[tuple[str, Callable[[], tuple[Source, ...]]]]:
    if tenant:
        return [(f"client {tenant}", lambda: client_sources(tenant))]
    if path is not None and (path / "pack.yaml").is_file():
        return [(f"pack {path.name}", lambda: pack_sources(path.parent, (path.name, *_needs(path))))]
    root = path or metadata_root()
    targets: list[tuple[str, Callable[[], tuple[Source, ...]]]] = [
        (f"packs in {root}", lambda: pack_sources(root, packs_in(root)))]
    if path is None:
        for card in sorted(tenants_root().glob("*/tenant.yaml")):
            targets.append((f"client {card.parent.name}", lambda name=card.parent.name: client_sources(name)))  # type: ignore[misc]
    return targets


def _needs(path: Path) -> tuple[str, ...]:
    """The neighbours a pack depends on, as far as they lie beside it."""
    from metaloom.compile.load import load

    sources = pack_sources(path.parent, (path.name,))
    card = next((s for s in sources if s.path == f"{path.name}/pack.yaml"), None)
    node = load(card, lambda _: None) if card else None
    depends = node.value["pack"].get("depends") if node and node.get("pack") else None
    return tuple(name for name in (depends.value if depends and depends.is_map else ()) if (path.parent / name / "pack.yaml").is_file())


def _check(name: str, sources: Callable[[], tuple[Source, ...]]) -> dict:  # type: ignore[type-arg]
    begin = time.perf_counter()
    errors: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    counts = digest = ""
    try:
        catalog = compile_catalog(sources(), plugins=plugin_manifest())
        warnings, digest = catalog.warnings, catalog.digest
        fields = sum(len(e.fields) for e in catalog.entities.values())
        counts = f"{len(catalog.packs)} packs, {len(catalog.entities)} entities, {fields} fields, {len(catalog.actions)} actions"
    except MetadataRefused as refused:
        errors = refused.diagnostics
    return {"name": name, "errors": errors, "warnings": warnings, "counts": counts, "digest": digest, "seconds": time.perf_counter() - begin}


def _plain(result: dict) -> dict:  # type: ignore[type-arg]
    return {**result, "errors": [as_json(d) for d in result["errors"]], "warnings": [as_json(d) for d in result["warnings"]],
            "seconds": round(result["seconds"], 3)}


def _print(result: dict) -> None:  # type: ignore[type-arg]
    show(result["errors"])
    show(result["warnings"])
    if result["errors"]:
        click.secho(f"{result['name']}: refused, {len(result['errors'])} findings", fg="red", err=True)
    else:
        note = f", {len(result['warnings'])} warnings" if result["warnings"] else ""
        click.secho(f"{result['name']}: good ({result['counts']}{note}; {result['seconds']:.2f} s; digest {result['digest'][:12]})", fg="green")
