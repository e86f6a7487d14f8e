"""Jobs over REST: started, paused, run again, cancelled by administrators only."""

import pytest

from metaloom.base.clock import SystemClock
from metaloom.command import schedule_jobs
from metaloom.job import run_due
from metaloom.worker import handlers

JOB, RUN = "/platform.scheduled_job", "/platform.scheduled_run"


@pytest.fixture(scope="module")
def job(world):
    tenant = world.tenants["one"]
    schedule_jobs(tenant, plugins=world.registry, clock=SystemClock())
    return tenant


def test_a_job_is_started_carried_out_and_seen(world, people, job):
    keeper = people["keeper"]
    found, = keeper.get(JOB + "?job=depot.tidy").json["items"]
    made = keeper.post(f"{JOB}/{found['id']}/run", {"input": {"dry_run": False}})
    assert made.status_code == 200, made.json
    run_due(job, handlers(world.registry, SystemClock()))
    run = keeper.get(f"{RUN}/{made.json['id']}").json
    assert (run["status"], run["done"], run["failed"], run["origin"]) == ("done", 1, 0, "manual")
    assert keeper.post(f"{RUN}/{made.json['id']}/rerun", {}).status_code == 409
    assert keeper.post(f"{RUN}/{made.json['id']}/cancel", {}).status_code == 409
    waiting = keeper.post(f"{JOB}/{found['id']}/run", {}).json["id"]
    assert keeper.post(f"{RUN}/{waiting}/cancel", {}).status_code == 200
    assert keeper.get(f"{RUN}/{waiting}").json["status"] == "cancelled"


def test_pause_and_resume(people, job):
    keeper = people["keeper"]
    id = keeper.get(JOB).json["items"][0]["id"]
    assert keeper.post(f"{JOB}/{id}/pause", {}).status_code == 200 and keeper.get(f"{JOB}/{id}").json["paused"] is True
    assert keeper.post(f"{JOB}/{id}/pause", {}).status_code == 409
    assert keeper.post(f"{JOB}/{id}/resume", {}).status_code == 200 and keeper.get(f"{JOB}/{id}").json["paused"] is False


def test_others_may_not_and_bad_input_is_told(people, job):
    keeper, clerk = people["keeper"], people["clerk"]
    id = keeper.get(JOB).json["items"][0]["id"]
    for verb in ("run", "pause", "resume"):
        assert clerk.post(f"{JOB}/{id}/{verb}", {}).status_code in (403, 404)
    for body in ({"input": {"dry_run": "yes"}}, {"input": {"company": "x"}}, {"input": {"company": True}}, {"input": {"when": 1}}, {"dry_run": True}):
        assert keeper.post(f"{JOB}/{id}/run", body).status_code == 400, body
    assert keeper.post(f"{JOB}/{10**9}/run", {}).status_code == 404
    assert keeper.post(f"{RUN}/{10**9}/cancel", {}).status_code == 404
    paths = keeper.get("/openapi.json").json["paths"]
    assert any(path.endswith("/platform.scheduled_job/{id}/run") for path in paths)
    assert not any("scheduled_job/{id}/run" in path for path in clerk.get("/openapi.json").json["paths"])


def test_a_run_is_changed_by_its_verbs_only(people, job):
    keeper = people["keeper"]
    id = keeper.get(JOB).json["items"][0]["id"]
    for path in (f"{JOB}/{id}", f"{RUN}/1"):
        assert keeper.patch(path, {"key": "x"}, If_Match='"1"').status_code in (400, 403, 404, 405, 409, 412)
        assert keeper.delete(path, If_Match='"1"').status_code in (403, 404, 405, 409, 412)
    assert keeper.post(JOB, {"job": "x"}).status_code in (400, 403, 404, 405, 409)
    assert keeper.post(f"{JOB}/bulk", {"operation": "change", "items": [{"id": id, "row_version": 1, "paused": True}]}).status_code < 500
    assert keeper.get(f"{JOB}/{id}").json["paused"] is False
