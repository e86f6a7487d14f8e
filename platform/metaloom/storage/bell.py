"""The bell: says that a tenant's outbox may hold work. Losing a ring loses nothing, a sweeper looks anyway (decision 8)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Lock

log = logging.getLogger(__name__)

Ringer = Callable[[str], object]

local = Event()
_rung: set[str] = set()
_lock = Lock()
_ringers: list[Ringer] = []


def ring(tenant_name: str) -> None:
    """Call after commit. Never raises: a bell that is out of order must not fail a change that is already safe."""
    with _lock:
        _rung.add(tenant_name)
    local.set()
    for ringer in tuple(_ringers):
        try:
            ringer(tenant_name)
        except Exception as error:
            log.warning("the bell of %s is out of order: %s", tenant_name, error)


def taken() -> frozenset[str]:
    """The tenants that rang in this process since the last call."""
    with _lock:
        found = frozenset(_rung)
        _rung.clear()
        local.clear()
    return found


def also(ringer: Ringer) -> Callable[[], None]:
    """Ring ``ringer`` too (a queue on other machines); the answer takes it away again."""
    _ringers.append(ringer)
    return lambda: _ringers.remove(ringer) if ringer in _ringers else None
