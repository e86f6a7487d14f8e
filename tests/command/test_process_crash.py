"""kill -9 at every named point of a process, two workers with one row, storms of answers and people: done once, asked with one reference."""

import os
import threading
from contextlib import suppress

import pytest

from metaloom.base.crash import POINTS
from metaloom.base.errors import MetaloomError
from metaloom.command import continue_by_hand, give_up_process, retry_process, start_process
from metaloom.command.handle_process import _answer_in
from metaloom.command.unit import perform
from metaloom.job import run_due
from metaloom.worker.handlers import handlers
from tests import forked
from tests.command.hire import NOW, ORDER

CHILD = """
import sys
from metaloom.base.clock import FixedClock
from metaloom.command import handle_process
from metaloom.job.outbox import Row
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from tests.command.hire import NOW, plugins
home, url, name, id = sys.argv[1:]
registry = plugins()
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url}), compiler=compiler_with(registry.manifest())).open(name)
with tenant.read() as conn:
    table = tenant.revision().tables.engine.outbox
    row = conn.execute(table.select().where(table.c.id == int(id))).mappings().one()
handle_process(tenant, row, plugins=registry, clock=FixedClock(NOW))
"""
MINE = [p for p in POINTS if p.startswith(("process", "write"))]


def child(hire, row, point):
    settings = hire.tenant.settings
    run = forked.run(CHILD, settings.home, settings.database_url or "", hire.tenant.name, row["id"], env={**os.environ, "METALOOM_CRASH_POINT": point})
    assert run.returncode in (0, -9), run.stderr[-2000:]
    return run.returncode


@pytest.mark.parametrize("point", MINE)
def test_a_death_at_any_point_leaves_one_run_that_the_next_worker_ends(hire, point):
    """Every row of the run is begun by a worker that dies at the point, and taken over by one that does not."""
    hire.clock.at = NOW
    hire.told().plan()
    record, run = hire.asked()
    deaths = 0
    for _ in range(20):
        rows = hire.pending(run)
        if not rows:
            break
        deaths += child(hire, rows[0], point) == -9
        hire.take_over(rows[0])
        hire.check()
    order = hire.record(record)
    assert deaths, "the point was never reached"
    assert (hire.run(run)["status"], order["status"], order["judged"]) == ("done", "good", 1), hire.log(run)
    assert len({call["reference"] for call in hire.calls(record)}) == 1
    assert [e for e in hire.log(run) if e in ("answered", "ended")] == ["answered", "ended"]
    assert hire.log(run).count("called") == 1, "the same try"


def test_two_workers_with_the_same_row_make_one_step(hire):
    hire.told().plan("slow", "slow", "slow", "slow")
    record, run = hire.asked()
    for _ in range(12):
        rows = hire.pending(run)
        if not rows:
            break
        threads = [threading.Thread(target=_quietly, args=(hire.step, rows[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hire.take_over(rows[0])
    order = hire.record(record)
    assert (hire.run(run)["status"], order["status"], order["judged"]) == ("done", "good", 1), hire.log(run)
    assert len({call["reference"] for call in hire.calls(record)}) == 1 and hire.log(run).count("answered") == 1
    hire.check()


def _quietly(work, *given):
    with suppress(MetaloomError):
        work(*given)


def test_twenty_late_and_double_answers_count_once(hire):
    hire.told().plan("lost")
    record, run = hire.asked()
    hire.drain()
    state = hire.run(run)
    assert state["status"] == "again"
    asked = {"visit": 2, "attempt": 1, "let": "reply", "fields": ("outcome", "score")}
    reply = {"outcome": "found", "values": {"score": 70}}
    system = hire.system

    def answer():
        perform(system, "process.step", [run], lambda unit: _answer_in(unit, {"run": run}, asked, reply, True, "values"))

    threads = [threading.Thread(target=_quietly, args=(answer,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hire.drain()
    answer()                                                              # and once more when all is over
    order = hire.record(record)
    assert (hire.run(run)["status"], order["score"], order["judged"]) == ("done", 70, 1)
    assert hire.log(run).count("answered") == 1 and hire.log(run)[-1] == "late"
    hire.check()


def test_a_storm_of_people_and_workers_gives_one_end(hire):
    hire.told().plan(*["lost"] * 3)
    record, run = hire.asked()
    hire.drain()
    for _ in range(3):
        hire.pass_time(minutes=2)
    assert hire.run(run)["status"] == "manual"
    barrier = threading.Barrier(20)

    def click(number):
        barrier.wait()
        moves = (lambda: retry_process(hire.ctx("chief"), run), lambda: give_up_process(hire.ctx("both"), run, "够了"),
                 lambda: continue_by_hand(hire.ctx("chief"), run, {"outcome": "found", "score": 66}, "电话"),
                 lambda: run_due(hire.tenant, handlers(hire.registry, hire.clock)))
        _quietly(moves[number % 4])

    threads = [threading.Thread(target=click, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hire.told().plan()
    hire.drain()
    hire.pass_time(minutes=5)
    order, row = hire.record(record), hire.run(run)
    assert row["status"] in ("done", "failed") and hire.log(run).count("ended") == 1, hire.log(run)
    assert order["judged"] == (1 if row["status"] == "done" else 0) and order["status"] == ("good" if row["status"] == "done" else "bad")
    hire.check()


def test_twenty_starts_make_one_run(hire):
    record = hire.order(ready_on="2027-12-01")
    threads = [threading.Thread(target=_quietly, args=(start_process, hire.ctx("clerk"), ORDER, record, "deliver")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hire.runs(record)) == 1
