"""An installation of its own for a test, on SQLite and on PostgreSQL. Rooms import these into their conftest."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from metaloom.storage import Settings, Tenancy, Tenant

_numbers = count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> str:
    """The database the test runs on."""
    return request.param


@pytest.fixture
def settings(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings with a home of their own."""
    url = request.getfixturevalue("pg_url") if database == "postgresql" else ""
    return Settings.from_env({"METALOOM_HOME": str(tmp_path / "home"), "METALOOM_DATABASE_URL": url})


@pytest.fixture
def tenancy(settings: Settings) -> Iterator[Tenancy]:
    """An installation; its tenants are dropped at the end."""
    made = Tenancy(settings)
    yield made
    if settings.database_url:
        for name in (*made.names(), *made.closed_names()):
            made.drop(name)
    made.close()


@pytest.fixture
def tenant(tenancy: Tenancy) -> Tenant:
    """A tenant with the engine's tables and nothing published."""
    return tenancy.create(f"t{next(_numbers)}", "测试")
