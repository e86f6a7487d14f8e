"""``metaloom explain``: the effective value of anything in the metadata, and where it comes from."""

from __future__ import annotations

import json

import click

from metaloom.base.diagnostic import MetadataRefused
from metaloom.cli._metadata import as_json, client_sources, metadata_root, pack_sources, packs_in, say_json, show
from metaloom.compile import explain


@click.command("explain")
@click.argument("address")
@click.option("--tenant", help="As this client sees it, with its overlays.")
@click.option("--json", "json_out", is_flag=True, help="Answer as JSON on stdout.")
def command(address: str, tenant: str | None, json_out: bool) -> None:
    """Say what ADDRESS is, in which layer and file it was written, and which overlays touched it.

    ADDRESS is such as sales.customer/field/name/label/zh, sales/choices/gender or tenant/settings.
    """
    try:
        sources = client_sources(tenant) if tenant else pack_sources(metadata_root(), packs_in(metadata_root()))
        found = explain(sources, address)
    except MetadataRefused as refused:
        if json_out:
            say_json({"ok": False, "errors": [as_json(d) for d in refused.diagnostics]})
        else:
            show(refused.diagnostics)
        raise SystemExit(1) from None
    history = [{"op": a.verb, "path": "/".join(a.path), "layer": a.layer, "at": str(a.position), "before": a.before, "after": a.after} for a in found.history]
    if json_out:
        say_json({"ok": True, "address": found.address, "path": "/".join(found.path), "value": found.value, "layer": found.layer,
                  "at": str(found.position), "history": history})
        return
    click.echo(json.dumps(found.value, ensure_ascii=False, indent=2, default=str))
    click.echo(f"written in the {found.layer} layer, {found.position}")
    for step in history:
        click.echo(f"  {step['op']} {step['path']} by the {step['layer']} layer, {step['at']}: was {_short(step['before'])}")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else text[:97] + "…"
