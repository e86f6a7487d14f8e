"""Redis is only a bell: with it workers start at once, without it nothing is lost."""

import threading
import time
from dataclasses import replace

import pytest
import redis
import rq
from rq.serializers import JSONSerializer

from metaloom.job.redis_queue import queue_name, ring_through, work
from metaloom.plugin.registry import Registry
from metaloom.storage import Tenancy, after_commit, bell
from metaloom.storage.outbox import put
from metaloom.worker import process
from tests.job.test_outbox import _Tables, add, states

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def ringing(settings, redis_url):
    """An installation with Redis."""
    tenancy = Tenancy(replace(settings, redis_url=redis_url))
    yield tenancy
    tenancy.close()


def working(tenancy, handlers, sweep_seconds, **more):
    stopping = threading.Event()
    thread = threading.Thread(target=work, args=(tenancy, handlers), kwargs={"stopping": stopping, "sweep_seconds": sweep_seconds, **more})
    thread.start()
    return stopping, thread


def change(tenant, key):
    with tenant.write() as conn:
        put(conn, _Tables, kind="note", payload={}, key=key)
        after_commit(conn, lambda: bell.ring(tenant.name))


def until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_the_bell_reaches_a_worker_through_redis(ringing):
    tenant = ringing.create("ringing", "x")
    seen = []
    stopping, thread = working(ringing, {"note": lambda _, row: seen.append(row.key)}, sweep_seconds=60)
    silence = ring_through(ringing.settings)
    bell_local, bell.local = bell.local, threading.Event()      # as if the change came from another process
    try:
        time.sleep(1.5)
        change(tenant, "a")
        assert until(lambda: seen == ["a"], 10), "the queued job did not drain the outbox"
        change(tenant, "b")
        assert until(lambda: seen == ["a", "b"], 10)
    finally:
        bell.local = bell_local
        silence()
        stopping.set()
        bell.local.set()
        thread.join(10)
    assert states(tenant) == {"done": 2}


def test_what_is_slow_is_not_done_in_the_queued_job_and_stops_nothing_else(ringing):
    """A queued job is ended after ten minutes, and while it runs no other ring is answered."""
    tenant = ringing.create("ringing", "x")
    seen, go_on = [], threading.Event()

    def long(_, row):
        seen.append((row.key, threading.current_thread().name))
        assert go_on.wait(30)

    handlers = {"note": lambda _, row: seen.append((row.key, threading.current_thread().name)), "long": long}
    with tenant.write() as conn:
        put(conn, _Tables, kind="long", payload={}, key="file")
    stopping, thread = working(ringing, handlers, 60, slow=("long",))
    silence = ring_through(ringing.settings)
    bell_local = bell.local
    try:
        assert until(lambda: seen, 10) and seen == [("file", "metaloom-slow-worker")]
        time.sleep(1.0)
        bell.local = threading.Event()                          # as if the changes came from another process
        change(tenant, "a")
        assert until(lambda: len(seen) == 2, 10) and seen[1] == ("a", "metaloom-bell")
        with tenant.write() as conn:
            put(conn, _Tables, kind="long", payload={}, key="another")
        change(tenant, "b")
        assert until(lambda: len(seen) == 3, 10) and seen[2][0] == "b", "the ring answered what is quick alone"
    finally:
        bell.local = bell_local
        silence()
        go_on.set()
        stopping.set()
        bell.local.set()
        thread.join(10)


def test_a_worker_process_leaves_exports_to_a_thread_of_their_own(monkeypatch, ringing):
    given = {}
    monkeypatch.setattr(process, "work_with_bell", lambda tenancy, handlers, **more: given.update(more, handlers=handlers))
    process.work(ringing, Registry(()), stopping=threading.Event())
    assert "export.run" in given["slow"] and set(given["slow"]) <= set(given["handlers"])


def test_many_rings_are_one_waiting_job_that_carries_only_the_tenant(ringing, redis_url):
    tenant = ringing.create("ringing", "x")
    silence = ring_through(ringing.settings)
    try:
        for number in range(20):
            change(tenant, f"row {number}")
    finally:
        silence()
    connection = redis.Redis.from_url(redis_url)
    queue = rq.Queue(queue_name(ringing.settings), connection=connection, serializer=JSONSerializer)
    assert [(job.func_name, job.args) for job in queue.jobs] == [("metaloom.job.redis_queue.drain", ["ringing"])]
    queue.delete(delete_jobs=True)


def test_what_redis_lost_is_found_by_the_sweeper(ringing, redis_url):
    tenant = ringing.create("ringing", "x")
    add(tenant, 3)
    redis.Redis.from_url(redis_url).flushdb()
    seen = []
    stopping, thread = working(ringing, {"note": lambda _, row: seen.append(row.key)}, sweep_seconds=0.2)
    try:
        assert until(lambda: len(seen) == 3, 10)
    finally:
        stopping.set()
        thread.join(10)


def test_changes_succeed_quickly_while_redis_is_away(settings):
    tenancy = Tenancy(replace(settings, redis_url="redis://127.0.0.1:1/0"))
    tenant = tenancy.create("lonely", "x")
    silence = ring_through(tenancy.settings)
    begun = time.monotonic()
    try:
        for number in range(5):
            change(tenant, f"row {number}")
    finally:
        silence()
    assert time.monotonic() - begun < 3
    seen = []
    stopping, thread = working(tenancy, {"note": lambda _, row: seen.append(row.key)}, sweep_seconds=0.2)
    try:
        assert until(lambda: len(seen) == 5, 10)
    finally:
        stopping.set()
        thread.join(10)
    tenancy.close()


def test_a_foreign_job_in_the_queue_is_refused(ringing, redis_url, tmp_path):
    ringing.create("ringing", "x")
    queue = rq.Queue(queue_name(ringing.settings), connection=redis.Redis.from_url(redis_url), serializer=JSONSerializer)
    queue.enqueue("os.mkdir", str(tmp_path / "made"))
    stopping, thread = working(ringing, {}, sweep_seconds=60)
    try:
        assert until(lambda: queue.count == 0, 10)
        time.sleep(0.5)
    finally:
        stopping.set()
        bell.local.set()
        thread.join(10)
    assert not (tmp_path / "made").exists()
