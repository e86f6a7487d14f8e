"""Named places where a test may look, fail or let the process die (pattern P11). Inert unless METALOOM_CRASH_POINT names one or a test watches.

``tests/storm`` walks through each path that moves money or changes tables, and holds that every place here is come by.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

POINTS = (
    "write.begun", "write.worked", "write.logged", "write.before_commit", "write.after_commit",
    "record.stored", "ledger.posted", "outbox.put", "outbox.claimed", "outbox.handled", "outbox.finished",
    "approval.decided", "approval.logged", "approval.stored",
    "schedule.before_runs", "schedule.before_commit", "run.after_begin", "run.after_step_begin", "run.before_record", "run.after_record",
    "run.before_end",
    "mass.after_begin", "mass.after_take", "mass.after_lock", "mass.after_write", "mass.after_post", "mass.before_commit", "mass.after_part",
    "process.claimed", "process.acted", "process.asking", "process.answered", "process.stored",
    "call.after_claim", "call.after_send", "call.before_result", "call.after_result",
    "notice.read", "notice.taken",
    "publish.opened", "publish.expanded", "publish.indexed", "publish.backfilled", "publish.validated", "publish.swapping", "publish.swapped",
    "publish.tidied",
    "import.tried", "import.noted", "import.begun", "import.part_tried", "import.part_noted", "import.part_kept", "import.ended",
    "export.begun", "export.written", "export.noted",
)

WATCHERS: list[Callable[[str], None]] = []
"""Told of every place that is come by; for tests."""


def crash_point(name: str) -> None:
    """Dies with SIGKILL when the environment names this point; ``name@file`` dies once: the file is made on the way."""
    for watcher in WATCHERS:
        watcher(name)
    wanted = os.environ.get("METALOOM_CRASH_POINT", "")
    if not wanted:
        return
    point, _, once = wanted.partition("@")
    if point != name or (once and os.path.exists(once)):
        return
    if once:
        with open(once, "x"):
            pass
    os.kill(os.getpid(), signal.SIGKILL)
