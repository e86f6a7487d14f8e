"""gunicorn loads the application once and forks: every worker has connections, figures and a worker thread of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

import metaloom.app
from metaloom.app.login_tables import make_login_tables
from metaloom.compile import read_sources
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy
from metaloom.storage.outbox import put
from tests.databases import own_database

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """One gunicorn over two tenants with nothing but the engine's own pack."""

    def __init__(self, home: Path, url: str | None) -> None:
        environ = {"METALOOM_HOME": str(home), "METALOOM_DATABASE_URL": url or "", "METALOOM_REDIS_URL": "", "METALOOM_METADATA": str(ROOT / "metadata")}
        self.tenancy = Tenancy(Settings.from_env(environ))
        for name in ("one", "two"):
            made = self.tenancy.create(name, name, after_create=(make_login_tables,))
            publish(made, read_sources({"engine": ROOT / "metadata"}, ("platform",)))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "-c", "python:metaloom.app.gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{self.port}"]
        self.home, self.process = home, subprocess.Popen(command, env={**os.environ, **environ}, cwd=ROOT, stderr=subprocess.DEVNULL)

    def get(self, path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()

    def wait(self, wanted: Any, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if wanted():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError("not within the time")

    def workers(self) -> set[int]:
        found = set()
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                after = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(after[1]) == self.process.pid and after[0] != "Z":
                found.add(int(path.parent.name))
        return found


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = own_database(request.getfixturevalue("pg_url"), "preload") if request.param == "postgresql" else nullcontext(None)
    with database as url:
        made = Server(tmp_path_factory.mktemp("preload"), url)
        try:
            made.wait(lambda: made.get("/one/login/")[0] == 200)
            yield made
        finally:
            made.process.terminate()
            made.process.wait(30)
            made.tenancy.close()


def test_every_worker_answers_counts_for_itself_and_one_that_dies_is_replaced(server: Server) -> None:
    for _ in range(30):
        assert {server.get("/one/login/")[0], server.get("/two/login/")[0]} == {200}
    before = server.workers()
    assert len(before) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    server.wait(lambda: len(server.workers()) == 2 and victim not in server.workers())
    for _ in range(20):
        assert server.get("/one/login/")[0] == 200
    counted = [line for line in server.get("/metrics")[1].splitlines() if line.startswith("metaloom_requests_total") and "LoginView.login" in line]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) >= 80, "the figures of all workers, of the dead one too"


def test_the_worker_thread_of_the_forked_processes_works(server: Server) -> None:
    """A row of the outbox is carried out; the parent, which forked, has no such thread."""
    tenant = server.tenancy.open("one")
    tables = tenant.revision().tables
    with tenant.write() as conn:
        put(conn, tables, kind="job.run", payload={"run": 4711}, key="nothing to do")

    def done() -> bool:
        with tenant.read() as conn:
            return conn.scalar(sa.select(tables.engine.outbox.c.state).where(tables.engine.outbox.c.kind == "job.run")) == "done"

    server.wait(done, 30)


def test_nobody_waits_for_the_metadata_of_all_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the time before the fork does not suffice for is opened by the worker that is asked for it."""
    opened: list[str] = []
    clock = iter(range(100))
    monkeypatch.setattr(metaloom.app.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(metaloom.app, "WARM_SECONDS", 3.0)
    tenancy = SimpleNamespace(names=lambda: tuple("abcdef"), disconnect=lambda: opened.append("disconnected"),
                              open=lambda name: SimpleNamespace(revision=lambda: opened.append(name)))
    metaloom.app.warm(SimpleNamespace(extensions={"metaloom": SimpleNamespace(tenancy=tenancy)}))  # type: ignore[arg-type]
    assert opened == ["a", "b", "c", "disconnected"]
