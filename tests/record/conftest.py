"""A world per database, made once per test module; tests that write make rows of their own."""

import pytest

from metaloom.storage import Tenancy
from tests.record.world import World, catalog, settings


@pytest.fixture(scope="session")
def demo_catalog():
    return catalog()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request, tmp_path_factory, demo_catalog):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else None
    tenancy = Tenancy(settings(tmp_path_factory.mktemp("home"), url))
    made = World(tenancy, "t_" + request.module.__name__.rpartition("_")[2][:20], demo_catalog)
    made.fill()
    yield made
    tenancy.drop(made.tenant.name)
    tenancy.close()
