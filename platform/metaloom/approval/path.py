"""The way of a case as a tree: what a diagram draws."""

from __future__ import annotations

from dataclasses import dataclass

from metaloom.approval.state import CaseState
from metaloom.base.text import Text
from metaloom.model import ApprovalChain


@dataclass(frozen=True)
class Node:
    """``kind``: decide branch parallel inclusive sub copy wait, or ``way`` for a branch. ``status``: done | now | ahead | skipped.

    ``who``: accounts that have it now, or that decided; ``since``: ISO instant of entering; ``outcome``: pass, reject, return, ….
    """

    name: str
    kind: str
    label: Text
    status: str
    who: tuple[int, ...] = ()
    since: str = ""
    until: str = ""
    outcome: str = ""
    why: str = ""
    children: tuple[Node, ...] = ()


def path(chain: ApprovalChain, state: CaseState) -> tuple[Node, ...]:
    """The steps of the chain in order, forks with their ways below them."""
    raise NotImplementedError
