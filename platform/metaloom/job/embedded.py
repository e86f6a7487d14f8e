"""The embedded worker: one thread per process that drains the outboxes of all tenants. Woken by the bell, else every second."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Event, Thread
from time import monotonic

from metaloom.job.outbox import Handler, due_tenants
from metaloom.job.run import run_due
from metaloom.storage import apart, bell
from metaloom.storage.tenancy import Tenancy

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
SCHEDULE_SECONDS = 5.0


class EmbeddedWorker:
    """``start`` and ``stop``; a daemon thread, so a process that ends does not wait for it (leases take care of the rest).

    ``chores`` runs about once a minute (sealing, sweeping), ``schedule`` every few seconds (jobs that are due).
    """

    def __init__(
        self, tenancy: Tenancy, handlers: Mapping[str, Handler], *, poll_seconds: float = POLL_SECONDS,
        stopping: Event | None = None, chores: Callable[[Tenancy], object] | None = None, chore_rounds: int = 60,
        schedule: Callable[[Tenancy], object] | None = None, schedule_seconds: float = SCHEDULE_SECONDS,
    ) -> None:  # fmt: skip
        self._tenancy, self._handlers = tenancy, handlers
        self._poll_seconds = poll_seconds
        self._stopping = stopping or Event()
        self._chores, self._chore_rounds = chores, chore_rounds
        self._schedule, self._schedule_seconds, self._looked_at = schedule, schedule_seconds, float("-inf")
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin draining; a second call does nothing."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._loop, name="metaloom-worker", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Finish the row at hand and end."""
        self._stopping.set()
        bell.local.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def round(self) -> int:
        """Drain every tenant that has something due; how many rows were run."""
        done = 0
        for name in due_tenants(self._tenancy):
            if self._stopping.is_set():
                break
            with apart(name, "outbox rows"):
                done += run_due(self._tenancy.open(name), self._handlers, limit=100, stopping=self._stopping.is_set)
        return done

    def look(self) -> None:
        """Make the runs of jobs that are due, unless that was done a moment ago."""
        if self._schedule is not None and monotonic() - self._looked_at >= self._schedule_seconds:
            self._looked_at = monotonic()
            self._schedule(self._tenancy)

    def _loop(self) -> None:
        rounds = 0
        while not self._stopping.is_set():
            bell.taken()
            done = 0
            try:
                self.look()
                done = self.round()
                if self._chores is not None and rounds % self._chore_rounds == 0:
                    self._chores(self._tenancy)
            except Exception:
                log.exception("the worker goes on after an error")
            rounds += 1
            if not done:
                bell.local.wait(self._poll_seconds)
