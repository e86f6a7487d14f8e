"""begin, decide, legal: the doors of the heart. (Signatures first; the bodies land with the next commits.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from metaloom.approval.event import Event, Move
from metaloom.approval.facts import Facts
from metaloom.approval.offer import Offer
from metaloom.approval.state import CaseState
from metaloom.model import ApprovalChain


def begin(chain: ApprovalChain, facts: Facts, initiator: int, at: datetime, *, digest: str = "",
          chosen: Mapping[str, Sequence[int]] | None = None) -> tuple[Event, ...]:
    """The first events of a case. NotPossible when nobody may decide and the chain forbids that, or a choice is missing."""
    raise NotImplementedError


def decide(chain: ApprovalChain, state: CaseState, move: Move, facts: Facts) -> tuple[Event, ...]:
    """The events that ``move`` makes. NotAllowed: this account never may; NotPossible: not now. ``chain_changed`` gets the new chain."""
    raise NotImplementedError


def legal(chain: ApprovalChain, state: CaseState, user_id: int, facts: Facts, at: datetime) -> tuple[Offer, ...]:
    """Everything the account may do now."""
    raise NotImplementedError
