"""NumberSeries: how human keys are made (M04)."""

from __future__ import annotations

from dataclasses import dataclass

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text


@dataclass(frozen=True)
class NumberSeries:
    """``pattern`` such as ``KH{yyyyMMdd}{seq:6}``. ``per``: the counter starts anew per company, year, month, day.

    ``mode`` gapless (the counter row is locked until commit) or fast (blocks of 50 taken in a transaction of their own).
    """

    address: str
    pattern: str
    per: tuple[str, ...] = ("company", "day")
    mode: str = "gapless"
    label: Text | None = None
    position: Position = NOWHERE
