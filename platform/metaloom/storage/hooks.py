"""What happens after a transaction is committed, and only then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

import sqlalchemy as sa

log = logging.getLogger(__name__)
_waiting: WeakKeyDictionary[sa.Connection, list[Callable[[], object]]] = WeakKeyDictionary()


def after_commit(conn: sa.Connection, callback: Callable[[], object]) -> None:
    """Call ``callback`` once the running ``Tenant.write()`` has committed; never when it rolls back."""
    _waiting.setdefault(conn, []).append(callback)


def run(conn: sa.Connection) -> None:
    """Called by ``Tenant.write()``: the data is safe, so a callback that fails is logged and the others still run."""
    for callback in _waiting.pop(conn, ()):
        try:
            callback()
        except Exception:
            log.exception("a step after commit failed")


def forget(conn: sa.Connection) -> None:
    """Called when the transaction was rolled back."""
    _waiting.pop(conn, None)
