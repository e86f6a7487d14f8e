"""One office per database and module."""

import pytest

from tests.command.club import NOW
from tests.message.office import Office


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def whole_office(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Office(tmp_path_factory.mktemp("home"), url, "m_" + request.module.__name__.rpartition("_")[2][:20])
    yield made
    made.close()


@pytest.fixture
def office(whole_office):
    """At noon, everything delivered, the mail server in good order."""
    whole_office.at(NOW)
    whole_office.mailbox.fault = ""
    yield whole_office
    whole_office.mailbox.fault = ""
    whole_office.hurry()
    whole_office.work()
