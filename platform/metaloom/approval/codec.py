"""Chains and states as text: one canonical JSON, the same in every process, read back as equal values."""

from __future__ import annotations

from metaloom.approval.state import CaseState
from metaloom.base.codec import Codec, digest
from metaloom.model import ApprovalChain, ChainStep, CopyTo, Decide, Fork, SubChain, WaitFor

_CODEC = Codec({"decide": Decide, "fork": Fork, "sub": SubChain, "copy": CopyTo, "wait": WaitFor}, ChainStep)


def dumps(chain: ApprovalChain) -> str:
    """The canonical text of a chain; equal chains have equal texts."""
    return _CODEC.dumps(chain)


def loads(text: str) -> ApprovalChain:
    """The chain of a canonical text. ValueError when the text is none of a chain."""
    chain: ApprovalChain = _CODEC.loads(ApprovalChain, text)
    return chain


def dump_state(state: CaseState) -> str:
    """The canonical text of a case's state."""
    return _CODEC.dumps(state)


def load_state(text: str) -> CaseState:
    """The state of a canonical text; equal to the fold of the events it came from."""
    state: CaseState = _CODEC.loads(CaseState, text)
    return state


__all__ = ["digest", "dump_state", "dumps", "load_state", "loads"]
