"""The collector of reference cycles, set for a process that holds catalogs."""

from __future__ import annotations

import gc

ALLOCATIONS = (50_000, 20, 20)


def settle() -> None:
    """What is there now stays: the collector looks at it no more, so pages shared with forked processes are not copied."""
    gc.collect()
    gc.freeze()


def calm() -> None:
    """Have the collector look less often than Python's default of every 700 allocations.

    Compiling a catalog makes a million objects that all stay: looking at them again and again took half of that time
    (0.42 s against 0.21 s for eighty entities). Reference counts free the garbage of a request; cycles wait a little longer.
    For entry points only: whoever embeds the engine keeps the choice.
    """
    gc.set_threshold(*ALLOCATIONS)
