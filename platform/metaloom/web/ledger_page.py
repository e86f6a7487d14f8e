"""The books: balances of accounts with the way down to their legs, and months that are closed like a record is entered."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, Problem
from metaloom.base.messages import message
from metaloom.command.account_balances import LEG, Balance, Balances, account_balances
from metaloom.command.close_month import PERIOD
from metaloom.command.context import Context, Saved
from metaloom.command.export_records import note_export
from metaloom.record.export import neutral
from metaloom.web.current import Current, current, locale, say
from metaloom.web.download import sent_file
from metaloom.web.frame import list_url, url
from metaloom.web.own import Own, register
from metaloom.web.words import t as _t

blueprint = Blueprint("ledger", __name__)
COMPANY = "platform.company"


def _close(ctx: Context, values: Mapping[str, Any], sent: Mapping[str, Any]) -> Saved:
    return command.close_month(ctx, values["month"], values.get("company"))


register(PERIOD, Own(create=_close))


@dataclass(frozen=True)
class Asked:
    """The period and the company that the page is about."""

    since: date
    until: date
    company: int | None = None


@dataclass(frozen=True)
class Line:
    """An account as the page shows it; ``href``: its legs in the period."""

    row: Balance
    name: str
    href: str


@blueprint.get("/books/balance")
def show() -> Any:
    """Balances of the period: what was carried in, what was booked, what stands at the end."""
    pinned = _permitted()
    g.menu_here = "page:balances"
    asked, problems = _asked(pinned)
    found = None
    try:
        found = account_balances(pinned, asked.since, asked.until, asked.company) if not problems else None
    except Invalid as refused:
        problems = [one.message.say(locale()) for one in refused.problems]
    lines = [Line(row, say(row.label), _legs(asked, row)) for row in found.rows] if found else []
    page = render_template("ledger/balance.html", asked=asked, found=found, lines=lines, problems=problems, side=_side, companies=_companies(pinned),
                           may_close=pinned.plan.may(PERIOD, "create"), may_export=pinned.plan.may(LEG, "export"),
                           periods=list_url(PERIOD, "main") if pinned.plan.may(PERIOD, "list") else "",
                           close=url(f"/e/{PERIOD}/new"), query=urlencode(_query(asked)))
    return (page, 422) if problems else page


@blueprint.get("/books/balance/export")
def export() -> Any:
    """The same as a table for a spreadsheet."""
    pinned = _permitted()
    verdict = pinned.plan.may(LEG, "export")
    if not verdict:
        raise NotAllowed(verdict.reason)
    asked, problems = _asked(pinned)
    if problems:
        raise Invalid([Problem("since", message("books.date"))])
    found = account_balances(pinned, asked.since, asked.until, asked.company)
    note_export(pinned, LEG, "csv", len(found.rows), {"since": asked.since.isoformat(), "until": asked.until.isoformat(), "company": asked.company})
    name = f"{_t('books.balances')}_{asked.since}_{asked.until}.csv"
    return sent_file(io.BytesIO(_csv(found)), "text/csv", name, "balances")


def _permitted() -> Current:
    pinned = current()
    verdict = pinned.plan.may(LEG, "list")
    if not verdict:
        raise NotAllowed(verdict.reason)
    return pinned


def _asked(pinned: Current) -> tuple[Asked, list[str]]:
    """The period that was asked for; without one the month of the business date."""
    today = pinned.business_date or pinned.clock.now().astimezone(pinned.zone).date()
    problems: list[str] = []

    def day(name: str, otherwise: date) -> date:
        text = request.args.get(name, "").strip()
        try:
            return date.fromisoformat(text) if text else otherwise
        except ValueError:
            problems.append(_t(f"books.{name}") + ("：" if locale() == "zh" else ": ") + message("books.date").say(locale()))
            return otherwise

    company = request.args.get("company", type=int)
    return Asked(day("since", today.replace(day=1)), day("until", today), company), problems


def _query(asked: Asked) -> dict[str, str]:
    found = {"since": asked.since.isoformat(), "until": asked.until.isoformat()}
    return {**found, "company": str(asked.company)} if asked.company is not None else found


def _legs(asked: Asked, row: Balance) -> str:
    """The list of the legs behind a row; a parent account's are found by the beginning of the code."""
    query = {"f.account": row.code, "f.booking_date~from": asked.since.isoformat(), "f.booking_date~to": asked.until.isoformat()}
    return f"{list_url(LEG, 'main')}?{urlencode({**query, **({'f.company': str(asked.company)} if asked.company is not None else {})})}"


def _companies(pinned: Current) -> list[tuple[int, str]]:
    """Companies to choose from; none where the person sees one alone."""
    if not pinned.plan.may(COMPANY, "list"):
        return []
    found = pinned.reader.lookup(COMPANY, limit=50)
    return [(one.id, one.title) for one in found] if len(found) > 1 else []


def _side(amount: Decimal) -> str:
    """借, 贷 or 平."""
    return _t("books.debit_short" if amount > 0 else "books.credit_short" if amount < 0 else "books.level")


def _csv(found: Balances) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_t("books.code"), _t("books.name"), _t("books.opening_side"), _t("books.opening"), _t("books.debit"), _t("books.credit"),
                     _t("books.closing_side"), _t("books.closing")])
    for row in found.rows:
        writer.writerow([neutral(row.code), neutral(say(row.label)), _side(row.opening), abs(row.opening), row.debit, row.credit, _side(row.closing),
                         abs(row.closing)])
    return out.getvalue().encode("utf-8-sig")
