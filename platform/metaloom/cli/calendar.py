"""``metaloom calendar``: the public holidays of a year for a tenant's working calendar."""

from __future__ import annotations

from datetime import timedelta

import click

from metaloom.base.clock import SystemClock
from metaloom.cli._acting import context_of
from metaloom.cli._house import house
from metaloom.command.seed_calendar import seed_calendar, year_is_known
from metaloom.record.working_calendar import CALENDAR_DAY, years_known
from metaloom.storage import Tenant


@click.group("calendar")
def command() -> None:
    """The working calendar of tenants."""


@command.command("seed")
@click.argument("year", type=click.IntRange(2004, 2100))
@click.option("--tenant", "only", help="This tenant alone; else every tenant.")
def seed(year: int, only: str | None) -> None:
    """Write the holidays of YEAR; days that are there already stay as they are."""
    with house() as tenancy:
        for name in (only,) if only else tenancy.names():
            click.echo(f"{name}: {_seed(tenancy.open(name), year)}")


def seed_new_tenant(tenant: Tenant) -> None:
    """This year and, where it is published, the next one; nothing for a tenant without a working calendar."""
    if CALENDAR_DAY in tenant.revision().catalog.entities:
        year = SystemClock().now().astimezone(tenant.zone).year
        for known in filter(year_is_known, (year, year + 1)):
            _seed(tenant, known)


def missing_years(tenant: Tenant) -> tuple[int, ...]:
    """Of this year and, from November on, the next one: those without a single day in the calendar."""
    revision = tenant.revision()
    if CALENDAR_DAY not in revision.catalog.entities:
        return ()
    today = SystemClock().now().astimezone(tenant.zone).date()
    with tenant.read() as conn:
        known = years_known(conn, revision.tables)
    return tuple(year for year in sorted({today.year, (today + timedelta(61)).year}) if year not in known)


def _seed(tenant: Tenant, year: int) -> str:
    ctx = context_of(tenant)
    return seed_calendar(ctx, year).message.say("en")
