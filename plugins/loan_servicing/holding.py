"""What the books should hold of a loan at the end of a day: the balance of each account, wanted by its history (domain specification §6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import date
from fractions import Fraction
from typing import Final

from .life import COMPONENTS, Life, Line, claim, ran, regained


@dataclass(frozen=True, slots=True)
class Books:
    """Balances of one loan in cents, on the side on which the account grows; the comment names the account."""

    normal: int = 0  # 1303.01
    overdue: int = 0  # 1303.02
    non_accrual: int = 0  # 1303.03
    interest: int = 0  # 1132.01
    interest_overdue: int = 0  # 1132.02, penalty and compound interest with it
    fee: int = 0  # 1221
    suspense: int = 0  # 2241.01
    income_interest: int = 0  # 6011.01
    income_penalty: int = 0  # 6011.02
    income_compound: int = 0  # 6011.03
    income_fee: int = 0  # 6021
    allowance: int = 0  # 1304
    impairment: int = 0  # 6701
    coupon: int = 0  # 6601, interest that a coupon paid
    asset: int = 0  # 1441, what was taken in payment
    gain: int = 0  # 6111, more than was owed
    vat_interest: int = 0  # 2221, and out of 6011.01: incomes above are with tax, the ledger has them without
    vat_penalty: int = 0  # 2221, 6011.02
    vat_compound: int = 0  # 2221, 6011.03
    vat_fee: int = 0  # 2221, 6021
    off_interest: int = 0  # 9001, off the books
    written_off: int = 0  # 9002, off the books


NAMES: Final = tuple(one.name for one in fields(Books))
RECEIVABLE: Final = ("normal", "overdue", "non_accrual", "interest", "interest_overdue", "fee")
TAXED: Final = ("interest", "penalty", "compound", "fee")
"""Incomes that hold value-added tax where the company pays it."""


def books_of(life: Life, on: date, *, non_accrual: bool | None = None) -> Books:
    """The balances that the history wants at the end of ``on``. ``non_accrual``: as if the loan (did not) earn."""
    off = life.non_accrual if non_accrual is None else non_accrual
    if life.written_off is not None:
        return _written_off(life, on)
    sums = dict.fromkeys(NAMES, 0)
    for line in life.lines:
        _add_line(sums, life, line, on, off)
    if off:
        sums["non_accrual"] = sums["normal"] + sums["overdue"]
        sums["normal"] = sums["overdue"] = sums["interest"] = sums["interest_overdue"] = 0
    return Books(**{**sums, **_decided(life), "suspense": life.suspense, "allowance": life.allowance})


def vat_in(gross: int, rate: Fraction) -> int:
    """价税分离: the tax in an amount that holds it, in cents, half up (E25: 47.63 in 841.51 at 6 %). Bill by bill, of the whole income of each, so
    no cent drifts whatever the number of days."""
    return math.floor(gross * rate / (1 + rate) + Fraction(1, 2)) if rate else 0


def _decided(life: Life) -> dict[str, int]:
    """What people decided of the loan, and time does not move."""
    return {"impairment": life.impairment, "coupon": life.coupons, "asset": life.asset, "gain": life.gain}


def _add_line(sums: dict[str, int], life: Life, line: Line, on: date, off: bool) -> None:
    open_ = life.open_of(line, on)
    late = life.late(line, on) > 0
    sums["overdue" if late else "normal"] += open_["principal"]
    taken, waived = line.taken("interest"), line.waived
    earned = max(ran(life, line, on), taken)
    sums["interest_overdue" if late else "interest"] += earned - taken
    sums["interest_overdue"] += open_["penalty"] + open_["compound"]
    sums["fee"] += open_["fee"]
    rate, fees = life.agreement.vat_rate, line.agreed["fee"] - waived.get("fee", 0)
    sums["income_fee"] += fees
    sums["vat_fee"] += vat_in(fees, rate)
    unpaid = {"interest": earned - taken, "penalty": open_["penalty"], "compound": open_["compound"]}
    for name, amount in unpaid.items():
        paid = line.taken(name) - waived.get(name, 0)
        income = paid + (0 if off else amount)
        sums[f"income_{name}"] += income
        sums[f"vat_{name}"] += vat_in(income, rate)
        sums["off_interest"] += amount if off else 0


def _written_off(life: Life, on: date) -> Books:
    """Nothing is on the books; the claim lives on beside them. What was written off is paid first and goes back to the allowance, so what is left
    of the claim beyond it was never income, and is income when it is paid (domain specification §4.10, §6, events 12, 18 and 19)."""
    assert life.written_off is not None
    owed = sum(claim(life, on).values())
    written = min(life.written_amount - life.forgiven - life.recovered, owed)
    late = regained(life)
    incomes = {f"income_{name}": life.kept[f"income_{name}"] + late[name] for name in TAXED}
    taxes = {f"vat_{name}": life.kept[f"vat_{name}"] + vat_in(late[name], life.agreement.vat_rate) for name in TAXED}
    return Books(**incomes, **taxes, **_decided(life), suspense=life.suspense, allowance=life.allowance + life.recovered, off_interest=owed - written,
                 written_off=written)


def on_books(life: Life, on: date) -> int:
    """What goes against the allowance when the loan is written off on the day; what was earned by then stays earned."""
    books = books_of(life, on)
    life.kept = {f"{what}_{name}": getattr(books, f"{what}_{name}") for what in ("income", "vat") for name in TAXED}
    life.kept |= {f"claim_{name}": 0 if life.non_accrual and name in ("interest", "penalty", "compound") else amount
                  for name, amount in claim(life, on).items()}
    life.kept["parts"] = len(life.parts)
    gross = sum(getattr(books, name) for name in RECEIVABLE)
    assert gross == sum(life.kept[f"claim_{name}"] for name in COMPONENTS)
    return gross
