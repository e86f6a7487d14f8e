"""The invariants of ``metaloom doctor`` over a lender's books, with the rows that break them."""

from __future__ import annotations

from metaloom.app.invariants import Looked, examine
from tests.plugins.lender import Lender


def broken(lender: Lender) -> dict[str, Looked]:
    """What does not hold, by name."""
    return {one.name: one for one in examine(lender.tenant, lender.plugins) if not one.holds}


def books_agree(lender: Lender) -> None:
    """Ledger, loans, plans, receipts, limits and payouts say the same; what tests leave in the outbox on purpose is theirs."""
    looked = examine(lender.tenant, lender.plugins)
    wrong = [f"{one.code} {one.name}: {sentence}" for one in looked if one.name != "outbox" for sentence in (*one.first, one.fault) if sentence]
    assert not wrong, "\n".join(wrong)
    assert {one.name for one in looked} >= {"ledger.entries", "loan_servicing.sub_ledger", "loan_servicing.allocations"}
    assert all(one.rows for one in looked if one.name in ("ledger.entries", "loan_servicing.sub_ledger"))
