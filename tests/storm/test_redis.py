"""Redis is killed, comes back empty and is flushed while work goes on: nothing is lost, nothing is done twice, all is done within a minute (F14, G18)."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from metaloom.job.redis_queue import ring_through, work
from metaloom.storage import Settings, Tenancy, after_commit, bell
from metaloom.storage.outbox import put
from tests.job.test_outbox import _Tables
from tests.redis_server import RedisServer
from tests.storm.child import Child

ROWS = 160
WITHIN_SECONDS = 60


def until(condition: Callable[[], Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as made:
        yield made


@pytest.mark.parametrize("sweep_seconds", [1.0, pytest.param(None, marks=pytest.mark.nightly)])
def test_redis_killed_emptied_and_flushed_amid_work(server: RedisServer, tmp_path: Path, sweep_seconds: float | None) -> None:
    settings = Settings.from_env({"METALOOM_HOME": str(tmp_path / "home"), "METALOOM_REDIS_URL": server.url})
    tenancy = Tenancy(settings)
    tenant, told = tenancy.create("ringing", "x"), tmp_path / "told"

    def note(_: Any, row: Any) -> None:
        with os.fdopen(os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "w") as door:
            door.write(f"{row.key}\n")

    def worker() -> None:
        own = Tenancy(settings)
        work(own, {"note": note}, stopping=threading.Event(), **({"sweep_seconds": sweep_seconds} if sweep_seconds else {}))

    tenancy.close()
    workers = [Child(worker) for _ in range(2)]
    tenancy = Tenancy(settings)
    tenant = tenancy.open("ringing")
    silence = ring_through(settings)
    what = {40: server.kill, 80: server.start, 120: lambda: redis.Redis.from_url(server.url).flushall()}
    try:
        for number in range(ROWS):
            what.get(number, lambda: None)()
            with tenant.write() as conn:
                put(conn, _Tables, kind="note", payload={}, key=f"row {number}")
                after_commit(conn, lambda: bell.ring("ringing"))
        begun = time.monotonic()
        assert until(lambda: told.exists() and len(set(told.read_text().splitlines())) == ROWS, WITHIN_SECONDS)
        print(f"all {ROWS} were done {time.monotonic() - begun:.1f} s after the last was written")
    finally:
        silence()
        for one in workers:
            one.stop()
        tenancy.close()
    counted = Counter(told.read_text().splitlines())
    assert len(counted) == ROWS and set(counted.values()) == {1}, counted.most_common(3)
