"""Balances of accounts over a period (科目余额表), inside the rights of whoever asks: sums of the legs that the person may list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.model import Account, Measure
from metaloom.record import Filter, Summing

if TYPE_CHECKING:
    from metaloom.command.session import Pinned

LEG = "platform.ledger_leg"
ACCOUNTS_MAX = 400
ZERO = Decimal("0.00")

register({
    "books.date": ("请填写日期，例如 2026-03-31。", "Enter a date, for example 2026-03-31."),
    "balances.dates": ("结束日期不能早于开始日期。", "The end lies before the beginning."),
    "balances.too_many": ("科目超过 {limit} 个，无法在一页列出。", "There are more than {limit} accounts; they do not fit on a page."),
})


@dataclass(frozen=True, slots=True)
class Balance:
    """One account, or the sum of those below it (``leaf`` false). ``opening`` and ``closing`` are debit − credit. ``account`` is None
    for a code that the chart does not hold (any more)."""

    code: str
    account: Account | None
    depth: int
    leaf: bool
    opening: Decimal
    debit: Decimal
    credit: Decimal

    @property
    def closing(self) -> Decimal:
        return self.opening + self.debit - self.credit

    @property
    def label(self) -> Text:
        return self.account.label if self.account else Text(self.code, self.code)


@dataclass(frozen=True, slots=True)
class Balances:
    """Rows by code, sums over the accounts themselves, and whether rights left legs out of them."""

    rows: tuple[Balance, ...]
    opening: Decimal
    debit: Decimal
    credit: Decimal
    narrowed: bool

    @property
    def closing(self) -> Decimal:
        return self.opening + self.debit - self.credit

    @property
    def balanced(self) -> bool:
        """Both at the beginning and at the end everything sums to zero, and debit is credit in between."""
        return not self.opening and self.debit == self.credit


def account_balances(pinned: Pinned, since: date, until: date, company_id: int | None = None) -> Balances:
    """Balances from ``since`` to ``until``, both included, by booking date. NotAllowed without the right to list legs; Invalid for
    dates the wrong way round. Four statements."""
    if until < since:
        raise Invalid([Problem("until", message("balances.dates"))])
    before, within = Filter("booking_date", "lt", since), Filter("booking_date", "between", [since, until])
    found = {(side, when): _sums(pinned, side, range_, company_id)
             for side in ("debit", "credit") for when, range_ in (("before", before), ("within", within))}
    sums = {key: part[0] for key, part in found.items()}
    leaves = {code: _leaf(pinned, code, sums) for code in sorted({code for part in sums.values() for code in part})}
    return Balances(_with_parents(pinned.catalog.accounts.values(), leaves), *_totals(leaves.values()), any(part[1] for part in found.values()))


def _sums(pinned: Pinned, side: str, when: Filter, company_id: int | None) -> tuple[Mapping[str, Decimal], bool]:
    filters = [Filter("side", "eq", side), when]
    filters += [Filter("company", "eq", company_id)] if company_id is not None else []
    found = pinned.reader.summary(LEG, Summing(Measure("sum", "amount"), group="account", limit=ACCOUNTS_MAX), filters=filters,
                                  view=pinned.catalog.lists[f"{LEG}/main"])
    if found.groups_found > ACCOUNTS_MAX:
        raise Invalid([Problem("", message("balances.too_many", limit=ACCOUNTS_MAX))])
    return {str(group.key): group.value for group in found.groups}, found.narrowed


def _leaf(pinned: Pinned, code: str, sums: Mapping[tuple[str, str], Mapping[str, Decimal]]) -> Balance:
    value = {key: part.get(code, ZERO) for key, part in sums.items()}
    account = next((a for a in pinned.catalog.accounts.values() if a.code == code), None)
    return Balance(code, account, code.count("."), True, value["debit", "before"] - value["credit", "before"], value["debit", "within"],
                   value["credit", "within"])


def _with_parents(accounts: Iterable[Account], leaves: Mapping[str, Balance]) -> tuple[Balance, ...]:
    """The accounts and those of the chart above them (1303 above 1303.01), by code."""
    chart = {a.code: a for a in accounts}
    rows = dict(leaves)
    for code in leaves:
        above = code.rpartition(".")[0]
        while above:
            if above in chart and above not in leaves:
                below = [one for other, one in leaves.items() if other.startswith(f"{above}.")]
                rows[above] = Balance(above, chart[above], above.count("."), False, *_totals(below))
            above = above.rpartition(".")[0]
    return tuple(rows[code] for code in sorted(rows))


def _totals(rows: Iterable[Balance]) -> tuple[Decimal, Decimal, Decimal]:
    every = tuple(rows)
    return sum((one.opening for one in every), ZERO), sum((one.debit for one in every), ZERO), sum((one.credit for one in every), ZERO)
