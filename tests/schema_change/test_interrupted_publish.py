"""A publish that dies anywhere leaves the old revision serving, and the next one finishes or undoes what it left."""

import os
import signal
import sys
import textwrap
import threading
import time

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Busy, Conflict
from metaloom.schema_change import PlanRefused, plan_for, publish, recover
from metaloom.schema_change import publish as publish_function
from metaloom.storage import Tenancy
from metaloom.storage.engine import publish as journal
from metaloom.storage.types import utc_now
from tests.forked import Forked
from tests.schema_change.test_plan_and_publish import field, insert, thing, values

POINTS = ("opened", "expanded", "indexed", "backfilled", "validated", "swapping", "swapped", "tidied")

BEFORE = thing(field("size", "integer", "min: 1") + "\n" + field("code", "text"))
AFTER = thing(field("width", "integer", "min: 0") + "\n" + field("code", "text", "unique: true") + "\n" + field("more", "text"),
              "renamed_fields: {width: size}\nindexes: {by_code: [code, name]}")

PUBLISHER = textwrap.dedent("""
    import os, signal, sys, time
    from metaloom.storage import Settings, Tenancy
    from metaloom.schema_change import publish
    import sys as _sys
    module = _sys.modules["metaloom.schema_change.publish"]
    from tests.schema_change.test_interrupted_publish import AFTER
    def reached(point):
        if point == sys.argv[2]:
            if sys.argv[3] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            print("waiting", flush=True)
            sys.stdin.readline()
    module.reached = reached
    publish(Tenancy(Settings.from_env()).open(sys.argv[1]), AFTER)
    print("published", flush=True)
""")


def publisher(tenant, point, mode):
    settings = tenant.settings
    env = {**os.environ, "METALOOM_HOME": str(settings.home), "METALOOM_DATABASE_URL": settings.database_url or ""}
    return Forked(PUBLISHER, tenant.name, point, mode, env=env)


def journal_states(tenant):
    with tenant.read() as conn:
        return conn.scalars(sa.select(journal.c.state).order_by(journal.c.id)).all()


@pytest.fixture
def started(tenant):
    publish(tenant, BEFORE)
    insert(tenant, name="a", size=5, code="x")
    return tenant


@pytest.mark.parametrize("point", POINTS)
def test_a_publisher_killed_anywhere_is_undone_or_completed(started, point):
    killed = publisher(started, point, "kill")
    assert killed.wait(60) == -signal.SIGKILL
    started.refresh()
    swapped = point in ("swapped", "tidied")
    if swapped:
        assert started.revision().number == 2
        assert values(started, "width", "more") == [(5, None)]
    else:
        assert started.revision().number == 1
        assert values(started, "size") == [(5,)]
        insert(started, name="b", size=6, code="y")
    left = {"tidied": "", "swapped": "completed"}.get(point, "abandoned")
    assert recover(started) == left
    assert recover(started) == ""
    assert publish(started, AFTER).number == 2
    assert values(started, "width")[0] == (5,)
    assert plan_for(started, AFTER)[0].steps == ()
    assert journal_states(started)[-1] == "done"


def test_of_two_authors_one_wins_and_the_old_revision_serves_meanwhile(started):
    first = publisher(started, "validated", "wait")
    try:
        assert first.stdout.readline() == "waiting\n"
        with pytest.raises(Conflict, match="publishing"):
            publish(started, thing(field("other", "text")))
        with pytest.raises(Conflict):
            recover(started)
        insert(started, name="meanwhile", size=9, code="z")
        assert started.revision().number == 1
        first.stdin.write("go on\n")
        first.stdin.flush()
        assert first.stdout.readline() == "published\n"
        assert first.wait(30) == 0
    finally:
        if first.poll() is None:
            first.kill()
            first.wait()
    started.refresh()
    assert started.revision().number == 2
    assert values(started, "width") == [(5,), (9,)]


def test_a_killed_publisher_blocks_nobody(started):
    first = publisher(started, "expanded", "wait")
    assert first.stdout.readline() == "waiting\n"
    first.kill()
    first.wait()
    assert publish(started, AFTER).number == 2
    assert journal_states(started) == ["done", "abandoned", "done"]


def test_rows_that_break_a_unique_rule_while_it_is_built_undo_the_publish(started, monkeypatch):
    module = sys.modules[publish_function.__module__]

    def double(point):
        if point == "backfilled":
            insert(started, name="b", size=7, code="x")

    monkeypatch.setattr(module, "reached", double)
    with pytest.raises(PlanRefused):
        publish(started, AFTER)
    monkeypatch.undo()
    assert started.revision().number == 1
    assert values(started, "size", "code") == [(5, "x"), (7, "x")]
    assert journal_states(started)[-1] == "abandoned"
    with started.write() as conn:
        table = started.revision().tables.of("shop.thing")
        conn.execute(table.update().where(table.c.name == "b").values(code="y"))
    assert publish(started, AFTER).number == 2


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_table_in_use_makes_the_publish_give_up_cleanly(started):
    holding, release = threading.Event(), threading.Event()

    def hold():
        with started.write() as conn:
            conn.exec_driver_sql('LOCK TABLE "shop__thing" IN ACCESS EXCLUSIVE MODE')
            holding.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    begun = time.monotonic()
    try:
        with pytest.raises(Busy):
            publish(started, thing(field("size", "integer", "min: 1") + "\n" + field("code", "text") + "\n" + field("z", "text")))
    finally:
        release.set()
        thread.join()
    assert time.monotonic() - begun < 20
    assert started.revision().number == 1
    assert publish(started, AFTER).number == 2


def test_a_publish_is_live_in_every_process_within_a_second_and_nobody_sees_half(started):
    """Readers and writers go on all the while; each answer belongs to one revision whole."""
    elsewhere = Tenancy(started.tenancy.settings)       # as another process sees it
    other = elsewhere.open(started.name)
    assert other.revision().number == 1
    stop, faults, counts = threading.Event(), [], {"read": 0, "written": 0}

    def read():
        while not stop.is_set():
            try:
                seen = other.revision()
                table = seen.tables.of("shop.thing")
                assert ("extra" in table.c) == (seen.number == 2), "half a revision"
                with other.read() as conn:
                    conn.execute(sa.select(table).limit(5)).all()
                counts["read"] += 1
            except Exception as error:
                faults.append(error)

    def write():
        while not stop.is_set():
            try:
                seen = other.revision()
                table = seen.tables.of("shop.thing")
                with other.write() as conn:
                    conn.execute(table.insert().values(name="w", size=1, created_at=utc_now(), updated_at=utc_now()))
                counts["written"] += 1
            except Exception as error:
                faults.append(error)
            time.sleep(0.005)

    threads = [threading.Thread(target=read) for _ in range(3)] + [threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    publish(started, thing(field("size", "integer", "min: 1") + "\n" + field("code", "text") + "\n" + field("extra", "text")))
    begun = time.monotonic()
    while other.revision().number != 2 and time.monotonic() - begun < 5:
        time.sleep(0.01)
    took = time.monotonic() - begun
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    elsewhere.close()
    assert not faults, faults[:3]
    assert counts["read"] > 20
    assert counts["written"] > 5
    assert took < 1.0, f"live after {took:.2f} s"


def test_a_request_of_the_old_revision_that_meets_a_rename_may_come_again(started):
    old = started.revision().tables.of("shop.thing")
    publish(started, AFTER)
    with pytest.raises(Busy), started.read() as conn:
        conn.execute(sa.select(old)).all()
    with pytest.raises(sa.exc.DBAPIError), started.read() as conn:      # a mistake stays a mistake once that is long ago
        started._revisions._switched_at = -1000.0
        conn.execute(sa.select(old)).all()
