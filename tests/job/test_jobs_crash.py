"""Two schedulers, kill -9 anywhere, a worker that slept through its lease: one run, every record once (F1, F37)."""

import os
import signal
import threading
import time
from datetime import timedelta

import pytest

from metaloom.base.crash import POINTS
from tests.job.hall import EARLY, Hall, end_sleepers, is_free

DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def hall(request, tmp_path):
    made = Hall(tmp_path / "home", request.getfixturevalue("pg_url") if request.param == "postgresql" else "", f"k_{abs(hash(request.node.name)) % 10**8}")
    yield made
    made.close()


def finish(hall, rounds=8):
    """The next worker takes over, as often as it must."""
    for _ in range(rounds):
        hall.expire()
        hall.tick()
        if not hall.work() and all(row["status"] not in ("waiting", "running") for row in hall.runs()):
            return


def test_kill_9_at_every_point_and_the_next_worker_makes_it_whole(hall):
    members = hall.members(3)
    hall.tick()
    points = [f"{point}@{hall.tenant.settings.home}/died-{number}" for number, point in enumerate(
        p for p in POINTS if p.startswith(("schedule.", "run.")) or p == "write.before_commit")]
    assert len(points) >= 8
    for number, point in enumerate(points, start=1):
        hall.clock.at = EARLY + number * DAY
        process = hall.child("schedule run once", point=point)
        assert process.wait(90) == -signal.SIGKILL, (point, process.stderr.read()[-1500:])
        finish(hall)
        assert [(row["status"], row["done"], row["failed"]) for row in hall.runs()] == [("done", 4, 0)] * number, point
        assert hall.charged() == dict.fromkeys(members, number), point
        assert len(hall.engine_rows("message")) == 3 * number, point


def test_many_schedulers_and_workers_at_once_make_one_run(hall):
    members = hall.members(4)
    hall.tick()
    hall.clock.at = EARLY + 2 * DAY
    gate = threading.Barrier(6)

    def scheduler():
        gate.wait()
        hall.tick()
        hall.work()

    threads = [threading.Thread(target=scheduler) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    finish(hall)
    assert [row["status"] for row in hall.runs()] == ["done", "done"]
    assert hall.charged() == dict.fromkeys(members, 2)


def test_a_worker_that_was_stopped_for_longer_than_its_lease_changes_nothing_more(hall):
    members = hall.members(6)
    hall.tick()
    hall.clock.at = EARLY + DAY
    hall.tick()
    process = hall.child("run once", lease=1.5, slow=0.3)
    try:
        deadline = time.monotonic() + 40
        while sum(hall.charged().values()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sum(hall.charged().values()) >= 2
        os.kill(process.pid, signal.SIGSTOP)
        if hall.tenant.dialect == "sqlite":          # a stopped writer may hold the only lock; then it is its transaction that others wait for
            while not is_free(hall):
                os.kill(process.pid, signal.SIGCONT)
                time.sleep(0.05)
                os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.6)
        if hall.tenant.dialect == "postgresql":
            end_sleepers(hall)
        finish(hall)
        done = hall.charged()
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == 0, process.stderr.read()[-1500:]
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()
    run, = hall.runs()
    assert (run["status"], run["done"], run["failed"]) == ("done", 7, 0), hall.errors(run["id"])
    assert done == hall.charged() == dict.fromkeys(members, 1)


def test_a_record_that_kills_the_process_is_left_out_and_told(hall):
    members = hall.members(4)
    deadly = members[1]
    hall.tick()
    hall.clock.at = EARLY + DAY
    hall.tick()
    for _ in range(6):
        process = hall.child("run once", deadly=deadly)
        died = process.wait(90)
        hall.expire()
        if died == 0:
            break
        assert died == -signal.SIGKILL
    run, = hall.runs()
    assert (run["status"], run["done"], run["failed"]) == ("partial", 4, 1)
    error, = hall.errors(run["id"])
    assert error["record_id"] == deadly and "died" in error["sentence_en"]
    assert hall.charged() == {one: 1 for one in members if one != deadly}
