"""RQ as the bell between machines: a queued job says only "tenant X may have work"; the outbox decides.

Redis may lose, repeat or delay its jobs, or be away: a change is safe before the bell is rung, and every worker process
looks into the outboxes by itself as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from threading import Event, Lock, Thread
from time import monotonic

import redis
import rq
from rq.exceptions import DequeueTimeout, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.worker import WorkerStatus

from metaloom.job.embedded import EmbeddedWorker
from metaloom.job.outbox import Handler
from metaloom.job.run import run_due
from metaloom.storage import apart, bell
from metaloom.storage.settings import Settings
from metaloom.storage.tenancy import Tenancy

log = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
_TIMEOUT_SECONDS, _REST_SECONDS = 0.5, 5.0
_JOB_SECONDS = 600
_TURN_SECONDS = 1
_ANSWER_SECONDS = 3
"""A Redis that takes longer to answer is one that is away."""
STOP_SECONDS = 60.0


def queue_name(settings: Settings) -> str:
    """Installations that share a Redis do not share a queue."""
    place = settings.database_url or str(settings.home)
    return f"metaloom-{sha256(place.encode()).hexdigest()[:12]}"


class Ringer:
    """Rings through Redis; while Redis is away it rests for some seconds instead of making every change wait."""

    def __init__(self, settings: Settings) -> None:
        assert settings.redis_url
        self._redis = redis.Redis.from_url(
            settings.redis_url, socket_connect_timeout=_TIMEOUT_SECONDS, socket_timeout=_TIMEOUT_SECONDS
        )
        self._queue = rq.Queue(queue_name(settings), connection=self._redis, serializer=JSONSerializer)
        self._silent_until = 0.0
        self._lock = Lock()

    def __call__(self, tenant: str) -> None:
        if monotonic() < self._silent_until:
            return
        try:
            # One waiting job per tenant is enough: it drains everything that is due when it runs.
            if self._redis.set(_waiting(self._queue.name, tenant), 1, nx=True, ex=30):
                self._queue.enqueue(
                    "metaloom.job.redis_queue.drain", tenant, job_timeout=_JOB_SECONDS, result_ttl=0, failure_ttl=3600
                )
        except redis.RedisError:
            with self._lock:
                self._silent_until = monotonic() + _REST_SECONDS
            raise


def _waiting(queue: str, tenant: str) -> str:
    return f"{queue}:{tenant}:waiting"


def ring_through(settings: Settings) -> Callable[[], None]:
    """Let ``bell.ring`` reach the workers of other processes; the answer undoes it. Without Redis it does nothing."""
    return bell.also(Ringer(settings)) if settings.redis_url else lambda: None


_here: dict[str, object] = {}


def drain(tenant: str) -> int:
    """The queued job: run what is due in the tenant. Works only inside ``work``."""
    tenancy, handlers, queue, connection = _here["tenancy"], _here["handlers"], _here["queue"], _here["connection"]
    connection.delete(_waiting(str(queue), tenant))  # type: ignore[attr-defined]
    if tenancy.is_kept(tenant):  # type: ignore[attr-defined]
        return 0
    with apart(tenant, "outbox rows"):
        return run_due(tenancy.open(tenant), handlers, stopping=_here["stopping"].is_set)  # type: ignore[attr-defined, arg-type]
    return 0


class _Worker(rq.SimpleWorker):
    """Runs jobs in this process, where catalogs are compiled and connections are open already."""

    death_penalty_class = TimerDeathPenalty      # the other one needs the main thread
    connection_timeout = _ANSWER_SECONDS
    stopping: Event

    def _install_signal_handlers(self) -> None:
        """The process has its own."""

    def subscribe(self) -> None:
        """Nobody steers a worker through Redis; the thread that would listen there outlives each absence of Redis."""

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> tuple[Job, rq.Queue] | None:
        """Waits in short turns, so that a worker that is to stop leaves the queue as one that is gone. When Redis goes away this worker ends;
        rq would try again for ever, up to a minute apart, whatever the process is told meanwhile."""
        self.set_state(WorkerStatus.IDLE)
        while not self.stopping.is_set():
            try:
                if (found := self._turn()) is not None:
                    return found
            except (redis.ConnectionError, redis.TimeoutError) as away:
                raise StopRequested from away
        return None

    def _turn(self) -> tuple[Job, rq.Queue] | None:
        self.heartbeat()
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()
        try:
            found = self.queue_class.dequeue_any(self.queues, _TURN_SECONDS, connection=self.connection, job_class=self.job_class,
                                                 serializer=self.serializer, death_penalty_class=self.death_penalty_class)
        except DequeueTimeout:
            return None
        if found is not None:
            found[0].redis_server_version = self.get_redis_server_version()
        return found

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        if job.func_name != "metaloom.job.redis_queue.drain":
            log.error("refused a foreign job: %s", job.func_name)
            job.delete()
            return
        super().execute_job(job, queue)


def work(tenancy: Tenancy, handlers: Mapping[str, Handler], *, stopping: Event, sweep_seconds: float = SWEEP_SECONDS,
         chores: Callable[[Tenancy], object] | None = None, schedule: Callable[[Tenancy], object] | None = None,
         slow: Collection[str] = ()) -> None:
    """A worker process until ``stopping`` is set: answers the bell, sweeps every few seconds, lives on when Redis does not.

    When it stops, the row at hand is finished (a run of a job after its record), rows that were claimed and not begun are given
    back, and Redis forgets the worker. What takes longer than ``STOP_SECONDS`` is left to its lease. ``slow``: kinds of rows that a thread of
    their own finds in the outbox; no queued job does them, which would be ended after ``_JOB_SECONDS``.
    """
    settings = tenancy.settings
    sweeper = EmbeddedWorker(tenancy, handlers, poll_seconds=sweep_seconds, stopping=stopping, chores=chores,
                             chore_rounds=max(1, int(60 / sweep_seconds)), schedule=schedule, slow=slow)  # fmt: skip
    sweeper.start()
    quick = {kind: handler for kind, handler in handlers.items() if kind not in slow}
    answering = Thread(target=_answer_bell, args=(tenancy, quick, settings, stopping), name="metaloom-bell", daemon=True)
    if settings.redis_url:
        answering.start()
    while not stopping.wait(1.0):
        pass
    sweeper.stop(STOP_SECONDS)
    if settings.redis_url:
        answering.join(STOP_SECONDS)


def _answer_bell(tenancy: Tenancy, handlers: Mapping[str, Handler], settings: Settings, stopping: Event) -> None:
    connection = redis.Redis.from_url(str(settings.redis_url), socket_connect_timeout=_TIMEOUT_SECONDS, socket_timeout=_ANSWER_SECONDS)
    _here.update(tenancy=tenancy, handlers=handlers, queue=queue_name(settings), connection=connection, stopping=stopping)
    while not stopping.is_set():
        try:
            queue = rq.Queue(queue_name(settings), connection=connection, serializer=JSONSerializer)
            worker = _Worker([queue], connection=connection, serializer=JSONSerializer)
            worker.stopping = stopping
            worker.work(burst=False, with_scheduler=False, logging_level="WARNING")
        except (redis.RedisError, OSError) as error:
            log.warning("Redis is away, the outboxes are swept every few seconds meanwhile: %s", error)
        stopping.wait(_REST_SECONDS)
