"""Running approval cases whose chain changes: shown by ``plan``, decided by ``apply``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from metaloom.command import change_case_chain, changed_chains, changed_processes, preview_move, system_context
from metaloom.command.change_case_chain import MODES
from metaloom.model import Catalog
from metaloom.storage import Tenant


def shown_cases(tenant: Tenant, catalog: Catalog, *, mapping: Mapping[str, Mapping[str, str]] | None = None) -> list[dict[str, Any]]:
    """What ``catalog`` means for the running cases of ``tenant``, as JSON: per chain its cases, and where a move would put each."""
    found: list[dict[str, Any]] = []
    with tenant.read() as conn:
        tables = tenant.revision().tables
        for change in changed_chains(conn, tables, catalog):
            moves = preview_move(conn, tables, catalog, change.address, (mapping or {}).get(change.address)) if not change.gone else ()
            own = [move for move in moves if move.case in change.cases]
            found.append({"chain": change.address, "digest": change.digest, "gone": change.gone, "steps": dict(change.steps), "said": change.say(),
                          "cases": list(change.cases), "moves": [{"case": m.case, "goes": dict(m.goes), "stuck": list(m.stuck)} for m in own]})
    return found


def say_cases(found: list[dict[str, Any]]) -> None:
    for change in found:
        click.secho(change["said"], fg="yellow")
        stuck = [move for move in change["moves"] if move["stuck"]]
        if stuck:
            names = sorted({step for move in stuck for step in move["stuck"]})
            click.secho(f"    {len(stuck)} of them cannot be moved without --map {change['chain']}:<old>=<new> for {', '.join(names)}", fg="yellow")


def say_processes(tenant: Tenant, catalog: Catalog) -> None:
    """What ``catalog`` means for open runs of processes: each stays with the definition it began under."""
    with tenant.read() as conn:
        for change in changed_processes(conn, tenant.revision().tables, catalog):
            click.secho(change.say(), fg="yellow")


def read_cases(given: tuple[str, ...], maps: tuple[str, ...]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """``<entity>/<chain>=move`` and ``<entity>/<chain>:<old>=<new>``; a usage error for anything else."""
    modes: dict[str, str] = {}
    for text in given:
        address, _, mode = text.partition("=")
        if mode not in MODES or "/" not in address:
            raise click.BadParameter(f"{text}: write <entity>/<chain>=pin, =move or =restart", param_hint="--cases")
        modes[address] = mode
    mapping: dict[str, dict[str, str]] = {}
    for text in maps:
        address, _, names = text.partition(":")
        old, _, new = names.partition("=")
        if "/" not in address or not old or not new:
            raise click.BadParameter(f"{text}: write <entity>/<chain>:<old step>=<new step>", param_hint="--map")
        mapping.setdefault(address, {})[old] = new
    return modes, mapping


def change_cases(tenant: Tenant, plugins: Any, clock: Any, modes: Mapping[str, str], mapping: Mapping[str, Mapping[str, str]], reason: str) -> bool:
    """Does what was asked with the cases of each chain and says what came of it; whether all of it worked."""
    ctx, good = system_context(tenant, plugins=plugins, clock=clock, run_as="cli"), True
    for address, mode in modes.items():
        for outcome in change_case_chain(ctx, address, mode, mapping=mapping.get(address), reason=reason):
            good = good and outcome.error is None
            click.secho(f"case {outcome.id}: {outcome.message.say('en')}", fg="red" if outcome.error else None)
    return good
