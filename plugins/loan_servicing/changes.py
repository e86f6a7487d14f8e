"""Changes of a loan: one person applies with the loan before him, another puts it in force (S1-27, S1-28, S2-02); a write-off, a prepayment
in part and an early settlement are decided by a chain (S2-17 … S2-19, domain specification §3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from metaloom.plugin.command import Values, Work

from .balances import RECEIVABLE, TAXED, Entry, books_of, coupon_entry, disposal_entry, waiver_entry, write_off_entry
from .cases import CHANGE, LOAN, SNAPSHOT, Case, book, catch_up, finish, open_case, provide_first
from .fold import Life, Txn
from .repayment import no_open_debit, prepayment, said, settles_early, to_settle
from .standing import cents, change_txn, money

FIELDS: Final = {
    "fee": ("amount", "period_no"), "waive": ("component", "amount", "period_no"), "rate": ("new_rate", "rate_effect"),
    "extend": ("more_periods", "new_rate"), "accelerate": (), "pause": ("until_date",), "restructure": ("new_method", "more_periods", "new_rate"),
    "refund": ("amount",), "provision": ("amount",), "coupon": ("amount",), "repossess": ("amount",), "transfer": ("amount",),
}
"""What a kind of change says beside its day and its reason."""
CHAINED: Final = frozenset({"write_off", "prepay", "settle"})
"""Kinds that a chain decides (metadata/lending/accounting_centre/loan_change/approval.yaml), not a second person alone."""
CHECKLIST: Final = frozenset({"collected", "evidence", "liability", "allowance"})
"""What a write-off is checked for before it is applied for (S2-18)."""
REASON_LEAST: Final = 20
_WRITTEN_DOWN: Final = ("reason_code", "collection_summary", "evidence", "liability", "checklist")
VALID_DAYS: Final = 30
"""Days for which a prepayment or a settlement may be agreed to at most; its price moves with the day."""
ALLOWANCE: Final = frozenset({"provision", "write_off", "repossess", "transfer"})
"""Kinds that move the allowance of a loan."""
_NEEDED: Final = {"fee": ("amount",), "waive": ("component", "amount"), "rate": ("new_rate", "rate_effect"), "extend": ("more_periods",),
                  "pause": ("until_date",), "restructure": ("new_method", "more_periods"), "refund": ("amount",),
                  **dict.fromkeys(("provision", "coupon", "repossess", "transfer"), ("amount",))}
_NOTHING: Final = dict.fromkeys(("amount", "component", "period_no", "new_rate", "rate_effect", "more_periods", "new_method", "until_date"))
_REFUSED: Final = {
    "waive": ("减免金额超过该科目已到期未还的金额。", "The waiver is more than what is due and unpaid of it."),
    "refund": ("退款金额超过溢缴款。", "The refund is more than the overpayment."),
    "write_off": ("该贷款已核销。", "The loan is written off already."),
    "coupon": ("优惠金额超过已到期和当期未还的利息。", "The coupon is more than the interest that is due or runs and is unpaid."),
    "repossess": ("抵债金额超过账面债权，或该贷款已结清、已核销。",
                  "The asset is worth more than the books hold of the loan, or the loan is settled or written off."),
    "transfer": ("该贷款已结清或已核销，不能转让。", "The loan is settled or written off; it cannot be sold."),
}
_NO_PLACE: Final = ("还款计划不允许该变更：请检查日期、期数与利率。", "The plan leaves no place for this change; look at its date, periods and rate.")
_CLOSES: Final = {
    "write_off": ("核销该贷款", "the loan is written off"), "transfer": ("转让该贷款", "the loan is sold"),
    "repossess": ("登记以物抵债", "an asset is taken in payment"),
}
"""Kinds that take the loan off the books for what is owed: none beside a debit that may still take money."""
EXTENSION_YEARS: Final = 36
"""Months that a loan of more than five years may be extended by at most (domain specification §4.4)."""


def propose_change(work: Work, loan: Values | None, input: Values) -> Values:
    """Writes the application, refused at once where it could not be put in force today."""
    assert loan is not None
    kind = input["kind"]
    _not_chained(work, kind)
    work.require(loan["status"] != "settled" or kind == "refund",
                 ("贷款已结清，只能申请退还溢缴款。", "The loan is settled; only its overpayment can be refunded."))
    given = {name: input[name] for name in FIELDS[kind]}
    missing = [name for name in _NEEDED.get(kind, ()) if not given[name] and not (kind == "provision" and given[name] == 0)]
    work.require(not missing, ("请填写该类变更所需的内容。", "Fill in what this kind of change needs."))
    values = {"loan": loan["id"], "customer": loan["customer"], "kind": kind, "effective_on": input["effective_on"], "old_rate": loan["annual_rate"],
              "reason": input["reason"], **given}
    case = open_case(work, loan)
    _check(work, case, {**_NOTHING, **values, "seq": case.next_seq})
    change = work.create(CHANGE, values)
    return {"change": change, "change_no": work.get(CHANGE, change)["change_no"]}


def file_change(work: Work, loan: Values | None, input: Values) -> Values:
    """Writes an application that a chain decides; refused at once where the loan has no place for it today."""
    assert loan is not None
    case, kind = open_case(work, loan), input["kind"]
    assert kind in CHAINED
    values = {"loan": loan["id"], "customer": loan["customer"], "kind": kind, "effective_on": case.today, "old_rate": loan["annual_rate"],
              "reason": input["reason"]}
    if kind in ("prepay", "settle"):
        work.require(case.today <= input["valid_until"] <= case.today + timedelta(days=VALID_DAYS),
                     (f"有效期须从今天起、不超过 {VALID_DAYS} 天。", f"It is valid from today on, for {VALID_DAYS} days at most."))
        work.require(case.last_on <= case.today, ("该贷款有起息日晚于今天的交易。", "The loan has a transaction valued after today."))
        values |= {"valid_until": input["valid_until"], "applied_on": case.today}
    if kind == "settle":
        on = input["valid_until"]
        work.require(settles_early(work, case, on), ("该日已无未到期账单，到账后按贷款结清登记即可，无须申请。",
                                                     "Nothing is to come after that day; its money settles the loan without an application."))
        values |= {"effective_on": on, "amount": money(to_settle(case.on(on), on))}
    elif kind == "prepay":
        _, asked = prepayment(work, case, Txn(case.next_seq, kind, case.today, 0), cents(input["amount"]), input["plan_change"])
        values |= {"amount": input["amount"], "plan_change": input["plan_change"], "quote": money(asked)}
    else:
        work.require(len(input["reason"]) >= REASON_LEAST, (f"原因说明不少于 {REASON_LEAST} 个字。",
                                                             f"Explain the reason in {REASON_LEAST} characters at least."))
        work.require(set(input["checklist"] or ()) == CHECKLIST, ("核查清单的四项均须确认。", "Every item of the checklist is confirmed first."))
        work.require(input["evidence"], ("请上传证明材料。", "Add the evidence."))
        _check(work, case, {**_NOTHING, **values, "seq": case.next_seq})
        values |= {name: input[name] for name in _WRITTEN_DOWN}
    return {"change": work.create(CHANGE, values)}


def apply_change(work: Work, change: Values | None, input: Values) -> Values:
    """复核生效: replays the loan with the change in its place, books what it changes, makes the next version of the plan."""
    assert change is not None
    _not_chained(work, change["kind"])
    return _put_in_force(work, change, input["opinion"] or None)


def put_in_force(work: Work, change: Values | None, input: Values) -> None:
    """The same by the last word of a chain."""
    assert change is not None
    _put_in_force(work, change, None)


def hold_quote(work: Work, change: Values | None, input: Values) -> None:
    """Holds an early settlement to what was applied for, at the last word of its chain: refused where its day is over, or where the loan asks
    for more on that day than it did then; for less, as after an instalment paid as planned, nothing stops it. Books nothing: the money does."""
    assert change is not None
    case, on = open_case(work, work.lock(LOAN, change["loan"])), change["valid_until"]
    work.require(case.loan["status"] == "normal", ("该贷款已结清或已核销，只能拒绝。",
                                                   "This loan is settled or written off; the settlement can only be rejected."))
    work.require(case.today <= on, (f"报价只到 {on} 有效，今天是 {case.today}；请拒绝，由申请人重新申请。",
                                    f"The amount was quoted for {on}, and it is {case.today}; reject it, and let it be applied for anew."))
    told, asked = cents(change["amount"]), to_settle(case.on(on), on)
    work.require(asked <= told, (f"申请后该贷款有变动：申请时 {on} 结清应付 {said(told)} 元，现为 {said(asked)} 元；请拒绝，由申请人重新申请。",
                                 f"The loan changed since: settling on {on} took {said(told)} and takes {said(asked)} now; reject it, "
                                 "and let it be applied for anew."))


def _not_chained(work: Work, kind: str) -> None:
    work.require(kind not in CHAINED, ("核销、提前部分还本与提前结清须经审批：请在贷款页面“申请核销”“申请提前还本”或“申请提前结清”。",
                                       "A write-off, a prepayment and an early settlement are decided by a chain; apply for them on the loan's page."))


def _put_in_force(work: Work, change: Values, opinion: str | None) -> Values:
    loan = work.lock(LOAN, change["loan"])
    if change["kind"] in _CLOSES:
        no_open_debit(work, loan, _CLOSES[change["kind"]])
    if change["kind"] in ALLOWANCE:
        loan = provide_first(work, loan)
    case = open_case(work, loan)
    row = {**change, "seq": case.next_seq}
    txn = _check(work, case, row)
    before, stands = catch_up(work, case)
    wanted = books_of(case.on(case.today, [*case.txns, txn]), case.today)
    main: list[Entry] = []
    if txn.kind == "waive" and (found := waiver_entry(stands, wanted)) is not None:
        main, stands = [found], replace(wanted, **{f"vat_{name}": getattr(stands, f"vat_{name}") for name in TAXED})
    elif txn.kind == "refund":
        main, stands = [("refund", {"refund": txn.amount})], replace(stands, suspense=stands.suspense - txn.amount)
    elif txn.kind == "coupon":
        paid = [part for part in case.on(case.today, [*case.txns, txn]).parts if part.seq == txn.seq]
        found, stands = coupon_entry(stands, paid, before, case.today)
        main = [found]
    elif txn.kind in ("repossess", "transfer"):
        found, stands = disposal_entry(stands, txn.amount, txn.kind)
        main = [found]
    elif txn.kind == "write_off":
        written = sum(getattr(stands, name) for name in RECEIVABLE)
        main, stands = write_off_entry(stands, max(0, wanted.impairment - stands.impairment))
        work.change(CHANGE, change["id"], {"written": money(written)})
    cause = (CHANGE, change["id"])
    voucher = book(work, case, main, txn.on, cause)
    work.transition(CHANGE, change["id"], "apply")
    work.change(CHANGE, change["id"], {"seq": txn.seq, "booked_on": case.today, "decided_by": work.actor.user_id, "opinion": opinion,
                                       "voucher": voucher or None})
    finish(work, case, [*case.txns, txn], stands, before, "change", f"change:{change['id']}", cause)
    return {"voucher": voucher or None}


def reject_change(work: Work, change: Values | None, input: Values) -> None:
    """退回: nothing happens to the loan."""
    assert change is not None
    work.transition(CHANGE, change["id"], "reject")
    work.change(CHANGE, change["id"], {"decided_by": work.actor.user_id, "opinion": work.reason[:300]})


def withdraw_change(work: Work, change: Values | None, input: Values) -> None:
    """撤回 by the person who applied."""
    assert change is not None
    work.require(change["created_by"] == work.actor.user_id, ("只有申请人可以撤回。", "Only the person who applied can withdraw it."))
    work.transition(CHANGE, change["id"], "withdraw")


def _check(work: Work, case: Case, row: Values) -> Txn:
    """The change as a transaction; refused, with the reason, where the loan has no place for it."""
    on, loan = row["effective_on"], case.loan
    work.require(on <= case.today, ("生效日期不能晚于当前业务日期。", "The change counts from a day after the business date."))
    work.require(on >= loan["disbursed_on"], ("生效日期不能早于放款日期。", "The change lies before the payout."))
    txn = change_txn(row)
    before = case.on(case.today)
    _rules(work, case, row, before)
    after = case.on(case.today, [*case.txns, txn])
    work.require(txn.seq not in after.unmet and after.shortfall <= before.shortfall, _REFUSED.get(txn.kind, _NO_PLACE))
    return txn


def _rules(work: Work, case: Case, row: Values, life: Life) -> None:
    """What the law and the field ask of each kind."""
    kind, on, loan = row["kind"], row["effective_on"], case.loan
    if kind in ("rate", "extend", "restructure", "pause", "accelerate"):
        work.require(case.last_on <= on, ("生效日期不能早于该贷款最近一笔交易。", "The change lies before the loan's last transaction."))
    if kind == "fee":
        period = row["period_no"]
        work.require(not period or any(line.no == period and not line.seq for line in life.lines), ("没有这一期。", "There is no such period."))
    if kind == "extend":
        _extension(work, case, row)
    if kind == "restructure":
        work.require(row["new_method"] != "BULLET", ("重组不能改为利随本清。", "A restructured loan cannot become a single payment."))
    if kind in ("repossess", "transfer"):
        work.require(case.last_on <= on, ("生效日期不能早于该贷款最近一笔交易。", "The change lies before the loan's last transaction."))
    if kind in ("coupon", "provision"):
        work.require(life.written_off is None, ("该贷款已核销，不能再抵用优惠券或计提准备金。",
                                                "The loan is written off: no coupon pays it, and nothing is set aside for it."))
    if kind == "write_off":
        work.require(life.non_accrual or loan["risk_class"] in ("doubtful", "loss"),
                     ("只有逾期 90 天以上，或分类为可疑、损失的贷款可以核销。",
                      "Only a loan more than 90 days past due, or classed doubtful or loss, is written off."))
    if kind == "refund":
        work.require(cents(row["amount"] or Decimal(0)) <= life.suspense, (f"溢缴款只有 {money(life.suspense):,.2f} 元，退款金额超过溢缴款。",
                                                            f"The overpayment is {money(life.suspense):,.2f}; the refund is more than that."))


def _extension(work: Work, case: Case, row: Values) -> None:
    """展期 is agreed before the loan matures, and in all not longer than the General Rules for Loans allow (Art. 12)."""
    months = work.get(SNAPSHOT, case.loan["snapshot"])["term_months"]
    work.require(row["effective_on"] <= case.loan["matures_on"], ("贷款已到期，不能展期。", "The loan has matured; it cannot be extended."))
    most = months if months <= 12 else months // 2 if months <= 60 else EXTENSION_YEARS
    total = row["more_periods"] + sum(int(txn.given["periods"]) for txn in case.txns if txn.kind == "extend")
    work.require(total <= most, (f"展期累计 {total} 期，超过上限 {most} 期。", f"Extended by {total} periods in all; at most {most} are allowed."))


def look_at_loan(work: Work, loan: Values | None, input: Values) -> Values:
    """What the dialog of a change shows: what is owed today, by component."""
    assert loan is not None
    case = open_case(work, loan)
    on, life = case.today, case.on(case.today)
    due = {name: sum(life.open_of(line, on)[name] for line in life.lines if line.due <= on) for name in ("fee", "penalty", "compound", "interest", "principal")}
    left = sum(line.unpaid("principal") for line in life.lines)
    return {"dpd": life.dpd(on), "due_principal": money(due["principal"]), "due_interest": money(due["interest"]), "due_penalty": money(due["penalty"]),
            "due_compound": money(due["compound"]), "due_fee": money(due["fee"]), "principal_left": money(left), "suspense": money(life.suspense),
            "allowance": money(life.allowance)}


