"""Receipts: what is due, a settlement, a prepayment in part (S1-21, domain specification §4.4, §4.6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from metaloom.plugin.command import Values, Work

from .balances import Entry, receipt_entry
from .cases import CHANGE, REPAYMENT, SNAPSHOT, Case, book, catch_up, finish, open_case, provide_first
from .fold import Life, Txn, settlement
from .replan import ALLOCATION
from .standing import cents, money

BY_CHANNEL = frozenset({"debit", "wechat", "alipay"})
"""Sources of a receipt (``lending.repay_source``) whose money a payment channel holds first."""
ORDER = "lending.payment_order"
NO_RESULT = ("created", "sending", "unknown")
"""States of a payment order that may still take money."""
_NOT_AGREED = {
    "prepay": ("提前部分还本须先申请并审批通过：请客户经理或客服在贷款页面“申请提前还本”。",
               "A prepayment in part is applied for on the loan's page, by the officer or customer service, and agreed to first."),
    "settle": ("提前结清须先申请并审批通过：请客户经理或客服在贷款页面“申请提前结清”；到期欠款请按欠款归还登记。",
               "An early settlement is applied for on the loan's page, by the officer or customer service, and agreed to first; book what is due as such."),
}
__all__ = ["ALLOCATION", "BY_CHANNEL", "REPAYMENT", "no_open_debit", "open_debit", "owed_now", "prepayment", "repay", "repay_claimed", "said",
           "settle_quote", "settles_early", "to_settle"]


def repay(work: Work, loan: Values | None, input: Values) -> Values:
    """Books a receipt on its value date: kind ``due`` pays the bills up to the current one, ``settle`` closes the loan, ``prepay`` repays
    principal before its time. What comes before its time takes the word of a chain. Receipts that lie after it are spread anew."""
    assert loan is not None
    return _receive(work, loan, input, input["value_date"])


def repay_claimed(work: Work, loan: Values | None, input: Values) -> Values:
    """Settles or prepays with a claimed line of the bank, on the day its money came: that it had to wait for a debit of ours costs the borrower no
    interest, and what the debit took meanwhile is an overpayment. Money that suffices only with the debit is valued on the day of the debit, and the
    agreement is held to the day on which it came."""
    assert loan is not None
    case, came = open_case(work, loan), input["value_date"]
    later = [txn for txn in case.txns if txn.on > came and txn.kind != "provision"]
    debits = not _others_after(work, case, came)
    on = max(txn.on for txn in later) if later and debits and not _suffices(work, case, input, came) else came
    booked = _receive(work, loan, {**input, "value_date": on}, came)
    return {name: booked[name] for name in ("repayment", "surplus")}


def _others_after(work: Work, case: Case, on: date) -> list[Txn]:
    """Transactions valued after the day, debits of ours aside: those are spread anew behind a settlement that came before them."""
    return [txn for txn in case.txns if txn.on > on and txn.kind != "provision" and
            not (txn.kind == "due" and txn.seq in case.repayments and work.get(REPAYMENT, case.repayments[txn.seq])["source"] == "debit")]


def _suffices(work: Work, case: Case, input: Values, on: date) -> bool:
    """Whether the money was enough on the day, without what came after it."""
    amount = cents(input["amount"])
    if input["kind"] == "settle":
        return amount >= to_settle(case.on(on), on)
    agreed = work.find(CHANGE, {"loan": case.loan["id"], "kind": "prepay", "status": "agreed"}, limit=1)
    if not agreed:
        return False
    asked = prepay_needs(case, Txn(case.next_seq, "prepay", on, 0, {"principal": cents(agreed[0]["amount"]), "plan_change": agreed[0]["plan_change"]}))
    return asked is not None and amount >= asked


def _receive(work: Work, loan: Values, input: Values, came: date) -> Values:
    """Books a receipt. ``came``: the day of the money, to which an agreement is held; ``value_date`` may lie after it."""
    if loan["status"] == "written_off":
        loan = provide_first(work, loan)
    case, on = open_case(work, loan), input["value_date"]
    work.require(on <= case.today, ("起息日不能晚于当前业务日期。", "The value date lies after the business date."))
    work.require(on >= loan["disbursed_on"], ("起息日不能早于放款日期。", "The value date lies before the payout."))
    if input["kind"] != "due":
        no_open_debit(work, loan, ("登记贷款结清或提前部分还本", "a settlement or a prepayment is booked"))
    before, stands = catch_up(work, case)
    agreed = _agreed(work, case, input["kind"], came) if _takes_agreement(work, case, input["kind"], on) else None
    txn = _txn(work, case, input, agreed)
    after = case.on(case.today, [*case.txns, txn])
    receipt = after.receipts[txn.seq]
    work.require(txn.seq not in after.unmet, ("后来的交易使这笔还款不能按约定冲销，请先冲正后来的交易。",
                                             "Later transactions leave no place for this; reverse them first."))
    repayment = work.create(REPAYMENT, {
        "loan": loan["id"], "customer": loan["customer"], "amount": input["amount"], "value_date": on, "booking_date": case.today, "kind": input["kind"],
        "source": input["source"], "bank_serial_no": input["bank_serial_no"] or None, "seq": txn.seq,
        "prepaid_principal": money(txn.given.get("principal", 0)), "plan_change": txn.given.get("plan_change"),
        "interest_net": True if txn.kind == "settle" else None,
        **{name: money(receipt.of(name)) for name in ("principal", "interest", "penalty", "compound", "fee")},
        "from_suspense": money(receipt.from_suspense), "surplus": money(receipt.surplus)})
    entry, stands = receipt_entry(stands, receipt, before, case.today)
    entry = by_its_way(entry, input["source"])
    cause = (REPAYMENT, repayment)
    work.change(REPAYMENT, repayment, {"voucher": book(work, case, [entry], on, cause)})
    now = replace(case, repayments={**case.repayments, txn.seq: repayment})
    if agreed is not None:
        work.transition(CHANGE, agreed["id"], "pay")
        work.change(CHANGE, agreed["id"], {"repayment": repayment, "booked_on": case.today})
    finish(work, now, [*case.txns, txn], stands, before, "prepay" if txn.kind in ("settle", "prepay") else "replay", f"{repayment}", cause)
    row = work.get(REPAYMENT, repayment)
    return {"repayment": repayment, **{name: row[name] for name in ("receipt_no", "principal", "interest", "penalty", "fee", "surplus")}}


def open_debit(work: Work, loan: Values) -> str | None:
    """The number of the debit that a channel may still take from the customer; None where no debit waits for its result. Orders are made under
    the loan's lock, so with the loan locked none begins."""
    found = work.find(ORDER, {"loan": loan["id"], "biz_type": "collect", "status": list(NO_RESULT)}, limit=1)
    return str(found[0]["pay_no"]) if found else None


def no_open_debit(work: Work, loan: Values, what: tuple[str, str]) -> None:
    """What closes the loan, repays principal before its time or takes the loan off the books counts on what is owed; a debit that is under way may
    change that (§4.4). ``what`` waits for it, in both languages."""
    number = open_debit(work, loan)
    work.require(number is None, (f"该贷款的代扣 {number} 尚无结果，可能仍会扣款；有结果后才能{what[0]}（长期无结果的见对账差异）。",
                                  f"The debit {number} of this loan has no result yet and may still take money; {what[1]} once it has one; "
                                  "where none comes, see the payment differences."))


def by_its_way(entry: Entry, source: str) -> Entry:
    """What a channel collected stands with the channel (1012) until it settles the day with our bank; all else is in the bank (1002)."""
    event, amounts = entry
    return (event, {"collected" if name == "received" else name: amount for name, amount in amounts.items()}) if source in BY_CHANNEL else entry


def _takes_agreement(work: Work, case: Case, kind: str, on: date) -> bool:
    """Whether a chain has to agree first. Money that pays what is due, at maturity all of it, takes nobody's word; nor does a claim that was
    written off."""
    if kind == "settle" and case.loan["status"] != "written_off":
        return settles_early(work, case, on)
    return kind == "prepay"


def settles_early(work: Work, case: Case, on: date) -> bool:
    """Whether bills are to come after the day; refused where there are and the product does not let go of them."""
    coming = any(line.due > on and line.open for line in case.on(on).lines)
    allowed = not coming or work.get(SNAPSHOT, case.loan["snapshot"])["prepay_allowed"] in ("full", "both")
    work.require(allowed, ("该产品不允许提前结清。", "The product does not allow early settlement."))
    return coming


def _agreed(work: Work, case: Case, kind: str, on: date) -> Values:
    """The prepayment or settlement that risk control and approver agreed to (domain specification §3); refused where there is none for the day."""
    found = work.find(CHANGE, {"loan": case.loan["id"], "kind": kind, "status": "agreed"}, limit=1, lock=True)
    work.require(found, _NOT_AGREED[kind])
    until, since = found[0]["valid_until"], found[0]["applied_on"]
    work.require(kind != "settle" or since is None or on >= since, (f"起息日不能早于申请提前结清的日期 {since}。",
                                                                    f"It was applied for on {since}; the value date lies before that."))
    work.require(on <= until, (f"批准的有效期至 {until}，请取消后重新申请。", f"It was agreed to until {until}; cancel it and apply anew."))
    return found[0]


def _txn(work: Work, case: Case, input: Values, agreed: Values | None) -> Txn:
    """The receipt as a transaction, refused where its kind asks for more than it brings."""
    kind, on, amount = input["kind"], input["value_date"], cents(input["amount"])
    plain = Txn(case.next_seq, kind, on, amount)
    if kind == "due":
        return plain
    work.require(not _others_after(work, case, on), ("起息日不能早于该贷款最近一笔交易（代扣除外）。",
                                                    "The value date lies before the loan's last transaction other than a debit."))
    if kind == "settle":
        if case.loan["status"] != "written_off":
            settles_early(work, case, on)
        asked = to_settle(case.on(on), on)
        work.require(amount >= asked, (f"按 {on} 结清应付 {said(asked)} 元，金额不足。",
                                        f"Settling on {on} takes {said(asked)}; the amount is too small."))
        return plain
    assert agreed is not None
    txn, asked = prepayment(work, case, plain, cents(agreed["amount"]), agreed["plan_change"])
    principal = said(txn.given["principal"])
    work.require(amount >= asked, (f"按 {on} 提前归还本金 {principal} 元应付 {said(asked)} 元（含已到期欠款、截至当日利息与手续费），金额不足。",
                                   f"Prepaying {principal} on {on} takes {said(asked)} with what is due, interest to the day and the fee; "
                                   "the amount is too small."))
    return txn


def prepayment(work: Work, case: Case, plain: Txn, principal: int, plan_change: str) -> tuple[Txn, int]:
    """A prepayment of so much principal (cents) on the day of ``plain``, and what it takes in all; refused where the loan has no place for it."""
    on = plain.on
    life = case.on(on)
    allowed = work.get(SNAPSHOT, case.loan["snapshot"])["prepay_allowed"]
    work.require(allowed in ("partial", "both"), ("该产品不允许提前部分还本。", "The product does not allow prepayment in part."))
    txn = replace(plain, given={"principal": principal, "plan_change": plan_change})
    left = sum(line.unpaid("principal") for line in life.lines if line.due > on)
    coming = any(line.due > on and line.open for line in life.lines)
    work.require(coming and 0 < principal < left, (f"提前归还本金应大于 0、小于未到期本金 {said(left)} 元；全部归还请申请提前结清。",
                                                  f"The principal prepaid must be above 0 and below the {said(left)} not yet due; settle to repay all."))
    asked = prepay_needs(case, txn)
    work.require(asked is not None, ("该贷款当前不能提前部分还本。", "This loan cannot be prepaid in part now."))
    return txn, asked or 0


def prepay_needs(case: Case, txn: Txn) -> int | None:
    """What a prepayment takes in all; None where the plan has no place for it."""
    rich = replace(txn, amount=10**13)
    life = case.on(txn.on, [*case.txns, rich])
    if txn.seq in life.unmet:
        return None
    receipt = life.receipts[txn.seq]
    return max(0, sum(part.amount for part in receipt.parts) - receipt.from_suspense)


def said(amount: int) -> str:
    """Cents as a sentence says them."""
    return f"{money(amount):,.2f}"


def settle_quote(work: Work, loan: Values | None, input: Values) -> Values:
    """What closes the loan on a day; changes nothing."""
    assert loan is not None
    work.require(input["value_date"] >= loan["disbursed_on"], ("结清日期早于放款日期。", "The date is before the payout."))
    on = input["value_date"]
    life = open_case(work, loan).on(on)
    quote = settlement(life, on)
    return {**{name: money(getattr(quote, name)) for name in ("overdue", "principal", "interest", "fee")}, "from_suspense": money(life.suspense),
            "total": money(to_settle(life, on)), "open_debit": open_debit(work, loan)}


def to_settle(life: Life, on: date) -> int:
    """What has to come to close the loan on a day, in cents: its settlement less what waits in suspense."""
    return max(0, settlement(life, on).total - life.suspense)


def owed_now(work: Work, loan: Values | None, input: Values) -> Values:
    """What a receipt of today would pay: bills that are late with their penalty, the current one, and what closes the loan. Reads only."""
    assert loan is not None
    case = open_case(work, loan)
    on, life = case.today, case.on(case.today)
    late, running, due_on = _bills(case, life, on)
    waits = open_debit(work, loan)
    settle = money(to_settle(life, on)) if waits is None and loan["status"] != "settled" and _may_settle(work, case, life) else None
    prepay = _for_agreed(work, case) if waits is None else None
    penalty = sum(open_["penalty"] + open_["compound"] for open_ in (life.open_of(line, on) for line in life.lines))
    return {"on": on, "dpd": life.dpd(on), "overdue": money(late), "penalty": money(penalty), "current": money(running), "due_on": due_on,
            "from_suspense": money(life.suspense), "due": money(max(0, late + running - life.suspense)), "settle": settle,
            "prepay": prepay, "open_debit": waits}


def _for_agreed(work: Work, case: Case) -> Decimal | None:
    """What the prepayment that was agreed to takes today; None where there is none, or no place for it."""
    agreed = _for_today(work, case, "prepay")
    if agreed is None:
        return None
    given = {"principal": cents(agreed["amount"]), "plan_change": agreed["plan_change"]}
    asked = prepay_needs(case, Txn(case.next_seq, "prepay", case.today, 0, given))
    return None if asked is None else money(asked)


def _may_settle(work: Work, case: Case, life: Life) -> bool:
    """Whether money of today may close the loan: nothing is to come, the loan is written off, or a chain agreed to it."""
    coming = any(line.due > case.today and line.open for line in life.lines)
    return not coming or case.loan["status"] == "written_off" or _for_today(work, case, "settle") is not None


def _for_today(work: Work, case: Case, kind: str) -> Values | None:
    """What was agreed to and can be paid today."""
    agreed = work.find(CHANGE, {"loan": case.loan["id"], "kind": kind, "status": "agreed"}, limit=1)
    return agreed[0] if agreed and agreed[0]["valid_until"] >= case.today >= case.last_on else None


def _bills(case: Case, life: Life, on: date) -> tuple[int, int, date | None]:
    """Unpaid of the bills that are late, of those that run, and when the last of these falls due."""
    start = case.agreement.contract.start_date
    late = sum(sum(life.open_of(line, on).values()) for line in life.lines if line.due < on)
    begun = [line for line in life.lines if line.due >= on and line.open and (line.start < on or line.start == start)]
    return late, sum(sum(life.open_of(line, on).values()) for line in begun), max((line.due for line in begun), default=None)


