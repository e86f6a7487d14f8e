"""Chart of accounts and accounting rules (decision 32)."""

from __future__ import annotations

from dataclasses import dataclass

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True)
class Account:
    """``normal`` side: debit | credit. ``off_book`` accounts balance against a contra account of their own."""

    address: str
    code: str
    label: Text
    normal: str = "debit"
    off_book: bool = False
    position: Position = NOWHERE


@dataclass(frozen=True)
class LedgerLeg:
    """``account`` code, ``side`` debit | credit, ``amount``: name of an amount of the event. A zero amount writes no leg."""

    account: str
    side: str
    amount: str


@dataclass(frozen=True)
class AccountingRule:
    """What one business event posts; ``when`` over the event's facts chooses between rules of the same event (first true wins)."""

    address: str
    event: str
    label: Text
    legs: tuple[LedgerLeg, ...]
    when: str = ""
    position: Position = NOWHERE
