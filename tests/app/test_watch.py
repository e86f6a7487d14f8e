"""Requests are counted and logged, and the figures are read by whom they are for."""

import json
import logging

import pytest

from metaloom.app import create_app
from metaloom.app.login_tables import make_login_tables
from metaloom.base import logs, metrics
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy
from tests.storage.sources import NAME, entity, shop

SENTINEL = "ZZ-secret-王小明"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings.from_env({"METALOOM_HOME": str(tmp_path_factory.mktemp("home"))})
    tenancy = Tenancy(settings)
    tenant = tenancy.create("acme", "极致", after_create=(make_login_tables,))
    publish(tenant, shop(entity("thing", NAME)))
    app = create_app(settings, tenancy=tenancy)

    yield app.test_client()
    tenancy.close()


@pytest.fixture
def lines(caplog):
    """What a JSON log would hold of this test."""
    caplog.set_level(logging.INFO, logger="metaloom")

    def read():
        return [json.loads(logs.Lines(as_json=True).format(record)) for record in caplog.records]

    return read


def figures(client, **headers):
    return client.get("/metrics", headers=headers)


def test_a_request_is_one_line_without_its_address(client, lines):
    client.get(f"/acme/login/?next={SENTINEL}", headers={"X-Request-Id": "abcdefgh-1"})
    client.post("/acme/login/", data={"username": SENTINEL, "password": SENTINEL})
    told = [line for line in lines() if line["logger"] == "metaloom.request"]
    assert [(line["page"], line["method"], line["tenant"]) for line in told] == [("LoginView.login", "GET", "acme"), ("LoginView.login", "POST", "acme")]
    assert told[0]["request_id"] == "abcdefgh-1" and told[0]["status"] == 200 and told[0]["ms"] > 0 and told[0]["statements"] >= 0
    assert SENTINEL not in json.dumps(lines(), ensure_ascii=False)


def test_figures_count_requests_also_those_that_found_nothing(client):
    before = figures(client).get_data(as_text=True)
    client.get("/nobody/at/home")
    after = figures(client).get_data(as_text=True)

    def counted(text):
        name = 'metaloom_requests_total{method="GET",page="none",status="4xx"} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    assert counted(after) == counted(before) + 1
    assert 'metaloom_tenant_up{tenant="acme"} 1' in after and 'metaloom_outbox_rows{state="pending",tenant="acme"} 0' in after
    assert 'metaloom_approval_tasks_open{tenant="acme"} 0' in after
    told = {name for name in metrics.KNOWN if f"# TYPE {name} " in after}
    assert told >= {"metaloom_requests_total", "metaloom_request_seconds", "metaloom_sql_statements_total"}


def test_figures_are_for_this_machine_or_the_holder_of_the_token(client, monkeypatch):
    assert figures(client).status_code == 200
    assert figures(client, **{"X-Forwarded-For": "127.0.0.1"}).status_code == 404, "a proxy on this machine asks for somebody else"
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 404
    monkeypatch.setenv("METALOOM_METRICS_TOKEN", "s3cret-token")
    assert figures(client).status_code == 404 and figures(client, Authorization="Bearer s3cret-toke").status_code == 404
    assert figures(client, Authorization="Bearer é").status_code == 404
    asked = client.get("/metrics", headers={"Authorization": "Bearer s3cret-token"}, environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert asked.status_code == 200 and asked.mimetype == "text/plain"


def test_a_closed_tenant_answers_503(client, lines):
    tenancy = client.application.extensions["metaloom"].tenancy
    tenancy.shut("acme")
    try:
        page, api = client.get("/acme/"), client.get("/acme/api/v1/me")
        assert page.status_code == api.status_code == 503 and page.headers["Retry-After"] and "已关闭" in page.get_data(as_text=True)
        assert api.mimetype == "application/problem+json"
        assert not [line for line in lines() if line["level"] == "error"], "a tenant that is closed on purpose is no failure"
    finally:
        tenancy.release("acme")
    assert client.get("/acme/login/").status_code == 200
