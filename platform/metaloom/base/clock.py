"""Time comes in from outside: nothing below ``app`` reads the machine's clock by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the present instant, in UTC and aware."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock; made once by ``app`` and the command line."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class FixedClock:
    """A clock that stands still until someone sets it (tests, demo data over simulated days)."""

    at: datetime

    def now(self) -> datetime:
        return self.at
