"""``metaloom approval``: try a chain on past records before people meet it."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metaloom.approval.compare import Difference
from metaloom.cli._acting import context_of
from metaloom.cli._house import file_sources, house
from metaloom.cli._metadata import say_json
from metaloom.command.simulate_chain import LIMIT, Simulation, Tried, simulate_chain
from metaloom.command.simulation_plain import as_plain, walked
from metaloom.expression import ExpressionError
from metaloom.model import Catalog
from metaloom.schema_change import with_site_layer
from metaloom.storage import Tenancy, Tenant

NOBODY = "nobody"


@click.group("approval")
def command() -> None:
    """Approval chains of a tenant."""


@command.command("simulate")
@click.argument("tenant")
@click.argument("chain", metavar="ENTITY/CHAIN")
@click.option("--draft", is_flag=True, help="The chain as the metadata files say it, not as published.")
@click.option("--client", help="With --draft: the folder under tenants/; the one of the last apply, or the tenant's own name.")
@click.option("--where", default="", metavar="EXPR", help="Which records, such as \"amount > 50000\"; those with a finished case of the chain.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=LIMIT, show_default=True, help="At most so many records, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def simulate(tenant: str, chain: str, draft: bool, client: str | None, where: str, limit: int, as_json: bool) -> None:
    """Try a chain of TENANT on past records: who would decide, what would differ. Writes nothing.

    The record, its people and their rights are those of today; whoever is asked says yes, and answers as in the case that ran.
    """
    with house() as tenancy:
        opened = tenancy.open(tenant)
        catalog = _drafted(tenancy, opened, client) if draft else None
        _refuse_unknown(catalog or opened.revision().catalog, opened, chain)
        try:
            found = simulate_chain(context_of(opened), chain, draft=catalog, where=where, limit=limit)
        except ExpressionError as error:
            raise click.ClickException(f"--where: {error}") from error
    if as_json:
        say_json(as_plain(found))
    else:
        _show(found)


def _drafted(tenancy: Tenancy, tenant: Tenant, client: str | None) -> Catalog:
    """The files of the client under the site layer, compiled and not published."""
    return tenancy.compiler(with_site_layer(tenant, file_sources(tenant, client)))


def _refuse_unknown(catalog: Catalog, tenant: Tenant, chain: str) -> None:
    if chain not in catalog.chains:
        raise click.ClickException(f"there is no chain {chain}; there are: {', '.join(sorted(catalog.chains)) or '-'}")
    if catalog.chains[chain].entity not in tenant.revision().catalog.entities:
        raise click.ClickException(f"the entity of {chain} is not published yet: there are no records to try it on")


# -- as a table --------------------------------------------------------------------------------------------------------------


def _show(found: Simulation) -> None:
    console = Console(highlight=False)
    table = Table(title=f"{found.chain.address} on {len(found.tried)} records", title_justify="left")
    for head in ("record", "case", "path", "who would decide", "differs"):
        table.add_column(head, overflow="fold")
    for one in found.tried:
        table.add_row(*map(escape, (f"{one.record} {one.title}", f"{one.case} {one.really}" if one.case is not None else "-",
                                    _path(one), _deciders(found, one), "\n".join(_differs(found, d) for d in one.differences) or "-")))
    if found.tried:
        console.print(table)
    for line in summary(found):
        click.echo(line)


def _path(one: Tried) -> str:
    way = " > ".join(walked(one.outcome.path))
    if one.outcome.refused is not None:
        return f"{way}\n{one.outcome.refused.say('en')}".strip()
    return f"{way} = {one.outcome.result}" if one.outcome.result else f"{way}\nstops at {', '.join(one.outcome.stops_at)}"


def _deciders(found: Simulation, one: Tried) -> str:
    return "\n".join(f"{a.step}: {_called(found, a.people)}{' (administrators)' if a.admin else ''}" for a in one.outcome.asked)


def _called(found: Simulation, people: Iterable[int]) -> str:
    return ", ".join(found.names.get(user, f"#{user}") for user in people) or NOBODY


def _differs(found: Simulation, d: Difference) -> str:
    said = [(_called(found, side) if side and d.what == "deciders" else ", ".join(map(str, side))) or "-" for side in (d.before, d.after)]
    return f"{' '.join(filter(None, (d.what, d.where)))}: {' -> '.join(said)}"


def summary(found: Simulation) -> list[str]:
    """What the records together say of the chain."""
    survey = found.survey
    if not found.tried:
        return ["no record to try it on; name some with --where"]
    lines = [f"{len(found.tried)} records; other deciders: {len(found.changed('deciders'))}, other result: {len(found.changed('result'))}, "
             f"other way: {len(found.changed('way'))}, stuck: {len(survey.stuck)}"]
    lines += [f"no record took the branch {fork}:{branch}" for fork, branch in survey.dead_ways]
    lines += [f"no record came to the step {step}" for step in survey.dead_steps]
    lines += [f"nobody could decide the step {step} ({len(keys)} records)" for step, keys in survey.nobody.items()]
    return lines + [f"record {key} is gone" for key in found.gone]
