"""What a carried difference leaves us owing and nobody claims: income after the company's period, owed again when its owner turns up. One person proposes,
another one confirms; each stands as a difference of the same payment, whose ``carried`` takes the other's back."""

from __future__ import annotations

from decimal import Decimal

from metaloom.base.dates import add_months
from metaloom.plugin.command import Values, Work

from .orders import DIFFERENCE, not_cleared

ENTRY = "platform.ledger_entry"
KIND = "unclaimed"
ZERO = Decimal("0.00")


def to_income(work: Work, difference: Values | None, input: Values) -> None:
    """Proposes all that is left of what we owe of the payment."""
    assert difference is not None
    same = _of_the_payment(work, difference)
    left = -not_cleared(work, difference["reference"], difference["company"])
    work.require(left > 0, ("该笔支付差错没有未销账的应付款。", "We owe nothing of this payment any more."))
    _is_over(work, same, difference["company"])
    _propose(work, difference, same, "income", left, input["note"])


def from_income(work: Work, difference: Values | None, input: Values) -> None:
    """Proposes that what became income is owed again, as a whole."""
    assert difference is not None
    _propose(work, difference, _of_the_payment(work, difference), "income_back", difference["carried"], input["note"])


def confirm(work: Work, difference: Values) -> None:
    """The second person's word."""
    same = _of_the_payment(work, difference)
    amount, today = difference["their_amount"], work.business_date(difference["company"])
    before = next(row for row in same if row["id"] == difference["follows"])
    if difference["treatment"] == "income":
        left = max(ZERO, -not_cleared(work, difference["reference"], difference["company"]))
        work.require(amount <= left, (f"该笔支付差错尚有应付款 {left:,.2f} 元，转入收入不能超过该数。",
                                      f"{left:,.2f} is owed of this payment; the income is more than that."))
        entry = work.post("difference_unclaimed", {"income": amount}, {"memo": difference["reference"]}, difference["company"], today, today,
                          (DIFFERENCE, difference["id"]))
    else:
        entry = work.post("difference_unclaimed", {}, {"memo": difference["reference"]}, difference["company"], today, today, (DIFFERENCE, difference["id"]),
                          reversal_of=before["voucher"])
        amount = -amount
    work.change(DIFFERENCE, difference["id"], {"carried": amount, "voucher": entry, "confirmed_by": work.actor.user_id})
    work.transition(DIFFERENCE, difference["id"], "confirm")


def _of_the_payment(work: Work, difference: Values) -> list[Values]:
    """All differences of the payment, locked by rising id as clearing them does."""
    return work.find(DIFFERENCE, {"reference": difference["reference"], "company": difference["company"]}, lock=True)


def _propose(work: Work, difference: Values, same: list[Values], treatment: str, amount: Decimal, note: str) -> None:
    waits = any(row["kind"] == KIND and row["status"] == "proposed" for row in same)
    undone = treatment == "income_back" and any(row["follows"] == difference["id"] and row["status"] == "handled" for row in same)
    work.require(not waits and not undone, ("已提出，请先确认或退回；已退出的收入不再退出。", "It is proposed, or owed again, already."))
    made = work.create(DIFFERENCE, {
        "kind": KIND, "reference": difference["reference"], "order": difference["order"], "their_amount": amount, "follows": difference["id"],
        "company": difference["company"], "treatment": treatment, "note": note, "proposed_by": work.actor.user_id})
    work.transition(DIFFERENCE, made, "propose")


def _is_over(work: Work, same: list[Values], company: int) -> None:
    """The company's period, since the last time that something of the payment was carried as owed."""
    months = work.get("platform.company", company)["unclaimed_months"]
    work.require(months, ("公司未设置无人认领款转收入的期限。", "The company sets no period after which unclaimed money is income."))
    since = max(work.get(ENTRY, row["voucher"])["booking_date"] for row in same if row["carried"] and row["carried"] < 0 and row["status"] == "handled")
    until = add_months(since, months)
    work.require(work.business_date(company) >= until, (f"须挂账满 {months} 个月（{until}）仍无人认领，才能转营业外收入。",
                                                        f"The period of {months} months is not over before {until}."))
