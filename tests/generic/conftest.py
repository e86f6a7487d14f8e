"""One world for each database to look at, and one (``sandbox``) to write into, for all suites of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.generic.world import World


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = Path(tmp_path_factory.mktemp("generic"))
    made = World(home, request.getfixturevalue("pg_url") if request.param == "postgresql" else None)
    yield made
    made.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = Path(tmp_path_factory.mktemp("sandbox"))
    made = World(home, request.getfixturevalue("pg_url") if request.param == "postgresql" else None, ("alpha",))
    yield made
    made.close()
