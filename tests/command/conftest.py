"""One club per database and module; tests make members of their own."""

import pytest

from tests.command.club import Club
from tests.command.guild import Guild
from tests.command.hire import Hire


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def club(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Club(tmp_path_factory.mktemp("home"), url, "c_" + request.module.__name__.rpartition("_")[2][:20])
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def guild(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Guild(tmp_path_factory.mktemp("home"), url, "g_" + request.module.__name__.rpartition("_")[2][:20])
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def hire(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Hire(tmp_path_factory.mktemp("home"), url, "h_" + request.module.__name__.rpartition("_")[2][:20])
    yield made
    made.close()
