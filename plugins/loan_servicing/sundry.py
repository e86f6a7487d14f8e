"""其他收支: capital that is paid in, the value-added tax of a month, the sale of an asset taken in payment (domain specification §5, §6), what a
payment moved too much or too little and how that is cleared. Entered by one person of finance, booked by another, reversed by a mirror of the entry."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from metaloom.plugin.command import Values, Work

from .cases import CHANGE, LOAN, MONEY, ZERO

COMPANY = "platform.company"
DIFFERENCE = "lending.payment_difference"
TAX = "2221"


def submit_money(work: Work, money: Values | None, input: Values) -> None:
    """Hands it in, with what the books hold of the asset; refused where it could not be booked."""
    assert money is not None
    _amounts(work, money)
    if money["kind"] == "asset_sold":
        work.change(MONEY, money["id"], {"carrying": _asset(work, money)["amount"]})
    work.transition(MONEY, money["id"], "submit")


def return_money(work: Work, money: Values | None, input: Values) -> None:
    """Back to who entered it."""
    assert money is not None
    work.transition(MONEY, money["id"], "return")


def post_money(work: Work, money: Values | None, input: Values) -> Values:
    """The second person's word: the entry, today, valued on the day the money moved."""
    assert money is not None
    amounts, today = _amounts(work, money), work.business_date(money["company"])
    voucher = work.post(_EVENT[money["kind"]], amounts, {"memo": money["money_no"]}, money["company"], today, money["moved_on"], (MONEY, money["id"]))
    work.transition(MONEY, money["id"], "post")
    work.change(MONEY, money["id"], {"voucher": voucher, "booked_on": today, "decided_by": work.actor.user_id})
    return {"voucher": voucher}


def reverse_money(work: Work, money: Values | None, input: Values) -> Values:
    """红字, by somebody other than who entered it."""
    assert money is not None
    today = work.business_date(money["company"])
    entry = work.post(_EVENT[money["kind"]], {}, {"memo": money["money_no"]}, money["company"], today, money["moved_on"], (MONEY, money["id"]),
                      reversal_of=money["voucher"])
    work.transition(MONEY, money["id"], "reverse")
    work.change(MONEY, money["id"], {"reversed_on": today})
    return {"voucher": entry}


_CLEARS = {"difference_back": "back", "difference_paid": "paid", "difference_netted": "netted", "difference_lost": "lost"}
_EVENT = {"capital": "capital_received", "vat_paid": "vat_paid", "asset_sold": "asset_sold", **dict.fromkeys(_CLEARS, "difference_cleared")}


def _amounts(work: Work, money: Values) -> dict[str, Decimal]:
    """What the entry moves; refused where the books have no place for it."""
    amount: Decimal = money["amount"]
    if money["kind"] == "capital":
        return {"received": amount}
    if money["kind"] == "vat_paid":
        month = _month(work, money["tax_month"])
        work.require(month < money["moved_on"].replace(day=1), ("税款所属月份尚未结束。", "The month of the tax is not over."))
        work.lock(COMPANY, money["company"])    # two payments at once would each see the whole of it
        owed = _tax_owed(work, money["company"], month)
        work.require(amount <= owed, (f"截至该月末、尚未缴纳的应交增值税为 {owed:,.2f} 元，缴款不能超过该数。",
                                      f"The tax owed at the end of the month and not paid is {owed:,.2f}; the payment is more than that."))
        return {"paid": amount}
    if money["kind"] in _CLEARS:
        owed = _difference_owed(work, money)
        work.require(amount <= owed, (f"该笔支付差错尚有 {owed:,.2f} 元未销账，金额不能超过该数。",
                                      f"{owed:,.2f} of this payment difference is not cleared; the amount is more than that."))
        return {_CLEARS[money["kind"]]: amount}
    asset = _asset(work, money)
    held: Decimal = asset["amount"]
    return {"price": amount, "held": held, "gain": max(ZERO, amount - held), "loss": max(ZERO, held - amount)}


def _difference_owed(work: Work, money: Values) -> Decimal:
    """What is left of a carried difference in the direction of ``money``, with whatever else was carried of the same payment; no more than is left
    of the other one, where two are cleared against each other."""
    chosen = [work.get(DIFFERENCE, money[name]) for name in ("difference", *(["against"] if money["kind"] == "difference_netted" else []))]
    names = [one["reference"] for one in chosen]
    same = work.find(DIFFERENCE, {"reference": names, "company": money["company"]}, lock=True)     # all at once, by rising id
    carried = [row for row in same if row["carried"]]
    work.require({one["id"] for one in chosen} <= {row["id"] for row in carried},
                 ("请选择本公司已挂账的差异。", "Choose a difference that this company carries."))
    owed, *owing = [_not_cleared(work, [row for row in carried if row["reference"] == name]) for name in names]
    return max(ZERO, min([-owed if money["kind"] == "difference_paid" else owed, *(-one for one in owing)]))


def _not_cleared(work: Work, carried: list[Values]) -> Decimal:
    """What is left of what was carried of one payment: above zero it is owed to us, below we owe it."""
    ids = [one["id"] for one in carried]
    left: Decimal = sum((row["carried"] for row in carried), ZERO)
    for row in work.find(MONEY, {"difference": ids, "status": "posted"}):
        left += row["amount"] if row["kind"] == "difference_paid" else -row["amount"]
    return left + sum((row["amount"] for row in work.find(MONEY, {"against": ids, "kind": "difference_netted", "status": "posted"})), ZERO)


def _asset(work: Work, money: Values) -> Values:
    asset = work.lock(CHANGE, money["asset"])
    loan = work.get(LOAN, asset["loan"])
    work.require(asset["kind"] == "repossess" and asset["status"] == "applied" and loan["company"] == money["company"],
                 ("请选择本公司已生效的以物抵债。", "Choose a repossession of this company that is in force."))
    work.require(loan["book_asset"] >= asset["amount"], ("后来的交易使该以物抵债不再成立，账面上没有该资产。",
                                                         "What happened to the loan since undid the repossession; the books hold no such asset."))
    work.require(asset["effective_on"] <= money["moved_on"], ("处置日期早于收取该资产的日期。", "The asset was sold before it was taken."))
    return asset


def _month(work: Work, said: str | None) -> date:
    try:
        return date.fromisoformat(f"{said}-01")
    except ValueError:
        work.refuse("税款所属月份请按 2026-03 的格式填写。", "Write the month of the tax like 2026-03.")
        raise


def _tax_owed(work: Work, company: int, month: date) -> Decimal:
    """What may be paid for ``month``: no more than is owed at its end, at the end of any later month that was paid for, or stands on 2221 now,
    where a record made by hand may have taken it."""
    rows = work.find(MONEY, {"company": company, "kind": "vat_paid", "status": ["posted", "reversed"]})
    paid = [(_month(work, row["tax_month"]), row["amount"]) for row in rows if row["status"] == "posted"]
    owed = -work.balance(TAX, company)
    for one in {month, *(other for other, _ in paid if other > month)}:
        last = (one + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        gone = [row["amount"] for row in rows if row["booked_on"] <= last and (row["status"] == "posted" or row["reversed_on"] > last)]
        counts = [amount for other, amount in paid if other <= one]
        owed = min(owed, -work.balance(TAX, company, last) + sum(gone, ZERO) - sum(counts, ZERO))
    return owed
