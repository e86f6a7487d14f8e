"""日终: every loan is brought to the business date, day by day, range by range of ids (docs/servicing.md).

On the morning of a business date a loan stands as :func:`fold` says before anything happens on that day: interest and penalty ran up to
it, what was due yesterday and is unpaid is late. A day leaves one row of ``lending.loan_day``, which is the sub-ledger of what the run books
for all loans of a range in one entry for each event and day. A loan that lags is brought up by every day that it missed.

Loans that pay as agreed take the short way of ``accrual.py``, which the database reckons; the others are folded. Where 溢缴款 pays a bill, states
change, and the loan goes through :func:`roll_over` by itself, before the ranges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from metaloom.base.text import Text
from metaloom.plugin.command import Values, Work
from metaloom.plugin.ledger_posting import Happening
from metaloom.plugin.mass import Chunk, Outcome, Posting

from .accrual import BOOKED, as_agreed, written
from .balances import NAMES, Books
from .cases import CHANGE, LOAN, LOAN_DAY, PROVISION, REPAYMENT, SNAPSHOT, bring_to
from .day import DAY_COLUMNS, a_day, class_of, snapshot_of, worse
from .fold import Agreement, Life, Txn, fold, mark
from .replan import INSTALMENT
from .standing import (
    agreement_of,
    book_columns,
    cents,
    late_columns,
    line_state,
    loan_columns,
    money,
    txns_of,
)

FULL: Final = ("penalty_balance", "compound_balance", "dpd", "max_dpd", "dpd_bucket", "overdue_since", "overdue_amount", "overdue_principal",
               "overdue_interest", "accrued_interest", "accrued_through", "non_accrual", "annual_rate", "next_due_on", "next_due_amount", "risk_class",
               "classified_on", *(f"book_{name}" for name in NAMES))
"""What a day may change of a loan."""
TERMS: Final = ("amount", "annual_rate", "repay_method", "term_months", "due_day", "day_count", "penalty_rate", "penalty_base", "grace_days",
                "grace_chargeback", "compound_interest", "npl_allocation_rule", "allocation_rule", "allocation_matrices",
                "prepay_fee_rate", "vat_rate")
RATES: Final = ("annual_rate", "penalty_rate", "prepay_fee_rate", "new_rate", "vat_rate")
RATE_SCALE: Final = 8
_RECEIPT: Final = ("seq", "kind", "value_date", "amount", "prepaid_principal", "plan_change", "interest_net", "status")
_CHANGED: Final = ("seq", "kind", "effective_on", "amount", "component", "period_no", "new_rate", "rate_effect", "more_periods", "until_date", "new_method",
                   "status")
_BILL_ROW: Final = ("period_no", "seq", "start_date", "due_date", "principal", "interest", "balance", "penalty", "compound", "dpd", "status")
BY_DAY_UP_TO: Final = 10
"""Missed days of one loan up to which each is booked by itself."""
LAGS_TOO_LONG: Final = 4000
"""Days that one run makes up for at most; more is a mistake in a date."""


class HeldBack(Exception):  # noqa: N818 - not an error: the reason why a loan waits
    """The loan cannot be done; its argument is the reason."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.said = Text(zh, en)


@dataclass
class Found:
    """What a chunk comes to. ``posts``: (day, event) → amounts."""

    full: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    bills: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    days: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    posts: dict[tuple[int, str], dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    held: dict[int, Text] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def day_row(self, loan: int, day: int, told: Mapping[str, Any], moved: Mapping[str, int]) -> None:
        self.days["loan"].append(loan)
        self.days["business_date"].append(day)
        for name in ("principal_balance", "accrued_interest", "penalty_balance", "dpd", "dpd_bucket", "risk_class"):
            self.days[name].append(told[name])
        for name in DAY_COLUMNS:
            self.days[f"moved_{name}"].append(moved.get(name))

    def post(self, day: int, event: str, amounts: Mapping[str, int]) -> None:
        total = self.posts[day, event]
        for name, amount in amounts.items():
            total[name] += amount


def day_end(chunk: Chunk) -> Outcome:
    """Brings every loan of the chunk to its day."""
    found, until = Found(), chunk.day.toordinal()
    done = _short_way(chunk, until - 1, until, found)
    first = chunk.least("accrued_through") if len(done) < len(chunk.ids) else None
    if first is not None and first < until - 1:
        done |= _short_way(chunk, max(first, until - LAGS_TOO_LONG), until, found)
    if done or (first is not None and first < until):
        left = [loan for loan in chunk.ids if loan not in done]
        through = chunk.read(left, ("accrued_through",))
        lagging = [loan for loan, since in zip(through["id"], through["accrued_through"], strict=True) if since is not None and since < until]
        _long_way(chunk, lagging, until, found)
        found.figures["loans"] = len(done) + len(lagging)
    change: dict[str, Any] = {LOAN: found.full} if found.full else {}
    if found.bills:
        change[INSTALMENT] = found.bills
    run = _run_of(chunk)
    found.figures["loans"] -= len(found.held)
    post = list(_postings(chunk, found, by_month=run is None))
    return Outcome(change=change, add={LOAN_DAY: {**found.days, "run": run}} if found.days.get("loan") else {}, post=post,
                   held=found.held, figures=dict(found.figures))


def _run_of(chunk: Chunk) -> int | None:
    """None where a command on the loan makes up for its days: then the vouchers are the loan's own."""
    return chunk.cause[1] if chunk.cause[0] != LOAN else None


def _postings(chunk: Chunk, found: Found, *, by_month: bool) -> Iterator[Posting]:
    """An entry for each day and event. Where one loan is made up for by itself and missed more than ten days, the entry stands at the last missed
    day of each month: month ends are as if no day had been missed, and a loan that was away for a year does not leave a thousand entries."""
    posts = found.posts
    if by_month and len({day for day, _ in posts}) > BY_DAY_UP_TO:
        last: dict[tuple[int, int], int] = {}
        for day, _ in posts:
            month = date.fromordinal(day).timetuple()[:2]
            last[month] = max(day, last.get(month, 0))
        posts = defaultdict(lambda: defaultdict(int))
        for (day, event), amounts in found.posts.items():
            total = posts[last[date.fromordinal(day).timetuple()[:2]], event]
            for name, amount in amounts.items():
                total[name] += amount
    provider = chunk.provider("ledger_posting", "loan_ledger")
    for day, event in sorted(posts, key=lambda key: key[0]):
        amounts = {name: money(amount) for name, amount in posts[day, event].items() if amount}
        if not amounts:
            continue
        memo = f"日终 {date.fromordinal(day)}"
        for one in provider.postings(Happening(name=event, amounts=amounts, facts={"memo": memo})):
            yield Posting(one.event, {name: cents(amount) for name, amount in one.amounts.items()}, one.facts, date.fromordinal(day))


# -- the short way: loans that pay as agreed


def _short_way(chunk: Chunk, since: int, until: int, found: Found) -> set[int]:
    """Does what the database can reckon from the running bills alone; the ids of the loans that are done."""
    run = _run_of(chunk)
    done = chunk.settle(INSTALMENT, "loan", range(since + 1, until + 1), lambda terms: as_agreed(terms, since, until),
                        lambda lines: written(lines, run), same=(since, run))
    for day, sums in done.sums.items():
        for (event, what), amount in zip(BOOKED, sums.values(), strict=True):
            if amount:
                found.post(day, event, {what: amount})
    found.figures["days"] += done.lines
    found.figures["accrued"] += len(done.ids)
    return set(done.ids)


# -- the long way: the whole history


@dataclass(frozen=True)
class History:
    """A loan as it is stored, in the values that the fold reads."""

    loan: Mapping[str, Any]
    agreement: Agreement
    txns: Sequence[Txn]
    bills: Sequence[Mapping[str, Any]]


def _long_way(chunk: Chunk, loans: Sequence[int], until: int, found: Found) -> None:
    if not loans:
        return
    limits = chunk.settings["class_days"]
    for history in _histories(chunk, loans):
        loan = history.loan["id"]
        try:
            _days(history, until, limits, found)
        except HeldBack as reason:
            found.held[loan] = reason.said
        except (ValueError, AssertionError) as error:
            found.held[loan] = Text(f"该贷款的账面余额与交易记录不符，或条款有误（{error}）",
                                                f"The books of this loan do not agree with its transactions, or its terms make no sense ({error})")


def _histories(chunk: Chunk, ids: Sequence[int]) -> Iterator[History]:
    columns = chunk.read(ids)
    terms = chunk.linked(SNAPSHOT, TERMS, columns["snapshot"])
    receipts = _by_loan(chunk.rows(REPAYMENT, "loan", _RECEIPT, ids, {"status": "posted"}))
    changes = _by_loan(chunk.rows(CHANGE, "loan", _CHANGED, ids, {"status": "applied"}))
    provided = _by_loan(chunk.rows(PROVISION, "loan", ("seq", "month_end", "amount"), ids))
    bills = _by_loan(chunk.rows(INSTALMENT, "loan", _BILL_ROW, ids))
    for place, loan in enumerate(columns["id"]):
        snapshot = _values(dict(zip(TERMS, terms[columns["snapshot"][place]], strict=True)))
        snapshot |= {name: bool(snapshot[name]) if snapshot[name] is not None else None for name in ("grace_chargeback", "compound_interest")}
        row = {name: values[place] for name, values in columns.items()}
        agreement = agreement_of(snapshot, date.fromordinal(row["disbursed_on"]))
        yield History(row, agreement, txns_of(*(map(_values, rows[loan]) for rows in (receipts, changes, provided))), bills[loan])


def _by_loan(columns: Mapping[str, Sequence[Any]]) -> Mapping[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in zip(*columns.values(), strict=True):
        one = dict(zip(columns, row, strict=True))
        found[one["loan"]].append(one)
    return found


_MONEY: Final = frozenset({"amount", "prepaid_principal"})
_DATES: Final = frozenset({"value_date", "effective_on", "until_date", "month_end"})


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers of a chunk as the values that commands work with."""
    found = dict(row)
    for name, value in row.items():
        if value is None:
            continue
        if name in _MONEY:
            found[name] = money(value)
        elif name in RATES:
            found[name] = Decimal(value).scaleb(-RATE_SCALE)
        elif name in _DATES:
            found[name] = date.fromordinal(value)
    return found


def _days(history: History, until: int, limits: Sequence[int], found: Found) -> None:
    """All missed days of one loan. Nothing of it is kept when the loan is held back on the way."""
    loan, through = history.loan, history.loan["accrued_through"]
    if until - through > LAGS_TOO_LONG:
        raise HeldBack(f"计提至 {date.fromordinal(through)}，落后过久", f"Accrued through {date.fromordinal(through)}, too long ago")
    life = fold(history.agreement, history.txns, date.fromordinal(until), closing=False)
    books = Books(**{name: loan[f"book_{name}"] or 0 for name in NAMES})
    if life.suspense > books.suspense:
        raise HeldBack("该贷款的账面溢缴款少于交易记录所余，请先核对账务",
                       "The books hold less overpayment of this loan than its transactions leave; look into them first")
    if life.suspense < books.suspense:
        raise HeldBack("溢缴款须先抵扣已到期的期次", "The overpayment pays a bill first")
    life.non_accrual, life.max_dpd = bool(loan["non_accrual"]), loan["max_dpd"] or 0
    rows, posts, risk, classified = [], [], loan["risk_class"], loan["classified_on"]
    for ordinal in range(through + 1, until + 1):
        day = date.fromordinal(ordinal)
        mark(life, day)
        if (now := worse(risk, class_of(life.dpd(day), limits))) != risk:
            risk, classified = now, ordinal
        books, moved, posted = a_day(life, books, day)
        rows.append((ordinal, {**snapshot_of(life, day), "risk_class": risk}, moved))
        posts += [(ordinal, event, amounts) for event, amounts in posted]
    day = date.fromordinal(until)
    bills = list(_bills(history, life, day))
    for ordinal, told, moved in rows:
        found.day_row(loan["id"], ordinal, told, moved)
    for ordinal, event, amounts in posts:
        found.post(ordinal, event, amounts)
    for bill in bills:
        for name, value in bill.items():
            found.bills[name].append(value)
    columns = {**loan_columns(life, day), **book_columns(books), "risk_class": risk}
    found.full["id"].append(loan["id"])
    for name in FULL:
        found.full[name].append(classified if name == "classified_on" else _bare(name, columns[name]))
    _count(found, loan, columns, len(rows), classified == until)


def _count(found: Found, loan: Mapping[str, Any], columns: Mapping[str, Any], days: int, classed: bool) -> None:
    for name, count in (("days", days), ("overdue", columns["dpd"] > 0), ("new_overdue", columns["dpd"] > 0 and not loan["dpd"]),
                        ("stopped", columns["non_accrual"] and not loan["non_accrual"]), ("classed", classed)):
        found.figures[name] += int(count)


def _bills(history: History, life: Life, day: date) -> Iterator[dict[str, Any]]:
    """Bills whose penalty or lateness is another one now; their states follow money, not time. A bill of nothing may have been stored as not due."""
    stored = {_identity(row): row for row in sorted(history.bills, key=lambda row: (row["status"] != "cancelled", row["id"]))}
    for line in life.lines:
        planned = line.agreed["principal"], line.agreed["interest"], line.balance
        row = stored.get((line.seq, line.no, line.start.toordinal(), line.due.toordinal(), *planned))
        if row is None or (row["status"] != line_state(life, line, day) and any(line.agreed.values())):
            raise HeldBack(f"第 {line.no} 期与交易记录不符", f"Period {line.no} does not agree with the transactions")
        now = late_columns(life, line, day)
        if any((row[name] or 0) != value for name, value in now.items()):
            yield {"id": row["id"], **now}


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["seq"] or 0, *(row[name] for name in ("period_no", "start_date", "due_date", "principal", "interest", "balance"))


def _bare(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value.scaleb(RATE_SCALE)) if name == "annual_rate" else cents(value)
    return value.toordinal() if isinstance(value, date) else int(value) if isinstance(value, bool) else value


# -- one loan by itself


def roll_over(work: Work, loan: Values | None, input: Values) -> None:
    """账单结转 of a loan whose overpayment pays a bill that fell due."""
    assert loan is not None
    bring_to(work, loan["id"], work.business_date(loan["company"]))
