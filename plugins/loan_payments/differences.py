"""What people decide about a difference: one proposes, another confirms, and what the channel moved is in the books once.

Confirming a day moves what its statement says between 1012 and the bank. So a difference that leaves something on 1012 is booked: money that came goes to
2241.02 to be claimed, what a payout or a refund moved too much or too little to 1901 until it is cleared (``loan_servicing.sundry``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from metaloom.plugin.command import Values, Work

from . import unclaimed
from .orders import (
    DIFFERENCE,
    LOAN,
    ORDER,
    REFUND,
    REPAYMENT,
    UNDECIDED,
    Word,
    about,
    amount_moved,
    both,
    end_by_hand,
    end_parked,
    gross,
    lines_of,
    may_revive,
    not_cleared,
    owed_back,
    succeed_late,
    take_back,
    told,
    unbook,
    unheld,
)
from .recon import CHANNEL, LINE, RUN, ZERO, recount

CARRIES = ["carry", "together", "fee", "income", "income_back"]
RECEIPT, ENTRY = "lending.bank_receipt", "platform.ledger_entry"


def propose(work: Work, difference: Values | None, input: Values) -> None:
    """One person says what is to be done; nothing is done yet."""
    assert difference is not None
    work.require(difference["kind"] != unclaimed.KIND, ("转入或退出营业外收入只能确认或退回。",
                                                        "What becomes income, or is owed again, is confirmed or declined only."))
    _check(work, {**difference, "fee": input["fee"]}, input["treatment"])
    work.change(DIFFERENCE, difference["id"], {"treatment": input["treatment"], "fee": input["fee"], "note": input["note"], "proposed_by": work.actor.user_id})
    work.transition(DIFFERENCE, difference["id"], "propose")


def decline(work: Work, difference: Values | None, input: Values) -> None:
    """The second person does not agree."""
    assert difference is not None
    if difference["kind"] == unclaimed.KIND:
        work.change(DIFFERENCE, difference["id"], {"note": work.reason[:300]})
        work.transition(DIFFERENCE, difference["id"], "vanish")
        return
    work.change(DIFFERENCE, difference["id"], {"treatment": None, "fee": None, "proposed_by": None, "note": work.reason[:300]})
    work.transition(DIFFERENCE, difference["id"], "decline")


def confirm(work: Work, difference: Values | None, input: Values) -> None:
    """A second person agrees, and it is done."""
    assert difference is not None
    if difference["kind"] == unclaimed.KIND:
        unclaimed.confirm(work, difference)
        return
    waiting = _waiting_with(work, difference)
    if difference["order"]:
        work.lock(ORDER, difference["order"])
    _check(work, difference, difference["treatment"])       # the order may be another one by now
    if difference["treatment"] == "adopt":
        _adopt(work, difference)
    elif difference["treatment"] == "suspense" and _is_parked(work, difference):
        _debit_to_claim(work, difference)
    elif difference["treatment"] == "suspense" and _about_the_order(difference):
        _taken_to_claim(work, difference)
    elif difference["treatment"] == "suspense":
        _line_to_claim(work, difference)
    elif difference["treatment"] in ("together", "fee"):
        _made_up(work, difference, waiting)
    elif difference["treatment"] == "carry":
        _carry(work, difference, waiting)
    elif difference["treatment"] == "by_hand":
        _end_by_hand(work, difference)
    work.change(DIFFERENCE, difference["id"], {"confirmed_by": work.actor.user_id})
    work.transition(DIFFERENCE, difference["id"], "confirm")
    if difference["recon"]:
        recount(work, difference["recon"])


def _waiting_with(work: Work, difference: Values) -> list[Values]:
    """What else waits to be decided about the order's money, locked before the order, as a refund of it does."""
    if not difference["order"]:
        return []
    if (difference["treatment"], difference["kind"]) in (("carry", "duplicate"), ("suspense", "unallocated")):      # what is carried of it, as clearing does
        work.find(DIFFERENCE, {"reference": difference["reference"], "company": difference["company"], "status": "handled"}, lock=True)
    if difference["kind"] == "unallocated":
        return []
    where = {"order": difference["order"], "kind": "unallocated"}
    if difference["treatment"] == "together":                # the other parts; their run is locked
        where = {"order": difference["order"], "kind": "duplicate", "recon": difference["recon"]}
    return work.find(DIFFERENCE, {**where, "status": ["open", "proposed"]}, lock=True)


# -- what may be done ----------------------------------------------------------------------------------------------------


def _check(work: Work, difference: Values, treatment: str) -> None:
    """Refuses what does not fit the difference, with what does."""
    if treatment in ("suspense", "carry") and difference["kind"] == "amount" and not difference["recon"]:
        settled = work.get(ORDER, difference["order"])["status"] == "succeeded"     # a later word than the one that the difference is about
        work.require(not settled, ("渠道后来已按支付单金额确认成功；金额仍有不同的，以对账单的差异为准。",
                                   "The channel confirmed the order's own amount since; what still differs is told by the statement."))
    if treatment == "adopt":
        work.require(_adoptable(work, difference), ("只有状态不符、且渠道已有明确结果的支付单可以以渠道为准。",
                                                    "The channel's word can be taken only where the states differ and it has a definite one."))
    elif treatment == "suspense":
        if not _lost_in_part(work, difference):
            (_parked_debit if _is_parked(work, difference) else _may_be_claimed)(work, difference)
    elif treatment in ("together", "fee"):
        _may_be_made_up(work, difference, treatment)
    elif treatment == "carry":
        _may_be_carried(work, difference)
    elif difference["kind"] == "unallocated":
        work.require(not unheld(work, [work.get(ORDER, difference["order"])]), (
            "渠道已收到该笔款项，而还款已被冲正：请转入待认领，或全额退款。",
            "The channel took this money, and its repayment was reversed: park it for claiming, or refund it as a whole."))
    elif difference["kind"] == "state" and difference["order"] and difference["their_state"] == "failed":
        _is_not_booked(work, difference)
    elif difference["recon"] and difference["kind"] in ("amount", "state", "duplicate", "theirs_only"):
        _leaves_nothing(work, difference)


def _is_parked(work: Work, difference: Values) -> bool:
    """Whether the difference is about money that no loan could take when it came; else about a booking of it that a person took back."""
    return difference["kind"] == "unallocated" and not work.get(ORDER, difference["order"])["repayment"]


def _lost_in_part(work: Work, difference: Values) -> bool:
    """Whether the difference is about a debit whose repayment a person reversed while a part of it, or all, was carried as missing."""
    if difference["kind"] != "unallocated":
        return False
    order = work.get(ORDER, difference["order"])
    return order["taken"] is not None and bool(unheld(work, [order]))


def _adoptable(work: Work, difference: Values) -> bool:
    if difference["kind"] != "state" or not difference["order"] or difference["their_state"] not in ("succeeded", "failed"):
        return False
    order = work.get(ORDER, difference["order"])
    if difference["their_amount"] not in (None, order["amount"]) or order["taken"] is not None:
        return False
    if difference["their_state"] == "failed" and order["status"] == "succeeded":
        back = work.find(REFUND, {"order": order["id"], "status": ["paying", "failed", "done"]}, limit=1)
        return bool(order["biz_type"] == "collect" and order["repayment"] and not back)
    return order["status"] in (*UNDECIDED, "failed") and order["status"] != difference["their_state"]


def _may_be_claimed(work: Work, difference: Values) -> None:
    """Money that came, and that no booking has: of a line that is nobody's or is there twice, or of a debit whose booking is another one."""
    kinds = ("theirs_only", "amount", "duplicate", "state", "unallocated")
    work.require(difference["kind"] in kinds and difference["their_state"] == "succeeded" and difference["their_amount"],
                 ("只有渠道已收到、而我方未入账或金额不同的款项可以转入待认领。",
                  "Only money that the channel has, and that was not booked or booked with another amount, can be parked for claiming."))
    work.require(_stated(work, difference) > 0, ("渠道明细不是收款，不能转入待认领。", "The channel's line is no receipt; it cannot be parked."))
    if not _about_the_order(difference):
        work.require(_left(work, difference) < 0, ("该笔渠道明细已转入待认领；多出的部分请挂账待查。",
                                                   "This line waits to be claimed already; carry as pending what was parked too much."))
        return
    order = work.get(ORDER, difference["order"])
    work.require(order["taken"] is None and not (order["netted"] and difference["kind"] == "amount") and order["status"] not in ("returned", "closed"),
                 ("该支付单的款项已处理过；金额仍不同的，差额请挂账待查。",
                  "The money of this order was handled already; carry what still differs as pending."))
    work.require(not _revivable(work, difference, order), ("渠道结果可以直接采纳，请选择“以渠道为准”。", "The channel's word can be taken; choose that."))
    if order["status"] == "succeeded":
        _undone(work, order)


def _may_be_carried(work: Work, difference: Values) -> None:
    """What a payout or refund moved otherwise than booked, and what of a booked debit is missing; money that came is claimed instead."""
    work.require(difference["recon"] or difference["kind"] in ("amount", "duplicate"),
                 ("须在渠道对账单中核对后挂账。", "It is carried once a statement of the channel has it."))
    order = work.get(ORDER, difference["order"]) if difference["order"] else None
    stated = _stated(work, difference)
    if order is not None and _about_the_order(difference):
        work.require(order["biz_type"] != "collect" or stated <= 0 or order["taken"] is not None or (_booked(work, order) and not _stands_parked(work, order)),
                     ("渠道已收到的款项请转入待认领。", "Park for claiming what the channel has received."))
        work.require(not _adoptable(work, difference) or not _revivable(work, difference, order),
                     ("渠道结果可以直接采纳，请选择“以渠道为准”。", "The channel's word can be taken; choose that."))
    else:
        work.require(stated <= 0 or _left(work, difference) > 0 or _may_correct(work, difference, stated) or _is_missing_part(work, difference, stated),
                     ("渠道已收到的款项请转入待认领；只有与另一笔已挂账差错金额相同的更正款、或同一支付单已挂账部分的后续到账可以挂账。",
                      "Park for claiming what the channel has received; only what corrects a carried difference, with the same amount, or is a part of the "
                      "same order that is carried as missing, is carried too."))
    work.require(_left(work, difference) or (order is not None and order["status"] in UNDECIDED and stated),
                 ("该差异不影响渠道备付科目，无须挂账。", "Nothing of this difference stays on account 1012; there is nothing to carry."))


def _leaves_nothing(work: Work, difference: Values) -> None:
    """A statement's line that moved money is booked, not talked away; a line of money that goes back may have been booked with the bank line it undoes."""
    stated, left = _stated(work, difference), _left(work, difference)
    returned = difference["order"] and work.get(ORDER, difference["order"])["status"] == "returned"
    if stated == 0 or left == 0 or returned or (difference["order"] is None and stated < 0):
        return
    work.refuse(f"按对账单结转后，渠道备付科目（1012）将有 {left:,.2f} 元无法对应：收款请转入待认领，付款与退款请挂账待查，状态不符的请以渠道为准。",
                f"Once the day is settled {left:,.2f} of account 1012 would belong to nothing: park what was received, carry what was paid or refunded as "
                "pending, or take the channel's word where the states differ.")


def _may_correct(work: Work, difference: Values, came: Decimal) -> bool:
    """Whether a receipt of nobody may be what the channel gives back of a payment that is carried: it has the amount of that. The two are cleared
    against each other then (``loan_servicing.sundry``)."""
    carried: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in work.find(DIFFERENCE, {"company": difference["company"], "treatment": CARRIES, "status": "handled"}):
        carried[row["reference"]] += row["carried"] or ZERO
    return difference["kind"] == "theirs_only" and came in carried.values()


def _is_missing_part(work: Work, difference: Values, came: Decimal) -> bool:
    """Whether a further line of a debit is no more than what of it is carried as missing and not cleared."""
    return difference["kind"] == "duplicate" and came <= not_cleared(work, difference["reference"], difference["company"])


def _may_be_made_up(work: Work, difference: Values, treatment: str) -> None:
    """A statement's line that is a part of our order, or what it moved without the channel's fee."""
    order = work.get(ORDER, difference["order"]) if difference["order"] else None
    if difference["kind"] != "amount" or not difference["recon"] or order is None:
        work.refuse("只有对账单中与支付单金额不同的明细可以合并核对或计入手续费。",
                    "Only a line of a statement with another amount than its order is taken together with others, or has a fee.")
    assert order is not None
    alive = order["status"] == "succeeded" or order["status"] in UNDECIDED or (order["status"] == "failed" and may_revive(work, order))
    work.require(alive and _same_kind(work, difference, order) and difference["their_state"] == "succeeded" and order["taken"] in (None, order["amount"]),
                 ("该支付单的款项已另行处理，或渠道明细与支付单的类型、结果不符。",
                  "The order was settled otherwise, or the line is of another kind or outcome."))
    work.require(order["biz_type"] != "collect" or not _stands_parked(work, order), NOT_ON_A_LOAN)
    if treatment == "together":
        _are_parts(work, difference, order)
    left = _left(work, _whole(work, difference, treatment), made=True)
    fee, most = difference["fee"], max(left, ZERO)
    if treatment == "fee":
        back = left < 0 and fee is None and -left <= (order["netted"] or ZERO)
        work.require(back or (left > 0 and (fee is None or fee <= left)), _too_much(most))
    else:
        work.require(fee is None or fee <= most, _too_much(most))


NOT_ON_A_LOAN = ("该笔扣款未入账到贷款，请先转入待认领并入账。", "No loan has this debit; park it for claiming and book it first.")


def _too_much(left: Decimal) -> tuple[str, str]:
    return (f"差额中可以计入手续费的为 {left:,.2f} 元，手续费不能超过该数。", f"{left:,.2f} is left for a fee; it is no more than that.")


def _are_parts(work: Work, difference: Values, order: Values) -> None:
    lines = _lines_of_the_order(work, difference, order)
    work.require(len(lines) > 1, ("渠道只有一笔明细，无须合并。", "The statement has one line of it only; there is nothing to take together."))
    handled = work.find(DIFFERENCE, {"recon": difference["recon"], "reference": difference["reference"], "kind": "duplicate", "status": "handled"})
    work.require(not any(row["their_amount"] for row in handled), ("该支付单的其他明细已处理，不能再合并。", "Other lines of this order were handled already."))
    over = gross(order, sum((line["amount"] for line in lines), ZERO)) - order["amount"]
    work.require(order["biz_type"] != "collect" or over <= 0, (f"各笔明细合计比支付单多 {over:,.2f} 元，多出的明细请转入待认领。",
                                                               f"The lines come to {over:,.2f} more than the order; park for claiming what is too much."))


def _lines_of_the_order(work: Work, difference: Values, order: Values) -> list[Values]:
    run = work.get(RUN, difference["recon"])
    return work.find(LINE, {"recon": run["id"], "take": run["takes"], "reference": difference["reference"], "kind": order["biz_type"], "outcome": "succeeded"})


def _whole(work: Work, difference: Values, treatment: str) -> Values:
    """The difference of the order's lines together, where they are taken so."""
    if treatment != "together":
        return difference
    lines = _lines_of_the_order(work, difference, work.get(ORDER, difference["order"]))
    return {**difference, "their_amount": sum((line["amount"] for line in lines), ZERO)}


def _is_not_booked(work: Work, difference: Values) -> None:
    """That the channel reports as failed what we booked is not talked away, unless a statement has it as made."""
    order = work.get(ORDER, difference["order"])
    booked = _booked(work, order)
    if booked == 0 or _borne_out(work, difference, order):
        return
    work.refuse(f"我方已按成功入账 {abs(booked):,.2f} 元，而渠道报失败，不能不处理：代扣请以渠道为准；其余请待对账单核对后挂账待查。",
                f"The books have it as made ({abs(booked):,.2f}), and the channel says that it failed: take the channel's word for a debit; carry anything "
                "else as pending once a statement says the same.")


def _borne_out(work: Work, difference: Values, order: Values) -> bool:
    """Whether a statement that came after the difference has the order as made; one of a confirmed day suffices where the channel's word cannot be taken."""
    final = not _adoptable(work, difference)
    for line in work.find(LINE, {"reference": order["pay_no"], "outcome": "succeeded", "kind": order["biz_type"], "amount": amount_moved(order)}):
        run = work.get(RUN, line["recon"])
        if line["take"] == run["takes"] and (line["created_at"] > difference["created_at"] or (final and run["status"] == "closed")):
            return True
    return False


def _revivable(work: Work, difference: Values, order: Values) -> bool:
    """Whether the channel's success can be booked as this order's own."""
    if difference["kind"] != "state" or not _adoptable(work, difference):
        return False
    return order["status"] != "failed" or difference["their_state"] != "succeeded" or may_revive(work, order)


def _about_the_order(difference: Values) -> bool:
    """Whether the difference is about what the order moved; else about a line that stands beside it."""
    return bool(difference["order"]) and not (difference["kind"] == "duplicate" and difference["recon"])


def _line(work: Work, difference: Values) -> Values | None:
    where = {"recon": difference["recon"], "reference": difference["reference"], "channel_no": difference["channel_no"]}
    lines = work.find(LINE, where, order=("-take", "-id"), limit=1) if difference["recon"] else []
    return lines[0] if lines else None


def _stated(work: Work, difference: Values) -> Decimal:
    """What the channel says it moved: above zero it came, below it left."""
    if difference["kind"] == "ours_only" or difference["their_state"] != "succeeded":
        return ZERO
    line = _line(work, difference)
    kind = line["kind"] if line is not None else work.get(ORDER, difference["order"])["biz_type"] if difference["order"] else "collect"
    amount: Decimal = difference["their_amount"] or ZERO
    return amount if kind == "collect" else -amount


def _booked(work: Work, order: Values) -> Decimal:
    """What stands on 1012 because of the order."""
    if order["taken"] is not None or (order["status"] == "succeeded" and not order["repayment"]):
        amount = amount_moved(order)
    else:
        amount = _received(work, order) if order["status"] == "succeeded" else ZERO
    return amount if order["biz_type"] == "collect" else -amount


def _received(work: Work, order: Values) -> Decimal:
    """What the loan has of a debit that was booked on it, unless a person reversed that, and what of it was taken off the loan to be refunded."""
    booked = work.get(REPAYMENT, order["repayment"])
    return owed_back(work, order) + (booked["amount"] if booked["status"] == "posted" else ZERO)


def _left(work: Work, difference: Values, made: bool = False) -> Decimal:
    """What settling the statement's line leaves on 1012: above zero somebody owes it to us, below we owe it. ``made``: with the order booked as made."""
    if _about_the_order(difference):
        order = work.get(ORDER, difference["order"])
        booked = _booked(work, {**order, "status": "succeeded", "repayment": None} if made and order["status"] != "succeeded" else order)
        return booked - _stated(work, difference) - (order["netted"] or ZERO)
    before = work.get(DIFFERENCE, difference["follows"]) if difference["follows"] else None      # of the same line, when it said another amount
    return (_stated(work, before) if before else ZERO) - _stated(work, difference)


# -- the channel's word --------------------------------------------------------------------------------------------------


def _adopt(work: Work, difference: Values) -> None:
    order = work.get(ORDER, difference["order"])
    word = Word(str(difference["their_state"]), difference["channel_no"] or "", "statement", both("对账单", "statement"), difference["their_amount"])
    if order["status"] == "succeeded":
        take_back(work, order, word)
    else:
        work.require(told(work, order, word) == "applied", ("无法采纳渠道结果：该笔付款已由另一支付单完成。",
                                                          "The channel's word cannot be taken: another order has made this payment."))
    work.change(ORDER, order["id"], {"recon": "matched"})


def _end_by_hand(work: Work, difference: Values) -> None:
    """Ends a debit without a result. The channel's word, where it can be taken, is better than ours."""
    if difference["kind"] in ("amount", "state") and difference["order"] and not _adoptable(work, difference):
        end_by_hand(work, work.get(ORDER, difference["order"]), str(difference["note"]))


# -- money to be claimed -------------------------------------------------------------------------------------------------


def _line_to_claim(work: Work, difference: Values) -> None:
    """A receipt that only the channel knows, or that it has twice, is claimed like a line of the bank."""
    run = work.get(RUN, difference["recon"])
    channel = work.get(CHANNEL, run["pay_channel"])
    _claimable(work, {
        "bank_serial_no": _serial(work, f"{run['recon_no']}-{difference['channel_no'] or difference['reference']}"), "our_account": channel["code"],
        "payer_name": "渠道收款", "amount": -_left(work, difference), "value_date": run["day"], "postscript": difference["reference"],
        "company": channel["company"]})


def _claimable(work: Work, line: dict[str, object]) -> None:
    """A line that is claimed like one of the bank; whose loan it is for is looked for at once."""
    work.run("loan_payments.find_loan", work.create(RECEIPT, {**line, "through": "channel"}))


def _serial(work: Work, name: str) -> str:
    """The number of a line to claim; numbered where there is, or was, one of that number."""
    number, again = name[:80], 2
    while work.find(RECEIPT, {"bank_serial_no": number}, limit=1):
        number, again = f"{name[:74]}#{again}", again + 1
    return number


def _taken_to_claim(work: Work, difference: Values) -> None:
    """What the channel took with a debit, in place of whatever was booked of it: claimed like a line of the bank, valued on the day it was taken."""
    order = work.get(ORDER, difference["order"])
    took, day = difference["their_amount"], _day(work, difference, order)
    settled = took
    if _lost_in_part(work, difference):
        settled, took = order["taken"], _no_longer_missing(work, difference, order)
    if order["status"] == "succeeded":
        _undo(work, order)
    end_parked(work, order, settled, day)
    if took:
        _claimable(work, {**_line_of(work, order), "bank_serial_no": _serial(work, order["pay_no"]), "amount": took, "value_date": day})


def _no_longer_missing(work: Work, difference: Values, order: Values) -> Decimal:
    """No loan has the debit any more, so nothing of it is missing: what is carried and not cleared is taken back, and what came is left."""
    missing = not_cleared(work, order["pay_no"], order["company"])
    if missing:
        _off_the_channel(work, difference, order, -missing, ZERO)
    came: Decimal = order["amount"] - missing
    work.change(DIFFERENCE, difference["id"], {"their_amount": came})
    return came


def _day(work: Work, difference: Values, order: Values) -> object:
    """The day on which the channel moved the money: its statement's, else the day of its word, or the one it was sent."""
    if difference["recon"]:
        return work.get(RUN, difference["recon"])["day"]
    return order["success_on"] or min(order["sent_on"], work.business_date(order["company"]))


def _undone(work: Work, order: Values) -> int | None:
    """The entry that parked the debit, where no loan took it; refused where its booking cannot be undone."""
    work.require(not _has_refund(work, order), ("该笔扣款已有退款，差额请挂账待查。",
                                                                             "This debit has a refund; carry what differs as pending."))
    if order["repayment"]:
        return None
    standing = [line for line in lines_of(work, [order["pay_no"]]) if line["status"] != "rejected"]
    work.require(not standing, ("该笔扣款已转入待认领，请先在银行流水中撤销认领并退回该流水。",
                                "This debit waits among the bank lines; take its claim back and send the line back first."))
    entries = [] if lines_of(work, [order["pay_no"]]) else work.find(ENTRY, {"entity": ORDER, "record_id": order["id"], "event": "receipt_parked"},
                                                                     order=("id",), limit=1)
    return entries[0]["id"] if entries else None


def _undo(work: Work, order: Values) -> None:
    parked = _undone(work, order)
    if order["repayment"]:
        unbook(work, order)
    elif parked is not None:
        today = work.business_date(order["company"])
        work.post("receipt_parked", {}, about(work, order), order["company"], today, order["success_on"], (ORDER, order["id"]), reversal_of=parked)


def _parked_debit(work: Work, difference: Values) -> tuple[Values, Values]:
    """The locked debit whose money stands parked, and the entry that parked it; refused once it is given back."""
    order = work.lock(ORDER, difference["order"])
    entries = work.find(ENTRY, {"entity": ORDER, "record_id": order["id"], "event": "receipt_parked"}, order=("id",), limit=1)
    whole = order["taken"] in (None, order["amount"])
    work.require(order["status"] == "succeeded" and whole and not order["repayment"] and entries,
                 ("该笔扣款没有待认领的款项。", "Nothing of this debit is parked."))
    work.require(not _has_refund(work, order), ("该笔扣款已有退款。", "This debit has a refund."))
    return order, entries[0]


def _line_of(work: Work, order: Values) -> dict[str, object]:
    """A debit as a line to claim. The account that has the money is called by the code of the channel, or the provider's name where there was none."""
    account = work.get(CHANNEL, order["pay_channel"])["code"] if order["pay_channel"] else order["channel"]
    return {"bank_serial_no": order["pay_no"], "our_account": account, "payer_name": order["payee_name"], "amount": order["amount"],
            "value_date": order["success_on"], "postscript": work.get(LOAN, order["loan"])["loan_no"], "company": order["company"]}


def _debit_to_claim(work: Work, difference: Values) -> None:
    """A debit that no loan could take is claimed like a line of the bank: for its loan once that was mended, or for another one."""
    order, entry = _parked_debit(work, difference)
    _claimable(work, {**_line_of(work, order), "parked": entry["id"]})


# -- parts and fees ------------------------------------------------------------------------------------------------------


def _made_up(work: Work, difference: Values, waiting: Sequence[Values]) -> None:
    """The order is made as it was agreed: by several lines, or by one without the channel's fee, which is booked. What is missing then is carried."""
    order = _made(work, difference)
    work.require(order["status"] == "succeeded" and not (order["biz_type"] == "collect" and _stands_parked(work, order)), NOT_ON_A_LOAN)
    if difference["treatment"] == "together":
        work.change(ORDER, order["id"], {"in_parts": True})
        for row in waiting:
            work.transition(DIFFERENCE, row["id"], "vanish")
        difference = _whole(work, difference, "together")
        work.change(DIFFERENCE, difference["id"], {"their_amount": difference["their_amount"]})
    left = _left(work, difference)
    fee = difference["fee"] if difference["fee"] is not None else left if difference["treatment"] == "fee" else ZERO
    if left:
        _off_the_channel(work, difference, order, left - fee, fee)
    netted = (order["netted"] or ZERO) + fee
    settled = gross({**order, "netted": netted}, difference["their_amount"])
    work.change(ORDER, order["id"], {"netted": netted or None, "taken": None if settled == order["amount"] else settled, "recon": "matched"})


# -- what is pending -----------------------------------------------------------------------------------------------------


def _carry(work: Work, difference: Values, waiting: Sequence[Values]) -> None:
    """Takes off 1012 what the statement leaves there. A payout or refund without a result has one now: it was made, with another amount; what it
    moved too much or too little is carried."""
    order = None
    if difference["order"] and _about_the_order(difference):
        order = _made(work, difference)
        if difference["kind"] != "ours_only":
            _end_parked_debit(work, difference, order, waiting)
    left = _left(work, difference)
    if left:
        _off_the_channel(work, difference, order, left, ZERO)
    if order is not None and _same_kind(work, difference, order):
        work.change(ORDER, order["id"], {"taken": gross(order, abs(_stated(work, difference))), "recon": "matched"})


def _off_the_channel(work: Work, difference: Values, order: Values | None, carried: Decimal, fee: Decimal) -> None:
    """What goes from 1012 to 1901, or back, and to the fees."""
    company = work.get(CHANNEL, work.get(RUN, difference["recon"])["pay_channel"])["company"] if difference["recon"] else difference["company"]
    today = work.business_date(company)
    day = work.get(RUN, difference["recon"])["day"] if difference["recon"] else today
    amounts = {"to_come": max(carried, ZERO), "to_go": max(-carried, ZERO), "fee": max(fee, ZERO), "fee_back": max(-fee, ZERO)}
    entry = work.post("payment_carried", amounts, about(work, order) if order else {"memo": difference["reference"]}, company, today, day,
                      (DIFFERENCE, difference["id"]))
    work.change(DIFFERENCE, difference["id"], {"carried": carried or None, "fee": fee or None, "voucher": entry})


def _end_parked_debit(work: Work, difference: Values, order: Values, waiting: Sequence[Values]) -> None:
    """A debit that no loan could take and that the channel reports otherwise: what it did not take is neither claimed nor refunded."""
    if order["biz_type"] != "collect" or order["status"] != "succeeded" or order["repayment"] or _stated(work, difference) == order["amount"]:
        return
    if order["taken"] is None and _stated(work, difference) <= 0 and _stands_parked(work, order):
        _undo(work, order)
        work.change(ORDER, order["id"], {"taken": ZERO})
    for row in waiting:
        work.transition(DIFFERENCE, row["id"], "vanish")


def _stands_parked(work: Work, order: Values) -> bool:
    """Whether a debit's money stands on 2241.02 as it came: no loan has it, nobody moved it among the bank lines, nothing of it goes back."""
    return order["status"] == "succeeded" and not order["repayment"] and not _has_refund(work, order) and not lines_of(work, [order["pay_no"]])


def _has_refund(work: Work, order: Values) -> bool:
    return any(refund["status"] != "cancelled" for refund in work.find(REFUND, {"order": order["id"]}))


def _made(work: Work, difference: Values) -> Values:
    """The order, booked as made where the channel made it and nothing else did."""
    order = work.get(ORDER, difference["order"])
    open_ended = order["status"] in UNDECIDED or (order["status"] == "failed" and order["taken"] is None and may_revive(work, order))
    makes = order["biz_type"] != "collect" or difference["treatment"] in ("together", "fee")
    if makes and open_ended and _stated(work, difference) and _same_kind(work, difference, order):
        succeed_late(work, order)
        work.change(ORDER, order["id"], {"success_on": _day(work, difference, order)})
    return work.get(ORDER, order["id"])


def _same_kind(work: Work, difference: Values, order: Values) -> bool:
    line = _line(work, difference)
    return line is None or line["kind"] == order["biz_type"]
