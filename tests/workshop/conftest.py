"""A tenant that has the workshop pack and nothing of lending."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workshop.shop import Shop


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    # A module long only: other suites of this worker use the same server, and some make its control schema anew.
    home = Path(tmp_path_factory.mktemp("workshop"))
    made = Shop(home, request.getfixturevalue("pg_url") if request.param == "postgresql" else None)
    yield made
    made.close()
