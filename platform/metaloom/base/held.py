"""Locks of the operating system on files: they end with their holder, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path


def is_held(path: Path) -> bool:
    """Whether a living process holds the exclusive lock on the file; it is looked at, not waited for. OSError where there is no file."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
