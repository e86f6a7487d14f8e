"""``metaloom doctor``: is everything as it must be?"""

from __future__ import annotations

import click

from metaloom.cli._house import house
from metaloom.cli.calendar import missing_years


@click.command("doctor")
@click.option("--invariants", is_flag=True, help="Look at the books, the audit and the outbox of every tenant.")
@click.option("--tenant", "only", help="This tenant alone.")
def command(invariants: bool, only: str | None) -> None:
    """Check the installation; exit code 1 when something is wrong."""
    from metaloom.app.invariants import findings

    wrong = 0
    with house() as tenancy:
        for name in (only,) if only else tenancy.names():
            tenant = tenancy.open(name)
            number = tenant.revision().number
            for year in missing_years(tenant):
                click.secho(f"{name}: the working calendar has no day of {year}; try: metaloom calendar seed {year}", fg="yellow", err=True)
            found = findings(tenant) if invariants else ()
            wrong += len(found)
            for sentence in found:
                click.secho(f"{name}: {sentence}", fg="red", err=True)
            if not found:
                click.secho(f"{name}: revision {number}, {'all invariants hold' if invariants else 'opens'}", fg="green")
    if wrong:
        raise SystemExit(1)
