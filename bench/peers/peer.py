"""What every contender does: answer the questions of ``run.py`` line by line, and say what each answer took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

# Twelve columns of a list, eight of them fields that a form asks for.
COLUMNS = ("code", "title", "client", "kind", "amount", "paid", "open_amount", "late_days", "ends_on", "reviewer", "status", "created_at")
ASKED = ("code", "title", "client", "kind", "amount", "late_days", "ends_on", "place")


def serve(get: Callable[[str], tuple[int, int]], save: Callable[[int], int], sent: Callable[[], int]) -> None:
    """``get(address)`` → (status, bytes); ``save(number)`` posts the form of a new ticket → status; ``sent()``: statements since the last call."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        sent()
        wall, cpu, size = time.perf_counter(), time.process_time(), 0
        if "save" in asked:
            status = save(asked["save"])
        else:
            status, size = get(asked["get"])
        wall, cpu = (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000
        print(json.dumps({"status": status, "size": size, "wall": wall, "cpu": cpu, "statements": sent()}), flush=True)
