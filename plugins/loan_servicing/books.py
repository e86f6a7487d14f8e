"""From happenings to ledger entries, through the ledger_posting door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from metaloom.plugin.command import Values, Work
from metaloom.plugin.ledger_posting import Happening, LedgerPosting


def post(work: Work, name: str, amounts: Mapping[str, Decimal], company: int, *, booking: date, value: date,
         cause: tuple[str, int], loan: Values) -> int:
    """Posts everything a happening means; returns the id of the last entry. The voucher says whose loan it is about."""
    provider: LedgerPosting = work.provider("ledger_posting", "loan_ledger")
    entry = 0
    for posting in provider.postings(Happening(name=name, amounts=amounts, facts=about(work, loan))):
        entry = work.post(posting.event, posting.amounts, posting.facts, company, booking, value, cause)
    return entry


def about(work: Work, loan: Values) -> dict[str, object]:
    """What every voucher of a loan carries: the number of the loan as its memo, the customer as party of its legs. No name stands in the books:
    they are kept for ever and read by people who may not see whose loan it is."""
    return {"memo": loan["loan_no"], "party": ("lending.customer", loan["customer"])}
