"""The embedded worker: a thread that drains the outboxes of all tenants, and one beside it for what takes long. Woken by the bell, else
every second."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
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
    """``start`` and ``stop``; daemon threads, so a process that ends does not wait for them (leases take care of the rest).

    ``chores`` runs about once a minute (sealing, sweeping), ``schedule`` every few seconds (jobs that are due). ``slow``: kinds of rows that
    a second thread does, so that messages and approvals do not wait behind them; without one, one thread does everything.
    """

    def __init__(
        self, tenancy: Tenancy, handlers: Mapping[str, Handler], *, poll_seconds: float = POLL_SECONDS,
        stopping: Event | None = None, chores: Callable[[Tenancy], object] | None = None, chore_rounds: int = 60,
        schedule: Callable[[Tenancy], object] | None = None, schedule_seconds: float = SCHEDULE_SECONDS, slow: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._tenancy = tenancy
        self._handlers = {kind: handler for kind, handler in handlers.items() if kind not in slow}
        self._slow = {kind: handler for kind, handler in handlers.items() if kind in slow}
        self._poll_seconds = poll_seconds
        self._stopping = stopping or Event()
        self._chores, self._chore_rounds = chores, chore_rounds
        self._schedule, self._schedule_seconds, self._looked_at = schedule, schedule_seconds, float("-inf")
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Begin draining; a second call does nothing."""
        if not any(thread.is_alive() for thread in self._threads):
            self._threads = [Thread(target=self._loop, name="metaloom-worker", daemon=True)]
            if self._slow:
                self._threads.append(Thread(target=self._slow_loop, name="metaloom-slow-worker", daemon=True))
            for thread in self._threads:
                thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Finish the row at hand and end."""
        self._stopping.set()
        bell.local.set()
        until = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))

    def round(self) -> int:
        """Drain every tenant that has something due; how many rows were run. What is slow is left to its own thread."""
        return self._drain(self._handlers)

    def _drain(self, handlers: Mapping[str, Handler]) -> int:
        done = 0
        for name in due_tenants(self._tenancy, tuple(handlers) if self._slow else None):
            if self._stopping.is_set():
                break
            with apart(name, "outbox rows"):
                done += run_due(self._tenancy.open(name), handlers, limit=100, stopping=self._stopping.is_set)
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

    def _slow_loop(self) -> None:
        while not self._stopping.is_set():
            done = 0
            try:
                done = self._drain(self._slow)
            except Exception:
                log.exception("the worker goes on after an error")
            if not done:
                self._stopping.wait(self._poll_seconds)
