"""``metaloom doctor``: is everything as it must be?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metaloom.cli._house import house
from metaloom.cli.calendar import missing_years

if TYPE_CHECKING:
    from metaloom.app.invariants import Looked
    from metaloom.storage import Tenant


@click.command("doctor")
@click.option("--invariants", is_flag=True, help="Look at the books, the audit, the outbox and what plugins watch, of every tenant.")
@click.option("--tenant", "only", help="This tenant alone.")
def command(invariants: bool, only: str | None) -> None:
    """Check the installation; exit code 1 when something is wrong."""
    from metaloom.app.invariants import examine
    from metaloom.plugin.registry import installed
    from metaloom.storage import TenantBroken

    wrong = 0
    with house() as tenancy:
        for name in (only,) if only else tenancy.names():
            tenant = tenancy.open(name, closed=True)
            try:
                number = tenant.revision().number
            except TenantBroken as broken:
                wrong += 1
                why = broken.__cause__
                click.secho(f"{name}: cannot be served, {type(why).__name__}: {str(why).strip().partition(chr(10))[0]}", fg="red", err=True)
                continue
            for year in missing_years(tenant):
                click.secho(f"{name}: the working calendar has no day of {year}; try: metaloom calendar seed {year}", fg="yellow", err=True)
            looked = examine(tenant, installed()) if invariants else ()
            broken = sum(not one.holds for one in looked)
            wrong += broken
            for one in looked:
                _show(one)
            said = f"{broken} of {len(looked)} invariants are broken" if broken else f"all {len(looked)} invariants hold" if looked else "opens"
            click.secho(f"{name}: revision {number}, {said}", fg="red" if broken else "green", err=bool(broken))
    if wrong:
        raise SystemExit(1)


def look_at(tenant: Tenant) -> int:
    """Look at every invariant of the tenant and say how each stands; how many are broken."""
    from metaloom.app.invariants import examine
    from metaloom.plugin.registry import installed

    looked = examine(tenant, installed())
    for one in looked:
        _show(one)
    return sum(not one.holds for one in looked)


def _show(one: Looked) -> None:
    head = f"{one.code:4} {one.name:36} {one.rows:>10,} rows"
    if one.holds:
        click.echo(f"  ok      {head}  {one.label.say('en')}")
        return
    click.secho(f"  BROKEN  {head}  {one.label.say('en')}", fg="red", err=True)
    for sentence in one.first:
        click.echo(f"            {sentence}", err=True)
    if one.breaches > len(one.first):
        click.echo(f"            … and {one.breaches - len(one.first):,} more", err=True)
    if one.fault:
        click.echo(f"            could not be looked up: {one.fault}", err=True)
