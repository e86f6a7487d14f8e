"""One application from settings: who starts it, and which workers its changes reach."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import rq
from rq.serializers import JSONSerializer

from metaloom.app import create_app
from metaloom.base.diagnostic import MetadataRefused
from metaloom.compile import tenant_sources
from metaloom.job.redis_queue import queue_name
from metaloom.storage import Settings, Tenancy, bell

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [(source.layer, source.path, source.text.replace("run: loan_servicing.freeze_terms", "run: loan_servicing.dance"))
           for source in tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo")]  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    return Settings.from_env({"METALOOM_HOME": str(tmp_path)})


def stop(app):
    site = app.extensions["metaloom"]
    site.stopping.set()
    site.silence()
    site.tenancy.close()


def test_without_arguments_the_environment_says_it_all(tmp_path, monkeypatch):
    for name in ("METALOOM_DATABASE_URL", "METALOOM_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METALOOM_HOME", str(tmp_path / "house"))
    app = create_app()
    assert app.extensions["metaloom"].settings.home == tmp_path / "house"
    assert app.test_client().get("/healthz").status_code == 200
    stop(app)


def test_the_production_entry_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("METALOOM_HOME", str(tmp_path))
    monkeypatch.setenv("METALOOM_DATABASE_URL", "")
    monkeypatch.setenv("METALOOM_REDIS_URL", "")
    app = runpy.run_module("metaloom.app.wsgi")["application"]
    assert app.test_client().get("/readyz").status_code == 200
    stop(app)


def test_the_plugins_commands_are_known_to_the_compiler_of_the_application(settings):
    """A tenancy that knows no plugins would let a ``run:`` step pass that names nothing."""
    app = create_app(settings)
    site = app.extensions["metaloom"]
    assert site.registry.manifest().commands
    with pytest.raises(MetadataRefused) as refused:
        site.tenancy.compiler(SOURCES)
    assert "loan_servicing.dance" in str(refused.value.diagnostics)
    stop(app)


def test_with_redis_a_change_rings_for_the_worker_processes(settings, redis_url):
    settings = replace(settings, redis_url=redis_url)
    connection = redis.Redis.from_url(redis_url)
    app = create_app(settings, worker=True, tenancy=Tenancy(settings))
    queue = rq.Queue(queue_name(settings), connection=connection, serializer=JSONSerializer)
    try:
        bell.ring("somebody")
        assert [job.args for job in queue.jobs] == [["somebody"]]
    finally:
        stop(app)
        queue.delete(delete_jobs=True)


def test_without_redis_nothing_rings_outside(settings):
    app = create_app(settings)
    assert app.extensions["metaloom"].silence() is None
    stop(app)
