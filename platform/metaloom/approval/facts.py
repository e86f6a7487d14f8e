"""Facts: what a case asks of the world. The command answers from the database, tests and simulations from tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from metaloom.approval.state import CaseState
from metaloom.model import Who


@dataclass(frozen=True)
class Candidates:
    """People found for a step, in order (it counts for ``heads`` and sequences); ``weights``: id → votes where not 1; ``why``: id → words."""

    ids: tuple[int, ...] = ()
    weights: Mapping[int, int] = field(default_factory=dict)
    why: Mapping[int, str] = field(default_factory=dict)


class Facts(Protocol):
    """All people are account ids. Nothing here writes; the same question asked twice during one move has the same answer."""

    def candidates(self, who: Sequence[Who], weights: Mapping[str, int], state: CaseState) -> Candidates:
        """Active accounts that ``who`` finds for the record (``chosen`` finds its pool); rights to read are asked apart."""
        ...

    def holds(self, expression: str, state: CaseState) -> bool | None:
        """The verdict of a condition over the record, ``case.*`` and ``output.<step>.<field>`` of ``state``; None where a value is missing."""
        ...

    def person(self, user_id: int) -> int:
        """The person behind an account: equal for two accounts of one human being."""
        ...

    def makers(self, fields: Sequence[str]) -> tuple[int, ...]:
        """The accounts that these fields of the record name; empty fields name nobody, and accounts that are switched off count."""
        ...

    def may_read(self, user_id: int) -> bool:
        """Whether the account may read the record by rights of its own."""
        ...

    def superior(self, user_id: int) -> int | None:
        """The head above the account."""
        ...

    def admins(self) -> tuple[int, ...]:
        """Accounts that administer approvals of this record."""
        ...

    def has_role(self, user_id: int, roles: Sequence[str]) -> bool:
        """Whether the account holds one of the roles for this record."""
        ...

    def substitute(self, user_id: int, at: datetime) -> int | None:
        """Who stands in for the account at that instant (代理), one hop."""
        ...

    def due(self, limit: str, at: datetime) -> datetime:
        """``at`` plus ``8 working_hours`` / ``2 working_days`` / ``3 hours`` / ``1 days``."""
        ...

    def moved(self, due: datetime, paused_at: datetime, woken_at: datetime) -> datetime:
        """``due`` later by the working time that the pause took."""
        ...

    def draw(self, ids: Sequence[int]) -> int:
        """One of ``ids``, at random (随机); the log keeps which."""
        ...

    def sub_record(self, on: str) -> int | None:
        """The id of the record at the link ``on`` (``self``: this record); None where the link is empty."""
        ...
