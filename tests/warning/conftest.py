"""One depot per database and module; tests make permits of their own."""

import pytest

from tests.warning.world import Depot


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def depot(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Depot(tmp_path_factory.mktemp("home"), url, "w_" + request.module.__name__.rpartition("_")[2][:20])
    yield made
    made.close()
