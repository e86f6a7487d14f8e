"""The service fixtures give what they promise, and a skip is a failure where services are promised."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.postgres
def test_a_process_has_an_empty_postgresql_database_of_its_own(pg_url):
    import sqlalchemy as sa

    with sa.create_engine(pg_url, poolclass=sa.NullPool).connect() as connection:
        assert connection.scalar(sa.text("SELECT current_database()")) in pg_url
        tables = connection.scalar(sa.text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
    assert tables >= 0


def test_a_process_has_a_redis_database_of_its_own(redis_url):
    import redis

    client = redis.Redis.from_url(redis_url)
    client.set("asked", 1)
    assert client.get("asked") == b"1"
    assert client.connection_pool.connection_kwargs["db"] >= 8


@pytest.mark.browser
def test_chromium_draws_a_page(page):
    page.set_content("<h1>合同</h1>")
    assert page.inner_text("h1") == "合同"


@pytest.mark.parametrize(("promised", "exit_code"), [("0", 0), ("1", 1)])
def test_a_skip_fails_where_services_are_promised(tmp_path, promised, exit_code):
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_one.py").write_text(
        "import pytest\nfrom conftest import require\n"
        "def test_service():\n    require('Nothing', False)\n"
        "@pytest.mark.xfail\ndef test_known():\n    assert False\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "."],
        cwd=tmp_path, env={**os.environ, "METALOOM_REQUIRE_SERVICES": promised}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == exit_code, run.stdout
    assert "1 xfailed" in run.stdout
