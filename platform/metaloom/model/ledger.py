"""Chart of accounts and accounting rules (decision 32)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True)
class Account:
    """``normal`` side: debit | credit. ``off_book`` accounts balance against a contra account of their own. ``closes_to``: code of
    the account that takes the balance over when a month is closed (income and expense go to the result of the year)."""

    address: str
    code: str
    label: Text
    normal: str = "debit"
    off_book: bool = False
    closes_to: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True)
class LedgerLeg:
    """``account`` code, ``side`` debit | credit, ``amount``: name of an amount of the event. A zero amount writes no leg."""

    account: str
    side: str
    amount: str


@dataclass(frozen=True)
class AccountingRule:
    """What one business event posts; ``when`` chooses between rules of the same event (first true wins). It reads the event's amounts
    and ``facts``: name to text | integer | decimal | boolean | date | datetime, given by who posts the event."""

    address: str
    event: str
    label: Text
    legs: tuple[LedgerLeg, ...]
    when: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    position: Position = NOWHERE
