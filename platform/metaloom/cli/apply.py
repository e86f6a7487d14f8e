"""``metaloom apply``: publish the metadata files of a tenant's client."""

from __future__ import annotations

import click

from metaloom.base.clock import SystemClock
from metaloom.base.text import Text
from metaloom.cli._cases import change_cases, read_cases, say_cases, say_processes, shown_cases
from metaloom.cli._house import author, client_of, file_sources, house, named_by_client, remember_client, wants_tests
from metaloom.cli.test import refuse_red
from metaloom.compile import Source
from metaloom.plugin.registry import installed
from metaloom.schema_change import publish, with_site_layer


@click.command("apply")
@click.argument("tenant")
@click.option("--client", help="The folder under tenants/; the one of the last apply, or the tenant's own name.")
@click.option("--reason", default="", help="Kept with the revision.")
@click.option("--allow", multiple=True, metavar="WORD", help="Permit what loses data: drop:<entity>/<field>, narrow:…, retype:…")
@click.option("--tested", is_flag=True, help="Publish only when every test of these metadata is green (always so where tenant.yaml says it).")
@click.option("--base", type=int, help="Refuse unless this revision is still the published one.")
@click.option("--cases", multiple=True, metavar="ENTITY/CHAIN=MODE", help="Running approval cases of a changed chain: pin (default), move or restart.")
@click.option("--map", "maps", multiple=True, metavar="ENTITY/CHAIN:OLD=NEW", help="Where a move puts cases that stand at a step without successor.")
def command(tenant: str, client: str | None, reason: str, allow: tuple[str, ...], tested: bool, base: int | None, cases: tuple[str, ...],
            maps: tuple[str, ...]) -> None:
    """Publish the metadata files for TENANT: live in every process within a second, without a restart.

    Running approval cases stay with the chain they began under; --cases moves or restarts them. Leaves with 1 when one could not be.
    """
    modes, mapping = read_cases(cases, maps)
    with house() as tenancy:
        opened = tenancy.open(tenant)
        sources = with_site_layer(opened, file_sources(opened, client))
        if tested or wants_tests(tenancy, sources):
            refuse_red([Source(*source) for source in sources])
        follows = named_by_client(opened)
        revision = publish(opened, sources, author(), reason, allow=allow, base=base)
        remember_client(opened, client_of(opened, client))
        if follows and isinstance(label := revision.catalog.settings.get("label"), Text):
            tenancy.relabel(tenant, label)
        click.secho(f"{tenant}: revision {revision.number} is served (digest {revision.digest[:12]})", fg="green")
        say_cases([change for change in shown_cases(opened, revision.catalog, mapping=mapping) if change["chain"] not in modes])
        say_processes(opened, revision.catalog)
        if not change_cases(opened, installed(), SystemClock(), modes, mapping, reason):
            raise SystemExit(1)
