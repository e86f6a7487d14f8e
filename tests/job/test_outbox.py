"""Rows run once each: leases, fences, retries, dead letters, in threads and in processes."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Conflict
from metaloom.job import EmbeddedWorker, GiveUp, LeaseLost, claim, due_tenants, release, retry_dead, run_due
from metaloom.job import outbox as rows_of
from metaloom.storage import after_commit, bell
from metaloom.storage import keeping as keeping_of
from metaloom.storage.engine import job_run, outbox, setting
from metaloom.storage.outbox import put
from metaloom.storage.tables import ENGINE
from tests.forked import Forked


class _Tables:
    engine = ENGINE


def add(tenant, count=1, kind="note", start=0):
    with tenant.write() as conn:
        return [put(conn, _Tables, kind=kind, payload={"n": n}, key=f"{kind}/{n}") for n in range(start, start + count)]


def states(tenant):
    with tenant.read() as conn:
        return Counter(conn.scalars(sa.select(outbox.c.state)))


def make_due(tenant):
    with tenant.write() as conn:
        past = "2020-01-01T00:00:00.000000Z" if tenant.dialect == "sqlite" else "2020-01-01"
        conn.exec_driver_sql(f"UPDATE ml_outbox SET run_after = '{past}', lease_until = CASE WHEN lease_until IS NULL THEN NULL "
                             f"ELSE {'' if tenant.dialect == 'sqlite' else 'timestamptz '}'{past}' END")


def test_the_same_key_is_one_row_and_another_payload_a_conflict(tenant):
    first = add(tenant)
    assert add(tenant) == first
    with pytest.raises(Conflict), tenant.write() as conn:
        put(conn, _Tables, kind="note", payload={"n": 1}, key="note/0")
    assert states(tenant) == {"pending": 1}


def test_a_row_of_a_transaction_that_rolled_back_never_runs(tenant):
    with pytest.raises(ZeroDivisionError), tenant.write() as conn:
        put(conn, _Tables, kind="note", payload={}, key="a")
        raise ZeroDivisionError
    assert run_due(tenant, {"note": lambda *_: 1}) == 0


def test_a_tenant_that_a_process_keeps_to_itself_is_left_to_it(tenant):
    add(tenant)
    tenancy, ran = tenant.tenancy, []
    worker = EmbeddedWorker(tenancy, {"note": lambda *_: ran.append(1)})
    looked = []
    with tenancy.keeping(tenant.name):
        assert worker.round() == 0 and tenant.name not in tenancy.names_to_work() and tenant.name in tenancy.names()
        assert run_due(tenant, {"note": lambda *_: looked.append(1)}) == 1, "its keeper works for it"
    add(tenant, start=1)
    assert worker.round() == 1 and ran == [1]


def test_whoever_keeps_a_tenant_and_dies_lets_it_go(tenant):
    add(tenant)
    tenancy = tenant.tenancy
    code = """if True:
        import sys, time
        from metaloom.storage import Settings
        from metaloom.storage.keeping import keeping
        with keeping(Settings.from_env({"METALOOM_HOME": sys.argv[1]}), sys.argv[2]):
            print("kept", flush=True)
            time.sleep(600)
    """
    keeper = subprocess.Popen([sys.executable, "-c", code, str(tenancy.settings.home), tenant.name], stdout=subprocess.PIPE)
    try:
        assert keeper.stdout.readline() == b"kept\n"
        assert due_tenants(tenancy) == ()
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Conflict):
            patch.setattr(keeping_of, "PATIENCE_SECONDS", 0.2)
            with tenancy.keeping(tenant.name):
                pytest.fail("two keepers")
    finally:
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
    assert due_tenants(tenancy) == (tenant.name,)


def test_due_rows_run_once_each_and_are_noted(tenant):
    add(tenant, 25)
    seen = []
    assert run_due(tenant, {"note": lambda _, row: seen.append(row.payload["n"])}) == 25
    assert sorted(seen) == list(range(25))
    assert run_due(tenant, {"note": lambda _, row: seen.append(row.payload["n"])}) == 0
    assert states(tenant) == {"done": 25}
    with tenant.read() as conn:
        runs = conn.execute(sa.select(job_run.c.outcome, job_run.c.attempt)).all()
    assert runs == [("done", 1)] * 25


def test_kinds_without_handler_wait_for_another_worker(tenant):
    add(tenant, 1, kind="strange")
    assert run_due(tenant, {"note": lambda *_: 1}) == 0
    assert states(tenant) == {"pending": 1}


def test_a_row_waits_for_its_time(tenant):
    add(tenant)
    with tenant.write() as conn:
        conn.execute(outbox.update().values(run_after=sa.text(
            "'2999-01-01T00:00:00.000000Z'" if tenant.dialect == "sqlite" else "timestamptz '2999-01-01'")))
    assert run_due(tenant, {"note": lambda *_: 1}) == 0
    assert due_tenants(tenant.tenancy) == ()


def test_a_failure_is_tried_again_later_and_dies_after_the_last_try(tenant, monkeypatch):
    monkeypatch.setattr(rows_of, "ATTEMPTS_MAX", 3)
    add(tenant)

    def fails(_, row):
        raise OSError(f"no line, try {row.attempts}")

    for attempt in (1, 2, 3):
        assert run_due(tenant, {"note": fails}) == 1
        assert run_due(tenant, {"note": fails}) == 0, "the pause between tries was not kept"
        assert states(tenant) == {"pending" if attempt < 3 else "dead": 1}
        make_due(tenant)
    with tenant.read() as conn:
        assert conn.scalar(sa.select(outbox.c.last_error)) == "OSError: no line, try 3"
        assert conn.scalars(sa.select(job_run.c.outcome).order_by(job_run.c.id)).all() == ["retry", "retry", "dead"]
        ids = conn.scalars(sa.select(outbox.c.id)).all()
    assert run_due(tenant, {"note": fails}) == 0
    assert retry_dead(tenant, ids) == 1
    assert run_due(tenant, {"note": lambda *_: 1}) == 1
    assert states(tenant) == {"done": 1}


def test_a_handler_that_gives_up_is_not_asked_again(tenant):
    add(tenant)

    def gives_up(*_):
        raise GiveUp("no such account")

    assert run_due(tenant, {"note": gives_up}) == 1
    make_due(tenant)
    assert run_due(tenant, {"note": gives_up}) == 0
    assert states(tenant) == {"failed": 1}


def test_pauses_grow_and_are_bounded():
    pauses = [rows_of.back_off(attempt) for attempt in (1, 5, 10, 60)]
    assert 1.5 <= pauses[0] <= 2.5
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[3] <= 900 * 1.25


def test_who_lost_the_lease_changes_nothing(tenant):
    add(tenant)
    slow, = claim(tenant, "slow")
    assert claim(tenant, "quick") == ()
    make_due(tenant)
    quick, = claim(tenant, "quick")
    assert (slow.fence, quick.fence) == (1, 2)
    with pytest.raises(LeaseLost), tenant.write() as conn:
        conn.execute(setting.insert().values(name="effect", value="slow"))
        slow.settle(conn)
    with pytest.raises(LeaseLost):
        rows_of.finished(tenant, slow, sa.func.now())
    with pytest.raises(LeaseLost):
        rows_of.failed(tenant, slow, OSError("x"), None, for_good=True)
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="effect", value="quick"))
        quick.settle(conn)
    with tenant.read() as conn:
        assert conn.scalars(sa.select(setting.c.value).where(setting.c.name == "effect")).all() == ["quick"]
    assert states(tenant) == {"done": 1}


def test_a_handler_that_settled_is_done_even_when_it_fails_afterwards(tenant):
    add(tenant)

    def settles_then_fails(tenant, row):
        with tenant.write() as conn:
            row.settle(conn)
        raise OSError("the mail did not go out")

    run_due(tenant, {"note": settles_then_fails})
    assert states(tenant) == {"done": 1}


def test_a_settle_that_rolled_back_is_not_done(tenant):
    add(tenant)

    def settles_and_rolls_back(tenant, row):
        with tenant.write() as conn:
            row.settle(conn)
            raise OSError("before commit")

    run_due(tenant, {"note": settles_and_rolls_back})
    assert states(tenant) == {"pending": 1}


def test_released_rows_can_be_claimed_at_once_and_lost_no_try(tenant):
    add(tenant, 2)
    release(tenant, claim(tenant, "a"))
    assert [row.attempts for row in claim(tenant, "b")] == [1, 1]


def test_several_consumers_run_every_row_once(tenant):
    count = 300
    add(tenant, count)
    seen, lock = Counter(), threading.Lock()

    def note(_, row):
        with lock:
            seen[row.id] += 1

    threads = [threading.Thread(target=run_due, args=(tenant, {"note": note})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == count
    assert set(seen.values()) == {1}
    assert states(tenant) == {"done": count}


CONSUMER = textwrap.dedent("""
    import os, sys, time
    from metaloom.storage import Settings, Tenancy
    from metaloom.storage.engine import setting
    from metaloom.job import run_due
    tenancy = Tenancy(Settings.from_env())
    def note(tenant, row):
        if os.environ.get("DIE_AT") == str(row.payload["n"]):
            os.kill(os.getpid(), 9)
        with tenant.write() as conn:
            conn.execute(setting.insert().values(name=f"row {row.id}", value=os.getpid()))
            row.settle(conn)
    print("ready", flush=True)
    sys.stdin.readline()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not run_due(tenancy.open(sys.argv[1]), {"note": note}, lease_seconds=2):
            time.sleep(0.2)
            if sys.argv[2] == "once" or os.path.exists(sys.argv[3]):
                break
""")


def consumer(tenant, mode="once", stop="", **env):
    settings = tenant.settings
    given = {**os.environ, "METALOOM_HOME": str(settings.home), "METALOOM_DATABASE_URL": settings.database_url or "", **env}
    process = Forked(CONSUMER, tenant.name, mode, stop, env=given)
    assert process.stdout.readline() == "ready\n"
    return process


def test_processes_share_the_work_and_a_killed_one_is_replaced(tenant, tmp_path):
    count, stop = 120, str(tmp_path / "stop")
    add(tenant, count)
    consumers = [consumer(tenant, "until", stop), consumer(tenant, "until", stop, DIE_AT="7"), consumer(tenant, "until", stop)]
    try:
        for one in consumers:
            one.stdin.write("go\n")
            one.stdin.flush()
        deadline = time.monotonic() + 60
        while states(tenant) != {"done": count} and time.monotonic() < deadline:
            if all(one.poll() is not None for one in consumers[::2]):
                break
            time.sleep(0.3)
        (tmp_path / "stop").touch()
        for one in consumers:
            one.wait(20)
    finally:
        for one in consumers:
            if one.poll() is None:
                one.send_signal(signal.SIGKILL)
                one.wait()
    assert states(tenant) == {"done": count}
    with tenant.read() as conn:
        effects = conn.scalars(sa.select(setting.c.name).where(setting.c.name.like("row %"))).all()
    assert len(effects) == len(set(effects)) == count


def test_the_bell_wakes_the_embedded_worker_at_once(tenancy, tenant):
    other = tenancy.create("other", "x")
    done = threading.Event()
    seen = []

    def note(tenant, row):
        seen.append((tenant.name, row.payload["n"]))
        if len(seen) == 2:
            done.set()

    worker = EmbeddedWorker(tenancy, {"note": note}, poll_seconds=30)
    worker.start()
    worker.start()
    try:
        time.sleep(0.3)
        for one in (tenant, other):
            with one.write() as conn:
                put(conn, _Tables, kind="note", payload={"n": 1}, key="a")
                after_commit(conn, lambda name=one.name: bell.ring(name))
        assert done.wait(5), "nobody answered the bell"
    finally:
        worker.stop()
    assert sorted(seen) == sorted([(tenant.name, 1), ("other", 1)])


def test_the_embedded_worker_finds_what_nobody_rang_for(tenancy, tenant):
    add(tenant)
    done = threading.Event()
    worker = EmbeddedWorker(tenancy, {"note": lambda *_: done.set()}, poll_seconds=0.1)
    worker.start()
    try:
        assert done.wait(5)
    finally:
        worker.stop()


def test_a_broken_bell_fails_nothing(tenant):
    def broken(name):
        raise OSError("no Redis")

    silence = bell.also(broken)
    try:
        with tenant.write() as conn:
            put(conn, _Tables, kind="note", payload={}, key="a")
            after_commit(conn, lambda: bell.ring(tenant.name))
    finally:
        silence()
    assert tenant.name in bell.taken()
    assert states(tenant) == {"pending": 1}


def test_slow_work_does_not_hold_up_the_rest(tenancy, tenant):
    begun, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def slow(tenant, row):
        begun.set()
        assert goes_on.wait(20)

    worker = EmbeddedWorker(tenancy, {"export.run": slow, "note": lambda *_: done.set()}, poll_seconds=0.05, slow=("export.run",))
    worker.start()
    try:
        with tenant.write() as conn:
            put(conn, _Tables, kind="export.run", payload={}, key="slow")
        assert begun.wait(20)
        with tenant.write() as conn:
            put(conn, _Tables, kind="note", payload={}, key="quick")
        assert done.wait(20), "a message waited behind an export"
    finally:
        goes_on.set()
        worker.stop()
