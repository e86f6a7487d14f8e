"""One club with books per test file, on both databases."""

import pytest

from tests.command.club import Club


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def club(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Club(tmp_path_factory.mktemp("home"), url, "ledger_test")
    yield made
    made.close()
