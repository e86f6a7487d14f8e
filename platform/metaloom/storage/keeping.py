"""A tenant that one process keeps to itself: its workers stay away while a history is played in simulated time.

What the workers of a server did meanwhile would carry the real date into a story of other days. The lock is one of the operating
system on a file, so it ends with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaloom.base.errors import Conflict
from metaloom.base.held import is_held
from metaloom.base.messages import message, register
from metaloom.storage.settings import Settings

PATIENCE_SECONDS = 5.0
"""A look at the lock takes it for an instant; a holder is somebody who has it longer than this."""

register({
    "tenant.kept": ("租户“{name}”正由另一个进程独占处理，请稍后再试。", "Another process keeps the tenant “{name}” to itself; try again later."),
})


@contextmanager
def keeping(settings: Settings, name: str) -> Iterator[None]:
    """No worker of another process on this machine begins anything for the tenant inside. Conflict when another process does the same."""
    path = _file(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    give_up = time.monotonic() + PATIENCE_SECONDS
    with open(path, "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise Conflict(message("tenant.kept", name=name)) from None
                time.sleep(0.05)
        yield


def is_kept(settings: Settings, name: str) -> bool:
    """Whether a process keeps the tenant to itself."""
    path = _file(settings, name)
    return path.exists() and is_held(path)


def _file(settings: Settings, name: str) -> Path:
    return settings.home / "kept" / f"{name}.lock"
