"""Happenings of a loan become postings, or are refused by name."""

from decimal import Decimal as D
from pathlib import Path

import pytest
import yaml

from metaloom.plugin.ledger_posting import Happening
from metaloom_plugins.loan_ledger.provider import HAPPENINGS, REPAYMENT, LoanLedger

ROOT = Path(__file__).resolve().parents[3]
LEDGER = LoanLedger()
WHOLE = {"received": D("9000.00"), "from_suspense": D("0.00"), "principal": D("7884.88"), "interest": D("1000.00"), "fee": D("0.00"), "surplus": D("115.12")}


def test_a_payout_posts_its_principal() -> None:
    (posting,) = LEDGER.postings(Happening(name="payout", amounts={"principal": D("100000.00")}))
    assert (posting.event, posting.amounts) == ("payout", {"principal": D("100000.00")})


def test_a_repayment_posts_every_part_and_leaves_none_out() -> None:
    (posting,) = LEDGER.postings(Happening(name="repayment", amounts=WHOLE))
    assert posting.event == "repayment" and set(posting.amounts) == set(REPAYMENT)
    assert {name: amount for name, amount in posting.amounts.items() if amount} == {name: amount for name, amount in WHOLE.items() if amount}


def test_every_happening_has_a_rule_that_names_each_of_its_amounts() -> None:
    rules = yaml.safe_load((ROOT / "metadata/lending/ledger.yaml").read_text("utf-8"))["accounting_rules"]
    assert {rule["event"] for rule in rules.values()} == set(LEDGER.happenings())
    for rule in rules.values():
        assert {leg["amount"] for leg in rule["legs"]} == set(HAPPENINGS[rule["event"]]), rule["event"]


@pytest.mark.parametrize("part", ["received", "principal", "interest", "surplus"])
def test_a_split_that_is_a_cent_off_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="came in but"):
        LEDGER.postings(Happening(name="repayment", amounts={**WHOLE, part: WHOLE[part] + D("0.01")}))


@pytest.mark.parametrize(("name", "amounts"), [("repayment", {**WHOLE, "tips": D(1)}), ("payout", {"interest": D(1)}), ("dividend", {})])
def test_what_it_does_not_know_is_refused_by_name(name: str, amounts: dict[str, D]) -> None:
    with pytest.raises(ValueError, match="unknown|none of"):
        LEDGER.postings(Happening(name=name, amounts=amounts))
