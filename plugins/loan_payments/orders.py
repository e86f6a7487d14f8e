"""Payment orders (decision 34): one reference for ever, committed before the call; *unknown* leaves by query, notice or statement only.

An answer, a notice and a statement line say the same kind of thing about an order and go through one place, :func:`told`,
with the order locked: whoever comes first decides, whoever comes later changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from metaloom.plugin.command import Values, Work

from . import routing

ORDER, CHANNEL, DRAWDOWN, LOAN = "lending.payment_order", "lending.payment_channel", "lending.drawdown", "lending.loan"
DIFFERENCE, REFUND, ITEM = "lending.payment_difference", "lending.payment_refund", "lending.debit_item"
REPAYMENT, MONEY = "lending.repayment", "lending.other_money"
DAY_END = "lending.day_end"
METHOD = {"payout": "pay", "collect": "collect", "refund": "refund"}
QUERY_AFTER = (10, 30, 60, 300, 1800)
"""Seconds before the next question (domain specification §7.1); the last one repeats hourly."""
HOURLY = 3600
STOPPED = timedelta(seconds=HOURLY)
"""The questions of an order have stopped when the last one is overdue by so long."""
NOT_FOUND_BEFORE_RESEND = 3
SILENCE = timedelta(days=1)
"""A debit that has no result for so long is shown to people; again after as long, where they left it as it was."""
UNDECIDED = ("sending", "unknown")
SETTLED = ("该贷款已结清", "The loan is settled")
LINES = ("", *(f"#{number}" for number in range(2, 10)))
"""What stands behind the number of a debit in those of the bank lines with its money."""


@dataclass(frozen=True)
class Word:
    """What a channel says about one order, by whatever way it came."""

    outcome: str
    gateway_no: str = ""
    code: str = ""
    text: str = ""
    amount: Decimal | None = None

    @classmethod
    def of(cls, input: Values) -> Word:
        return cls(str(input["outcome"]), input.get("gateway_no") or "", input.get("code") or "", input.get("text") or "", input.get("amount"))


# -- sending -----------------------------------------------------------------------------------------------------------


def open_order(work: Work, _: Values | None, input: Values) -> Values:
    """Routes, writes the order with its reference, and asks the worker to send it; nothing leaves before this is committed."""
    account = work.get("lending.bank_account", input["account"])
    kind = input["biz_type"]
    wish = routing.Wish(kind, input["amount"], account["bank_code"], work.now, input["gateway"] or "")
    channel = _route(work, input["company"], wish, input["default_gateway"] or "")
    order = work.create(ORDER, {
        "biz_type": kind, "drawdown": input["drawdown"], "loan": input["loan"], "debit_item": input["debit_item"], "refund": input["refund"],
        "original": input["original"], "agreement": input["agreement"], "customer": input["customer"], "company": input["company"],
        "amount": input["amount"], "payee_name": account["account_name"], "payee_card": account["card_no"], "payee_bank": account["bank_code"],
        "channel": channel["gateway"], "pay_channel": channel["id"], "fee": routing.fee_of(channel, input["amount"]),
    })
    work.transition(ORDER, order, "send")
    work.change(ORDER, order, {"sent_at": work.now, "sent_on": routing.day_of(work.now)})
    row = work.get(ORDER, order)
    _send_order(work, row)
    return {"payment_order": order, "pay_no": row["pay_no"]}


def _route(work: Work, company: int, wish: routing.Wish, default: str) -> Values:
    """The channel, locked so that two orders never both take the rest of its day; without any channel set up the default provider."""
    channels = work.find(CHANNEL, {"company": company, "status": "active"}, lock=True)
    if not channels and default and not work.find(CHANNEL, {"company": company}, limit=1):
        return {"id": None, "gateway": default, "fee_fixed": Decimal(0), "fee_rate": Decimal(0)}
    loads = {c["id"]: _load(work, c["id"], wish) for c in channels if c["day_amount_max"] is not None or c["day_count_max"] is not None}
    best, against = routing.choose(channels, loads, wish)
    zh, en = "；".join(a[0] for a in against), "; ".join(a[1] for a in against)
    work.require(best is not None, (f"没有可用的支付渠道。{zh}", f"No payment channel can carry this. {en}"))
    assert best is not None
    return best


def _load(work: Work, channel: int, wish: routing.Wish) -> routing.Load:
    """What a channel has been given today; what failed for good does not count."""
    rows = work.find(ORDER, {"pay_channel": channel, "sent_on": routing.day_of(wish.at), "status": ["sending", "unknown", "succeeded", "returned", "parked"]})
    return routing.Load(sum((row["amount"] for row in rows), Decimal(0)), len(rows))


def _send_order(work: Work, order: Values, again: int | None = None) -> None:
    """The same reference for ever: a repetition is the same payment to the channel."""
    original = work.get(ORDER, order["original"]) if order["original"] else None
    agreement = work.get("lending.debit_agreement", order["agreement"]) if order["agreement"] else None
    payload: dict[str, Any] = {
        "reference": order["pay_no"], "amount": order["amount"], "account_no": order["payee_card"], "account_name": order["payee_name"],
        "purpose": order["biz_type"], "bank_code": order["payee_bank"], "made_at": order["sent_at"].isoformat(),
        "agreement_no": agreement["protocol_no"] if agreement else "",
        "original": original["pay_no"] if original else "", "original_no": (original["channel_trade_no"] or "") if original else "",
        "original_amount": original["amount"] if original else None,
    }
    key = f"pay:{order['pay_no']}" + ("" if again is None else f":{again}")
    work.send("payment_gateway", order["channel"], METHOD[order["biz_type"]], payload, key=key, on_result="loan_payments.result",
              subject=(ORDER, order["id"]), while_in=UNDECIDED)


def _send_query(work: Work, order: Values, after: int, answer: str = "loan_payments.result") -> None:
    number = order["queries"] + 1
    work.change(ORDER, order["id"], {"queries": number})
    original = work.get(ORDER, order["original"])["pay_no"] if order["original"] else ""
    work.send("payment_gateway", order["channel"], "query",
              {"reference": order["pay_no"], "kind": order["biz_type"], "made_at": order["sent_at"].isoformat(), "original": original},
              key=f"query:{order['pay_no']}:{number}", on_result=answer, after_seconds=after, subject=(ORDER, order["id"]))


# -- what the channel says -----------------------------------------------------------------------------------------------


def result(work: Work, order: Values | None, input: Values) -> None:
    """The reply to a call or a query. Only *succeeded* and *failed* decide; everything else is asked again."""
    assert order is not None
    word = Word.of(input)
    if told(work, order, word) == "undecided":
        _ask_again(work, work.get(ORDER, order["id"]), word)


def query_result(work: Work, order: Values | None, input: Values) -> None:
    """A person asks the channel now, beside the questions that the order asks by itself."""
    assert order is not None
    _send_query(work, order, after=0, answer="loan_payments.asked")


def asked(work: Work, order: Values | None, input: Values) -> None:
    """What the channel answers to a person's question: one that decides nothing is followed by no other question, because the order's own go on.
    Only where those have stopped, as when a call was given up, they begin anew."""
    assert order is not None
    word = Word.of(input)
    if told(work, order, word) != "undecided":
        return
    due = order["asks_at"] or order["sent_at"]
    if work.now - due > STOPPED:
        _ask_again(work, work.get(ORDER, order["id"]), word)
    else:
        _show_silence(work, work.get(ORDER, order["id"]), word)


def notice(work: Work, _: Values | None, input: Values) -> None:
    """A signed notice. Written down with the effect it had; one that cannot be right changes nothing but that list."""
    found = work.find(ORDER, {"pay_no": input["reference"], "channel": input["provider"]}, lock=True)
    word = Word.of(input)
    if found and found[0]["status"] in ("created", *UNDECIDED) and word.outcome in ("accepted", "unknown"):
        verdict = "no_change"
    elif found:
        verdict = {"same": "no_change", "undecided": "no_change"}.get(said := told(work, found[0], word), said)
    else:
        verdict = "unknown_order"
    work.create("lending.payment_notice", {
        "gateway": input["provider"], "event_no": input["event_no"], "reference": input["reference"], "order": found[0]["id"] if found else None,
        "channel_no": word.gateway_no, "amount": word.amount, "outcome": word.outcome, "verdict": verdict,
        "company": found[0]["company"] if found else _who_looks(work, input["provider"]),
    })


def _who_looks(work: Work, gateway: str) -> int | None:
    """Whose finance looks into a notice about an order that nobody has: the company that opened a channel of the gateway first, else the first one."""
    channels = work.find("lending.payment_channel", {"gateway": gateway}, order=("id",), limit=1)
    return channels[0]["company"] if channels else next((row["id"] for row in work.find("platform.company", {}, order=("id",), limit=1)), None)


def told(work: Work, order: Values, word: Word) -> str:
    """What the word does to the locked order: applied | same | undecided | amount_differs | contradicts."""
    if order["taken"] is not None:
        return _told_after(work, order, word)
    if word.outcome in ("succeeded", "failed") and word.amount is not None and order["amount"] not in (word.amount, gross(order, word.amount)):
        _amount_differs(work, order, word)
        return "amount_differs"
    if word.gateway_no and not order["channel_trade_no"]:
        work.change(ORDER, order["id"], {"channel_trade_no": word.gateway_no})
    if order["status"] in UNDECIDED:
        if word.outcome == "succeeded":
            _succeed(work, order)
        elif word.outcome == "failed":
            _fail(work, order, word)
        else:
            return "undecided"
        return "applied"
    if order["status"] == "failed" and word.outcome == "succeeded":
        return _late_success(work, order, word)
    if order["status"] == "succeeded" and word.outcome == "failed":    # F18: booked already; people look, nothing turns by itself
        differ(work, order, "state", word)
        return "contradicts"
    return "same"


def _told_after(work: Work, order: Values, word: Word) -> str:
    """A word about an order of which people settled what it moved: nothing is booked by it any more, and what they did not know is shown to them."""
    known = (None, order["taken"], order["amount"] if order["status"] == "succeeded" else order["taken"])
    said = None if word.amount is None else gross(order, word.amount)
    if word.outcome not in ("succeeded", "failed") or (word.outcome == "succeeded" and (word.amount in known or said in known)):
        return "same"
    differ(work, order, "amount" if word.outcome == "succeeded" else "state", word)
    return "amount_differs" if word.outcome == "succeeded" else "contradicts"


def amount_moved(order: Values) -> Decimal:
    """What an order that moved money moved: its amount, unless people settled another one."""
    amount: Decimal = order["amount"] if order["taken"] is None else order["taken"]
    return amount


def gross(order: Values, amount: Decimal) -> Decimal:
    """What of an order an amount of the channel is, with the fee that it kept of a receipt, or took on top of a payment, and that people booked."""
    fee: Decimal = order["netted"] or Decimal("0.00")
    return amount + fee if order["biz_type"] == "collect" else amount - fee


def _succeed(work: Work, order: Values) -> None:
    work.transition(ORDER, order["id"], "succeed")
    work.change(ORDER, order["id"], {"finished_at": work.now, "success_on": work.business_date(order["company"]), "fail_code": None, "fail_text": None})
    _SUCCEEDED[order["biz_type"]](work, order)


def _fail(work: Work, order: Values, word: Word) -> None:
    """The channel's definite word: the order is over; whoever wants the money to move makes a new one."""
    work.transition(ORDER, order["id"], "fail")
    why = (word.text or word.code)[:300]
    work.change(ORDER, order["id"], {"finished_at": work.now, "fail_code": word.code[:60] or None, "fail_text": why or None})
    _FAILED[order["biz_type"]](work, order, word)


def _late_success(work: Work, order: Values, word: Word) -> str:
    """*failed*, then *succeeded* (F17): booked as what happened, unless another order of the same payment is alive; then it is a
    second payment and people decide."""
    if not may_revive(work, order):
        differ(work, order, "duplicate", word)
        return "contradicts"
    succeed_late(work, order)
    return "applied"


def succeed_late(work: Work, order: Values) -> None:
    """Books an order that waits for its result, or failed and may be revived, as made."""
    if order["biz_type"] == "payout" and order["status"] == "failed":
        work.transition(DRAWDOWN, order["drawdown"], "pay")
    _succeed(work, order)


def may_revive(work: Work, order: Values) -> bool:
    """Whether nothing else makes, or made, the payment of an order that failed."""
    if order["biz_type"] == "payout":
        return bool(work.lock(DRAWDOWN, order["drawdown"])["status"] == "pay_failed")
    if order["biz_type"] == "refund":
        return bool(work.lock(REFUND, order["refund"])["status"] == "failed")
    tries = work.find(ORDER, {"debit_item": order["debit_item"]}) if order["debit_item"] else []
    return not any(one["id"] != order["id"] and one["status"] not in ("failed", "closed") for one in tries)


def take_back(work: Work, order: Values, word: Word) -> None:
    """A debit that the channel took back after it had succeeded, as two people agree: its repayment is reversed, where nobody did that before."""
    unbook(work, order)
    work.transition(ORDER, order["id"], "return")
    work.change(ORDER, order["id"], {"fail_code": word.code[:60] or None, "fail_text": (word.text or word.code)[:300] or None})


def unbook(work: Work, order: Values) -> None:
    """Takes a debit off its loan, where nobody did that before. The order lets go of its repayment first: what follows is the caller's, and
    :func:`repayment_reversed` has nothing to tell."""
    work.change(ORDER, order["id"], {"repayment": None})
    if order["repayment"] and work.get(REPAYMENT, order["repayment"])["status"] == "posted":
        work.run("loan_servicing.reverse", order["repayment"])


def repayment_reversed(work: Work, _: Values | None, input: Values) -> None:
    """A person reversed a repayment: what a channel took for it is on no loan any more, and people say where it goes."""
    show_unheld(work, work.find(ORDER, {"repayment": input["repayment"]}))


def show_unheld(work: Work, orders: Sequence[Values]) -> list[Values]:
    """Those of the orders whose money no loan has, each with a difference that says so."""
    found = unheld(work, orders)
    for order in found:
        came = order["amount"] if order["taken"] is None else order["amount"] - not_cleared(work, order["pay_no"], order["company"])
        differ(work, order, "unallocated", Word("succeeded", amount=came), note=both("该笔还款已被冲正", "Its repayment was reversed"))
    return found


def unheld(work: Work, orders: Sequence[Values]) -> list[Values]:
    """Those of the orders that are debits which succeeded, whose repayment a person reversed, and whose money is not given back either. Of a debit that
    is refunded while a part of it is carried, the refund tells."""
    booked = {order["repayment"]: order for order in orders if order["biz_type"] == "collect" and order["status"] == "succeeded"}
    gone = [row["id"] for ids in parts([id for id in booked if id]) for row in work.find(REPAYMENT, {"id": ids, "status": "reversed"})]
    return [booked[id] for id in gone if owed_back(work, booked[id]) < (booked[id]["amount"] if booked[id]["taken"] is None else Decimal("0.01"))]


def not_cleared(work: Work, reference: str, company: int) -> Decimal:
    """What is left of all that was carried of one payment: above zero it is owed to us, below we owe it."""
    carried = work.find(DIFFERENCE, {"reference": reference, "company": company, "status": "handled"})
    left: Decimal = sum((row["carried"] for row in carried if row["carried"]), Decimal("0.00"))
    ids = [row["id"] for row in carried]
    if not ids:
        return left
    for row in work.find(MONEY, {"difference": ids, "status": "posted"}):
        left += row["amount"] if row["kind"] == "difference_paid" else -row["amount"]
    return left + sum((row["amount"] for row in work.find(MONEY, {"against": ids, "kind": "difference_netted", "status": "posted"})), Decimal("0.00"))


def owed_back(work: Work, order: Values) -> Decimal:
    """What of a debit was taken off its loan to be refunded."""
    return sum((one["amount"] for one in work.find(REFUND, {"order": order["id"]}) if one["parked"]), Decimal("0.00"))


def _amount_differs(work: Work, order: Values, word: Word) -> None:
    """Another amount than ours is no result: the order waits, and people are shown the difference."""
    if order["status"] == "sending":
        work.transition(ORDER, order["id"], "lose")
    differ(work, order, "amount", word)


def differ(work: Work, order: Values, kind: str, word: Word, note: str = "") -> None:
    """A difference for people to handle; the same one is not told twice while it is open."""
    if work.find(DIFFERENCE, {"order": order["id"], "kind": kind, "status": ["open", "proposed"]}, limit=1):
        return
    work.create(DIFFERENCE, {
        "kind": kind, "reference": order["pay_no"], "order": order["id"], "channel_no": word.gateway_no or order["channel_trade_no"],
        "our_amount": order["amount"], "their_amount": word.amount, "our_state": order["status"], "their_state": word.outcome,
        "note": note[:300] or None, "company": order["company"],
    })


def _ask_again(work: Work, order: Values, word: Word) -> None:
    """Never sent again because an answer stayed away: only after the channel said three times that it has no such order, and then under
    the same reference (F21)."""
    _show_silence(work, order, word)
    if word.outcome == "unknown" and order["status"] == "sending":
        work.transition(ORDER, order["id"], "lose")
    not_found = order["not_found_count"] + (word.code == "not_found")
    if not_found >= NOT_FOUND_BEFORE_RESEND:
        work.change(ORDER, order["id"], {"not_found_count": 0, "asks_at": work.now})
        _send_order(work, order, again=order["queries"])
        return
    work.change(ORDER, order["id"], {"not_found_count": not_found})
    place = order["queries"]
    after = QUERY_AFTER[place] if place < len(QUERY_AFTER) else HOURLY
    work.change(ORDER, order["id"], {"asks_at": work.now + timedelta(seconds=after)})
    _send_query(work, order, after)


def _show_silence(work: Work, order: Values, word: Word) -> None:
    """A debit that never gets a result keeps its loan from being debited, settled or prepaid: people find out what became of it, and end it."""
    if order["biz_type"] != "collect" or work.now - order["sent_at"] < SILENCE:
        return
    last = work.find(DIFFERENCE, {"order": order["id"], "kind": "state"}, order=("-id",), limit=1)
    if not last or work.now - last[0]["created_at"] >= SILENCE:
        differ(work, order, "state", word)


def end_by_hand(work: Work, order: Values, note: str) -> None:
    """Two people settled with the channel what became of a debit without a result: it ends as failed, and nothing waits for it any longer. Its
    line waits for a person. Should the channel report its success after all, that is booked like any late success."""
    if order["biz_type"] == "collect" and order["status"] in UNDECIDED:
        _fail(work, order, Word("failed", text=note))


def end_parked(work: Work, order: Values, took: Decimal, day: object) -> None:
    """A debit ends with what the channel took, which waits to be claimed; its own amount was never paid. Its line waits for a person, where it has not
    ended otherwise."""
    waits = order["status"] in UNDECIDED
    work.transition(ORDER, order["id"], "park")
    why = both(f"渠道实收 {took:,.2f} 元，已转入待认领", f"The channel took {took:,.2f}, which waits to be claimed") if took else \
        both("渠道未收到该笔扣款", "The channel took nothing of this debit")
    work.change(ORDER, order["id"], {"taken": took, "success_on": day, "finished_at": order["finished_at"] or work.now, "recon": "matched",
                                     "fail_text": why})
    if waits:
        _not_collected(work, order, Word("failed", text=why))


# -- what it means -------------------------------------------------------------------------------------------------------


def _paid_out(work: Work, order: Values) -> None:
    work.run("loan_servicing.payout_paid", order["drawdown"], {"order": order["id"]})


def _not_paid_out(work: Work, order: Values, word: Word) -> None:
    work.run("loan_servicing.payout_failed", order["drawdown"])


def _collected(work: Work, order: Values) -> None:
    """Books the receipt. A loan that was settled meanwhile, or that the day end holds back, takes none: the money is parked, and people see why."""
    loan = work.lock(LOAN, order["loan"])
    why = SETTLED if loan["status"] == "settled" else _held_back(work, loan)
    if why is not None:
        _park(work, order, both(*why))
    else:
        booked = work.run("loan_servicing.repay", loan["id"], {
            "kind": "due", "amount": order["amount"], "value_date": work.business_date(order["company"]), "source": "debit",
            "bank_serial_no": order["pay_no"]})
        work.change(ORDER, order["id"], {"repayment": booked["repayment"]})
    if order["debit_item"]:
        _item_paid(work, order)


def _held_back(work: Work, loan: Values) -> tuple[str, str] | None:
    """Why the day end left the loan behind; None when it did not. Such a loan takes no receipt before somebody mended it."""
    through = loan["accrued_through"]
    if through is None or through >= work.business_date(loan["company"]):
        return None
    for error in work.find("platform.run_error", {"entity": LOAN, "record_id": loan["id"]}, order=("-id",), limit=20):
        run = work.get("platform.scheduled_run", error["run"])
        if work.get("platform.scheduled_job", run["job"])["job"] == DAY_END and run["business_date"] is not None and run["business_date"] > through:
            return f"该贷款在日终中被隔离：{error['sentence']}", f"The day end holds the loan back: {error['sentence_en'] or error['sentence']}"
    return None


def _park(work: Work, order: Values, why: str) -> None:
    today = work.business_date(order["company"])
    work.post("receipt_parked", {"channel": order["amount"], "bank": Decimal("0.00"), "received": order["amount"]}, about(work, order), order["company"],
              today, today, (ORDER, order["id"]))
    differ(work, order, "unallocated", Word("succeeded", amount=order["amount"]), note=why)


def both(zh: str, en: str, length: int = 300) -> str:
    """A sentence in both languages for a text that is read in either; what is too long is cut in each."""
    rest = length - len(" / ")
    zh = zh[:max(rest // 2, rest - len(en))]
    return f"{zh} / {en[:rest - len(zh)]}"


def parts(values: Sequence[Any], size: int = 500) -> list[list[Any]]:
    """The values, so many at a time as one look into the database takes."""
    return [list(values[place:place + size]) for place in range(0, len(values), size)]


def unbooked(work: Work, loans: Sequence[int]) -> set[int]:
    """Those of the loans with a debit whose money no loan has and that waits for people: they are not debited once more meanwhile."""
    parked = [row for ids in parts(sorted(set(loans)))
              for row in work.find(ORDER, {"loan": ids, "biz_type": "collect", "status": ["succeeded", "parked"], "repayment": None})]
    gone = [row["id"] for ids in parts(sorted(set(loans))) for row in work.find(REPAYMENT, {"loan": ids, "source": "debit", "status": "reversed"})]
    parked += [row for ids in parts(gone) for row in work.find(ORDER, {"repayment": ids, "status": "succeeded"})]
    waiting: set[int] = set()
    for some in parts(parked):
        told = work.find(DIFFERENCE, {"order": [row["id"] for row in some], "kind": "unallocated", "status": ["open", "proposed"]})
        lines = [line for line in lines_of(work, [row["pay_no"] for row in some]) if line["status"] in ("unclaimed", "proposed", "claimed")]
        open_ones, to_claim = {row["order"] for row in told}, {row["bank_serial_no"].partition("#")[0] for row in lines}
        waiting |= {row["loan"] for row in some if row["id"] in open_ones or row["pay_no"] in to_claim}
    return waiting


def lines_of(work: Work, numbers: Sequence[str]) -> list[Values]:
    """The bank lines with the money of these debits; a second one of the same debit, after the first was sent back, is numbered."""
    return [line for some in parts(numbers, 500)
            for line in work.find("lending.bank_receipt", {"bank_serial_no": [f"{number}{again}" for number in some for again in LINES]})]


def about(work: Work, order: Values) -> dict[str, object]:
    """What a voucher about an order carries: its number, and the customer as party. No name: the books are read by people who may not see whose
    they are, and nothing is ever taken out of them."""
    return {"memo": order["pay_no"], "party": ("lending.customer", order["customer"])}


def _item_paid(work: Work, order: Values) -> None:
    if work.get(ITEM, order["debit_item"])["status"] == "skipped":    # failed, left out by a person, and successful after all: the order tells
        return
    work.transition(ITEM, order["debit_item"], "pay")
    work.change(ITEM, order["debit_item"], {"fail_code": None, "fail_text": None, "next_on": None})
    item = work.get(ITEM, order["debit_item"])
    batch = work.lock("lending.debit_batch", item["batch"])
    work.change("lending.debit_batch", batch["id"], {"paid_count": batch["paid_count"] + 1, "paid_amount": batch["paid_amount"] + order["amount"]})
    finish_batch(work, batch["id"])


def _not_collected(work: Work, order: Values, word: Word) -> None:
    """What the rule for the channel's code says; without one a person is asked."""
    if not order["debit_item"]:
        return
    item = work.lock(ITEM, order["debit_item"])
    found = work.find("lending.debit_rule", {"gateway": order["channel"], "fail_code": word.code}, limit=1) if word.code else []
    rule = found[0] if found else None
    verdict = rule["verdict"] if rule else "ask"
    if rule and verdict == "retry" and item["tries"] >= (rule["tries_max"] or 3):
        verdict = "ask"
    next_on = None
    if rule and verdict == "retry":
        next_on = work.business_date(order["company"]) + timedelta(days=rule["after_days"] if rule["after_days"] is not None else 1)
    work.change(ITEM, item["id"], {"fail_code": word.code[:60] or None, "fail_text": (word.text or (rule and rule["meaning"]) or word.code)[:300] or None,
                                   "next_on": next_on})
    work.transition(ITEM, item["id"], verdict)
    if verdict == "stop":
        _stop_agreement(work, item, word.code)
    finish_batch(work, item["batch"])


def _stop_agreement(work: Work, item: Values, code: str) -> None:
    agreement = work.lock("lending.debit_agreement", item["agreement"])
    if agreement["status"] == "active":
        work.transition("lending.debit_agreement", agreement["id"], "stop")
        work.change("lending.debit_agreement", agreement["id"], {"stop_reason": both(f"渠道返回 {code}", f"The channel answered {code}", 200)})


def finish_batch(work: Work, batch: int) -> None:
    """The batch is done when no debit of it is open any more."""
    if work.find(ITEM, {"batch": batch, "status": ["waiting", "sending", "retrying", "asking"]}, limit=1):
        return
    if work.lock("lending.debit_batch", batch)["status"] == "running":
        work.transition("lending.debit_batch", batch, "finish")


def _refunded(work: Work, order: Values) -> None:
    refund = work.lock(REFUND, order["refund"])
    today = work.business_date(order["company"])
    work.post("refund_paid", {"paid": order["amount"]}, about(work, order), order["company"], today, today, (REFUND, refund["id"]))
    work.transition(REFUND, refund["id"], "succeed")
    debit = work.lock(ORDER, order["original"])
    work.change(ORDER, debit["id"], {"refunded": debit["refunded"] + order["amount"]})


def _not_refunded(work: Work, order: Values, word: Word) -> None:
    work.transition(REFUND, order["refund"], "fail")


_SUCCEEDED = {"payout": _paid_out, "collect": _collected, "refund": _refunded}
_FAILED: Mapping[str, Any] = {"payout": _not_paid_out, "collect": _not_collected, "refund": _not_refunded}
