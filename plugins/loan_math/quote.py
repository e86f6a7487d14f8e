"""A quote: one request of ``schema/quote.schema.json`` in, one reply of ``schema/quote_reply.schema.json`` out. No clock, no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .account import ACCOUNT_EVENTS, Account, State, keep, state_on
from .charges import Charges, charges_of
from .contract import PER_YEAR, Contract, Event, read_contract
from .day_count import days_between, year_fraction
from .errors import LoanMathError
from .flows import Moment, by_the_year, period_rate, said
from .line import Drawn, Prepaid, Row, Stretch, accrued, draw
from .matrix import COMPONENTS
from .periods import Period, periods_of, share_of
from .reading import checked, day
from .revolving import accrued_revolving, draw_revolving

FRACTION_PLACES = Decimal("1E-12")


def quote(request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one request; LoanMathError names the key of what has no meaning."""
    contract = read_contract(checked("quote", request))
    drawn, contract = _drawn(contract)
    charges = charges_of(contract, drawn.rows)
    account = keep(contract, drawn.rows, charges.by_row, contract.as_of)
    reply: dict[str, Any] = {"rows": [], "totals": {}}
    text = contract.rounding.text
    standing = state_on(account, contract.as_of) if contract.as_of is not None else None
    reply["rows"] = [_row(contract, row, charges, account, standing) for row in drawn.rows]
    reply["totals"] = _totals(contract, drawn, charges, reply["rows"])
    if drawn.level is not None:
        reply["level_payment"] = text(drawn.level)
    reply.update(_rates(contract, drawn, charges))
    if drawn.prepaid:
        reply["prepayments"] = [_prepaid(contract, drawn, one) for one in drawn.prepaid]
    if contract.settle_on is not None:
        reply["settlement"] = _settlement(contract, charges)
    if contract.coupons:
        reply["coupons"] = [{"no": one.no, "kind": one.kind, "amount": text(one.amount)} for one in drawn.reduced]
    if standing is not None:
        reply["state"] = _state(contract, drawn, account, standing)
    if account.allocations:
        reply["allocations"] = [{"date": one.date.isoformat(), "amount": text(one.amount), "surplus": text(one.surplus), "parts": [
            {"no": no, "component": component, "amount": text(amount)} for no, component, amount in one.parts]} for one in account.allocations]
    if account.waivers:
        reply["waivers"] = [{"date": one.date.isoformat(), "no": one.no, "component": one.component, "amount": text(one.amount)} for one in account.waivers]
    return reply


def days(request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to a request of ``schema/days.schema.json``."""
    given = checked("days", request)
    start, end = day("start", given["start"]), day("end", given["end"])
    if end < start:
        raise LoanMathError("end", "wrong_order", found=given["end"], limit=given["start"])
    if "termination" in given and given["convention"] != "30E/360 ISDA":
        raise LoanMathError("termination", "not_with", limit=f"convention={given['convention']}")
    last = given.get("termination", False)
    share = year_fraction(given["convention"], start, end, termination=last)
    fraction = (Decimal(share.numerator) / Decimal(share.denominator)).quantize(FRACTION_PLACES)
    return {"days": days_between(given["convention"], start, end, termination=last), "year_fraction": format(fraction, "f")}


# -- the schedule


def _drawn(contract: Contract) -> tuple[Drawn, Contract]:
    """The rows; a revolving loan's repayments are rows that were paid, and leave nothing for the account to receive."""
    if contract.method != "DAILY_REVOLVING":
        return draw(contract), contract
    rows, repaid = draw_revolving(contract)
    upto = repaid if contract.as_of is None else sum(1 for row in rows[:repaid] if row.due <= contract.as_of)
    others = tuple(event for event in contract.events if event.kind != "payment")
    return Drawn(rows, (), (), None, None, (), ()), replace(contract, events=_kept_events(contract, others), paid_periods=upto)


def _kept_events(contract: Contract, others: tuple[Event, ...]) -> tuple[Event, ...]:
    """Payments stay for the interest that ran, under a name that the account does not act on."""
    return tuple(sorted((*others, *(replace(event, kind="repaid") for event in contract.events if event.kind == "payment")),
                        key=lambda event: (event.date, event.place)))


def _row(contract: Contract, row: Row, charges: Charges, account: Account, standing: State | None) -> dict[str, Any]:
    text = contract.rounding.text
    fee = charges.by_row.get(row.no, 0)
    bill = next(bill for bill in account.bills if bill.no == row.no)
    penalty = (standing.by_bill[row.no]["penalty"] if standing else 0) + bill.taken("penalty")
    made = {"no": row.no, "start": row.start.isoformat(), "due_date": row.due.isoformat(), "days": row.days,
            "principal": text(row.principal), "interest": text(row.interest), "fee": text(fee), "penalty": text(penalty),
            "total": text(row.principal + row.interest + fee + penalty), "balance": text(row.balance)}
    if contract.holidays.rule != "none":
        made["nominal_due_date"] = row.nominal.isoformat()
    return made


def _totals(contract: Contract, drawn: Drawn, charges: Charges, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Of the rows and of what was prepaid."""
    minor = {name: sum(contract.rounding.minor(Decimal(row[name])) for row in rows) for name in ("principal", "interest", "fee", "penalty")}
    for one in drawn.prepaid:
        minor["principal"] += one.principal
        minor["interest"] += one.interest
        minor["fee"] += one.fee
    made = {name: contract.rounding.text(amount) for name, amount in minor.items()}
    return {**made, "total": contract.rounding.text(sum(minor.values())), "fee_at_payout": contract.rounding.text(charges.at_payout)}


# -- what was paid early


def _prepaid(contract: Contract, drawn: Drawn, one: Prepaid) -> dict[str, Any]:
    event = next(event for event in contract.events if event.key == one.key)
    before = draw(contract, until=event)
    after = 0 if one.full else sum(row.interest for row in drawn.rows if row.end > one.date)
    planned = sum(row.interest for row in before.rows if row.end > one.date)
    return _settled(contract, one, 0, max(planned - one.interest - after, 0))


def _settled(contract: Contract, one: Prepaid, overdue: int, unearned: int) -> dict[str, Any]:
    text = contract.rounding.text
    return {"date": one.date.isoformat(), "days": one.days, "overdue": text(overdue), "principal": text(one.principal), "interest": text(one.interest),
            "fee": text(one.fee), "total": text(overdue + one.principal + one.interest + one.fee), "unearned_interest": text(unearned)}


def _settlement(contract: Contract, charges: Charges) -> dict[str, Any]:
    """What closes the loan on the day: all that is unpaid of what fell due, the rest of the principal, interest to the day, the fee (E15)."""
    on = contract.settle_on
    assert on is not None
    if on < contract.start_date:
        raise LoanMathError("settle.date", "wrong_order", found=on.isoformat(), limit=contract.start_date.isoformat())
    if contract.method == "DAILY_REVOLVING":
        return _settle_revolving(contract, on)
    past = replace(contract, events=tuple(event for event in contract.events if event.date <= on))
    plan = draw(past)
    account = keep(past, plan.rows, charges.by_row, on)
    overdue = sum(sum(state_on(account, on).by_bill[bill.no].values()) for bill in account.bills if bill.due <= on) - account.suspense
    left = next((row for row in plan.rows if row.end > on and row.opening), None)
    if left is None:
        return _settled(contract, Prepaid("settle", on, 0, 0, 0, 0, True), max(overdue, 0), 0)
    event = Event("settle", "prepay", on, {"full": True, "fee_rate": contract.settle_fee_rate}, 10**9)
    found = draw(replace(past, events=(*past.events, event))).prepaid[-1]
    planned = sum(row.interest for row in plan.rows if row.end > on)
    return _settled(contract, found, max(overdue, 0), max(planned - found.interest, 0))


def _settle_revolving(contract: Contract, on: date) -> dict[str, Any]:
    rounding = contract.rounding
    left = _revolving_balance(contract, on)
    interest = rounding.of(accrued_revolving(_with_payments(contract), on))
    fee = rounding.of(left * contract.settle_fee_rate)
    return _settled(contract, Prepaid("settle", on, (on - contract.start_date).days, left, interest, fee, True), 0, 0)


def _with_payments(contract: Contract) -> Contract:
    return replace(contract, events=tuple(replace(event, kind="payment") if event.kind == "repaid" else event for event in contract.events))


def _revolving_balance(contract: Contract, on: date) -> int:
    rows, repaid = draw_revolving(_with_payments(contract))
    drawn = contract.principal + sum(event.given["amount"] for event in contract.events if event.kind == "tranche" and event.date <= on)
    return drawn - sum(row.principal for row in rows[:repaid] if row.due <= on)


# -- the state on a day


def _state(contract: Contract, drawn: Drawn, account: Account, standing: State) -> dict[str, Any]:
    on, text = contract.as_of, contract.rounding.text
    assert on is not None
    owed = _owed_principal(contract, drawn, account, on)
    running = _running_interest(contract, drawn, on)
    due = standing.due
    amounts = {"principal": owed, "interest": due["interest"], "penalty": due["penalty"], "compound": due["compound"], "fee": due["fee"]}
    bills = [{"no": bill.no, "due_date": bill.due.isoformat(), **{name: text(standing.by_bill[bill.no][name]) for name in COMPONENTS},
              "total": text(sum(standing.by_bill[bill.no].values())), "dpd": standing.dpd_by_bill[bill.no]}
             for bill in account.bills if bill.due <= on and any(standing.by_bill[bill.no].values())]
    return {"as_of": on.isoformat(), **{name: text(amount) for name, amount in amounts.items()}, "total": text(sum(amounts.values()) + running),
            "dpd": standing.dpd, "principal_overdue": text(standing.principal_overdue), "interest_overdue": text(standing.interest_overdue),
            "overdue": text(standing.overdue), "accrued_interest": text(running), "billed": text(standing.billed), "unbilled": text(standing.unbilled),
            "suspense": text(account.suspense), "bills": bills}


def _owed_principal(contract: Contract, drawn: Drawn, account: Account, on: date) -> int:
    """Drawn by then, less what was repaid and prepaid."""
    if on < contract.start_date:
        return 0
    lent = contract.principal + sum(event.given["amount"] for event in contract.events if event.kind == "tranche" and event.date <= on)
    return lent - sum(bill.taken("principal") for bill in account.bills) - sum(one.principal for one in drawn.prepaid if one.date <= on)


def _running_interest(contract: Contract, drawn: Drawn, on: date) -> int:
    """Interest of the period that runs on ``on``, as far as it ran; never more than the row will ask for."""
    if contract.method == "DAILY_REVOLVING":
        return contract.rounding.of(accrued_revolving(_with_payments(contract), min(on, drawn.rows[-1].end))) if on < drawn.rows[-1].end else 0
    row = next((row for row in drawn.rows if row.start <= on < row.end), None)
    if row is None or row.no <= contract.interest_free:
        return 0
    since = max((one.date for one in drawn.prepaid if row.start <= one.date <= on), default=row.start)
    ran = sum((accrued(contract, stretch, drawn.pauses, on) for stretch in _since(drawn.stretches, since, on)), Fraction(0))
    return min(contract.rounding.of(ran), row.interest)


def _since(stretches: Sequence[Stretch], start: date, end: date) -> list[Stretch]:
    return [stretch for stretch in stretches if stretch.start >= start and stretch.start < end]


# -- the annual rate


def _rates(contract: Contract, drawn: Drawn, charges: Charges) -> dict[str, str | None]:
    """综合年化 of the flows as agreed, fees included, penalty not: the rate of a period, × periods a year, and compounded. Time runs in
    periods; whole ones compound, the rest of a broken one grows simply, so 24 % stays 24 % with an odd first period."""
    clock = _Clock(contract)
    moments = [clock.moment(contract.start_date, contract.principal - charges.at_payout_in_apr)]
    moments += [clock.moment(event.date, event.given["amount"]) for event in contract.events if event.kind == "tranche"]
    moments += [clock.moment(row.end, -(row.principal + row.interest + charges.in_apr.get(row.no, 0))) for row in drawn.rows]
    moments += [clock.moment(one.date, -(one.principal + one.interest + one.fee)) for one in drawn.prepaid]
    nothing: dict[str, str | None] = {"apr_simple": None, "apr_compound": None, "irr_period": None}
    if moments[0].amount <= 0:
        return nothing
    try:
        rate = period_rate([one for one in moments if one.amount])
        simple, compound = (said(by_the_year(rate, clock.per_year, compound=compound)) for compound in (False, True))
        return {"apr_simple": simple, "apr_compound": compound, "irr_period": said(rate)}
    except (LoanMathError, ArithmeticError):  # no rate, or one beyond all digits
        return nothing


class _Clock:
    """Dates as periods since the start: (whole, fraction of one)."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._by_days = bool(contract.due_dates) or contract.method == "DAILY_REVOLVING"
        self._unit = Fraction(1) if contract.method == "DAILY_REVOLVING" else Fraction(365, 12)
        self.per_year = Fraction(365 if contract.method == "DAILY_REVOLVING" else 12)
        if not self._by_days:
            extra = sum(event.given["periods"] for event in contract.events if event.kind in ("extend", "restructure") and "periods" in event.given)
            self._periods: tuple[Period, ...] = periods_of(contract, extra)
            self.per_year = Fraction(PER_YEAR[contract.period_unit], contract.period_length)

    def moment(self, when: date, amount: int) -> Moment:
        whole, rest = self._time(when)
        return Moment(Decimal(amount), whole, rest)

    def _time(self, when: date) -> tuple[Fraction, Fraction]:
        if self._by_days:
            time = Fraction((when - self._contract.start_date).days) / self._unit
        else:
            time = Fraction(0)
            for period in self._periods:
                if when <= period.start:
                    break
                time += self._part(period, when)
        return Fraction(int(time)), time - int(time)

    def _part(self, period: Period, when: date) -> Fraction:
        """How much of a whole period lies before ``when``."""
        if when >= period.end:
            if not period.broken or not period.planned:
                return Fraction(1)
            whole = _whole(self._contract, period)
            return share_of(self._contract, period.start, period.end) / whole if whole else Fraction(1)
        return Fraction((when - period.start).days, (period.end - period.start).days)


def _whole(contract: Contract, period: Period) -> Fraction:
    return replace(period).planned if contract.first_period != "LEVEL" else periods_of(replace(contract, first_period="STUB_ACTUAL"))[0].planned


__all__ = ["ACCOUNT_EVENTS", "days", "quote"]
