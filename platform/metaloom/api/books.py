"""Balances of accounts over a period, as data."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Response

from metaloom.api.answer import answer
from metaloom.api.body import refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.speech import say
from metaloom.base.errors import NotAllowed
from metaloom.base.messages import message
from metaloom.command.account_balances import LEG, Balance, account_balances

PARAMETERS = ("since", "until", "company")
MAX_ID = 2**63 - 1


def balances() -> Response:
    """GET /books/balances?since=…&until=…&company=…: opening, debit, credit and closing of every account with postings, inside the
    person's rights; parents are sums of what lies below them. Opening and closing are debit − credit. Amounts are text."""
    asked, here = no_other_parameters(PARAMETERS), pinned()
    verdict = here.plan.may(LEG, "list")
    if not verdict:
        raise NotAllowed(verdict.reason)
    since, until = _day(asked, "since"), _day(asked, "until")
    found = account_balances(here, since, until, _id(asked))
    return answer({
        "since": since.isoformat(), "until": until.isoformat(), "balanced": found.balanced, "narrowed": found.narrowed,
        "items": [_row(row) for row in found.rows],
        "totals": {"opening": _money(found.opening), "debit": _money(found.debit), "credit": _money(found.credit), "closing": _money(found.closing)}})


def _row(row: Balance) -> dict[str, Any]:
    return {"code": row.code, "label": say(row.label), "leaf": row.leaf, "off_book": bool(row.account and row.account.off_book),
            "opening": _money(row.opening), "debit": _money(row.debit), "credit": _money(row.credit), "closing": _money(row.closing)}


def _money(amount: Any) -> str:
    return format(amount, ".2f")


def _day(asked: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat(asked.get(name, ""))
    except ValueError:
        raise refused(name, message("books.date")) from None


def _id(asked: dict[str, str]) -> int | None:
    text = asked.get("company", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_ID:
        raise refused("company", message("field.link"))
    return int(text)
