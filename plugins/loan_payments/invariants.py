"""What must hold of payments whatever happened; ``metaloom doctor --invariants`` looks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from metaloom.base.text import Text
from metaloom.plugin import Breach, Survey
from metaloom.plugin.command import Values

from .orders import DIFFERENCE, ORDER, REFUND, REPAYMENT, amount_moved, parts
from .recon import BESIDE, CHANNEL, LINE, PAGE, RUN, ZERO, last_handled

LEG = "platform.ledger_leg"
OF_ORDER = ("pay_no", "biz_type", "amount", "taken", "netted", "status", "repayment")


def settled(survey: Survey) -> Iterator[Breach]:
    """A confirmed day took off the clearing account 1012 what its last statement says, to the cent; any other day nothing."""
    takes = {row["id"]: row["takes"] for row in survey.rows(RUN, ("takes",))}
    stated: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for (recon, take, kind), sums in survey.sums(LINE, ("recon", "take", "kind"), ("amount",), {"outcome": "succeeded"}).items():
        if take == takes.get(recon):
            stated[recon] += sums["amount"] if kind == "collect" else -sums["amount"]
    moved: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for (record, side), sums in survey.sums(LEG, ("record_id", "side"), ("amount",), {"entity": RUN, "account": "1012"}).items():
        moved[record] += sums["amount"] if side == "credit" else -sums["amount"]
    for run in survey.rows(RUN, ("status",)):
        wanted = stated[run["id"]] if run["status"] == "closed" else ZERO
        if moved[run["id"]] != wanted:
            yield Breach(RUN, run["id"], f"is {run['status']}: {moved[run['id']]} was taken off account 1012, {wanted} by the statement")
    yield from _booked_as_stated(survey)


def _booked_as_stated(survey: Survey) -> Iterator[Breach]:
    """Every line of a confirmed day is booked as it says: as its order, once, or by the difference that people handled. What the channel took back
    came and went, or came and has not gone yet: no loan has it."""
    homes = set[int]()
    returned = _returned(survey)
    remains: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for run in survey.rows(RUN, ("takes", "recon_no"), {"status": "closed"}):
        stated, beside = _lines_of_a_day(survey, run)
        for names in parts(sorted(stated), PAGE):
            orders = {row["pay_no"]: row for row in survey.rows(ORDER, OF_ORDER, {"pay_no": names})}
            held = _held(survey, [row for row in orders.values() if row["repayment"]])
            for name in names:
                order, rest = orders.get(name), sum(stated[name].values(), ZERO) - beside[name]
                if name in returned:
                    remains[name] += rest
                    continue             # the lines of both days tell of it
                if order is not None and set(stated[name]) - {order["biz_type"]}:
                    continue             # money that came and went: the lines of both days tell of it
                booked = held.get(order["id"], _of_order(order)) - (order["netted"] or ZERO) if order is not None and order["id"] not in homes else ZERO
                if rest != booked and (rest or not beside[name]):
                    yield Breach(RUN, run["id"], f"is closed: its statement has {rest} for {name}, of which {booked} is booked")
                if order is not None and rest:
                    homes.add(order["id"])
    for name, order in returned.items():
        if remains[name] not in (ZERO, order["amount"]) or order["held"]:
            yield Breach(ORDER, order["id"], f"was returned: confirmed days leave {remains[name]} of it, its loan has {order['held']}")


def _returned(survey: Survey) -> dict[str, dict[str, Any]]:
    """The orders that the channel took back, by number, with what a loan has of each."""
    found = {row["pay_no"]: {**row, "held": ZERO} for row in survey.rows(ORDER, ("pay_no", "amount"), {"status": "returned"})}
    for names in parts(list(found), PAGE):
        for row in survey.rows(REPAYMENT, ("bank_serial_no", "amount"), {"bank_serial_no": names, "status": "posted"}):
            found[row["bank_serial_no"]]["held"] += row["amount"]
    return found


def _lines_of_a_day(survey: Survey, run: Values) -> tuple[dict[str, dict[str, Decimal]], dict[str, Decimal]]:
    """What the statement says by reference and kind, above zero what came; and what of it people booked beside the orders."""
    stated: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    signs: dict[tuple[str, str | None], int] = {}
    for line in survey.rows(LINE, ("reference", "channel_no", "kind", "amount", "outcome", "take"), {"recon": run["id"]}):
        sign = signs[line["reference"], line["channel_no"] or None] = 1 if line["kind"] == "collect" else -1
        if line["take"] == run["takes"] and line["outcome"] == "succeeded":
            stated[line["reference"]][line["kind"]] += sign * line["amount"]
    told = list(survey.rows(DIFFERENCE, ("kind", "reference", "channel_no", "their_amount", "follows", "status"), {"recon": run["id"], "kind": BESIDE}))
    beside: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in last_handled(told):
        beside[row["reference"]] += signs.get((row["reference"], row["channel_no"]), 1) * (row["their_amount"] or ZERO)
    return stated, beside


def _held(survey: Survey, debits: Sequence[Values]) -> dict[int, Decimal]:
    """What of debits whose repayment was reversed is to be refunded; nothing else of them is booked."""
    gone = {row["id"] for ids in parts([row["repayment"] for row in debits]) for row in survey.rows(REPAYMENT, (), {"id": ids, "status": "reversed"})}
    lost = {row["id"]: ZERO for row in debits if row["repayment"] in gone and row["status"] == "succeeded"}
    for some in parts(list(lost)):
        for refund in survey.rows(REFUND, ("order", "amount", "parked"), {"order": some}):
            lost[refund["order"]] += refund["amount"] if refund["parked"] else ZERO
    carried = {row["id"] for row in debits if row["taken"] is not None}          # of one that is refunded meanwhile ``taken`` tells
    return {id: amount for id, amount in lost.items() if not (amount and id in carried)}


def _of_order(order: Values) -> Decimal:
    amount = amount_moved(order) if order["taken"] is not None or order["status"] == "succeeded" else ZERO
    return amount if order["biz_type"] == "collect" else -amount


def reconciled(survey: Survey) -> Iterator[Breach]:
    """Before a month is closed its days are reconciled: none has a difference that nobody handled, none that was compared waits to be confirmed,
    none on which a channel moved money is without a run. A day whose statement the channel never gave stays as it is."""
    end = survey.until
    assert end is not None, "asked before a month is closed, alone"
    yield from _unconfirmed(survey, end)
    yield from _without_a_run(survey, end)
    yield from _unhandled(survey, end)


def _unconfirmed(survey: Survey, end: date) -> Iterator[Breach]:
    """A run that was compared once waits to be confirmed, also where a later look at the statement failed."""
    for run in survey.rows(RUN, ("recon_no", "day", "status", "open_count", "their_count", "our_count"), {"status": ("open", "waiting", "compared")}):
        compared = run["open_count"] or run["their_count"] or run["our_count"]
        if run["day"] > end or (run["status"] == "open" and not compared):
            continue
        many = run["open_count"]
        yield Breach(RUN, run["id"], f"is {run['status']} with {many} open differences",
                     Text(f"对账单 {run['recon_no']}（{run['day']}）有 {many} 项差异未处理" if many else f"对账单 {run['recon_no']}（{run['day']}）未确认",
                          f"Reconciliation {run['recon_no']} ({run['day']}) " + (f"has {many} open differences" if many else "is not confirmed")))


def _without_a_run(survey: Survey, end: date) -> Iterator[Breach]:
    """Days of the month on which a channel moved money, and nobody asked for its statement, whether a run was opened or not. An order that was
    sent without a channel is reconciled by the oldest active one of its company at the provider; where there is none, by nobody."""
    month = [date.fromordinal(day) for day in range(end.replace(day=1).toordinal(), end.toordinal() + 1)]
    seen = {(run["pay_channel"], run["day"]) for run in survey.rows(RUN, ("pay_channel", "day", "takes"), {"day": month}) if run["takes"]}
    names, homes = dict[int, str](), dict[tuple[int, str], int]()
    for row in survey.rows(CHANNEL, ("name", "gateway", "company", "status", "archived_at")):
        names[row["id"]] = row["name"]
        if row["status"] == "active" and row["archived_at"] is None:
            homes.setdefault((row["company"], row["gateway"]), row["id"])
    moved = survey.sums(ORDER, ("pay_channel", "company", "channel", "success_on"), ("amount",),
                        {"success_on": month, "status": ("succeeded", "returned", "parked")})
    for channel, day in sorted({(way or homes.get((company, gateway), 0), day) for way, company, gateway, day in moved} - seen):
        if channel:
            yield Breach(CHANNEL, channel, f"moved money on {day} and was not reconciled",
                         Text(f"支付渠道“{names[channel]}”{day} 有成功的支付单，尚未对账",
                              f"Channel {names[channel]} moved money on {day}, which is not reconciled"))


def _unhandled(survey: Survey, end: date) -> Iterator[Breach]:
    """Differences that no run found: money that no loan could take, a word that contradicts ours."""
    for some in parts(list(survey.rows(DIFFERENCE, ("reference",), {"recon": None, "status": ("open", "proposed")})), PAGE):
        orders = survey.rows(ORDER, ("pay_no", "success_on", "sent_on"), {"pay_no": [one["reference"] for one in some]})
        on = {order["pay_no"]: order["success_on"] or order["sent_on"] for order in orders}
        for one in some:
            if (on.get(one["reference"]) or end) <= end:
                yield Breach(DIFFERENCE, one["id"], f"the difference of {one['reference']} is open",
                             Text(f"支付单 {one['reference']} 的差异未处理", f"The difference of {one['reference']} is not handled"))


def refunded(survey: Survey) -> Iterator[Breach]:
    """A debit says of itself what its refunds that were done come to, and never more than it took."""
    done = {order: sums["amount"] for order, sums in survey.sums(REFUND, ("order",), ("amount",), {"status": "done"}).items()}
    for order in survey.rows(ORDER, ("amount", "refunded"), {"biz_type": "collect"}):
        back = done.get(order["id"], ZERO)
        if order["refunded"] != back or back > order["amount"]:
            yield Breach(ORDER, order["id"], f"took {order['amount']} and says {order['refunded']} went back; its refunds come to {back}")
