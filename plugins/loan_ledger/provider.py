"""The ledger_posting provider of the lending pack."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from metaloom.plugin import Environment
from metaloom.plugin.ledger_posting import Happening, Posting


def _both(*names: str) -> tuple[str, ...]:
    """Amounts that go up, or are taken back."""
    return tuple(name + ending for name in names for ending in ("", "_back"))


PAYOUT = ("principal",)
REPAYMENT = ("received", "collected", "from_suspense", "principal", "principal_overdue", "principal_non_accrual", "interest_accrued", "interest_overdue",
             "fee_due", "interest", "penalty", "compound", "fee", "surplus", "off_interest")
RECEIVABLE = ("normal", "overdue", "non_accrual", "interest", "interest_overdue", "fee")
HAPPENINGS: Mapping[str, tuple[str, ...]] = {
    "payout": PAYOUT,
    "accrual": _both("interest"),
    "penalty": _both("penalty", "compound"),
    "fee": _both("fee"),
    "overdue": _both("principal", "interest"),
    "non_accrual": ("principal", "principal_overdue", "interest", "interest_overdue", "income_interest", "income_penalty", "income_compound", "off_interest"),
    "accrual_resumed": ("principal", "principal_overdue"),
    "memorandum": _both("off_interest", "written_off"),
    "repayment": REPAYMENT,
    "vat": _both("interest", "penalty", "compound", "fee"),
    "waiver": ("interest", "penalty", "compound", "fee", "interest_accrued", "interest_overdue", "fee_due", "off_interest"),
    "refund": ("refund",),
    "provision": _both("provision"),
    "write_off": (*RECEIVABLE, "written_off"),
    "coupon": ("coupon", "interest_accrued", "interest_overdue", "interest", "off_interest"),
    "repossess": (*RECEIVABLE, "worth", "allowance", "impairment"),
    "transfer": (*RECEIVABLE, "worth", "allowance", "impairment", "gain"),
    "recovery": ("received", "collected", "from_suspense", "recovered", "interest", "penalty", "compound", "fee", "surplus", "written_off", "off_interest"),
    "adjustment": tuple(f"{name}_{way}" for name in (*RECEIVABLE, "suspense", "allowance", "coupon", "asset", "gain") for way in ("up", "down")),
}
"""What may happen to a loan, and the amounts that each of it takes: one accounting event for each (domain specification §6)."""
_CAME = frozenset({"received", "collected", "from_suspense"})
_BESIDE = frozenset({"off_interest", "written_off"})


class LoanLedger:
    """Each happening of a loan is one accounting event of the same name; the metadata says which accounts it moves."""

    def __init__(self, environment: Environment | None = None) -> None:
        del environment  # nothing to set up

    def happenings(self) -> tuple[str, ...]:
        return tuple(HAPPENINGS)

    def postings(self, happening: Happening) -> tuple[Posting, ...]:
        if happening.name not in HAPPENINGS:
            raise ValueError(f"happening: {happening.name!r} is none of {', '.join(self.happenings())}")
        amounts = _named(happening.amounts, HAPPENINGS[happening.name])
        if happening.name in ("repayment", "recovery"):
            _check_split(amounts)
        return (Posting(event=happening.name, amounts=amounts, facts=happening.facts),)


def _named(amounts: Mapping[str, Decimal], names: tuple[str, ...]) -> dict[str, Decimal]:
    unknown = sorted(set(amounts) - set(names))
    if unknown:
        raise ValueError(f"amounts: {', '.join(unknown)} unknown; known are {', '.join(names)}")
    return {name: amounts.get(name, Decimal("0.00")) for name in names}


def _check_split(amounts: Mapping[str, Decimal]) -> None:
    """What came in is accounted for, what is off the books apart."""
    came = sum((amount for name, amount in amounts.items() if name in _CAME), Decimal("0.00"))
    went = sum((amount for name, amount in amounts.items() if name not in _CAME | _BESIDE), Decimal("0.00"))
    if came != went:
        raise ValueError(f"amounts: {came} came in but {went} is accounted for")
