"""What the words about tenants share: the installation, its plugins, and how refusals are said."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
import sqlalchemy as sa

from metaloom.base import logs
from metaloom.base.diagnostic import MetadataRefused
from metaloom.base.errors import MetaloomError, NotPossible
from metaloom.base.text import Text
from metaloom.cli._metadata import client_sources, plugin_manifest, show
from metaloom.compile import Source
from metaloom.model import Catalog
from metaloom.schema_change import Author, Plan, PlanRefused, client_of
from metaloom.storage import Settings, Tenancy, Tenant, TenantBroken
from metaloom.storage.engine import setting
from metaloom.storage.revisions import shared


@contextmanager
def house() -> Iterator[Tenancy]:
    """The installation that METALOOM_* names; refusals become one clear line and exit code 1."""
    try:
        logs.configure(level=_level())
        tenancy = Tenancy(Settings.from_env(), manifest=plugin_manifest())
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except sa.exc.OperationalError as error:
        raise _no_database(error) from error
    try:
        with logs.about(command=_said()):
            yield tenancy
    except MetadataRefused as refused:
        show(refused.diagnostics)
        raise click.ClickException(f"the metadata is refused, {len(refused.diagnostics)} findings; nothing was changed") from refused
    except PlanRefused as refused:
        show_plan(refused.plan, sql=False)
        raise click.ClickException(refused.message.say("en")) from refused
    except TenantBroken as broken:
        if isinstance(broken.__cause__, MetadataRefused):
            show(broken.__cause__.diagnostics)
        if isinstance(broken.__cause__, sa.exc.OperationalError):
            raise _no_database(broken.__cause__) from broken
        raise click.ClickException(f"{broken.message.say('en')} ({type(broken.__cause__).__name__})") from broken
    except MetaloomError as error:
        raise click.ClickException(error.message.say("en")) from error
    except sa.exc.OperationalError as error:
        raise _no_database(error) from error
    finally:
        tenancy.close()


def _said() -> str:
    """The words of the command that runs, without what was given to it."""
    context = click.get_current_context(silent=True)
    return context.command_path if context is not None else ""


def _level() -> str:
    """A worker tells what it does; other words only what went wrong."""
    return "info" if _said().endswith(" worker") else "warning"


def _no_database(error: sa.exc.OperationalError) -> click.ClickException:
    reason = str(error.orig).strip().splitlines()[-1]
    return click.ClickException(f"the database cannot be used: {reason} (METALOOM_DATABASE_URL must name a server and a database that exist; "
                                "docs/production.md)")


def author() -> Author:
    """Whoever sits at this terminal."""
    try:
        return Author(None, f"cli:{getpass.getuser()}")
    except (KeyError, OSError):
        return Author(None, "cli")


def remember_client(tenant: Tenant, client: str) -> None:
    with tenant.write() as conn:
        if conn.execute(setting.update().where(setting.c.name == "client").values(value=client)).rowcount == 0:
            conn.execute(setting.insert().values(name="client", value=client))


def compiled(tenancy: Tenancy, sources: Sequence[tuple[str, str, str]]) -> Catalog:
    """The catalog of these sources, which a publish of the same sources then need not compile again."""
    return shared(tuple(sources), tenancy.compiler)[0]


def wants_tests(tenancy: Tenancy, sources: Sequence[tuple[str, str, str]]) -> bool:
    """Whether the client's ``tenant.yaml`` lets only tested metadata be published."""
    return compiled(tenancy, sources).settings.get("tested") is True


def client_label(tenancy: Tenancy, sources: Sequence[Source]) -> Text | None:
    """What the client's ``tenant.yaml`` calls it; None where these sources hold none."""
    if not sources:
        return None
    label = compiled(tenancy, [(source.layer, source.path, source.text) for source in sources]).settings.get("label")
    return label if isinstance(label, Text) and label.zh else None


def named_by_client(tenant: Tenant) -> bool:
    """Whether the tenant is called as its client's ``tenant.yaml`` says, and not by a name that somebody gave it."""
    try:
        known = tenant.revision().catalog.settings.get("label")
    except NotPossible:
        known = None
    return tenant.label in (known, Text(tenant.name, tenant.name))


def file_sources(tenant: Tenant, given: str | None) -> tuple[Source, ...]:
    """The file layers of the tenant's client."""
    return client_sources(client_of(tenant, given))


def show_plan(plan: Plan, *, sql: bool) -> None:
    """Steps, rows that stand in the way, what is kept, and the SQL when asked for."""
    colours = {"narrowing": "yellow", "destructive": "red"}
    shown = [step for step in plan.steps if step.action != "remember"]
    if not shown:
        click.echo("the tables stay as they are")
    for step in shown:
        click.secho(step.say(), fg=colours.get(step.kind))
        for statement in step.sql if sql else ():
            click.echo("    " + statement.replace("\n", "\n    ") + ";")
    for impact in plan.impacts:
        click.secho(("refused: " if impact.blocking else "note: ") + impact.say(), fg="red" if impact.blocking else "yellow")
    if plan.kept:
        click.echo(f"kept, no field names them any more: {', '.join(plan.kept)}")
