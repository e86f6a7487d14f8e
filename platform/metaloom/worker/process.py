"""The two shapes of a worker: a thread inside the web process (no Redis), or processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from socket import gethostname
from threading import Event
from time import monotonic

from metaloom import audit, command, ledger
from metaloom.base import metrics
from metaloom.base.clock import Clock, SystemClock
from metaloom.job import EmbeddedWorker
from metaloom.job.redis_queue import ring_through
from metaloom.job.redis_queue import work as work_with_bell
from metaloom.plugin.registry import Registry
from metaloom.storage import Settings, Tenancy, Tenant, apart, statements
from metaloom.worker.handlers import handlers

SEAL_SECONDS = 20.0
"""So long sealing may go on at a time; what is left waits for the next minute."""
SLOW = ("export.run", "import.run")
"""Kinds of work that take minutes at a stretch: every worker does them in a thread of their own."""
SEAL_BATCH, SEAL_BATCH_SQLITE = 5_000, 1_000


def start_embedded(
    settings: Settings, tenancy: Tenancy, registry: Registry, *, stopping: Event | None = None, clock: Clock | None = None
) -> EmbeddedWorker:
    """Drain the outboxes of all tenants in a thread of this process, until ``stopping`` is set."""
    given = clock or SystemClock()
    worker = EmbeddedWorker(tenancy, handlers(registry, given), stopping=stopping, chores=partial(chores, registry=registry, clock=clock),
                            schedule=scheduler(registry, given), slow=SLOW)
    worker.start()
    return worker


def work(tenancy: Tenancy, registry: Registry, *, stopping: Event, clock: Clock | None = None) -> None:
    """A worker process: returns when ``stopping`` is set. What it does may ring other workers, too."""
    metrics.share(tenancy.settings.home / "metrics" / gethostname())
    statements.watch()
    silence = ring_through(tenancy.settings)
    try:
        given = clock or SystemClock()
        work_with_bell(tenancy, handlers(registry, given), stopping=stopping, chores=partial(chores, registry=registry, clock=clock),
                       schedule=scheduler(registry, given), slow=SLOW)
    finally:
        silence()


def scheduler(registry: Registry, clock: Clock) -> Callable[[Tenancy], None]:
    """Looks through all tenants for jobs that are due."""

    def look(tenancy: Tenancy) -> None:
        for name in tenancy.names_to_work():
            with apart(name, "jobs"):
                command.schedule_jobs(tenancy.open(name), plugins=registry, clock=clock)

    return look


def chores(tenancy: Tenancy, registry: Registry | None = None, clock: Clock | None = None) -> None:
    """Once a minute: seal new audit rows and ledger entries, forget uploads that no record took and exports whose time is over, collect
    receipts and answers to messages."""
    for name in tenancy.names_to_work():
        with apart(name, "chores"):
            _chores_of(tenancy.open(name), clock or SystemClock())
            command.collect_messages(tenancy.open(name), plugins=registry, clock=clock)


def _chores_of(tenant: Tenant, clock: Clock) -> None:
    for seal in (audit.seal, ledger.seal):
        seal_waiting(tenant, seal)
    with tenant.write() as conn:
        tenant.files.sweep(conn)
    command.sweep_imports(tenant, clock)
    command.sweep_exports(tenant, clock)


def seal_waiting(tenant: Tenant, seal: Callable[..., int], seconds: float = SEAL_SECONDS) -> int:
    """Seals what waits, batch after batch, each in a transaction of its own, until nothing waits or the time is over; how many."""
    tables, sealed, until = tenant.revision().tables, 0, monotonic() + seconds
    batch = SEAL_BATCH if tenant.revision().dialect == "postgresql" else SEAL_BATCH_SQLITE
    while True:
        with tenant.write() as conn:
            made = seal(conn, tables, limit=batch)
        sealed += made
        if made < batch or monotonic() >= until:
            return sealed
