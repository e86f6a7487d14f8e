"""One tenant whose stored metadata is refused, or whose tables are gone, beside a healthy one: the others live."""

import logging
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from metaloom.app import create_app, warm
from metaloom.base.clock import SystemClock
from metaloom.base.text import Text
from metaloom.cli import main
from metaloom.job import EmbeddedWorker
from metaloom.storage import Tenancy, outbox
from metaloom.storage.apart import _said
from metaloom.storage.engine import pointer, revision
from metaloom.worker.process import chores, scheduler
from tests.web import site as shop


def refused(conn):
    """A revision that no engine reads was published: what is stored is never changed, the pointer moves on."""
    number = conn.scalar(sa.select(sa.func.max(revision.c.number))) + 1
    conn.execute(revision.insert().values(number=number, digest="0" * 64, engine_version="9.9.9",
                                          sources=[["pack", "shop/pack.yaml", "pack: {nonsense: true}"]]))
    conn.execute(pointer.update().values(revision_number=number, stamp=pointer.c.stamp + 1))


def tables_gone(conn):
    conn.execute(pointer.delete())
    conn.exec_driver_sql(f"DROP TABLE {pointer.name}")


@pytest.fixture(params=[refused, tables_gone], ids=lambda one: one.__name__)
def street(request, tmp_path):
    """``aside`` is broken, ``beta`` is well; opened by a process that saw neither before."""
    settings = shop.settings_at(tmp_path)
    made = Tenancy(settings)
    for name in ("aside", "beta"):
        shop.build_tenant(made, name, Text(name, name), sales=1)
    with made.open("aside").ddl() as conn:
        request.param(conn)
    with made.open("beta").write() as conn:
        outbox.put(conn, made.open("beta").revision().tables, kind="note", payload={}, key="one")
    made.close()
    _said.clear()
    app = create_app(settings, tenancy=(tenancy := Tenancy(settings)))
    yield SimpleNamespace(app=app, tenancy=tenancy, settings=settings, registry=app.extensions["metaloom"].registry)
    tenancy.close()


def test_the_server_begins_and_serves_the_healthy_tenant(street, caplog):
    warm(street.app)
    client = street.app.test_client()
    assert client.get("/beta/login/").status_code == 200 and client.get("/readyz").status_code == 200
    page, data = client.get("/aside/login/"), client.get("/aside/api/v1/me")
    assert (page.status_code, page.headers["Retry-After"], data.status_code, data.mimetype) == (503, "300", 503, "application/problem+json")
    assert "aside" in page.text and "nonsense" not in page.text and "ml_" not in page.text
    assert [client.get("/aside/login/").status_code for _ in range(3)] == [503] * 3
    assert sum("aside" in line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING) == 1, "once per cause"


def test_the_workers_go_on_with_the_healthy_tenant(street, caplog):
    done = []
    look = scheduler(street.registry, SystemClock())
    worker = EmbeddedWorker(street.tenancy, {"note": lambda tenant, row: done.append(tenant.name)}, schedule=look)
    for _ in range(3):
        worker.round()
        look(street.tenancy)
        chores(street.tenancy, street.registry)
    assert done == ["beta"]
    said = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING and "aside" in line.getMessage()]
    assert said and len(said) == len(set(said)), "once per cause, not every second"


def test_the_doctor_names_the_broken_tenant_and_looks_at_the_others(street, monkeypatch):
    monkeypatch.setenv("METALOOM_HOME", str(street.settings.home))
    monkeypatch.setenv("METALOOM_DATABASE_URL", "")
    monkeypatch.setenv("METALOOM_SECRET_KEY", street.settings.secret_key)
    told = CliRunner().invoke(main, ["doctor"])
    assert told.exit_code == 1 and "aside: cannot be served" in told.output and "beta: revision" in told.output, told.output
