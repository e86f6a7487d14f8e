"""The world of the storms: made once for all of them on each database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases import own_database
from tests.storm import world as worlds
from tests.storm.paths import fill

SEED = int(os.environ.get("METALOOM_STORM_SEED", "1"))


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("storm")
    if request.param == "sqlite":
        made = worlds.make(folder / "home", None, fill)
        yield made
        worlds.drop(made)
        return
    with own_database(request.getfixturevalue("pg_url"), "storm") as url:
        made = worlds.make(folder / "home", url, fill)
        yield made
        worlds.drop(made)
