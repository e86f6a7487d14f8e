"""Real worker processes with their own loops, a clock that the test moves, and real signals: SIGTERM, SIGSTOP, SIGCONT."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from rq.registry import StartedJobRegistry

from metaloom.job.redis_queue import queue_name
from tests.forked import Forked
from tests.job.hall import EARLY, Hall, end_sleepers, is_free
from tests.redis_server import RedisServer

DAY = timedelta(days=1)
WORKER = """
import signal, sys, time
from datetime import datetime
from pathlib import Path
from threading import Event
from metaloom.command import run_job
from metaloom.job import EmbeddedWorker
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from metaloom.worker import work
from tests.command.club import plugins
home, url, redis_url, clock_file, slow = sys.argv[1:]
class Clock:
    def now(self):
        return datetime.fromisoformat(Path(clock_file).read_text())
EmbeddedWorker.__init__.__kwdefaults__["schedule_seconds"] = 0.2
act = run_job._act
def slowly(*given):
    done = act(*given)
    time.sleep(float(slow))
    return done
run_job._act = slowly
stopping = Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
registry = plugins()
tenancy = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url, "METALOOM_REDIS_URL": redis_url}),
                  compiler=compiler_with(registry.manifest()))
print("ready", flush=True)
work(tenancy, registry, stopping=stopping, clock=Clock())
tenancy.close()
print("ended", flush=True)
"""


class House(Hall):
    """A hall whose workers are processes; ``at`` sets the clock of all of them."""

    def open(self, folder: Path) -> None:
        self.clock_file, self.workers = folder / "clock", []
        self.at(EARLY)

    def at(self, moment) -> None:
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(moment.isoformat())
        fresh.rename(self.clock_file)
        self.clock.at = moment

    def worker(self, *, slow: float = 0, redis_url: str = "") -> Forked:
        settings = self.tenant.settings
        process = Forked(WORKER, settings.home, settings.database_url or "", redis_url, self.clock_file, slow)
        self.workers.append(process)
        assert process.stdout.readline() == "ready\n", process.errors()[-2000:]
        return process

    def pause(self, process: Forked) -> None:
        """Stopped wherever it stands: a writer of SQLite outside its transaction, whose lock would stop everybody; a session of
        PostgreSQL also inside one, which the server then ends."""
        os.kill(process.pid, signal.SIGSTOP)
        while self.tenant.dialect == "sqlite" and not is_free(self):
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGSTOP)
        if self.tenant.dialect == "postgresql":
            end_sleepers(self)

    def due(self, job: str = "club.fees") -> list:
        return [row["due_at"] for row in self.runs(job)]

    def over(self, count: int, job: str = "club.fees") -> bool:
        return len(self.runs(job, status="done")) >= count

    def end(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(request, tmp_path):
    made = House(tmp_path / "home", request.getfixturevalue("pg_url") if request.param == "postgresql" else "", f"p_{request.node.name[5:20]}".rstrip("_["))
    made.open(tmp_path)
    yield made
    made.end()
    made.close()


def until(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def test_two_workers_and_one_that_slept_give_one_run_for_each_day_however_many_were_missed(house):
    """One day, then seven while a worker is stopped, then forty-five: one run each, in order, each fee once."""
    member, = house.members(1)
    first, _ = house.worker(), house.worker()
    assert until(lambda: len(house.engine_rows("scheduled_job")) == 5)
    house.at(EARLY + DAY)
    assert until(lambda: house.over(1))
    house.pause(first)
    house.at(EARLY + 8 * DAY)
    time.sleep(0.5)
    os.kill(first.pid, signal.SIGCONT)
    assert until(lambda: house.over(8))
    house.pause(first)
    house.at(EARLY + 53 * DAY)
    assert until(lambda: house.over(53) or len(house.due()) >= 53)
    os.kill(first.pid, signal.SIGCONT)
    assert until(lambda: house.over(53), 180)
    time.sleep(1.0)
    assert house.due() == [EARLY.replace(hour=22) + number * DAY for number in range(53)], "06:00 in Shanghai of each day, in order, once"
    runs = house.runs()
    assert [row["status"] for row in runs] == ["done"] * 53
    assert all(one["finished_at"] <= other["started_at"] for one, other in zip(runs, runs[1:], strict=False))
    assert house.charged() == {member: 53}
    for process in house.workers:
        assert process.poll() is None


def test_a_worker_that_is_told_to_end_hands_its_run_back_and_redis_forgets_it(house, redis_url):
    members = house.members(12)
    bell = redis.Redis.from_url(redis_url)
    first = house.worker(slow=0.5, redis_url=redis_url)
    queue = queue_name(house.tenant.settings)
    assert until(lambda: len(house.engine_rows("scheduled_job")) == 5 and bell.smembers(f"rq:workers:{queue}"))
    house.at(EARLY + DAY)
    assert until(lambda: sum(house.charged().values()) >= 2)
    first.terminate()
    assert first.wait(40) == 0, first.stderr.read()[-2000:]
    assert "ended" in first.stdout.read(), "the loop came to its end by itself"
    charged = sum(house.charged().values())
    assert 2 <= charged < 12, "it stopped within the run"
    left = [(row["state"], row["lease_owner"]) for row in house.engine_rows("outbox") if row["state"] != "done"]
    assert left and set(left) == {("pending", None)}, "the next worker need not wait for a lease"
    assert not bell.smembers(f"rq:workers:{queue}"), "it is taken from the list of workers"
    assert not StartedJobRegistry(queue, connection=bell).get_job_ids(cleanup=False), "and no ring counts as being answered"
    house.worker(redis_url=redis_url)
    assert until(lambda: house.over(1))
    assert house.charged() == dict.fromkeys(members, 1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "hangs"])
def test_a_worker_that_is_told_to_end_while_redis_is_away_ends_within_seconds_and_hands_its_run_back(house, tmp_path, how):
    members = house.members(12)
    with RedisServer(tmp_path) as server:
        first = house.worker(slow=0.5, redis_url=server.url)
        queue = queue_name(house.tenant.settings)
        assert until(lambda: len(house.engine_rows("scheduled_job")) == 5 and redis.Redis.from_url(server.url).smembers(f"rq:workers:{queue}"))
        server.send(how)
        time.sleep(9.0)                    # long enough for whoever waits longer from try to try
        house.at(EARLY + DAY)
        assert until(lambda: sum(house.charged().values()) >= 2), "it works without Redis"
        begun = time.monotonic()
        first.terminate()
        assert first.wait(40) == 0, first.stderr.read()[-2000:]
        assert time.monotonic() - begun < 10
    assert "ended" in first.stdout.read(), "the loop came to its end by itself"
    assert 2 <= sum(house.charged().values()) < 12, "it stopped within the run"
    left = [(row["state"], row["lease_owner"]) for row in house.engine_rows("outbox") if row["state"] != "done"]
    assert left and set(left) == {("pending", None)}, "the next worker need not wait for a lease"
    house.worker()
    assert until(lambda: house.over(1))
    assert house.charged() == dict.fromkeys(members, 1)
