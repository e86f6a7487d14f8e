"""``metaloom ledger``: the books of a tenant from the terminal: balances, verification, closing months, files for other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any

import click

from metaloom import ledger
from metaloom.cli._acting import context_of
from metaloom.cli._house import house
from metaloom.command import close_month
from metaloom.ledger.formats import FORMATS, Chart, TextFormat
from metaloom.record.export import neutral
from metaloom.storage import Tenant

DAY = click.DateTime(formats=["%Y-%m-%d"])
COMPANY = "platform.company"


@click.group("ledger")
def command() -> None:
    """The books of a tenant."""


@command.command("balance")
@click.argument("tenant")
@click.option("--on", type=DAY, help="Up to and with this day; else everything that was booked.")
@click.option("--company", help="This company alone, by its code.")
def balance(tenant: str, on: datetime | None, company: str | None) -> None:
    """The trial balance; exit code 1 when it is not zero."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        chart, company_id = Chart.of(opened.revision().catalog), _company(opened, company)
        with opened.read() as conn:
            found = ledger.trial_balance(conn, opened.revision().tables, company_id=company_id, on=_day(on))
        off: dict[str, Decimal] = {}
        for one in found:
            off[one.currency] = off.get(one.currency, Decimal(0)) + one.balance
            click.echo(f"{one.account:12} {one.debit:>20,.2f} {one.credit:>20,.2f} {one.balance:>20,.2f} {one.currency}  {chart.name(one.account)}")
        for currency, amount in off.items():
            click.secho(f"{currency}: the balances sum to {amount:,.2f}", fg="red" if amount else "green", err=bool(amount))
        if any(off.values()):
            raise SystemExit(1)


@command.command("verify")
@click.argument("tenant")
@click.option("--head", "expected", default="", help="A hash that an earlier verify printed: the books must still hold it.")
def verify(tenant: str, expected: str) -> None:
    """Walk the hash chain of the books; exit code 1 at the first entry that is gone or altered. Write the printed head down
    outside of this machine: whoever cuts entries off the end together with their seals is found by it."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        tables = opened.revision().tables
        with opened.read() as conn:
            broken, head = ledger.verify(conn, tables, expected=expected.strip()), ledger.head(conn, tables)
        if broken is not None:
            raise click.ClickException(broken.fault)
        click.secho(f"{head.seals:,} entries are as they were sealed, {head.waiting:,} wait for their seal", fg="green")
        click.echo(f"head {head.hash}")


@command.command("close")
@click.argument("tenant")
@click.argument("company")
@click.argument("month")
def close(tenant: str, company: str, month: str) -> None:
    """Close MONTH (2026-03) of COMPANY (its code). There is no way back."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        click.echo(close_month(context_of(opened), month, _company(opened, company)).message.say("en"))


@command.command("export")
@click.argument("tenant")
@click.option("--format", "name", type=click.Choice(sorted(FORMATS)), required=True, help="Whose file it becomes.")
@click.option("--company", help="This company alone, by its code.")
@click.option("--since", type=DAY, help="First booking date.")
@click.option("--until", type=DAY, help="Last booking date.")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=False), default="-", help="File to write; else the terminal.")
def export(tenant: str, name: str, company: str | None, since: datetime | None, until: datetime | None, output: IO[str]) -> None:
    """Write vouchers for another accounting program."""
    with house() as tenancy:
        opened = tenancy.open(tenant)
        chart, company_id = Chart.of(opened.revision().catalog), _company(opened, company)
        with opened.read() as conn:
            written = _write(name, ledger.vouchers(conn, opened.revision().tables, company_id=company_id, since=_day(since), until=_day(until)), chart, output)
        click.echo(f"{written:,} vouchers", err=True)


def _write(name: str, vouchers: Iterator[ledger.Voucher], chart: Chart, output: IO[str]) -> int:
    counted = _Counted(vouchers)
    wanted = FORMATS[name]
    if isinstance(wanted, TextFormat):
        output.writelines(f"{line}\n" for line in wanted.lines(counted, chart))
    else:
        table = csv.writer(output, lineterminator="\r\n")
        table.writerow(wanted.heads)
        table.writerows([_cell(cell) for cell in row] for row in wanted.rows(counted, chart))
    return counted.number


class _Counted:
    def __init__(self, vouchers: Iterator[ledger.Voucher]) -> None:
        self._vouchers, self.number = vouchers, 0

    def __iter__(self) -> Iterator[ledger.Voucher]:
        for one in self._vouchers:
            self.number += 1
            yield one


def _cell(cell: Any) -> str:
    """Texts as a spreadsheet only shows them; numbers stay numbers, also below zero."""
    return neutral(cell) if isinstance(cell, str) else str(cell)


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


def _company(tenant: Tenant, code: str | None) -> int | None:
    """The company's id; refused when there is none of this code."""
    if code is None:
        return None
    from metaloom.record import Survey

    with tenant.read() as conn:
        found = [row["id"] for row in Survey(conn, tenant.revision()).rows(COMPANY, ("code",), {"code": code})]
    if not found:
        raise click.ClickException(f"there is no company {code}")
    return int(found[0])
