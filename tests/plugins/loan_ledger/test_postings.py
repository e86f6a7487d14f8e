"""Happenings of a loan become postings, or are refused by name."""

from decimal import Decimal as D

import pytest

from metaloom.plugin.ledger_posting import Happening
from metaloom_plugins.loan_ledger.provider import REPAYMENT, LoanLedger

LEDGER = LoanLedger()
WHOLE = {"received": D("9000.00"), "from_suspense": D("0.00"), "principal": D("7884.88"), "interest": D("1000.00"), "fee": D("0.00"), "surplus": D("115.12")}


def test_a_payout_posts_its_principal() -> None:
    (posting,) = LEDGER.postings(Happening(name="payout", amounts={"principal": D("100000.00")}))
    assert (posting.event, posting.amounts) == ("payout", {"principal": D("100000.00")})


def test_a_repayment_posts_every_part_and_leaves_none_out() -> None:
    (posting,) = LEDGER.postings(Happening(name="repayment", amounts=WHOLE))
    assert posting.event == "repayment" and posting.amounts == WHOLE and set(posting.amounts) == set(REPAYMENT)


@pytest.mark.parametrize("part", ["received", "principal", "interest", "surplus"])
def test_a_split_that_is_a_cent_off_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="came in but"):
        LEDGER.postings(Happening(name="repayment", amounts={**WHOLE, part: WHOLE[part] + D("0.01")}))


@pytest.mark.parametrize(("name", "amounts"), [("repayment", {**WHOLE, "tips": D(1)}), ("payout", {"interest": D(1)}), ("dividend", {})])
def test_what_it_does_not_know_is_refused_by_name(name: str, amounts: dict[str, D]) -> None:
    with pytest.raises(ValueError, match="unknown|none of"):
        LEDGER.postings(Happening(name=name, amounts=amounts))
