"""渠道对账: the channel's statement of a day against our orders; every class of difference, none of them corrected by itself (F22, F23)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from metaloom.plugin.command import Values, Work

from .orders import DIFFERENCE, ORDER, amount_moved, gross, parts, show_unheld, unheld

RUN, LINE, CHANNEL = "lending.recon_run", "lending.recon_line", "lending.payment_channel"
ZERO = Decimal("0.00")
BESIDE = ("theirs_only", "duplicate")
"""Differences about a line that no booking of an order of ours is for."""
NEAR = timedelta(days=1)
PAGE = 5_000
"""Rows (or names) of one look into the database."""


@dataclass(frozen=True)
class Found:
    """One difference: what we have (``order``) and what they have (``line``), either may be missing."""

    kind: str
    reference: str
    order: Values | None
    line: Mapping[str, Any] | None


def fetch(work: Work, run: Values | None, input: Values) -> None:
    """Asks the channel for its statement; a worker fetches it."""
    assert run is not None
    channel = work.get(CHANNEL, run["pay_channel"])
    take = run["takes"] + 1
    work.change(RUN, run["id"], {"takes": take, "fail_text": None})
    work.transition(RUN, run["id"], "fetch")
    work.send("payment_gateway", channel["gateway"], "statement", {"day": run["day"].isoformat()}, key=f"statement:{run['id']}:{take}",
              on_result="loan_payments.statement_result", subject=(RUN, run["id"]))


def statement_result(work: Work, run: Values | None, input: Values) -> None:
    """A whole statement is kept and compared; anything less is no statement."""
    assert run is not None
    if run["status"] != "waiting":
        return
    if input["outcome"] != "succeeded":
        work.change(RUN, run["id"], {"fail_text": str(input["text"] or input["code"] or "")[:300]})
        work.transition(RUN, run["id"], "miss")
        return
    lines = _own(work, run, [_line(run, raw) for raw in input["lines"] or ()])
    work.insert_many(LINE, lines)
    work.transition(RUN, run["id"], "compare")
    _compare(work, work.get(RUN, run["id"]), lines)


def _own(work: Work, run: Values, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A provider has one statement, however many channels (of one company or several) use it. A line of our order is its channel's; of an order
    without channel, the oldest active one's of the order's company; of no order, the first one's that reads the day. None is compared or settled twice."""
    channel = work.get(CHANNEL, run["pay_channel"])
    sharing = every(work, CHANNEL, {"gateway": channel["gateway"]}, lock=True)        # two that read the day at once do it one after the other
    orders = {order["pay_no"]: order for order in _named(work, channel["gateway"], [line["reference"] for line in lines])}
    homeless = {line["reference"] for line in lines} - {number for number, order in orders.items() if order["pay_channel"]}
    others = [row["id"] for row in every(work, RUN, {"pay_channel": [row["id"] for row in sharing], "day": run["day"]}) if row["id"] != run["id"]]
    taken = {(row["reference"], row["channel_no"] or "") for names in parts(sorted(homeless), PAGE) if others
             for row in every(work, LINE, {"recon": others, "reference": names})}

    def mine(line: Mapping[str, Any]) -> bool:
        order = orders.get(line["reference"])
        if order is not None and order["pay_channel"]:
            return bool(order["pay_channel"] == channel["id"])
        return (order is None or _is_home(channel, order["company"], sharing)) and (line["reference"], line["channel_no"]) not in taken

    return [line for line in lines if mine(line)]


def _is_home(channel: Values, company: int, sharing: Sequence[Values]) -> bool:
    """Whether orders of the company that were sent without a channel are reconciled by this one."""
    active = [row["id"] for row in sharing if row["company"] == company and row["status"] == "active" and row["archived_at"] is None]
    return bool(active) and min(active) == channel["id"]


def _named(work: Work, gateway: str, references: Sequence[str]) -> list[Values]:
    """Our orders with these references at the provider."""
    return [order for names in parts(sorted(set(references)), PAGE) for order in work.find(ORDER, {"pay_no": names, "channel": gateway})]


def every(work: Work, entity: str, where: Values, lock: bool = False) -> list[Values]:
    """All rows by rising id, however many: a single look of ``work.find`` ends after 10,000."""
    found = work.find(entity, where, order=() if lock else ("id",), limit=PAGE, lock=lock)
    if len(found) < PAGE:
        return found
    last = work.find(entity, where, order=("-id",), limit=1)[0]["id"]
    for place in range(found[-1]["id"] + 1, last + 1, PAGE):
        found += work.find(entity, {**where, "id": list(range(place, min(place + PAGE, last + 1)))}, order=() if lock else ("id",), lock=lock)
    return found


def _line(run: Values, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"recon": run["id"], "take": run["takes"], "reference": str(raw["reference"])[:64], "channel_no": str(raw["gateway_no"])[:80],
            "kind": raw["kind"], "amount": Decimal(str(raw["amount"])), "fee": Decimal(str(raw["fee"])), "outcome": raw["outcome"],
            "day": date.fromisoformat(str(raw["day"]))}


def _compare(work: Work, run: Values, lines: Sequence[Mapping[str, Any]]) -> None:
    told = every(work, DIFFERENCE, {"recon": run["id"], "status": ["open", "proposed", "handled"]}, lock=True)
    orders = _orders(work, run, [line["reference"] for line in lines])
    whole = joined(orders, lines)
    found, matched = differences(run["day"], orders, whole, _lines_near(work, run), _paid_elsewhere(work, run, orders, lines))
    reversed_ones = {order["id"] for order in show_unheld(work, _stated(orders, whole))}
    matched = [id for id in matched if id not in reversed_ones]
    for order_id in matched:
        work.change(ORDER, order_id, {"recon": "matched"})
    differ_now = {one.order["id"] for one in found if one.order is not None} | reversed_ones
    for order in orders:
        if order["id"] in differ_now and order["recon"] != "different":
            work.change(ORDER, order["id"], {"recon": "different"})
    _show(work, run, found, told)
    ours = [o for o in orders if o["success_on"] == run["day"] and o["status"] in ("succeeded", "returned", "parked")]
    theirs = [line for line in lines if line["outcome"] == "succeeded"]
    work.change(RUN, run["id"], {
        "their_count": len(theirs), "their_amount": sum((line["amount"] for line in theirs), ZERO), "our_count": len(ours),
        "our_amount": sum(map(amount_moved, ours), ZERO),
        "fee_amount": sum((line["fee"] for line in theirs), ZERO), "matched_count": len(matched)})
    recount(work, run["id"])


def joined(orders: Sequence[Values], lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines, those of an order that people took together as one."""
    kinds = {order["pay_no"]: order["biz_type"] for order in orders if order["in_parts"]}
    found, places = list[Mapping[str, Any]](), dict[str, int]()
    for line in lines:
        name = line["reference"]
        if kinds.get(name) != line["kind"] or line["outcome"] != "succeeded":
            found.append(line)
        elif name in places:
            first = found[places[name]]
            found[places[name]] = {**first, "amount": first["amount"] + line["amount"], "fee": first["fee"] + line["fee"]}
        else:
            places[name] = len(found)
            found.append(line)
    return found


def _stated(orders: Sequence[Values], lines: Sequence[Mapping[str, Any]]) -> list[Values]:
    """Those of the orders that the statement has as made, with their own amount or the one that people settled."""
    made: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for line in lines:
        if line["outcome"] == "succeeded":
            made[line["reference"], line["kind"]].append(line["amount"])
    return [order for order in orders
            if any(gross(order, one) in (order["amount"], amount_moved(order)) for one in made[order["pay_no"], order["biz_type"]])]


def differences(day: date, orders: Sequence[Values], lines: Sequence[Mapping[str, Any]],
                near: frozenset[str] = frozenset(), elsewhere: frozenset[str] = frozenset()) -> tuple[list[Found], list[int]]:
    """Every difference of one day, and the ids of the orders that agree. ``near``: references that the statements of the days beside it have.
    ``elsewhere``: references that another day's statement has as paid; what this day has of them was paid once more."""
    by_reference: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_reference[line["reference"]].append(line)
    mine = {order["pay_no"]: order for order in orders}
    found: list[Found] = []
    matched: list[int] = []
    for reference, theirs in by_reference.items():
        order = mine.get(reference)
        paid = [line for line in theirs if line["outcome"] == "succeeded"]
        if paid and reference in elsewhere:
            found += [Found("duplicate", reference, order, line) for line in paid]
            continue
        line = paid[0] if paid else theirs[-1]
        kinds = [_kind(day, order, line)] if order is not None or paid else [""]
        found += [Found(kind, reference, order, line) for kind in kinds if kind]
        found += [Found("duplicate", reference, order, extra) for extra in paid[1:]]
        if order is not None and not any(kinds) and len(paid) <= 1:
            matched.append(order["id"])
    for order in orders:
        if order["pay_no"] not in by_reference and order["success_on"] == day and order["status"] in ("succeeded", "parked") and order["taken"] != 0:
            found.append(Found("day_shift" if order["pay_no"] in near else "ours_only", order["pay_no"], order, None))
    return found, matched


def _kind(day: date, order: Values | None, line: Mapping[str, Any]) -> str:
    if order is None:
        return "theirs_only"
    theirs, ours = line["outcome"], order["status"]
    amount = gross(order, line["amount"])
    if order["taken"] is not None and line["kind"] == order["biz_type"]:      # people settled what moved; the statement agrees with that, or not
        return "" if order["taken"] == (amount if theirs == "succeeded" else 0) else "amount"
    if amount != order["amount"] or line["kind"] != order["biz_type"]:
        return "amount"
    agree = {"succeeded": "succeeded", "failed": "failed"}.get(theirs)
    if agree is None:                         # still under way with them
        return "state" if ours == "succeeded" else ""
    if ours != agree and not (theirs == "failed" and ours in ("returned", "closed")):
        return "state"
    return "day_shift" if ours == "succeeded" and order["success_on"] != day else ""


def _orders(work: Work, run: Values, references: Sequence[str]) -> list[Values]:
    """Our orders of the channel that succeeded on the day (of its company without channel, too, where it is their home), and whatever the
    statement speaks of."""
    channel = work.get(CHANNEL, run["pay_channel"])
    found = {o["id"]: o for o in every(work, ORDER, {"pay_channel": run["pay_channel"], "success_on": run["day"]})}
    if _is_home(channel, channel["company"], every(work, CHANNEL, {"gateway": channel["gateway"], "company": channel["company"]})):
        alone = {"pay_channel": None, "channel": channel["gateway"], "company": channel["company"], "success_on": run["day"]}
        found |= {o["id"]: o for o in every(work, ORDER, alone)}
    found |= {order["id"]: order for order in _named(work, channel["gateway"], references)}
    return [found[id] for id in sorted(found)]


def _lines_near(work: Work, run: Values) -> frozenset[str]:
    beside = work.find(RUN, {"pay_channel": run["pay_channel"], "day": [run["day"] - NEAR, run["day"] + NEAR]})
    return frozenset(line["reference"] for one in beside for line in every(work, LINE, {"recon": one["id"], "take": one["takes"], "outcome": "succeeded"}))


def _paid_elsewhere(work: Work, run: Values, orders: Sequence[Values], lines: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Our orders with a line of this day whose payment is the line of another one: of a confirmed day, else of the day that had it first."""
    ours = {order["pay_no"] for order in orders}
    paid = {line["reference"] for line in lines if line["outcome"] == "succeeded"} & ours
    seen = [line for names in parts(sorted(paid), PAGE) for line in every(work, LINE, {"reference": names, "outcome": "succeeded"})]
    others = sorted({line["recon"] for line in seen} - {run["id"]})
    ways = {row["id"] for row in every(work, CHANNEL, {"gateway": work.get(CHANNEL, run["pay_channel"])["gateway"]})}
    runs = {row["id"]: row for some in parts([run["id"], *others]) for row in work.find(RUN, {"id": some}) if row["pay_channel"] in ways}
    has = {(line["reference"], line["recon"]) for line in seen if line["recon"] in runs and line["take"] == runs[line["recon"]]["takes"]}
    first: dict[str, tuple[bool, int, int]] = {}
    for line in seen:
        if (line["reference"], line["recon"]) in has:
            place = (runs[line["recon"]]["status"] != "closed", line["id"], line["recon"])
            first[line["reference"]] = min(place, first.get(line["reference"], place))
    return frozenset(name for name, (_, _, home) in first.items() if home != run["id"])


def _channel_no(one: Found) -> str | None:
    return (one.line["channel_no"] if one.line else one.order["channel_trade_no"] if one.order else None) or None


def _show(work: Work, run: Values, found: Sequence[Found], told: Sequence[Values]) -> None:
    """What this look found, beside what was told before: the same again changes nothing, another amount of what waits is written there and decided
    anew, another amount of what was handled is told anew, and what is no longer so vanishes."""
    keys = dict.fromkeys([(one.kind, one.reference, _channel_no(one)) for one in found] + [_key(row) for row in told])
    by_key: dict[tuple[str, str, str | None], list[Found]] = defaultdict(list)
    for one in found:
        by_key[one.kind, one.reference, _channel_no(one)].append(one)
    waiting, heads = defaultdict(list), defaultdict(list)
    for row in last_handled(told):
        heads[_key(row)].append(row)
    for row in told:
        if row["status"] != "handled":
            waiting[_key(row)].append(row)
    for key in keys:
        _show_key(work, run, by_key[key], waiting[key], heads[key])


def last_handled(rows: Sequence[Values]) -> list[Values]:
    """The handled differences that no later handled one follows: what they say is what the books have of their lines."""
    handled = [row for row in rows if row["status"] == "handled"]
    followed = {row["follows"] for row in handled}
    return [row for row in handled if row["id"] not in followed]


def _show_key(work: Work, run: Values, found: list[Found], waiting: list[Values], heads: list[Values]) -> None:
    """The differences of one kind, reference and number at the channel; a statement may have several alike. What says the same as before stays as
    it is: first what was handled, then what waits."""
    found, heads = _without_pairs(found, heads)
    standing = [row for row in waiting if row["follows"] in (None, *(head["id"] for head in heads))]
    found, changed = _without_pairs(found, standing)
    for row, one in zip(changed, found, strict=False):
        _tell_again(work, row, one)
    followed = {row["follows"] for row in standing}
    _follow(work, run, found[len(changed):], [head for head in heads if head["id"] not in followed])
    _no_longer_so(work, changed[len(found):])
    for row in waiting:
        if row not in standing:           # it followed a handled one, which the statement bears out again
            work.transition(DIFFERENCE, row["id"], "vanish")


def _follow(work: Work, run: Values, found: Sequence[Found], heads: Sequence[Values]) -> None:
    """Told for the first time, each after a handled one of the same line where there is one; a line that people booked, and that the statement has no
    longer, is told as gone."""
    for one, head in zip_longest(found, heads):
        if one is not None:
            _tell(work, run, one, head)
        elif head["kind"] in BESIDE and head["their_amount"]:
            _tell(work, run, _gone(head), head)


def _no_longer_so(work: Work, rows: Sequence[Values]) -> None:
    """What waits, and the statement does not have: it vanishes, unless the line it is about was booked before."""
    for row in rows:
        if row["follows"] is not None and row["kind"] in BESIDE:
            _tell_again(work, row, _gone(row))
        else:
            work.transition(DIFFERENCE, row["id"], "vanish")


def _gone(row: Values) -> Found:
    return Found(row["kind"], row["reference"], None, None)


def _without_pairs(found: Sequence[Found], rows: Sequence[Values]) -> tuple[list[Found], list[Values]]:
    """What was found and what was told, without those that say the same."""
    left, rest = list(rows), list[Found]()
    for one in found:
        same = next((row for row in left if (row["their_amount"], row["their_state"]) == _theirs(one)), None)
        if same is None:
            rest.append(one)
        else:
            left = [row for row in left if row is not same]
    return rest, left


def _key(row: Values) -> tuple[str, str, str | None]:
    return row["kind"], row["reference"], row["channel_no"]


def _theirs(one: Found) -> tuple[Decimal | None, str | None]:
    """What the channel says it moved. Nothing any more, of a line beside our orders that is gone."""
    return (one.line["amount"], one.line["outcome"]) if one.line else (ZERO if one.kind in BESIDE else None, None)


def _tell(work: Work, run: Values, one: Found, follows: Values | None) -> None:
    order, (amount, outcome) = one.order, _theirs(one)
    work.create(DIFFERENCE, {
        "kind": one.kind, "recon": run["id"], "reference": one.reference, "order": order["id"] if order else follows["order"] if follows else None,
        "channel_no": _channel_no(one) if order or one.line or follows is None else follows["channel_no"],
        "our_amount": order["amount"] if order else None, "our_state": order["status"] if order else None,
        "their_amount": amount, "their_state": outcome, "follows": follows["id"] if follows else None, "company": run["company"]})


def _tell_again(work: Work, row: Values, one: Found) -> None:
    """The channel says another amount than before: what was proposed for that is off."""
    amount, outcome = _theirs(one)
    ours = {"our_amount": one.order["amount"], "our_state": one.order["status"]} if one.order else {}
    work.change(DIFFERENCE, row["id"], {**ours, "their_amount": amount, "their_state": outcome, "treatment": None, "fee": None, "proposed_by": None})
    if row["status"] == "proposed":
        work.transition(DIFFERENCE, row["id"], "decline")


def recount(work: Work, run: int) -> None:
    """How many differences of a run wait for somebody."""
    work.change(RUN, run, {"open_count": len(every(work, DIFFERENCE, {"recon": run, "status": ["open", "proposed"]}))})


def close(work: Work, run: Values | None, input: Values) -> None:
    """Finance confirms the day: everything agrees or was handled, and what the channel settles moves to the bank."""
    assert run is not None
    left = every(work, DIFFERENCE, {"recon": run["id"], "status": ["open", "proposed"]})
    work.require(not left, (f"还有 {len(left)} 条差异未处理。", f"{len(left)} differences are not handled yet."))
    lines = every(work, LINE, {"recon": run["id"], "take": run["takes"], "outcome": "succeeded"})
    orders = _orders(work, run, [line["reference"] for line in lines])
    lost = "、".join(order["pay_no"] for order in unheld(work, _stated(orders, joined(orders, lines))))
    work.require(not lost, (f"支付单 {lost} 的还款已被冲正，款项未入账；请先在对账差异中转入待认领，或全额退款。",
                            f"The repayments of {lost} were reversed, and their money is booked nowhere; first park it for claiming, or refund it."))
    work.change(RUN, run["id"], {"closed_by": work.actor.user_id})
    _settle(work, run, lines)
    work.transition(RUN, run["id"], "close")


def _settle(work: Work, run: Values, lines: Sequence[Values]) -> None:
    """What the channel took, less what it paid and its fees, is in our bank now (or came from there): off 1012, where it stood meanwhile.

    The statement is the truth about the money; an order that it does not have, or has otherwise, stays on 1012 for people to see."""
    fee = sum((line["fee"] for line in lines), ZERO)
    amount = sum((line["amount"] for line in lines), ZERO)
    work.require((len(lines), amount, fee) == (run["their_count"], run["their_amount"], run["fee_amount"]),
                 ("渠道明细与取单时的合计不符，请重新取对账单。", "The lines do not add up to what the channel told; fetch the statement again."))
    net = sum((line["amount"] if line["kind"] == "collect" else -line["amount"] for line in lines), ZERO) - fee
    if not net and not fee:
        return
    company = work.get(CHANNEL, run["pay_channel"])["company"]     # where its orders stand, also of a day that was begun for another company once
    entry = work.post("channel_settled", {"to_bank": max(net, ZERO), "from_bank": max(-net, ZERO), "fee": fee},
                      {"memo": f"{run['recon_no']} {run['day'].isoformat()}"}, company, work.business_date(company), run["day"],
                      (RUN, run["id"]))
    work.change(RUN, run["id"], {"settled_amount": net, "settled": entry})
