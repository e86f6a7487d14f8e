import shutil
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.conftest import require
from tests.expression.world import METADATA, Node, sqlite_engine


@pytest.fixture(scope="session")
def engines(pg_url: str) -> Iterator[list[sa.Engine]]:
    """SQLite and PostgreSQL with the tables of the world."""
    postgresql = sa.create_engine(pg_url)
    METADATA.create_all(postgresql)
    both = [sqlite_engine(), postgresql]
    yield both
    METADATA.drop_all(postgresql)
    for engine in both:
        engine.dispose()


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The browser's evaluator in one long-lived process."""
    require("node", shutil.which("node") is not None)
    process = Node()
    yield process
    process.close()
