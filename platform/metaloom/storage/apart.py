"""What goes wrong for one tenant stays with that tenant: the others are served, and the log says each cause once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from metaloom.base.errors import MetaloomError

log = logging.getLogger(__name__)

_said: dict[tuple[str, str], str] = {}
_lock = Lock()


@contextmanager
def apart(tenant: str, work: str) -> Iterator[None]:
    """Whatever fails inside is logged and ends there. ``work``: what waits for the tenant meanwhile, as the log calls it.

    The same cause is logged once, till the work went well again: a worker looks every second. What nobody expected comes with its trace.
    """
    try:
        yield
    except Exception as error:
        root = error.__cause__ or error
        cause = f"{type(root).__name__}: {str(root).partition(chr(10))[0]}"
        with _lock:
            known, _said[tenant, work] = _said.get((tenant, work)) == cause, cause
        if not known:
            log.warning("%s of tenant %s wait: %s", work, tenant, cause, exc_info=None if isinstance(error, MetaloomError) else error)
    else:
        with _lock:
            again = _said.pop((tenant, work), None)
        if again is not None:
            log.warning("%s of tenant %s go on", work, tenant)
