"""The lender of the lending tests: one per test module, on SQLite; `both_lenders` on either database."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.plugins.lender import Lender, open_lender


def _name(request: pytest.FixtureRequest, ending: str) -> str:
    return "t_" + request.module.__name__.rpartition("test_")[2][:20] + ending


@pytest.fixture(scope="module")
def lender(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    with open_lender(tmp_path_factory.mktemp("home"), _name(request, "_s")) as made:
        yield made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def both_lenders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[Any]:
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else None
    with open_lender(tmp_path_factory.mktemp("home"), _name(request, f"_b{worker_number}"), url) as made:
        yield made
