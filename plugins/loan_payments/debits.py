"""批量代扣 (S1-19): what is due is prepared by one person, started by another, and tried again as the rules say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from metaloom.plugin.command import Values, Work

from .orders import ITEM, LOAN, both, finish_batch, parts, unbooked

BATCH, AGREEMENT, INSTALMENT = "lending.debit_batch", "lending.debit_agreement", "lending.instalment"
CHANGE, RECEIPT = "lending.loan_change", "lending.bank_receipt"
LOANS_MAX, FOUND_MAX = 2_000, 10_000
OPEN = ("waiting", "sending", "retrying", "asking")
ZERO = Decimal("0.00")
CLAIMED = ("提前还款的款项已认领，待复核入账", "the money for a settlement or prepayment is claimed and waits to be booked")
SETTLES = ("已约定当日提前结清，请待结清款到账", "the loan is to be settled today, as was agreed")
STOPPED = ("协议已停扣", "the agreement is stopped")
LESS = ("欠款已减少，请重新生成批次", "less is owed now; prepare a new batch")
UNBOOKED = ("已有扣款成功但未入账", "a debit of it succeeded and is not booked yet")


def prepare(work: Work, batch: Values | None, input: Values) -> Values:
    """One line for each loan with something due; without an active agreement, or while another debit of it is open or not booked yet, it is
    left out. So is a loan that is about to be settled or prepaid, with a line that says so."""
    assert batch is not None
    when = f"date('{batch['due_until'].isoformat()}')"
    due = f"due_date <= {when}" if batch["with_overdue"] else f"due_date == {when}"
    company = work.get("platform.company", batch["company"])["code"]
    work.require(set("'\"\\").isdisjoint(company), ("公司代码含有引号，不能生成批次。", "The company's code holds a quotation mark."))
    rows = work.find(INSTALMENT, f"loan.company.code == '{company}' and unpaid > 0 and status not in ['paid', 'cancelled'] and {due}")
    work.require(len(rows) < FOUND_MAX, ("到期期次过多，请缩小日期范围。", "Too much is due; choose an earlier date."))
    owed: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for row in rows:
        owed[row["loan"]] += row["unpaid"]
    loans = _locked(work, list(owed))             # two batches that are prepared at once never hold the same loan
    busy = {row["loan"] for row in _open_items(work, list(owed))} | unbooked(work, list(owed))
    awaited = _awaited(work, list(owed), batch)
    items, spared = list[Values](), list[Values]()
    for loan_id in sorted(owed):
        loan = loans[loan_id]
        amount = owed[loan_id] - loan["suspense"]
        agreement = agreement_of(work, loan["customer"], batch)
        if loan_id in busy or amount <= 0 or agreement is None:
            continue
        capped = min(amount, agreement["amount_max"]) if agreement["amount_max"] is not None else amount
        line = {"batch": batch["id"], "loan": loan_id, "customer": loan["customer"], "agreement": agreement["id"], "amount": capped}
        if loan_id in awaited:
            spared.append({**line, "fail_text": both(*awaited[loan_id])})
        else:
            items.append(line)
    work.require(items, ("没有可扣款的贷款：没有到期欠款，客户没有有效的代扣协议，或贷款正待提前结清、提前还本的款项。",
                         "There is nothing to debit: nothing is due, no customer has an active agreement, or the loans are about to be settled or prepaid."))
    work.require(len(items) <= LOANS_MAX, (f"一个批次最多 {LOANS_MAX} 笔，请缩小日期范围。",
                                           f"A batch holds at most {LOANS_MAX} debits; choose an earlier date."))
    work.insert_many(ITEM, items)
    for left in work.insert_many(ITEM, spared):
        work.transition(ITEM, left, "skip")
    work.change(BATCH, batch["id"], {"total_count": len(items), "total_amount": sum((i["amount"] for i in items), ZERO)})
    work.transition(BATCH, batch["id"], "prepare")
    return {"count": len(items), "left_out": len(owed) - len(items)}


def _locked(work: Work, loans: Sequence[int]) -> dict[int, Values]:
    """The loans, locked by rising id: until the end no receipt changes what they owe."""
    return {row["id"]: row for ids in parts(sorted(set(loans))) for row in work.find(LOAN, {"id": ids}, lock=True)}


def _open_items(work: Work, loans: Sequence[int]) -> list[Values]:
    return [row for ids in parts(loans) for row in work.find(ITEM, {"loan": ids, "status": list(OPEN)})]


def _awaited(work: Work, loans: Sequence[int], batch: Values) -> dict[int, tuple[str, str]]:
    """Why money that was agreed to is expected for a loan today: it is the day of its early settlement, or the money is claimed for it and waits
    to be booked. A debit now would take it twice (domain specification §4.4)."""
    today, found = work.business_date(batch["company"]), dict[int, tuple[str, str]]()
    for ids in parts(sorted(set(loans))):
        agreed = work.find(CHANGE, {"loan": ids, "kind": ["settle", "prepay"], "status": "agreed"})
        standing = [row for row in agreed if row["valid_until"] >= today]
        claimed = {row["loan"] for row in work.find(RECEIPT, {"loan": [row["loan"] for row in standing], "status": "claimed"})} if standing else set()
        found |= {row["loan"]: CLAIMED for row in standing if row["loan"] in claimed}
        found |= {row["loan"]: SETTLES for row in standing if row["kind"] == "settle" and row["valid_until"] == today}
    return found


def agreement_of(work: Work, customer: int, batch: Values) -> Values | None:
    """The customer's newest agreement that holds today."""
    today = work.business_date(batch["company"])
    found = work.find(AGREEMENT, {"customer": customer, "status": "active"}, order=("-id",))
    return next((one for one in found if one["valid_to"] is None or one["valid_to"] >= today), None)


def start(work: Work, batch: Values | None, input: Values) -> Values:
    """Every line becomes an order; the worker sends them one by one."""
    assert batch is not None
    work.transition(BATCH, batch["id"], "start")
    work.change(BATCH, batch["id"], {"started_by": work.actor.user_id, "started_at": work.now})
    items = work.find(ITEM, {"batch": batch["id"], "status": "waiting"}, lock=True)
    _locked(work, [item["loan"] for item in items])
    for item in items:
        _debit(work, item, batch)
    finish_batch(work, batch["id"])
    return {"count": len(items)}


def debit_again(work: Work, item: Values | None, input: Values) -> None:
    """Another try, with an order and reference of its own: the last one failed for good, and what is owed now is the most that is taken. What
    only stands in its way for now refuses it, and the line waits on; what ends it leaves the line out."""
    assert item is not None
    batch = work.get(BATCH, item["batch"])
    work.require(batch["status"] == "running", ("批次不在扣款中。", "The batch is not running."))
    loan = work.lock(LOAN, item["loan"])
    wait = None if _not_any_more(work, item, loan, batch) else _not_yet(work, loan, batch)
    if wait is not None:
        work.refuse(f"暂不能重新扣款：{wait[0]}。", f"It cannot be debited again now: {wait[1]}.")
    _debit(work, item, batch)


def _debit(work: Work, item: Values, batch: Values) -> None:
    loan, agreement = work.lock(LOAN, item["loan"]), work.get(AGREEMENT, item["agreement"])
    why = _not_any_more(work, item, loan, batch) or _not_yet(work, loan, batch)
    if why is not None:
        work.change(ITEM, item["id"], {"fail_text": both(*why), "next_on": None})
        work.transition(ITEM, item["id"], "skip")
        finish_batch(work, batch["id"])
        return
    work.transition(ITEM, item["id"], "send")
    work.change(ITEM, item["id"], {"tries": item["tries"] + 1, "next_on": None})
    work.run("loan_payments.open_order", None, {
        "biz_type": "collect", "loan": loan["id"], "customer": item["customer"], "amount": item["amount"], "account": agreement["account"],
        "company": batch["company"], "agreement": agreement["id"], "debit_item": item["id"], "gateway": agreement["gateway"],
        "default_gateway": agreement["gateway"]})


def _not_any_more(work: Work, item: Values, loan: Values, batch: Values) -> tuple[str, str] | None:
    """Why the debit is never sent again as it is; None when it may be."""
    if work.get(AGREEMENT, item["agreement"])["status"] != "active":
        return STOPPED
    until = max(batch["due_until"], work.business_date(batch["company"]))
    rows = work.find(INSTALMENT, {"loan": loan["id"]})
    owed = sum((row["unpaid"] for row in rows if row["due_date"] <= until and row["status"] not in ("paid", "cancelled")), ZERO) - loan["suspense"]
    return LESS if loan["status"] == "settled" or owed < item["amount"] else None


def _not_yet(work: Work, loan: Values, batch: Values) -> tuple[str, str] | None:
    """Why the debit is not sent now, though it may be later; None when it may."""
    return UNBOOKED if unbooked(work, [loan["id"]]) else _awaited(work, [loan["id"]], batch).get(loan["id"])


def leave_out(work: Work, item: Values | None, input: Values) -> None:
    """A person decides that this debit is not tried again."""
    assert item is not None
    work.change(ITEM, item["id"], {"fail_text": work.reason[:300], "next_on": None})
    work.transition(ITEM, item["id"], "skip")
    finish_batch(work, item["batch"])


def cancel_batch(work: Work, batch: Values | None, input: Values) -> None:
    """Nothing was sent yet; its lines are left out."""
    assert batch is not None
    for item in work.find(ITEM, {"batch": batch["id"], "status": "waiting"}, lock=True):
        work.transition(ITEM, item["id"], "skip")
    work.transition(BATCH, batch["id"], "cancel")
