"""对公流水与待认领 (S1-20): a line of the bank is parked, a loan is proposed, one person claims, another one posts."""

from __future__ import annotations

import re
from decimal import Decimal

from metaloom.plugin.command import Values, Work

RECEIPT, LOAN, CUSTOMER, ACCOUNT = "lending.bank_receipt", "lending.loan", "lending.customer", "lending.bank_account"
CHANGE, LEG = "lending.loan_change", "platform.ledger_leg"
INSTALMENT = "lending.instalment"
LOAN_NO = re.compile(r"DK\d{14}", re.ASCII)
ZERO = Decimal("0.00")


def find_loan(work: Work, receipt: Values | None, input: Values) -> Values:
    """Parks the money on 2241.02 and proposes the loan: by its number in the remark, by the payer's account, by name and amount due, by
    name alone; only where exactly one loan fits."""
    assert receipt is not None
    _park(work, receipt)
    for how, loans in _candidates(work, receipt):
        if len(loans) == 1:
            loan = loans[0]
            work.change(RECEIPT, receipt["id"], {"loan": loan["id"], "matched_by": how})
            work.transition(RECEIPT, receipt["id"], "propose")
            return {"loan": loan["id"], "matched_by": how}
    return {"loan": None, "matched_by": None}


def _candidates(work: Work, receipt: Values) -> list[tuple[str, list[Values]]]:
    company = receipt["company"]
    numbers = LOAN_NO.findall(receipt["postscript"] or "")
    by_number = work.find(LOAN, {"loan_no": numbers, "company": company, "status": "normal"}) if numbers else []
    people = work.find(CUSTOMER, {"name": receipt["payer_name"], "company": company}, limit=50)
    mine = work.find(LOAN, {"customer": [p["id"] for p in people], "company": company, "status": "normal"}, limit=200) if people else []
    owners = _owners(work, [p["id"] for p in people], receipt["payer_account"])
    by_account = [loan for loan in mine if loan["customer"] in owners]
    by_amount = [loan for loan in mine if _due(work, loan, receipt) == receipt["amount"]]
    return [("reference", by_number), ("account", by_account), ("name_amount", by_amount), ("name", mine)]


def _owners(work: Work, customers: list[int], account: str | None) -> set[int]:
    """Whose account the money came from, among the customers of the payer's name."""
    if not account or not customers:
        return set()
    return {row["customer"] for row in work.find(ACCOUNT, {"customer": customers}) if row["card_no"] == account.replace(" ", "")}


def _due(work: Work, loan: Values, receipt: Values) -> Decimal:
    rows = [row for row in work.find(INSTALMENT, {"loan": loan["id"]}) if row["status"] not in ("paid", "cancelled")]
    billed = [row for row in rows if row["start_date"] < receipt["value_date"] or row["start_date"] == loan["disbursed_on"]]
    return sum((row["unpaid"] for row in billed), ZERO) - Decimal(loan["suspense"])


def _park(work: Work, receipt: Values) -> None:
    """Once: the bank has the money, we owe it to whoever it turns out to be."""
    if receipt["parked"]:
        return
    ways = {"bank": ZERO, "channel": ZERO, receipt["through"]: receipt["amount"], "received": receipt["amount"]}
    entry = work.post("receipt_parked", ways, {"memo": receipt["bank_serial_no"]}, receipt["company"],
                      work.business_date(receipt["company"]), receipt["value_date"], (RECEIPT, receipt["id"]))
    work.change(RECEIPT, receipt["id"], {"parked": entry})


def claim(work: Work, receipt: Values | None, input: Values) -> None:
    """Somebody says whose money it is; nothing is booked before another person agrees."""
    assert receipt is not None
    loan = work.get(LOAN, input["loan"])
    work.require(loan["company"] == receipt["company"], ("该贷款不属于本公司。", "The loan belongs to another company."))
    work.require(loan["status"] != "settled" or loan["settled_by"] == "transfer", ("该贷款已结清。", "The loan is settled."))
    work.change(RECEIPT, receipt["id"], {"loan": loan["id"], "claimed_by": work.actor.user_id,
                                         "matched_by": receipt["matched_by"] if receipt["loan"] == loan["id"] else "person"})
    work.transition(RECEIPT, receipt["id"], "claim")


def post(work: Work, receipt: Values | None, input: Values) -> Values:
    """A second person agrees: the parked money leaves 2241.02 by a mirror entry and pays the loan, or what its buyer owes of the
    price (1221.02)."""
    assert receipt is not None
    loan = work.lock(LOAN, receipt["loan"])
    sold = loan["settled_by"] == "transfer"
    sale = _sale_of(work, receipt) if sold else None
    if receipt["parked"]:
        _unpark(work, receipt)
    if sale is not None:
        proceeds = None
        if not work.find(LEG, {"entry": sale["voucher"], "account": "1002", "side": "debit"}, limit=1):    # where sales of before stand already
            proceeds = work.post("sale_received", {"received": receipt["amount"]}, {"memo": loan["loan_no"]}, receipt["company"],
                                 work.business_date(receipt["company"]), receipt["value_date"], (RECEIPT, receipt["id"]))
        work.change(RECEIPT, receipt["id"], {"posted_by": work.actor.user_id, "proceeds": proceeds})
        work.transition(RECEIPT, receipt["id"], "post")
        return {"repayment": None, "surplus": None}
    source = "transfer" if receipt["through"] == "bank" else "debit"
    booked = work.run("loan_servicing.repay" if input["kind"] == "due" else "loan_servicing.repay_claimed", receipt["loan"], {
        "kind": input["kind"], "amount": receipt["amount"], "value_date": receipt["value_date"], "source": source,
        "bank_serial_no": _serial(work, receipt)})
    work.change(RECEIPT, receipt["id"], {"repayment": booked["repayment"], "posted_by": work.actor.user_id})
    work.transition(RECEIPT, receipt["id"], "post")
    return {"repayment": booked["repayment"], "surplus": booked["surplus"]}


def _sale_of(work: Work, receipt: Values) -> Values:
    """The sale that the line pays; the lines that were posted as the price of a loan never come to more than the price."""
    (sale,) = work.find(CHANGE, {"loan": receipt["loan"], "kind": "transfer", "status": "applied"}, limit=1)
    price: Decimal = sale["amount"]
    posted = work.find(RECEIPT, {"loan": receipt["loan"], "status": "posted", "repayment": None})
    left = price - sum((row["amount"] for row in posted), ZERO)
    work.require(receipt["through"] == "bank" and receipt["amount"] <= left,
                 (f"该贷款已转让，转让款尚有 {left:,.2f} 元未到账，流水金额不能超过该数。",
                  f"The loan was sold; {left:,.2f} of its price has not come, and the line is more than that."))
    return sale


def _serial(work: Work, receipt: Values) -> str:
    """The bank's number; one that was posted before and reversed has it in the books already, so the next one is numbered."""
    number: str = receipt["bank_serial_no"]
    taken = work.find("lending.repayment", {"bank_serial_no": [number, *(f"{number}#{n}" for n in range(2, 10))]})
    return number if not taken else f"{number}#{len(taken) + 1}"[:80]


def _unpark(work: Work, receipt: Values) -> None:
    work.post("receipt_parked", {}, {"memo": receipt["bank_serial_no"]}, receipt["company"],
              work.business_date(receipt["company"]), receipt["value_date"], (RECEIPT, receipt["id"]), reversal_of=receipt["parked"])
    work.change(RECEIPT, receipt["id"], {"parked": None})


def unclaim(work: Work, receipt: Values | None, input: Values) -> None:
    """Back to the unclaimed. What was posted is reversed first, by somebody other than who posted it."""
    assert receipt is not None
    if receipt["status"] == "posted":
        work.require(work.actor.user_id != receipt["posted_by"], ("入账人不能撤销自己的入账。", "Who posted it cannot take it back."))
        if receipt["repayment"] is not None:    # else the price of a loan that was sold: it waits on 2241.02 again
            work.run("loan_servicing.reverse", receipt["repayment"])
        if receipt["proceeds"] is not None:
            work.post("sale_received", {}, {"memo": receipt["bank_serial_no"]}, receipt["company"], work.business_date(receipt["company"]),
                      receipt["value_date"], (RECEIPT, receipt["id"]), reversal_of=receipt["proceeds"])
    work.change(RECEIPT, receipt["id"], {"loan": None, "matched_by": None, "claimed_by": None, "posted_by": None, "repayment": None, "proceeds": None})
    work.transition(RECEIPT, receipt["id"], "unclaim")
    _park(work, work.get(RECEIPT, receipt["id"]))


def reject(work: Work, receipt: Values | None, input: Values) -> None:
    """The bank sends it back: it leaves 2241.02 the way it came."""
    assert receipt is not None
    if receipt["parked"]:
        _unpark(work, receipt)
    work.change(RECEIPT, receipt["id"], {"loan": None, "matched_by": None})
    work.transition(RECEIPT, receipt["id"], "reject")
