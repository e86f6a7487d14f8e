"""``metaloom plan``: what ``apply`` would change, and which rows would stand in the way."""

from __future__ import annotations

from dataclasses import asdict

import click

from metaloom.cli._cases import say_cases, shown_cases
from metaloom.cli._house import file_sources, house, show_plan
from metaloom.cli._metadata import say_json
from metaloom.schema_change import plan_for, with_site_layer


@click.command("plan")
@click.argument("tenant")
@click.option("--client", help="The folder under tenants/; the one of the last apply, or the tenant's own name.")
@click.option("--allow", multiple=True, metavar="WORD", help="As for apply: drop:<entity>/<field>, narrow:…, retype:…")
@click.option("--sql", is_flag=True, help="Show every statement.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def command(tenant: str, client: str | None, allow: tuple[str, ...], sql: bool, as_json: bool) -> None:
    """Show what applying the metadata files to TENANT would do. Changes nothing.

    Leaves with 1 when apply would refuse.
    """
    with house() as tenancy:
        opened = tenancy.open(tenant)
        made, catalog = plan_for(opened, with_site_layer(opened, file_sources(opened, client)), allow)
        missing = made.words_missing(allow)
        refused = bool(missing) or any(impact.blocking for impact in made.impacts)
        cases = shown_cases(opened, catalog)
        if as_json:
            say_json({**asdict(made), "cases": cases, "digest": catalog.digest, "words_missing": missing, "refused": refused})
        else:
            show_plan(made, sql=sql)
            say_cases(cases)
            if missing:
                click.secho(f"needs an explicit word: {' '.join(f'--allow {word}' for word in missing)}", fg="red")
    if refused:
        raise SystemExit(1)
