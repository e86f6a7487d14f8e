"""Processes over REST: the same runs, the same rights, the same words."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from click.testing import CliRunner

from metaloom import command
from metaloom.app import create_app
from metaloom.app.invariants import examine
from metaloom.cli import main
from tests.command.hire import Hire
from tests.web.site import settings_at

PASSWORD = "right-horse-7"


@pytest.fixture(scope="module")
def hire(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("api")
    made = Hire(home, "", "yard")
    made.home = home
    for person in made.people:
        command.set_password(made.system, made.people[person], PASSWORD)
    made.app = create_app(settings_at(home), tenancy=made.tenancy, clock=made.clock)
    yield made
    made.tenancy.close()


def ask(hire: Hire, person: str, method: str, path: str, body: Any = None) -> Any:
    client = hire.app.test_client()
    token = client.post("/yard/api/v1/auth/login", json={"username": person, "password": PASSWORD}).json["access_token"]
    return client.open(f"/yard/api/v1{path}", method=method, json=body if body is not None or method == "GET" else {},
                       headers={"Authorization": f"Bearer {token}"}) if method != "GET" else client.get(
        f"/yard/api/v1{path}", headers={"Authorization": f"Bearer {token}"})


def stuck(hire: Hire) -> tuple[int, int]:
    hire.told().plan(*["lost"] * 12)
    record, run = hire.asked()
    hire.drain()
    for _ in range(3):
        hire.pass_time(minutes=2)
    hire.told().plan()
    return record, run


def test_a_run_is_read_with_its_steps_and_its_log_without_sealed_answers(hire):
    _, run = stuck(hire)
    seen = ask(hire, "clerk", "GET", f"/process/{run}")
    assert seen.status_code == 200, seen.text
    found = seen.json
    assert (found["status"], found["step"], found["may"], found["tries"]) == ("manual", "ask", [], 3)
    assert [s["standing"] for s in found["steps"]][:3] == ["done", "failed", "ahead"]
    assert ask(hire, "chief", "GET", f"/process/{run}").json["may"] == ["retry", "submit", "give_up"]
    log = ask(hire, "clerk", "GET", f"/process/{run}/events").json["items"]
    assert [e["kind"] for e in log][:3] == ["started", "entered", "passed"] and "sealed" not in json.dumps(log)
    assert ask(hire, "guest", "GET", f"/process/{run}").status_code == 404
    assert ask(hire, "clerk", "GET", "/process/999999").status_code == 404


def test_people_handle_a_run_and_bad_bodies_change_nothing(hire):
    record, run = stuck(hire)
    seq = ask(hire, "chief", "GET", f"/process/{run}").json["seq"]
    for body in ({"result": []}, {"result": {"outcome": "found", "score": "x"}, "reason": "a"}, {"what": 1}, {"seq": "1"}, {"reason": 4},
                 {"result": {"outcome": "perhaps"}, "reason": "a"}, {"result": {"outcome": "found"}}):
        refused = ask(hire, "chief", "POST", f"/process/{run}/submit", body)
        assert 400 <= refused.status_code < 500, (body, refused.text)
    assert ask(hire, "clerk", "POST", f"/process/{run}/retry").status_code == 403
    assert ask(hire, "chief", "POST", f"/process/{run}/dance").status_code == 404
    assert ask(hire, "chief", "POST", f"/process/{run}/retry", {"seq": seq - 1}).status_code in (409, 412)
    assert hire.run(run)["seq"] == seq
    done = ask(hire, "chief", "POST", f"/process/{run}/submit", {"result": {"outcome": "found", "score": 61}, "reason": "phoned", "seq": seq})
    assert done.status_code == 200 and done.json["results"]["run"] == run
    hire.drain()
    assert (hire.run(run)["status"], hire.record(record)["score"]) == ("done", 61)
    assert ask(hire, "chief", "POST", f"/process/{run}/give_up", {"reason": "no"}).status_code == 409


def test_a_process_is_started_for_a_record(hire):
    record = hire.order(ready_on="2027-12-01")
    version = {"If-Match": str(hire.record(record)["row_version"])}
    assert version
    client = hire.app.test_client()
    token = client.post("/yard/api/v1/auth/login", json={"username": "clerk", "password": PASSWORD}).json["access_token"]
    etag = client.get(f"/yard/api/v1/hire.rental/{record}", headers={"Authorization": f"Bearer {token}"}).headers["ETag"]
    made = client.post(f"/yard/api/v1/hire.rental/{record}/process/deliver", json={}, headers={"Authorization": f"Bearer {token}", "If-Match": etag})
    assert made.status_code == 200 and hire.runs(record)[0]["id"] == made.json["results"]["run"]
    document = client.get("/yard/api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"}).json
    assert "/hire.rental/{id}/process/deliver" in document["paths"] and "/process/{id}/submit" in document["paths"]


def test_the_command_line_lists_shows_and_retries(hire, monkeypatch):
    _, run = stuck(hire)
    monkeypatch.setattr("metaloom.cli.process.house", lambda: nullcontext(hire.tenancy))       # whose provider is none of the shipped ones
    monkeypatch.setattr("metaloom.cli.process.context_of", lambda tenant: hire.system)

    def word(*given: str) -> Any:
        return CliRunner().invoke(main, ["process", *given])

    listed = word("list", "yard", "--json")
    assert listed.exit_code == 0, listed.output
    assert {row["id"]: row["status"] for row in json.loads(listed.output)}[run] == "manual"
    assert "ask [failed]" in word("show", "yard", str(run)).output and "timed_out" in word("show", "yard", str(run)).output
    assert word("show", "yard", "999999").exit_code == 1
    again = word("retry", "yard", str(run))
    assert again.exit_code == 0 and hire.run(run)["status"] == "ready", again.output
    assert word("retry", "yard", str(run)).exit_code == 1
    hire.drain()
    assert hire.run(run)["status"] == "done"


def test_the_doctor_finds_a_planted_fault_by_its_run(hire):
    _, run = stuck(hire)
    table = hire.tenant.revision().tables.engine.process_run

    def found() -> tuple[str, ...]:
        return next(one.first for one in examine(hire.tenant, hire.registry, hire.clock) if one.name == "process.log")

    assert not found()
    with hire.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == run).values(status="ready"))
    assert any(f"run {run}" in line for line in found())
    with hire.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == run).values(status="manual"))
    assert not found()
