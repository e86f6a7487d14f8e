"""The ledger_posting door: what happened in the business → which accounting events with which amounts (decision 32).

The provider says event and amounts; accounts and sides stand in the metadata (`accounting_rules`), and the engine's
ledger applies them. Pure: no clock, no record, no effect; may be repeated; money moves only when the command posts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, runtime_checkable

from metaloom.plugin.faults import Promise

ZERO = Decimal("0.00")


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """Something that happened in the business. ``amounts`` by name, ≥ 0; ``facts`` choose between accounting rules."""

    name: str
    amounts: Mapping[str, Decimal]
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """One entry to be: the ``event`` of an accounting rule and the amounts its legs name. ≥ 0; at least one above zero."""

    event: str
    amounts: Mapping[str, Decimal]
    facts: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class LedgerPosting(Protocol):
    """Turns happenings into postings. Pure."""

    def happenings(self) -> tuple[str, ...]:
        """The happenings it understands. Called when metadata is checked."""

    def postings(self, happening: Happening) -> tuple[Posting, ...]:
        """Called inside the command's transaction, right before the ledger posts. Repeatable; no money moves here.
        After: every amount is a Decimal ≥ 0 with at most two places. An unknown happening raises ``ValueError``."""


class CheckedLedgerPosting:
    """A provider behind the engine's checks."""

    def __init__(self, provider: LedgerPosting, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)

    def happenings(self) -> tuple[str, ...]:
        names = self._provider.happenings()
        self._promise.is_a("happenings", names, tuple)
        return names

    def postings(self, happening: Happening) -> tuple[Posting, ...]:
        postings = self._provider.postings(happening)
        self._promise.is_a("postings", postings, tuple)
        for posting in postings:
            self._promise.is_a("posting", posting, Posting)
            self._promise.text("event", posting.event, longest=60)
            self._promise.is_a("amounts", posting.amounts, Mapping)
            amounts = [self._promise.amount(f"{posting.event}.{key}", value) for key, value in posting.amounts.items()]
            self._promise.that(any(amounts), f"{posting.event}: every amount is zero")
        return postings
