"""Fixtures of general use. A room's own fixtures live in tests/<room>/conftest.py.

Services are asked for by fixture (`pg_url`, `redis_url`, `chromium`). Where one is missing the test is skipped, and
under METALOOM_REQUIRE_SERVICES=1 (as .ci/run sets it) every skip is a failure.
"""

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from metaloom.base import heap

REQUIRED = os.environ.get("METALOOM_REQUIRE_SERVICES") == "1"
PG_URLS = (
    os.environ.get("METALOOM_TEST_DATABASE_URL", ""),
    "postgresql+psycopg://root@127.0.0.1:5432/postgres",
    "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
)
REDIS_URL = os.environ.get("METALOOM_TEST_REDIS_URL", "redis://127.0.0.1:6379")
# The first of them that is there. The shell is the same browser without windows of its own: a third of the processor time.
CHROMIUM = (os.environ.get("METALOOM_TEST_CHROMIUM", ""), "chromium-headless-shell", "chromium")
CHROMIUM_ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Modules that take minutes. They begin first, so that no process is left alone with one of them at the end of a run
# (`make test` hands out modules in the order of collection).
LONG = (
    "tests/tenants/", "tests/generic/test_scope.py", "tests/command/test_approval_fire.py", "tests/job/test_jobs_crash.py",
    "tests/storm/", "tests/command/test_process_crash.py", "tests/journeys/", "tests/job/test_workers.py", "tests/generic/",
    "tests/workshop/", "tests/plugins/loan_demo/",
)  # fmt: skip


def pytest_configure() -> None:
    heap.calm()  # as every entry point of the product does


# The spelling of a set follows the hash seed of the process, an address is another one each time: processes that share the tests out would not agree on
# their names, and nothing runs.
UNSTEADY = re.compile(r"\{'[^':{}]*', '| at 0x[0-9a-f]{6,}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    unsteady = [item.nodeid for item in items if UNSTEADY.search(item.nodeid)]
    if unsteady:
        raise pytest.UsageError(f"tests whose names differ from process to process: {unsteady}")
    places = {prefix: place for place, prefix in enumerate(LONG)}
    items.sort(key=lambda item: next((place for prefix, place in places.items() if item.nodeid.startswith(prefix)), len(LONG)))


def require(service: str, available: bool) -> None:
    """Skip the running test when `service` is missing."""
    if not available:
        pytest.skip(f"{service} is missing")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    return _without_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    return _without_skip(report)


def _without_skip(report: Any) -> Any:
    """Where all services are promised, a skipped test is a test that did not do its work."""
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under METALOOM_REQUIRE_SERVICES=1: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def without_cost() -> None:
    """Passwords hashed in no time and commits that do not wait for the disk: a test that dies never takes the machine with it.

    An eighth of the suite's processor time went into hashes of one password. `tests/security/test_costs.py` holds that the product
    itself, in a process without these lines, saves neither.
    """
    from metaloom.command import password
    from metaloom.storage import sqlite

    password.COST = 2**8
    sqlite.SYNCHRONOUS = "OFF"


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0 for a run in one process, 1, 2 … for the processes of `pytest -n`."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "")
    return int(worker.removeprefix("gw")) + 1 if worker else 0


@pytest.fixture(scope="session")
def pg_url(worker_number: int) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database of this process; dropped at the end."""
    import sqlalchemy as sa

    server = _first_answering(PG_URLS)
    require("PostgreSQL", server is not None)
    name = f"metaloom_test_{os.getpid()}_{worker_number}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def _first_answering(urls: tuple[str, ...]) -> str | None:
    import sqlalchemy as sa

    for url in filter(None, urls):
        try:
            sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 3}).connect().close()
        except sa.exc.OperationalError:
            continue
        return url
    return None


@pytest.fixture(scope="session")
def redis_url(worker_number: int) -> Iterator[str]:
    """The URL of an emptied Redis database of this process (numbers 8 to 15 are kept for tests)."""
    import redis

    client = redis.Redis.from_url(REDIS_URL, db=8 + worker_number % 8, socket_connect_timeout=3)
    try:
        client.flushdb()
    except redis.ConnectionError:
        require("Redis", False)
    yield f"{REDIS_URL.rstrip('/')}/{8 + worker_number % 8}"
    client.flushdb()
    client.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running Chromium without a profile of its own."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    require("Chromium", path is not None)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A fresh window in Chinese, 1440 wide."""
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()
