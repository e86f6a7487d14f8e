"""One world for each database to look at, and one (``sandbox``) to write into, for all suites of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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


@contextmanager
def database(request: pytest.FixtureRequest, suffix: str) -> Iterator[str | None]:
    """None for SQLite; else a PostgreSQL database of its own: both worlds have a tenant of the same name."""
    if request.param == "sqlite":
        yield None
        return
    with own_database(request.getfixturevalue("pg_url"), suffix) as url:
        yield url
