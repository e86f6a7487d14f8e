"""From happenings to ledger entries, through the ledger_posting door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from metaloom.plugin.command import Work
from metaloom.plugin.ledger_posting import Happening, LedgerPosting


def post(work: Work, name: str, amounts: Mapping[str, Decimal], company: int, *, booking: date, value: date,
         cause: tuple[str, int]) -> int:
    """Posts everything a happening means; returns the id of the last entry."""
    provider: LedgerPosting = work.provider("ledger_posting", "loan_ledger")
    entry = 0
    for posting in provider.postings(Happening(name=name, amounts=amounts)):
        entry = work.post(posting.event, posting.amounts, posting.facts, company, booking, value, cause)
    return entry
