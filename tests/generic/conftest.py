"""One world for each database to look at, and one (``sandbox``) to write into, for all suites of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metaloom.storage.engine import rate
from tests.databases import own_database
from tests.generic.world import World


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with database(request, "world") as url:
        made = World(Path(tmp_path_factory.mktemp("generic")), url)
        yield made
        made.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with database(request, "sandbox") as url:
        made = World(Path(tmp_path_factory.mktemp("sandbox")), url, ("alpha",))
        yield made
        made.close()


@pytest.fixture(autouse=True)
def another_hour(request: pytest.FixtureRequest) -> Iterator[None]:
    """The clock of these worlds stands still, so an hour never passes in them: what one test made count within it is forgotten for the next one."""
    worlds = [request.getfixturevalue(name) for name in ("world", "sandbox") if name in request.fixturenames]
    yield
    for place in (place for one in worlds for place in one.places.values()):
        with place.tenant.write() as conn:
            conn.execute(rate.delete())


@contextmanager
def database(request: pytest.FixtureRequest, suffix: str) -> Iterator[str | None]:
    """None for SQLite; else a PostgreSQL database of its own: both worlds have a tenant of the same name."""
    if request.param == "sqlite":
        yield None
        return
    with own_database(request.getfixturevalue("pg_url"), suffix) as url:
        yield url
