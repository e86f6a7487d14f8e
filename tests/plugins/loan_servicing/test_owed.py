"""What the dialog of a repayment says before anybody types: owed today, what settles, and the buttons that fill it in."""

from datetime import date
from decimal import Decimal as D

import pytest

from metaloom.command.look_before import Seen, look_before
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree


@pytest.fixture(scope="module")
def owing(both_lenders: Lender) -> dict[str, int]:
    """Loans of E01, paid out on 2025-01-15; then it is the 20th of April."""
    loans = {"late": both_lenders.loan(), "no prepay": both_lenders.loan(both_lenders.product(prepay_allowed="no"))}
    both_lenders.day(date(2025, 4, 20))
    return loans


def owed(shop: Lender, loan: int) -> Seen:
    """What the dialog of a repayment says, seen by finance on a connection that only reads."""
    ctx = shop.stage.as_user("finance")._context("look")
    with shop.tenant.read() as conn:
        return look_before(ctx, "lending.loan", "repay", loan, conn)


def test_the_dialog_says_what_is_owed_today_and_fills_in_what_pays_exactly_that(both_lenders: Lender, owing: dict[str, int]) -> None:
    """Three bills are late on 2025-04-20 and the fourth runs: E01, 8,884.88 each, and 252.32 + 143.35 + 20.11 of penalty."""
    shop, loan = both_lenders, owing["late"]
    seen = owed(shop, loan)
    assert (seen.values["overdue"], seen.values["current"], seen.values["due"]) == (D("27070.42"), D("8884.88"), D("35955.30"))
    assert (seen.values["dpd"], seen.values["penalty"]) == (64, D("415.78"))
    assert (seen.values["due_on"], seen.values["from_suspense"]) == (date(2025, 5, 15), 0)
    (due,) = seen.fillings
    assert due.values == {"kind": "due", "amount": D("35955.30")} and seen.values["settle"] is None, "nobody agreed to a settlement"
    paid = shop.repay(loan, due.values["amount"], on=shop.stage.today)
    assert paid["surplus"] == 0 and paid["principal"] + paid["interest"] + paid["penalty"] == D("35955.30")
    shop.agree(shop.ask_settle(loan))
    after = owed(shop, loan)
    assert after.values["due"] == 0 and [one.values["kind"] for one in after.fillings] == ["settle"], "nothing due: only settling is offered"
    shop.repay(loan, after.fillings[0].values["amount"], kind="settle", on=shop.stage.today)
    row = shop.row("loan", loan)
    assert (row["status"], row["principal_balance"], row["suspense"]) == ("settled", 0, 0)
    books_agree(shop)


def test_a_product_that_forbids_early_settlement_offers_none(both_lenders: Lender, owing: dict[str, int]) -> None:
    seen = owed(both_lenders, owing["no prepay"])
    assert seen.values["settle"] is None and [one.values["kind"] for one in seen.fillings] == ["due"]
