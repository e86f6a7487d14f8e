"""Offer: one thing an account may do with a case now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Offer:
    """``kind`` of the move, ``task`` it needs (None: the case as a whole), ``targets``: step names where the move goes somewhere."""

    kind: str
    task: int | None = None
    targets: tuple[str, ...] = ()
