"""``metaloom plan``: what ``apply`` would change, and which rows would stand in the way."""

from __future__ import annotations

from dataclasses import asdict

import click

from metaloom.cli._cases import say_cases, say_processes, shown_cases
from metaloom.cli._house import file_sources, house, show_plan
from metaloom.cli._metadata import say_json
from metaloom.schema_change import Difference, differences, plan_for, served_catalog, with_site_layer

SHOWN = 100


@click.command("plan")
@click.argument("tenant")
@click.option("--client", help="The folder under tenants/; the one of the last apply, or the tenant's own name.")
@click.option("--allow", multiple=True, metavar="WORD", help="As for apply: drop:<entity>/<field>, narrow:…, retype:…")
@click.option("--sql", is_flag=True, help="Show every statement.")
@click.option("--all", "every", is_flag=True, help="Show every changed address, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def command(tenant: str, client: str | None, allow: tuple[str, ...], sql: bool, every: bool, as_json: bool) -> None:
    """Show what applying the metadata files to TENANT would do. Changes nothing.

    Leaves with 1 when apply would refuse.
    """
    with house() as tenancy:
        opened = tenancy.open(tenant)
        made, catalog = plan_for(opened, with_site_layer(opened, file_sources(opened, client)), allow)
        missing = made.words_missing(allow)
        refused = bool(missing) or any(impact.blocking for impact in made.impacts)
        changes = differences(served_catalog(opened), catalog)
        cases = shown_cases(opened, catalog)
        if as_json:
            said = [asdict(one) for one in changes]
            say_json({**asdict(made), "changes": said, "cases": cases, "digest": catalog.digest, "words_missing": missing, "refused": refused})
        else:
            _show_changes(changes, every=every)
            show_plan(made, sql=sql)
            say_cases(cases)
            say_processes(opened, catalog)
            if missing:
                click.secho(f"needs an explicit word: {' '.join(f'--allow {word}' for word in missing)}", fg="red")
    if refused:
        raise SystemExit(1)


def _show_changes(changes: tuple[Difference, ...], *, every: bool) -> None:
    """What the metadata say otherwise than what is published, by address."""
    colours = {"added": "green", "removed": "red", "changed": None}
    shown = changes if every else changes[:SHOWN]
    if not changes:
        click.echo("the metadata are what is published")
    for one in shown:
        click.secho(one.say(), fg=colours[one.verb])
    if len(shown) < len(changes):
        click.echo(f"… and {len(changes) - len(shown)} more (--all)")
