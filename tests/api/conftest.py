"""One world per database and module; tests that write make records of their own."""

from contextlib import nullcontext

import pytest

from tests.api.world import World
from tests.databases import own_database


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request, tmp_path_factory):
    database = own_database(request.getfixturevalue("pg_url"), "api") if request.param == "postgresql" else nullcontext(None)
    with database as url:
        made = World(tmp_path_factory.mktemp("home"), url)
        yield made
        made.close_all()


@pytest.fixture(scope="module")
def people(world):
    """A logged-in caller per person of tenant one."""
    from tests.api.world import PEOPLE

    return {name: world.client().login(name) for name in PEOPLE if name != "lockme"}
