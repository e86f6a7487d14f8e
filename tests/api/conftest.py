"""One world per database and module; tests that write make records of their own."""

import pytest

from tests.api.world import World


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else None
    made = World(tmp_path_factory.mktemp("home"), url)
    yield made
    made.close_all()


@pytest.fixture(scope="module")
def people(world):
    """A logged-in caller per person of tenant one."""
    from tests.api.world import PEOPLE

    return {name: world.client().login(name) for name in PEOPLE if name != "lockme"}
