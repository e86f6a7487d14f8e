"""The ledger_posting provider of the lending pack."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from metaloom.plugin import Environment
from metaloom.plugin.ledger_posting import Happening, Posting

PAYOUT = ("principal",)
REPAYMENT = ("received", "from_suspense", "principal", "interest", "fee", "surplus")


class LoanLedger:
    """Payout and repayment, domain specification §6."""

    def __init__(self, environment: Environment | None = None) -> None:
        del environment  # nothing to set up

    def happenings(self) -> tuple[str, ...]:
        return ("payout", "repayment")

    def postings(self, happening: Happening) -> tuple[Posting, ...]:
        if happening.name == "payout":
            return (Posting(event="payout", amounts=_named(happening.amounts, PAYOUT), facts=happening.facts),)
        if happening.name == "repayment":
            amounts = _named(happening.amounts, REPAYMENT)
            _check_split(amounts)
            return (Posting(event="repayment", amounts=amounts, facts=happening.facts),)
        raise ValueError(f"happening: {happening.name!r} is none of {', '.join(self.happenings())}")


def _named(amounts: Mapping[str, Decimal], names: tuple[str, ...]) -> dict[str, Decimal]:
    unknown = sorted(set(amounts) - set(names))
    if unknown:
        raise ValueError(f"amounts: {', '.join(unknown)} unknown; known are {', '.join(names)}")
    return {name: amounts.get(name, Decimal("0.00")) for name in names}


def _check_split(amounts: Mapping[str, Decimal]) -> None:
    came = amounts["received"] + amounts["from_suspense"]
    went = amounts["principal"] + amounts["interest"] + amounts["fee"] + amounts["surplus"]
    if came != went:
        raise ValueError(f"amounts: {came} came in but {went} is accounted for")
