"""The time line of a loan: segments of constant balance and rate, summed unrounded and rounded once where an amount falls due.

Everything that happens to a loan before it is paid late is a change of balance or rate on this line: tranche, prepayment, rate,
pause, extension, restructure, acceleration. A change keeps what is past, splits the running period and plans the rest anew;
rows that fell due never change (domain specification §4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from .contract import Contract, Coupon, Event
from .errors import LoanMathError
from .parts import Level, even_parts, first_takes_rest, fixed_parts, level_parts, level_payment, short_parts
from .periods import Period, periods_of, share_of

PLAN_EVENTS: Final = frozenset({"tranche", "prepay", "rate", "pause", "extend", "restructure", "accelerate"})
_TAIL_METHODS: Final = frozenset({"EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "FLAT"})
ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the schedule, in minor units. ``days``: those its interest is for, fewer where a prepayment paid for the others."""

    no: int
    start: date
    end: date
    due: date
    nominal: date
    principal: int
    interest: int
    balance: int
    opening: int
    days: int


@dataclass(frozen=True, slots=True)
class Prepaid:
    """What a prepayment pays at once."""

    key: str
    date: date
    days: int
    principal: int
    interest: int
    fee: int
    full: bool


@dataclass(frozen=True, slots=True)
class Reduced:
    """What a coupon took off the interest of a row."""

    no: int
    kind: str
    amount: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """Everything the line came to. ``level``: the level payment of the first plan that has one; ``last_level`` that of the last."""

    rows: tuple[Row, ...]
    prepaid: tuple[Prepaid, ...]
    reduced: tuple[Reduced, ...]
    level: int | None
    last_level: int | None
    stretches: tuple[Stretch, ...]
    pauses: tuple[tuple[date, date], ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A segment: ``start`` counted, ``end`` not; interest runs on ``base`` while ``balance`` is owed."""

    start: date
    end: date
    balance: int
    base: int
    rate: Fraction


@dataclass(slots=True)
class _Line:
    """Where the line stands while it is drawn."""

    contract: Contract
    periods: list[Period]
    method: str
    rate: Fraction
    balance: int
    base: int
    grace: int
    parts: list[int] = field(default_factory=list)
    kept: int | None = None
    level: int | None = None
    last_level: int | None = None
    stretches: list[Stretch] = field(default_factory=list)
    since: date = date.min
    unpaid_from: date = date.min
    carried: Fraction = ZERO
    owed: Fraction = ZERO
    broken: bool = False
    stale: bool = False
    follows: list[tuple[date, Event]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    prepaid: list[Prepaid] = field(default_factory=list)
    reduced: list[Reduced] = field(default_factory=list)
    history: list[Stretch] = field(default_factory=list)
    pauses: list[tuple[date, date]] = field(default_factory=list)


def draw(contract: Contract, until: Event | None = None) -> Drawn:
    """The schedule with everything that changes it. ``until``: without this event and what comes after it."""
    events = [event for event in contract.events if event.kind in PLAN_EVENTS and (until is None or (event.date, event.place) < (until.date, until.place))]
    line = _Line(contract, list(periods_of(contract)), contract.method, contract.annual_rate, contract.principal, contract.principal, contract.principal_grace)
    line.since = line.unpaid_from = contract.start_date
    line.pauses = [_pause(event) for event in events if event.kind == "pause"]
    _check_not_before(contract, events)
    waiting = _in_effect(contract, events)
    _plan(line, 0)
    place = 0
    while place < len(line.periods):
        place = _run(line, place, waiting)
    if waiting:
        raise LoanMathError(f"{waiting[0][1].key}.date", "nothing_left", found=line.since.isoformat())
    return Drawn(tuple(line.rows), tuple(line.prepaid), tuple(line.reduced), line.level, line.last_level, tuple(line.history), tuple(line.pauses))


def _pause(event: Event) -> tuple[date, date]:
    if event.given["until"] <= event.date:
        raise LoanMathError(f"{event.key}.until", "wrong_order", found=event.given["until"].isoformat(), limit=event.date.isoformat())
    return event.date, event.given["until"]


def _check_not_before(contract: Contract, events: Iterable[Event]) -> None:
    for event in events:
        if event.date < contract.start_date:
            raise LoanMathError(f"{event.key}.date", "wrong_order", found=event.date.isoformat(), limit=contract.start_date.isoformat())


def _in_effect(contract: Contract, events: Iterable[Event]) -> list[tuple[date, Event]]:
    """(day from which it counts, event), in the order in which they count. The days of a rate change: `rate_effect` of the glossary."""
    found = []
    for event in events:
        effect = event.given.get("effect", "immediate") if event.kind == "rate" else "immediate"
        if event.kind == "pause" or effect == "none":
            continue
        found.append((_effective(contract, event.date, effect), event))
    return sorted(found, key=lambda pair: (pair[0], pair[1].date, pair[1].place))


def _effective(contract: Contract, day: date, effect: str) -> date:
    if effect == "next_january":
        return date(day.year + 1, 1, 1)
    if effect == "anniversary":
        return next(found for year in range(day.year, day.year + 2) if (found := _anniversary(contract.start_date, year)) > day)
    if effect == "next_period":
        extra = sum(event.given["periods"] for event in contract.events if event.kind == "extend")
        ends = (period.end for period in periods_of(contract, extra))
        return day if day == contract.start_date else next((end for end in ends if end >= day), day)
    return day


def _anniversary(start: date, year: int) -> date:
    return start.replace(year=year, day=28) if (start.month, start.day) == (2, 29) else start.replace(year=year)


# -- one period


def _run(line: _Line, place: int, waiting: list[tuple[date, Event]]) -> int:
    """One period: what changes in it, then what falls due at its end. Gives the place of the next one."""
    period = line.periods[place]
    line.broken = period.broken
    while waiting and _counts_here(line, place, waiting[0]):
        day, event = waiting.pop(0)
        _CHANGES[event.kind](line, place, day, event)
        waiting[:0] = line.follows
        line.follows.clear()
        if line.balance == 0 and (event.kind == "accelerate" or not any(later.kind == "tranche" for _, later in waiting)):
            del line.periods[place:]
            return place
        if place >= len(line.periods):
            return place
        period = line.periods[place]
    _fall_due(line, place, period)
    if line.stale and place + 1 < len(line.periods):
        line.stale = False
        _plan(line, place + 1)
    return place + 1


def _counts_here(line: _Line, place: int, waiting: tuple[date, Event]) -> bool:
    """Whether a change comes before this period falls due; a longer term may still be agreed on the last day."""
    day, event = waiting
    end = line.periods[place].end
    return day < end or (event.kind == "extend" and day == end and place == len(line.periods) - 1)


def _fall_due(line: _Line, place: int, period: Period) -> None:
    contract, rounding = line.contract, line.contract.rounding
    no = len(line.rows) + 1
    _close(line, period.end)
    exact = line.owed + line.carried + _earned(line, place, period)
    last = place == len(line.periods) - 1
    hidden = line.method == "BULLET" and not last
    silent = hidden or (place < contract.interest_grace and not last)
    interest = 0 if silent else rounding.of(exact)
    interest -= 0 if silent else _reduce(line, no, interest, period)
    line.owed, line.carried = (exact if silent else ZERO), ZERO
    line.history.extend(line.stretches)
    line.stretches.clear()
    opening, principal = line.balance, line.parts.pop(0)
    line.balance -= principal
    if line.method != "FLAT":
        line.base = line.balance
    line.since = period.end
    if hidden:
        return
    start = contract.start_date if line.method == "BULLET" and not line.rows else period.start
    days, line.unpaid_from = (period.end - max(start, line.unpaid_from)).days, period.end
    line.rows.append(Row(no, start, period.end, period.due, period.nominal, principal, interest, line.balance, opening, days))


def _earned(line: _Line, place: int, period: Period) -> Fraction:
    """Interest of the running period since the last time it was paid, unrounded."""
    if place < line.contract.interest_free:
        return ZERO
    paused = any(start < period.end and end > period.start for start, end in line.pauses)
    if not line.broken and not paused and len(line.stretches) == 1:
        stretch = line.stretches[0]
        return stretch.base * stretch.rate * period.share
    return sum((_of_stretch(line, stretch) for stretch in line.stretches), ZERO)


def _of_stretch(line: _Line, stretch: Stretch) -> Fraction:
    return accrued(line.contract, stretch, line.pauses, stretch.end)


def accrued(contract: Contract, stretch: Stretch, pauses: Sequence[tuple[date, date]], until: date) -> Fraction:
    """Interest of one segment up to ``until``: broken time counts its days, paused days bear none."""
    end = min(stretch.end, until)
    total, at = ZERO, stretch.start
    for start, stop in sorted(pauses):
        if start < end and stop > at:
            total += share_of(contract, at, start) if start > at else ZERO
            at = max(at, min(stop, end))
    total += share_of(contract, at, end) if end > at else ZERO
    return stretch.base * stretch.rate * total


def _close(line: _Line, day: date) -> None:
    """Ends the running segment on ``day``."""
    if day > line.since:
        line.stretches.append(Stretch(line.since, day, line.balance, line.base, line.rate))
        line.since = day


def _split(line: _Line, place: int, day: date) -> bool:
    """Ends the segment before a change; True when the period is broken by it."""
    inside = day > line.periods[place].start
    _close(line, day)
    line.broken = line.broken or inside
    return inside


def _reduce(line: _Line, no: int, interest: int, period: Period) -> int:
    """What coupons take off the interest of this period, never more than it is."""
    taken = 0
    for coupon in line.contract.coupons:
        if coupon.period == no:
            amount = min(_coupon(line, coupon, interest, period), interest - taken)
            line.reduced.append(Reduced(no, coupon.kind, amount))
            taken += amount
    return taken


def _coupon(line: _Line, coupon: Coupon, interest: int, period: Period) -> int:
    rounding = line.contract.rounding
    if coupon.kind == "cash_off":
        return coupon.amount
    if coupon.kind == "interest_discount":
        return interest - rounding.of(interest * (1 - coupon.rate))
    if coupon.kind == "rate_cut":
        cut = min(coupon.rate, line.rate)
        return rounding.of(line.stretches[-1].base * cut * period.share)
    first = line.stretches[0]
    free = replace(first, end=min(period.end, period.start + timedelta(days=coupon.days)))
    return rounding.of(accrued(line.contract, free, line.pauses, free.end))


# -- plans


def _plan(line: _Line, place: int, level: int | None = None) -> None:
    """Splits the balance over the periods from ``place`` on. ``level``: kept as it is, the term gets shorter."""
    left = line.periods[place:]
    factors = [line.rate * period.planned if place + k >= line.contract.interest_free else ZERO for k, period in enumerate(left)]
    grace = min(max(line.grace - place, 0), len(left) - 1)
    parts = _split_by_method(line, factors[grace:], level, first=place == 0)
    line.parts = [0] * grace + parts
    del line.periods[place + len(line.parts):]


def _split_by_method(line: _Line, factors: list[Fraction], level: int | None, *, first: bool) -> list[int]:
    contract, rounding, balance, count = line.contract, line.contract.rounding, line.balance, len(factors)
    method = line.method
    if method in ("EQUAL_INSTALMENT", "BALLOON"):
        more = factors + [factors[-1]] * (contract.balloon_periods - contract.periods if method == "BALLOON" else 0)
        found = level if level is not None else level_payment(balance, more, Level(rounding, contract.level == "closest"))
        line.last_level = found
        line.level = found if line.level is None else line.level
        if level is not None:
            return short_parts(balance, factors, level, rounding)
        parts = level_parts(balance, factors, found, rounding)
        planned = found - rounding.of(parts[-1] * factors[-1])
    elif method in ("EQUAL_PRINCIPAL", "FLAT"):
        if level is not None:
            return _kept_parts(balance, count, level)
        parts = even_parts(balance, count, rounding)
        line.kept = planned = parts[0]
    elif method == "FIXED_PRINCIPAL_PERCENT":
        assert contract.principal_percent is not None
        return fixed_parts(balance, count, rounding.instalment(contract.principal * contract.principal_percent / 100))
    elif method == "CUSTOM":
        return _custom_parts(contract, balance, count)
    else:
        return [0] * (count - 1) + [balance]
    tail = contract.tail_rule == "first" and first and method in _TAIL_METHODS
    return first_takes_rest(parts, planned) if tail else parts


def _kept_parts(balance: int, count: int, part: int) -> list[int]:
    parts = []
    while balance > part and len(parts) < count - 1:
        parts.append(part)
        balance -= part
    return [*parts, balance]


def _custom_parts(contract: Contract, balance: int, count: int) -> list[int]:
    """The agreed parts of the rows that are left; where the balance is another one, in the same proportion, the rest in the last."""
    agreed = list(contract.custom_plan[-count:])
    if sum(agreed) == balance:
        return agreed
    total = sum(agreed)
    parts: list[int] = []
    for part in agreed[:-1]:
        parts.append(min(contract.rounding.whole(balance * part, total) if total else 0, balance - sum(parts)))
    return [*parts, balance - sum(parts)]


def _flat_base(line: _Line, before: int, after: int) -> int:
    """What flat interest is charged on: the principal, less the share that was prepaid. Other methods: the balance."""
    if line.method != "FLAT":
        return after
    return line.contract.rounding.whole(line.base * after, before) if before else after


# -- changes


def _change_tranche(line: _Line, place: int, day: date, event: Event) -> None:
    amount = _amount(event)
    _split(line, place, day)
    line.base = line.base + amount if line.method == "FLAT" else line.balance + amount
    line.balance += amount
    _plan(line, place)


def _change_prepay(line: _Line, place: int, day: date, event: Event) -> None:
    """Interest to the day first, the principal after it; the rest of the period counts its days on the new balance (E16)."""
    rounding, given = line.contract.rounding, event.given
    full = given.get("full", False)
    if line.balance == 0:
        raise LoanMathError(f"{event.key}.date", "nothing_left", found=day.isoformat())
    amount = line.balance if full else _amount(event)
    if amount > line.balance:
        raise LoanMathError(f"{event.key}.amount", "too_much", found=rounding.text(amount), limit=rounding.text(line.balance))
    period = line.periods[place]
    _split(line, place, day)
    owed = line.owed + line.carried + _to_date(line, place, period)
    paid, line.carried = _interest_of_prepayment(owed, given.get("interest", "all"), Fraction(amount, line.balance))
    line.history.extend(line.stretches)
    line.stretches.clear()
    line.owed = ZERO
    line.unpaid_from = day if not line.carried else line.unpaid_from
    fee = given.get("fee", 0) + rounding.of(amount * given.get("fee_rate", ZERO))
    after = line.balance - amount
    line.prepaid.append(Prepaid(event.key, day, (day - period.start).days, amount, rounding.of(paid), fee, after == 0))
    line.base = _flat_base(line, line.balance, after)
    line.balance = after
    shorter = given.get("plan_change") == "shorten_term" and after > 0
    kept = line.last_level if line.method in ("EQUAL_INSTALMENT", "BALLOON") else line.kept
    _plan(line, place, kept if shorter else None)


def _to_date(line: _Line, place: int, period: Period) -> Fraction:
    """Interest of the running period so far; never more than the whole period would have borne, so that paying early costs no more."""
    if place < line.contract.interest_free:
        return ZERO
    so_far = sum((_of_stretch(line, one) for one in line.stretches), ZERO)
    if len(line.stretches) == 1 and line.stretches[0].start == period.start:
        return min(so_far, line.stretches[0].base * line.stretches[0].rate * period.share)
    return so_far


def _interest_of_prepayment(owed: Fraction, which: str, share: Fraction) -> tuple[Fraction, Fraction]:
    """(paid now, still owed): all that ran, the part on what is prepaid, or none yet. Settling in full always pays all."""
    if which == "all" or share == 1:
        return owed, ZERO
    paid = owed * share if which == "part" else ZERO
    return paid, owed - paid


def _change_rate(line: _Line, place: int, day: date, event: Event) -> None:
    """Days at the old rate, days at the new one; the principal of a broken period stays as it was planned (E17)."""
    inside = _split(line, place, day)
    line.rate = event.given["annual_rate"]
    if inside:
        line.stale = True
    else:
        _plan(line, place)


def _change_extend(line: _Line, place: int, day: date, event: Event) -> None:
    """More periods after the last one; a new rate counts from the old maturity on (E20)."""
    before, more = len(line.periods), event.given["periods"]
    whole = periods_of(line.contract, before + more - line.contract.periods)
    line.periods.extend(whole[before:before + more])
    _plan(line, place)
    if "annual_rate" in event.given:
        old_end = line.periods[before - 1].end
        line.follows.append((old_end, Event(event.key, "rate", old_end, event.given, event.place)))


def _change_restructure(line: _Line, place: int, day: date, event: Event) -> None:
    given = event.given
    _split(line, place, day)
    line.rate = given.get("annual_rate", line.rate)
    line.method = given.get("method", "EQUAL_INSTALMENT" if line.method in ("BALLOON", "CUSTOM", "BULLET") else line.method)
    line.base = line.balance
    if "principal_periods" in given:
        line.grace = place + given["principal_periods"]
    if "periods" in given:
        wanted = place + given["periods"]
        whole = periods_of(line.contract, max(0, wanted - line.contract.periods))
        line.periods = [*line.periods[:place], *whole[place:wanted]]
    _plan(line, place)


def _change_accelerate(line: _Line, place: int, day: date, event: Event) -> None:
    """宣布提前到期: all principal falls due on the day, with the interest to it."""
    period = line.periods[place]
    if day == line.contract.start_date:
        raise LoanMathError(f"{event.key}.date", "wrong_order", found=day.isoformat(), limit=f"> {day.isoformat()}")
    if day == period.start and line.rows:
        last = line.rows.pop()
        line.rows.append(replace(last, principal=last.principal + line.balance, balance=0))
        line.balance = 0
        return
    _split(line, place, day)
    line.broken = True
    line.periods[place:] = [replace(period, end=day, due=day, nominal=day, broken=True, share=share_of(line.contract, period.start, day))]
    line.parts = [line.balance]
    _fall_due(line, place, line.periods[place])


def _amount(event: Event) -> int:
    if "amount" not in event.given:
        raise LoanMathError(f"{event.key}.amount", "required")
    found: int = event.given["amount"]
    if found == 0:
        raise LoanMathError(f"{event.key}.amount", "out_of_range", found=0, limit="> 0")
    return found


_CHANGES: Final = {
    "tranche": _change_tranche, "prepay": _change_prepay, "rate": _change_rate, "extend": _change_extend,
    "restructure": _change_restructure, "accelerate": _change_accelerate,
}
