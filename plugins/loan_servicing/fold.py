"""A loan as a function of its history: frozen terms and transactions in, the state at the end of any day out.

Pure: no clock, no rows, no rounding but where an amount falls due; amounts are whole cents. Everything that is stored of a loan besides its
terms and its transactions is derived from here, so a back-dated receipt, a reversal, a day end that was late for a month and the ordinary
case are one path: the history is read again from the start, by value date and, on one day, in the order in which it was booked.

On a day, first what the customers did counts, then 溢缴款 pays what fell due (at the end of the due date).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any, Final

from .arithmetic import (
    Drawn,
    Event,
    LoanMathError,
    Matrix,
    OpenBill,
    Staged,
    accrued,
    draw,
    spread,
)
from .holding import RECEIVABLE, books_of, on_books
from .life import (
    AGREED,
    COMPONENTS,
    NON_ACCRUAL_AFTER,
    Agreement,
    Life,
    Line,
    Part,
    Receipt,
    Txn,
    claim,
    ran,
    stretches,
)

PLAN_KINDS: Final = frozenset({"rate", "extend", "accelerate", "pause", "restructure"})


def fold(agreement: Agreement, txns: Iterable[Txn], day: date, *, closing: bool = True) -> Life:
    """The loan at the end of ``day``, after every transaction whose value date is not later. Not ``closing``: before its end, when 溢缴款
    has not yet paid what falls due today."""
    drawn = draw(agreement.contract)
    life = Life(agreement, drawn, [_line(row) for row in drawn.rows], at=agreement.contract.start_date)
    for txn in sorted((txn for txn in txns if txn.on <= day), key=lambda txn: (txn.on, txn.seq)):
        _offset(life, txn.on, at_end=False)
        mark(life, txn.on)
        _HAPPENS[txn.kind](life, txn)
        life.at = txn.on
        mark(life, txn.on)
        if life.written_off is not None:
            life.forgiven = max(life.forgiven, life.written_amount - life.recovered - sum(claim(life, txn.on).values()))
    _offset(life, day, at_end=closing)
    mark(life, day)
    return life


def _line(row: Any) -> Line:
    return Line(no=row.no, due=row.due, agreed={"fee": 0, "interest": row.interest, "principal": row.principal}, start=row.start, days=row.days,
                balance=row.balance)


def mark(life: Life, on: date) -> None:
    """Lateness as it was seen on a day; a loan that stopped earning begins again when nothing of it is late."""
    late = life.dpd(on)
    life.max_dpd = max(life.max_dpd, late)
    if late > NON_ACCRUAL_AFTER:
        life.non_accrual = True
    elif not late:
        life.non_accrual = False


# -- receipts


def _offset(life: Life, on: date, *, at_end: bool) -> None:
    """溢缴款 pays what fell due before ``on`` (or on it, at its end), bill by bill on the day it fell due."""
    for line in sorted(life.lines, key=_age):
        if not life.suspense:
            return
        if line.due < on or (at_end and line.due == on):
            _receive(life, max(line.due, life.at), 0, seq=0, billed=False, kind="suspense")


def _age(line: Line) -> tuple[date, int, int]:
    return line.due, line.no, line.seq


def _matrix(life: Life, on: date, kind: str) -> Matrix | Staged:
    """How a transaction of the kind is spread: by the product's own matrix for it, else by the rule that was agreed."""
    own = life.agreement.own.of(kind, _asset_class(life, on)) if life.agreement.own.rows else None
    if own is not None:
        return own
    if life.agreement.npl is not None and life.dpd(on) > NON_ACCRUAL_AFTER:
        return life.agreement.npl
    return life.contract.allocation


def _asset_class(life: Life, on: date) -> str:
    """How the loan stands before the transaction, by its history alone: a replay comes to the same."""
    if life.written_off is not None:
        return "written_off"
    late = life.dpd(on)
    return "non_performing" if late > NON_ACCRUAL_AFTER else "overdue" if late else "normal"


def _receive(life: Life, on: date, amount: int, *, seq: int, billed: bool, kind: str = "due", as_agreed: bool = True) -> None:
    """Spreads an amount and what waited in suspense over what is due. ``billed``: what is left then pays the bill whose period runs; where the
    product has a matrix of its own, only if that says so."""
    waited, pool = life.suspense, amount + life.suspense
    matrix, parts = _matrix(life, on, kind), list[Part]()
    own = isinstance(matrix, Staged)
    surplus = _spread(life, on, seq, pool, matrix, parts, running="running" if own and billed else "in_advance")
    if billed and surplus and not own:
        surplus = _spread(life, on, seq, surplus, matrix, parts, running="due")
    life.suspense = surplus
    life.parts.extend(parts)
    if seq:
        life.receipts[seq] = Receipt(amount, waited, tuple(parts), surplus, as_agreed)


def _spread(life: Life, on: date, seq: int, amount: int, matrix: Matrix | Staged, parts: list[Part], *, running: str) -> int:
    """One round over the bills, oldest first; gives back what no bill took. ``running``: what a bill counts as whose period has begun."""
    lines = sorted(life.lines, key=_age)
    start = life.contract.start_date
    bills = []
    for place, line in enumerate(lines):
        begun = line.start < on or line.start == start
        state = "past_due" if line.due < on else "due" if line.due == on else running if begun else "in_advance"
        bills.append(OpenBill(place, state, life.open_of(line, on)))
    found, surplus = spread(matrix, bills, amount)
    for place, component, paid in found:
        lines[place].cuts.append((on, component, paid))
        parts.append(Part(seq, on, lines[place].no, lines[place].seq, component, paid))
    return surplus


def _repay(life: Life, txn: Txn) -> None:
    _receive(life, txn.on, txn.amount, seq=txn.seq, billed=True)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What closes a loan on a day. ``overdue``: everything that fell due by then; the rest is of what had not."""

    overdue: int
    principal: int
    interest: int
    fee: int
    days: int

    @property
    def total(self) -> int:
        return self.overdue + self.principal + self.interest + self.fee


def settlement(life: Life, on: date, *, gross: bool = False) -> Settlement:
    """Due bills as they are; principal that was to come, interest on it to the day as far as it is unpaid, the fee for coming early (E15).
    ``gross``: as settlements were reckoned once, which took what was paid of the running interest off its whole, not off what ran."""
    overdue = sum(sum(life.open_of(line, on).values()) for line in life.lines if line.due <= on)
    coming = _coming(life, on)
    if not coming:
        return Settlement(overdue, 0, 0, 0, 0)
    principal = sum(line.unpaid("principal") for line in coming)
    fees = sum(line.unpaid("fee") for line in coming)
    running = coming[0]
    ran = 0 if on <= running.start else min(_interest_to(life, running, principal, on), running.agreed["interest"])
    interest = min(ran, running.unpaid("interest")) if gross else max(0, ran - running.taken("interest"))
    days = max((on - running.start).days, 0)
    return Settlement(overdue, principal, interest, life.contract.rounding.of(principal * life.agreement.prepay_fee_rate) + fees, days)


def _coming(life: Life, on: date) -> list[Line]:
    return sorted((line for line in life.lines if line.due > on and line.open), key=_age)


def _interest_to(life: Life, running: Line, principal: int, on: date) -> int:
    """Interest of the running period to the day: from the time line where nothing of it was paid yet, else on what is left of it."""
    if not running.cuts:
        event = Event("settle", "prepay", on, {"full": True}, 10**9)
        with suppress(LoanMathError):  # a time line that has no place for the day: by the days that ran
            return draw(replace(life.contract, events=(*life.events, event))).prepaid[-1].interest
    flat = life.contract.method == "FLAT"
    ran = sum((accrued(life.contract, replace(stretch, base=stretch.base if flat else principal), life.drawn.pauses, on)
               for stretch in stretches(life, running.start, on)), Fraction(0))
    return life.contract.rounding.of(ran)


def _settle(life: Life, txn: Txn) -> None:
    """Replaces what was to come by one bill of the day. A replay in which the money no longer settles takes it as an ordinary receipt."""
    quote = settlement(life, txn.on, gross="gross" in txn.given)
    if txn.amount + life.suspense < quote.total:
        life.unmet.add(txn.seq)
        _receive(life, txn.on, txn.amount, seq=txn.seq, billed=True, as_agreed=False)
        return
    coming = _coming(life, txn.on)
    if coming:
        first = coming[0]
        for line in coming:
            _trim(life, line)
        agreed = {"fee": quote.fee, "interest": quote.interest, "principal": quote.principal}
        life.lines.append(Line(no=first.no, due=txn.on, agreed=agreed, start=min(first.start, txn.on), seq=txn.seq, days=quote.days))
        life.ended = txn.on
    _receive(life, txn.on, txn.amount, seq=txn.seq, billed=True, kind="settle")


def _trim(life: Life, line: Line) -> None:
    """A bill that will not fall due: what was paid of it stays paid, nothing more is asked for."""
    if not line.cuts:
        life.lines.remove(line)
        return
    for component in AGREED:
        line.agreed[component] = line.taken(component)


def _prepay(life: Life, txn: Txn) -> None:
    """提前部分还本: what is due, interest to the day, the fee, and so much principal; the rest of the plan is made anew (E16)."""
    principal = txn.given["principal"]
    given = {"amount": principal, "plan_change": txn.given.get("plan_change", "reduce_payment"), "fee_rate": life.agreement.prepay_fee_rate}
    event = _event(txn, "prepay", given)
    try:
        drawn = draw(replace(life.contract, events=(*life.events, event)))
    except LoanMathError:
        drawn = None
    due = sum(sum(life.open_of(line, txn.on).values()) for line in life.lines if line.due <= txn.on)
    paid = next((one for one in drawn.prepaid if one.key == event.key), None) if drawn is not None else None
    if life.ended or drawn is None or paid is None or txn.amount + life.suspense < due + paid.principal + paid.interest + paid.fee:
        life.unmet.add(txn.seq)
        _receive(life, txn.on, txn.amount, seq=txn.seq, billed=True, as_agreed=False)
        return
    running = min((line for line in life.lines if line.due > txn.on and not line.seq), key=_age)
    life.events.append(event)
    agreed = {"fee": paid.fee, "interest": paid.interest, "principal": paid.principal}
    left = sum(line.unpaid("principal") for line in life.lines) - principal
    life.lines.append(Line(no=running.no, due=txn.on, agreed=agreed, start=min(running.start, txn.on), seq=txn.seq, days=paid.days, balance=max(left, 0)))
    _recut(life, drawn, txn)
    _receive(life, txn.on, txn.amount, seq=txn.seq, billed=False, kind="prepay")


# -- changes of the plan


def _event(txn: Txn, kind: str, given: Mapping[str, Any]) -> Event:
    return Event(f"txn{txn.seq}", kind, txn.on, given, txn.seq)


def _replan(life: Life, txn: Txn) -> None:
    """Rate, extension, acceleration, pause, restructuring: another event on the time line. What a replay leaves no place for has no effect."""
    if life.ended:
        life.unmet.add(txn.seq)
        return
    event = _event(txn, txn.kind, txn.given)
    try:
        drawn = draw(replace(life.contract, events=(*life.events, event)))
    except LoanMathError:
        life.unmet.add(txn.seq)
        return
    life.events.append(event)
    _recut(life, drawn, txn)


def _recut(life: Life, drawn: Drawn, txn: Txn) -> None:
    """Planned bills become what the new time line says. Those that fell due are the same in it; what was paid of the others beyond their new
    amount waits in suspense for the next due date."""
    rows = {row.no: row for row in drawn.rows}
    planned = {line.no: line for line in life.lines if not line.seq}
    homeless = 0
    for no, line in planned.items():
        row = rows.get(no)
        homeless += line.agreed["fee"] if row is None else 0
        line.agreed = {"fee": line.agreed["fee"] if row else 0, "interest": row.interest if row else 0, "principal": row.principal if row else 0}
        if row is not None:
            line.start, line.due, line.days, line.balance = row.start, row.due, row.days, row.balance
        _release(life, line, txn)
        if row is None:
            life.lines.remove(line)
    life.lines.extend(_line(row) for no, row in rows.items() if no not in planned)
    if homeless:
        max((line for line in life.lines if not line.seq), key=_age).agreed["fee"] += homeless
    life.drawn = drawn


def _release(life: Life, line: Line, txn: Txn) -> None:
    for component in AGREED:
        over = line.taken(component) - line.agreed[component]
        if over > 0:
            waived = min(over, line.waived.get(component, 0))
            line.waived[component] = line.waived.get(component, 0) - waived
            line.cuts.append((txn.on, component, -over))
            life.suspense += over - waived
            if over > waived:
                life.parts.append(Part(0, txn.on, line.no, line.seq, component, waived - over))


# -- fees, waivers, refunds


def _fee(life: Life, txn: Txn) -> None:
    """On the period that was named, else on the next bill to fall due, else on the last one."""
    lines = sorted((line for line in life.lines if not line.seq), key=_age) or sorted(life.lines, key=_age)
    named = txn.given.get("no")
    line = next((line for line in lines if (line.no == named if named else line.due >= txn.on)), lines[-1])
    line.agreed["fee"] += txn.amount


def _waive(life: Life, txn: Txn) -> None:
    """减免 of what is unpaid and due, oldest first; what a replay leaves nothing to waive of lapses."""
    component, named, left = txn.given["component"], txn.given.get("no"), txn.amount
    for line in sorted(life.lines, key=_age):
        if line.due > txn.on or (named and line.no != named):
            continue
        amount = min(left, life.open_of(line, txn.on)[component])
        if amount:
            line.cuts.append((txn.on, component, amount))
            line.waived[component] = line.waived.get(component, 0) + amount
            left -= amount
    if left:
        life.unmet.add(txn.seq)


def _coupon(life: Life, txn: Txn) -> None:
    """抵用优惠券: pays interest and nothing else, the oldest bill first, up to the one whose period runs; what no interest takes lapses."""
    if life.written_off is not None:
        life.unmet.add(txn.seq)
        return
    left, start = txn.amount, life.contract.start_date
    for line in sorted(life.lines, key=_age):
        begun = line.due <= txn.on or line.start < txn.on or line.start == start
        amount = min(left, line.unpaid("interest")) if begun else 0
        if amount:
            line.cuts.append((txn.on, "interest", amount))
            life.parts.append(Part(txn.seq, txn.on, line.no, line.seq, "interest", amount))
            life.coupons += amount
            left -= amount
    if left:
        life.unmet.add(txn.seq)


def _dispose(life: Life, txn: Txn) -> None:
    """抵债, 转让: the loan leaves the books for what was got for it (``amount``); interest that was never income is asked for no more."""
    if life.ended or life.written_off is not None or not any(any(life.open_of(line, txn.on).values()) for line in life.lines):
        life.unmet.add(txn.seq)
        return
    books, off = books_of(life, txn.on), life.non_accrual
    short = sum(getattr(books, name) for name in RECEIVABLE) - txn.amount
    if txn.kind == "repossess" and short < 0:
        life.unmet.add(txn.seq)
        return
    coming = _coming(life, txn.on)
    if coming:
        agreed = {"fee": sum(line.unpaid("fee") for line in coming), "principal": sum(line.unpaid("principal") for line in coming),
                  "interest": sum(max(0, ran(life, line, txn.on) - line.taken("interest")) for line in coming)}
        first = coming[0]
        for line in coming:
            _trim(life, line)
        life.lines.append(Line(no=first.no, due=txn.on, agreed=agreed, start=min(first.start, txn.on), seq=txn.seq, days=max((txn.on - first.start).days, 0)))
    for line in sorted(life.lines, key=_age):
        for component, amount in life.open_of(line, txn.on).items():
            if not amount:
                continue
            line.cuts.append((txn.on, component, amount))
            if off and component in ("interest", "penalty", "compound"):
                line.waived[component] = line.waived.get(component, 0) + amount
            else:
                life.parts.append(Part(txn.seq, txn.on, line.no, line.seq, component, amount))
            life.left += amount if component == "principal" else 0
    used = max(0, min(life.allowance, short))
    life.allowance -= used
    life.impairment += max(0, short - used)
    life.gain += max(0, -short)
    life.asset += txn.amount if txn.kind == "repossess" else 0
    life.ended, life.disposed = txn.on, txn.kind


def _refund(life: Life, txn: Txn) -> None:
    """退溢缴款; money that went back and is no longer covered is told as a shortfall."""
    back = min(txn.amount, life.suspense)
    life.suspense -= back
    life.shortfall += txn.amount - back


# -- provision and write-off


def _provide(life: Life, txn: Txn) -> None:
    """计提: the allowance of the loan, with what came back on it after it was written off, becomes what was decided."""
    gone = life.disposed or life.written_off is not None    # a month end set aside for a loan that a later decision took off the books before it
    if gone and txn.amount:
        life.unmet.add(txn.seq)
    wanted = 0 if gone else txn.amount
    life.impairment += wanted - life.allowance - life.recovered
    life.allowance = wanted - life.recovered


def _write_off(life: Life, txn: Txn) -> None:
    """核销: what is on the books goes against the allowance, which is topped up first where it is too small (E28)."""
    if life.written_off is not None:
        life.unmet.add(txn.seq)
        return
    gross = on_books(life, txn.on)
    life.impairment += max(0, gross - life.allowance)
    life.allowance = max(life.allowance, gross) - gross
    life.written_off, life.written_amount = txn.on, gross


_HAPPENS: Final[dict[str, Callable[[Life, Txn], None]]] = {
    "repay": _repay, "due": _repay, "settle": _settle, "prepay": _prepay, "fee": _fee, "waive": _waive, "refund": _refund, "provision": _provide,
    "write_off": _write_off, "coupon": _coupon, "repossess": _dispose, "transfer": _dispose, **dict.fromkeys(PLAN_KINDS, _replan),
}


__all__ = ["AGREED", "COMPONENTS", "Agreement", "Life", "Line", "Part", "Receipt", "Settlement", "Txn", "fold", "mark", "ran", "settlement"]
