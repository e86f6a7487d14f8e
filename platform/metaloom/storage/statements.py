"""How many statements this thread has sent to databases, for log lines and metrics."""

from __future__ import annotations

from threading import local
from typing import Any

import sqlalchemy as sa

_mine = local()


def sent() -> int:
    """How many this thread sent since it began."""
    return getattr(_mine, "count", 0)


def _one_more(*_: Any) -> None:
    _mine.count = getattr(_mine, "count", 0) + 1


def watch() -> None:
    """Count from now on, on every engine; a second call does nothing."""
    if not sa.event.contains(sa.engine.Engine, "before_cursor_execute", _one_more):
        sa.event.listen(sa.engine.Engine, "before_cursor_execute", _one_more)
