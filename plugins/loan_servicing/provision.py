"""计提准备金: at the end of each month every loan has the allowance that its class asks for (domain specification §4.10, §5).

A month that is over is worked out from the morning after it, as ``lending.loan_day`` keeps it: what a loan owed and how it was classed at the
end of the month, whenever the run comes. Months that were missed are made up for one after another, so runs of every month and one run
for all of them come to the same rows and the same books. A loan whose allowance is what it should be gets no row.

Each change is a row of ``lending.loan_provision`` and one of the transactions that the fold reads; the entry is booked on the last day of the
month, one for each range of loans and month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from metaloom.base.text import Text
from metaloom.plugin.ledger_posting import Happening
from metaloom.plugin.mass import Chunk, Outcome, Posting

from .cases import CHANGE, LOAN, LOAN_DAY, PROVISION
from .day import CLASSES
from .standing import cents, money

PERIOD: Final = "platform.ledger_period"
PRESETS: Final[Mapping[str, tuple[str, ...]]] = {"A": ("0.015", "0.03", "0.30", "0.60", "1"), "B": ("0.01", "0.02", "0.25", "0.50", "1")}
"""Parts of the balance by class: A after 财金〔2012〕20号, B after the guideline of 2002 (domain specification §5)."""


def rates_of(settings: Mapping[str, Any]) -> Mapping[str, Decimal]:
    """The part of a loan's balance that each class asks for: the client's own, else those of the preset that it chose."""
    own = settings.get("provision_rates") or PRESETS[settings["provision_preset"]]
    return {name: Decimal(str(rate)) for name, rate in zip(CLASSES, own, strict=True)}


def wanted(balance: int, rate: Decimal, decided: int = 0) -> int:
    """The allowance of a loan in cents: what its class asks for, at least what two people decided for it, never more than it owes."""
    asked = int((balance * rate).quantize(Decimal(1), ROUND_HALF_UP))
    return min(balance, max(asked, decided))


def month_ends(after: date, until: date) -> Iterator[date]:
    """The last days of the months after ``after``, up to and with ``until``."""
    day = _last(after + timedelta(days=1))
    while day <= until:
        yield day
        day = _last(day + timedelta(days=1))


def _last(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


@dataclass
class _Found:
    rows: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    loans: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    posts: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    held: dict[int, Text] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def provision(chunk: Chunk) -> Outcome:
    """Brings the allowance of every loan of the chunk to the end of the last month that is over."""
    found, until = _Found(), chunk.day.replace(day=1) - timedelta(days=1)
    rates, closed = rates_of(chunk.settings), _closed_until(chunk)
    since = {row["id"]: _since(row, closed) for row in _each(chunk)}
    mornings = [_morning(end) for end in month_ends(min(since.values()), until)]
    days = _by_loan(chunk.rows(LOAN_DAY, "loan", ("business_date", "principal_balance", "risk_class"), where={"business_date": mornings}))
    decided = _by_loan(chunk.rows(CHANGE, "loan", ("kind", "effective_on", "seq", "amount"),
                                  where={"kind": ["provision", "write_off"], "status": "applied"}))
    since |= _kept_since(chunk, since, days, until)
    for row in _each(chunk):
        loan = row["id"]
        try:
            _one(loan, row, since[loan], until, {one["business_date"]: one for one in days[loan]}, decided[loan], rates, found)
        except LookupError:
            found.held[loan] = Text("该贷款的日终没有跑到月末次日，不能计提准备金", "The days of this loan do not reach the morning after the month")
    run = chunk.cause[1] if chunk.cause[0] != LOAN else None
    return Outcome(change={LOAN: found.loans} if found.loans else {}, add={PROVISION: {**found.rows, "run": run}} if found.rows else {},
                   post=list(_postings(chunk, found)), held=found.held, figures={**found.figures, "loans": len(chunk.ids) - len(found.held)})


def _closed_until(chunk: Chunk) -> date | None:
    """The last day of the last month that is closed."""
    months = chunk.rows(PERIOD, "company", ("month",), [chunk.company_id] if chunk.company_id is not None else [])["month"]
    return _last(date.fromisoformat(f"{max(months)}-01")) if months else None


def _each(chunk: Chunk) -> Iterator[dict[str, Any]]:
    for place, loan in enumerate(chunk.ids):
        yield {"id": loan, **{name: values[place] for name, values in chunk.columns.items()}}


def _morning(end: date) -> int:
    return end.toordinal() + 1


def _since(row: Mapping[str, Any], closed: date | None) -> date:
    """The day through which the loan is provided for; of a loan that never was, its payout, or the last closed month where that is later."""
    if row["provisioned_through"] is not None:
        return date.fromordinal(row["provisioned_through"])
    start = date.fromordinal(row["disbursed_on"]) - timedelta(days=1)
    return max(start, closed) if closed is not None else start


def _kept_since(chunk: Chunk, since: Mapping[int, date], days: Mapping[int, Sequence[Mapping[str, Any]]], until: date) -> dict[int, date]:
    """Of loans that were never provided for and are older than their days: since when their months can be known. The first month is the one whose
    morning after is a day that was kept; a loan without a day has its first one after the day through which it is accrued."""
    first = {loan: next(month_ends(day, until), None) for loan, day in since.items()}
    there = {(loan, one["business_date"]) for loan, rows in days.items() for one in rows}
    older = [row for row in _each(chunk) if row["provisioned_through"] is None and row["accrued_through"] is not None
             and (end := first[row["id"]]) is not None and (row["id"], _morning(end)) not in there]
    if not older:
        return {}
    kept = _by_loan(chunk.rows(LOAN_DAY, "loan", ("business_date",), [row["id"] for row in older],
                               between={"business_date": (min(since.values()).toordinal(), chunk.day.toordinal())}))
    begun = {row["id"]: min((one["business_date"] for one in kept[row["id"]]), default=row["accrued_through"] + 1) for row in older}
    return {loan: max(since[loan], date.fromordinal(day - 2)) for loan, day in begun.items()}


def _one(loan: int, row: Mapping[str, Any], since: date, until: date, days: Mapping[int, Mapping[str, Any]], decided: Sequence[Mapping[str, Any]],
         rates: Mapping[str, Decimal], found: _Found) -> None:
    """All months of one loan; nothing of it is kept when it is held back on the way."""
    stands, impaired, seq = row["book_allowance"] or 0, row["book_impairment"] or 0, row["txn_count"] or 0
    made = []
    for end in month_ends(since, until):
        day = days.get(_morning(end))
        if day is None and not (row["settled_on"] is not None and row["settled_on"] <= end.toordinal()):
            raise LookupError(loan)
        balance, risk = (day["principal_balance"], day["risk_class"]) if day is not None else (0, "normal")
        before = [one for one in decided if one["effective_on"] <= end.toordinal()]
        if any(one["kind"] == "write_off" for one in before):
            balance = 0     # the claim lives on beside the books; what came back on it lowers the charge of the month
        last = max((one for one in before if one["kind"] == "provision"), key=lambda one: (one["effective_on"], one["seq"]), default=None)
        asks = wanted(balance, rates[risk], last["amount"] if last is not None else 0)
        if asks != stands:
            seq += 1
            made.append((end, risk, balance, rates[risk], asks, asks - stands, seq))
        stands, impaired = asks, impaired + asks - stands
    for end, risk, balance, rate, asks, moved, number in made:
        for name, value in (("loan", loan), ("month_end", end.toordinal()), ("risk_class", risk), ("balance", balance), ("rate", int(rate.scaleb(8))),
                            ("amount", asks), ("moved", moved), ("seq", number)):
            found.rows[name].append(value)
        found.posts[end.toordinal()]["provision" if moved > 0 else "provision_back"] += abs(moved)
        found.figures["up" if moved > 0 else "down"] += 1
    for name, value in (("id", loan), ("provisioned_through", until.toordinal()), ("book_allowance", stands), ("book_impairment", impaired),
                        ("txn_count", seq)):
        found.loans[name].append(value)


def _by_loan(columns: Mapping[str, Sequence[Any]]) -> Mapping[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for values in zip(*columns.values(), strict=True):
        one = dict(zip(columns, values, strict=True))
        found[one["loan"]].append(one)
    return found


def _postings(chunk: Chunk, found: _Found) -> Iterator[Posting]:
    """One entry for each month of the chunk, booked on its last day."""
    provider = chunk.provider("ledger_posting", "loan_ledger")
    for day in sorted(found.posts):
        on = date.fromordinal(day)
        happening = Happening(name="provision", amounts={name: money(amount) for name, amount in found.posts[day].items()},
                              facts={"memo": f"计提准备金 {on:%Y-%m}"})
        for one in provider.postings(happening):
            yield Posting(one.event, {name: cents(amount) for name, amount in one.amounts.items()}, one.facts, on)
