"""Mass steps: ranges taken by any number of workers, records held back, deaths anywhere; every record once, the books to the cent."""

import os
import signal
import sys
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from metaloom import schema_change
from metaloom.base.errors import Busy, NotPossible
from metaloom.base.text import Text
from metaloom.command import handle_part, handle_run, move_business_date, rerun_failed, run_command, system_context
from metaloom.compile import Source
from metaloom.job import parts, run_due
from metaloom.plugin import PluginFault
from metaloom.plugin.mass import Outcome, Reckoned, Written
from metaloom.plugin.registry import Place
from metaloom.record import mass
from tests.command.club import TODAY, sources
from tests.forked import Forked
from tests.job.hall import Hall, end_sleepers

PLUGINS = Path(__file__).parent / "plugins"
PLACE = Place(PLUGINS / "club_mass", "club_mass")
JOBS = """jobs:
  day:
    label: {zh: 日终, en: Day end}
    schedule: {business_date: after_move}
    steps:
      - {mass: club_mass.daily, where: "status == 'active' and joined_on <= business_date()"}
      - notify: {roles: [chief], when: failed, subject: {zh: "失败 {failed}", en: "{failed} failed"}}
"""
SIZE = 4
CHILD = """
import sys, time
sys.path.insert(0, {plugins!r})
from datetime import datetime
from metaloom.base.clock import FixedClock
from metaloom.command import handle_part, handle_run, mass_step, schedule_jobs
from metaloom.job import parts, run_due
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from tests.command.club import plugins
from tests.job.test_mass import PLACE, SIZE
home, url, name, now, lease = sys.argv[1:]
registry = plugins(PLACE)
tenant = Tenancy(Settings.from_env({{"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url}}), compiler=compiler_with(registry.manifest())).open(name)
clock = FixedClock(datetime.fromisoformat(now))
step = sys.modules["metaloom.command.mass_step"]
step.ROWS_OF_A_PART = dict.fromkeys(step.ROWS_OF_A_PART, SIZE)
step.LEASE_SECONDS = float(lease)
step.LOOK_AGAIN_SECONDS = 0.05
step.DEADLY_FROM = 1
take = parts.take
parts.take = lambda *given: take(*given, seconds=float(lease))
print("ready", flush=True)
schedule_jobs(tenant, plugins=registry, clock=clock)
handlers = {{"job.run": lambda tenant, row: handle_run(tenant, row, plugins=registry, clock=clock),
            "job.part": lambda tenant, row: handle_part(tenant, row, plugins=registry, clock=clock)}}
for _ in range(200):
    if not run_due(tenant, handlers, lease_seconds=float(lease)):
        time.sleep(0.06)
        if not run_due(tenant, handlers, lease_seconds=float(lease)):
            break
"""


class MassHall(Hall):
    """A hall whose day end is a mass step over ranges of four members."""

    def __init__(self, home, url, name):
        if str(PLUGINS) not in sys.path:
            sys.path.insert(0, str(PLUGINS))
        super().__init__(home, url, name, places=[PLACE])

    def _fill(self):
        schema_change.publish(self.tenant, (*sources(), Source("pack", "club/jobs.yaml", JOBS)))
        self.system = system_context(self.tenant, plugins=self.registry, clock=self.clock)
        super(Hall, self)._fill()

    def next_day(self, days=1):
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of("platform.company")
            today = conn.scalar(sa.select(table.c.business_date).where(table.c.id == self.north))
        move_business_date(self.system, self.north, today + timedelta(days=days))
        self.tick()
        return today + timedelta(days=days)

    def work(self, **more):
        return run_due(self.tenant, {
            "job.run": lambda tenant, row: handle_run(tenant, row, plugins=self.registry, clock=self.clock, **more),
            "job.part": lambda tenant, row: handle_part(tenant, row, plugins=self.registry, clock=self.clock, **more)})

    def child(self, *, lease=60.0, point="", **env):
        settings = self.tenant.settings
        given = {**os.environ, "METALOOM_CRASH_POINT": point, **{name: str(value) for name, value in env.items()}}
        process = Forked(CHILD.format(plugins=str(PLUGINS)), settings.home, settings.database_url or "", self.tenant.name,
                         self.clock.at.isoformat(), lease, env=given)  # fmt: skip
        assert process.stdout.readline() == "ready\n", process.errors()[-2000:]
        return process

    def expire(self):
        super().expire()
        past = "'2020-01-01T00:00:00.000000Z'" if self.tenant.dialect == "sqlite" else "timestamptz '2020-01-01'"
        with self.tenant.write() as conn:
            conn.exec_driver_sql(f"UPDATE ml_run_part SET lease_until = {past} WHERE lease_until IS NOT NULL")

    def finish(self, rounds=12):
        for _ in range(rounds):
            self.expire()
            self.tick()
            if not self.work() and all(row["status"] not in ("waiting", "running") for row in self.runs("club.day")):
                return

    def books(self):
        """What each account has, in the whole ledger."""
        with self.tenant.read() as conn:
            leg = self.tenant.revision().tables.engine.ledger_leg
            rows = conn.execute(sa.select(leg.c.account, leg.c.side, leg.c.booking_date, sa.func.sum(leg.c.amount)).group_by(
                leg.c.account, leg.c.side, leg.c.booking_date)).all()
        return {(account, side, day): amount for account, side, day, amount in rows}

    def balances(self):
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of("club.member")
            return dict(conn.execute(sa.select(table.c.id, table.c.balance)).all())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def hall(request, tmp_path, monkeypatch):
    step = sys.modules["metaloom.command.mass_step"]
    monkeypatch.setattr(step, "ROWS_OF_A_PART", dict.fromkeys(step.ROWS_OF_A_PART, SIZE))
    monkeypatch.setattr(step, "LOOK_AGAIN_SECONDS", 0.0)
    made = MassHall(tmp_path / "home", request.getfixturevalue("pg_url") if request.param == "postgresql" else "", f"m_{abs(hash(request.node.name)) % 10**8}")
    made.tick()
    yield made
    made.close()


def right(hall, members, days):
    """Every member was charged once for each day, its balance says so, and so do the books."""
    assert hall.charged() == dict.fromkeys(members, days)
    assert {one: hall.balances()[one] for one in members} == dict.fromkeys(members, days * 100)
    for (_, _, _), amount in hall.books().items():
        assert amount == len(members) * 100


def test_ranges_are_done_and_told_with_figures_audit_and_balanced_entries(hall):
    members = hall.members(10)
    day = hall.next_day()
    hall.finish()
    run, = hall.runs("club.day", company_id=hall.north)
    assert (run["status"], run["total"], run["done"], run["failed"]) == ("done", 11, 11, 0), hall.errors(run["id"])
    right(hall, members, 1)
    assert set(hall.books()) == {("1001", "debit", day), ("2001", "credit", day)}
    with hall.tenant.read() as conn:
        told = parts.figures_of(conn, run["id"])
    assert (told[0]["parts"], told[0]["parts_done"], told[0]["done"], told[0]["figures"]) == (3, 3, 10, {"fees": 10})
    rows = [row["after"] for row in hall.engine_rows("audit") if row["entity"] == "club.member" and row["record_id"] is None]
    assert [row["rows"] for row in rows] == [4, 4, 2] and all(len(row["digest"]) == 64 for row in rows)
    stored = hall.row("club.member", members[0])
    assert stored["birthday"] == stored["joined_on"] - timedelta(days=7)


@pytest.mark.parametrize("hall", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_a_part_does_not_wait_for_the_disk_and_everything_else_does(hall, monkeypatch):
    step, told = sys.modules["metaloom.command.mass_step"], []
    end = step._end

    def setting(conn):
        return conn.exec_driver_sql("SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'").one()

    monkeypatch.setattr(step, "_end", lambda *given, **more: (told.append(setting(given[4])), end(*given, **more))[1])
    hall.members(10)
    hall.next_day()
    hall.finish()
    with hall.tenant.write() as conn:
        assert setting(conn).source != "session", "it is said for one transaction"
    assert len(told) > 1 and set(told) == {("off", "session")}, told


def test_records_that_fail_are_held_back_and_tried_again(hall):
    members = hall.members(9)
    unlucky, poison = members[2], members[6]
    hall.rate(unlucky, 13)
    hall.rate(poison, 99)
    hall.next_day()
    hall.finish()
    run, = hall.runs("club.day", company_id=hall.north)
    assert (run["status"], run["done"], run["failed"]) == ("partial", 8, 2)
    assert {row["record_id"]: row["sentence"][:5] for row in hall.errors(run["id"])} == {unlucky: "会员不吉利", poison: "处理时出现"}
    held = {row["record_id"]: row for row in hall.engine_rows("held_record")}
    assert set(held) == {unlucky, poison} and held[unlucky]["business_date"] == run["business_date"] and not any(row["released_at"] for row in held.values())
    assert hall.charged() == {one: 1 for one in members if one not in held}
    with pytest.raises(NotPossible, match="会员不吉利|unlucky"):
        run_command(hall.system, "club_mass.catch_up", unlucky, {})
    hall.rate(poison, 5)
    rerun_failed(hall.ctx("admin"), run["id"])
    hall.finish()
    again, = hall.runs("club.day", origin="rerun")
    assert (again["status"], again["done"], again["failed"]) == ("partial", 1, 1)
    assert hall.charged() == {one: 1 for one in members if one != unlucky}
    hall.rate(unlucky, 5)
    hall.next_day()
    hall.finish()
    assert all(row["released_at"] for row in hall.engine_rows("held_record"))
    assert hall.charged() == {one: 1 if one == unlucky else 2 for one in members}


def test_one_record_is_brought_up_in_a_command_and_left_alone_by_the_run(hall):
    members = hall.members(5)
    day = hall.next_day()
    run_command(hall.system, "club_mass.catch_up", members[1], {})
    assert hall.charged() == {members[1]: 1}
    hall.finish()
    right(hall, members, 1)
    causes = {row["entity"] for row in hall.engine_rows("ledger_entry")}
    assert causes == {"platform.scheduled_run", "club.member"} and {row["booking_date"] for row in hall.engine_rows("ledger_entry")} == {day}


def test_seven_missed_days_are_as_seven_daily_runs(hall):
    members = hall.members(6)
    hall.next_day(7)
    hall.finish(20)
    right(hall, members, 7)
    assert sorted(day for _, _, day in hall.books()) == sorted(2 * [TODAY + timedelta(days=n) for n in range(1, 8)])
    assert len([row for row in hall.runs("club.day", company_id=hall.north) if row["status"] == "done"]) == 7


@pytest.mark.parametrize("hall", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_what_a_command_changes_meanwhile_is_not_lost(hall):
    """Not on SQLite, where there is one writer: the range waits for the command that is at one of its records, and reckons with what it left."""
    members = hall.members(6)
    hall.next_day()
    table = hall.tenant.revision().tables.of("club.member")
    with hall.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == members[2]).values(balance=5000))
        worker = threading.Thread(target=hall.finish)
        worker.start()
        deadline = time.monotonic() + 20
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not conn.scalar(waiting) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert hall.charged() in ({}, dict.fromkeys(members[4:], 1))
    worker.join(60)
    assert hall.balances()[members[2]] == 5100
    assert hall.charged() == dict.fromkeys(members, 1)


def test_a_month_closed_while_a_part_runs_holds_nobody_back(hall, monkeypatch):
    """The part saw the month open, its entry came too late: everything of it is undone, and the next try books on the first open day."""
    members = hall.members(5)
    day = hall.next_day()
    with hall.tenant.write() as conn:
        period = hall.tenant.revision().tables.engine.ledger_period
        conn.execute(period.insert().values(company_id=hall.north, month=f"{day:%Y-%m}", entries=0))
    ledger = sys.modules["metaloom.command.run_mass"].ledger
    looks, truth = [], ledger.open_from
    monkeypatch.setattr(ledger, "open_from", lambda *given: looks.append(given) or (truth(*given) if len(looks) > 1 else None))
    hall.finish()
    run, = hall.runs("club.day", company_id=hall.north)
    assert (run["status"], run["failed"]) == ("done", 0), hall.errors(run["id"])
    assert len(looks) == 3 and {booked for _, _, booked in hall.books()} == {(day.replace(day=1) + timedelta(days=31)).replace(day=1)}
    right(hall, members, 1)


def test_a_part_that_others_are_in_the_way_of_is_no_deadly_one(hall, monkeypatch):
    """However often: it comes again as it is, in one piece, and nobody is held back."""
    members = hall.members(SIZE)
    hall.next_day()
    step = sys.modules["metaloom.command.mass_step"]
    truth, left = step._perform, [step.DEADLY_FROM + 3]

    def perform(going, job_step, part):
        left[0] -= 1
        if left[0] >= 0:
            raise Busy
        assert part.size == SIZE
        truth(going, job_step, part)

    monkeypatch.setattr(step, "_perform", perform)
    hall.finish()
    run, = hall.runs("club.day", company_id=hall.north)
    assert (run["status"], run["failed"], left[0]) == ("done", 0, -1), hall.errors(run["id"])
    right(hall, members, 1)


@pytest.mark.parametrize("hall", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_a_part_that_the_database_ends_again_and_again_is_cut_in_two(hall, monkeypatch):
    """Not on SQLite, which ends nobody."""
    members = hall.members(SIZE)
    hall.next_day()
    step = sys.modules["metaloom.command.mass_step"]
    truth, ended = step._end, []

    def end(going, job_step, part, done, conn, *, keep):
        if part.size == SIZE:
            ended.append(part.attempts)
            conn.exec_driver_sql("SET LOCAL statement_timeout = '20ms'")
            conn.exec_driver_sql("SELECT pg_sleep(2)")
        truth(going, job_step, part, done, conn, keep=keep)

    monkeypatch.setattr(step, "_end", end)
    hall.finish(40)
    run, = hall.runs("club.day", company_id=hall.north)
    assert (run["status"], run["failed"], ended) == ("done", 0, [1, 2, 3]), hall.errors(run["id"])
    right(hall, members, 1)


@pytest.mark.parametrize("hall", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_rows_that_point_to_a_locked_record_may_come_meanwhile(hall):
    """Not on SQLite, which locks no rows: the keys of a range are left free, as those of a record in a command are."""
    first, *_ = hall.members(2)
    revision = hall.tenant.revision()
    with hall.tenant.write() as conn:
        assert first in mass.read(conn, revision, revision.catalog.entities["club.member"], ("id",), (), lock=True)["id"]
        with hall.tenant.write() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            mass.insert(other, revision, revision.catalog.entities["club.fee"], {"member": [first], "amount": [100], "memo": "meanwhile"},
                        now=hall.clock.now(), user_id=None)
    assert hall.charged() == {first: 1}


def test_kill_9_at_every_point_of_a_part_and_the_next_worker_makes_it_whole(hall):
    members = hall.members(6)
    points = ("mass.after_begin", "mass.after_take", "mass.after_lock", "mass.after_write", "mass.after_post", "mass.before_commit", "mass.after_part",
              "write.before_commit")
    for number, point in enumerate(points, start=1):
        hall.next_day()
        process = hall.child(point=f"{point}@{hall.tenant.settings.home}/died-{number}")
        assert process.wait(90) == -signal.SIGKILL, (point, process.errors()[-1500:])
        hall.finish()
        right(hall, members, number)


def test_many_workers_at_once_do_every_part_once(hall):
    members = hall.members(12)
    hall.next_day()
    gate = threading.Barrier(4)

    def worker():
        gate.wait()
        for _ in range(6):
            hall.work()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    hall.finish()
    run, = hall.runs("club.day", company_id=hall.north)
    assert run["status"] == "done", (hall.errors(run["id"]), hall.engine_rows("run_part"), hall.engine_rows("outbox"))
    right(hall, members, 1)


@pytest.mark.parametrize("hall", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_a_worker_stopped_for_longer_than_its_lease_changes_nothing_more(hall):
    """Not on SQLite: a stopped writer holds the only lock there, and its transaction is what others wait for."""
    members = hall.members(6)
    hall.next_day()
    process = hall.child(lease=1.0, CLUB_SLOW=2)
    try:
        deadline = time.monotonic() + 30
        while not any(row["state"] == "running" for row in hall.engine_rows("run_part")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.1)
        end_sleepers(hall)
        hall.finish()
        right(hall, members, 1)
        os.kill(process.pid, signal.SIGCONT)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()
    right(hall, members, 1)


@pytest.mark.parametrize("hall", ["sqlite"], indirect=True)
def test_a_record_that_kills_the_process_is_held_back(hall):
    """Who dies is counted in the same rows on both databases; one is enough for a test of many processes."""
    members = hall.members(5)
    deadly = members[1]
    hall.next_day()
    for _ in range(14):
        process = hall.child(CLUB_DEADLY=deadly)
        died = process.wait(90)
        hall.expire()
        if died == 0:
            break
    run, = hall.runs("club.day", company_id=hall.north)
    assert (run["status"], run["failed"]) == ("partial", 1)
    error, = hall.errors(run["id"])
    assert error["record_id"] == deadly and "died" in error["sentence_en"]
    assert hall.charged() == {one: 1 for one in members if one != deadly}


def test_a_function_writes_what_it_declared_and_nothing_else(hall):
    hall.members(2)
    run_mass = sys.modules["metaloom.command.run_mass"]
    from metaloom.command.unit import Unit
    for name in ("yearly", "status", "balance"):
        with pytest.raises(PluginFault, match="may not"), hall.tenant.write() as conn:
            unit = Unit(hall.system, conn, "test", hall.clock.now())
            declared, _ = run_mass.mass_of(hall.registry, "club_mass.wrong")
            outcome = run_mass.Outcome(change={"club.member": {"id": [1], name: [100]}})
            run_mass._check(unit, declared, chunk_of(run_mass, unit, declared, [1]), outcome)


def chunk_of(run_mass, unit, declared, ids):
    near = run_mass.mass.equal(unit.revision, unit.entity(declared.on), {"id": ids})
    return run_mass.PluginChunk(unit, declared, ids, near, date(2026, 1, 1), None, ("club.member", ids[0]))


def test_what_the_database_settles_is_written_once_as_declared_and_not_held_back(hall):
    members = hall.members(3)
    hall.next_day()
    hall.work()
    run_mass = sys.modules["metaloom.command.run_mass"]
    from metaloom.command.unit import Unit
    told = []

    def stored(entity, **where):
        table = hall.tenant.revision().tables.of(entity)
        with hall.tenant.read() as conn:
            return conn.execute(sa.select(table).where(*(table.c[name] == value for name, value in where.items()))).mappings().all()

    def settled(change, add, ids=members[:2]):
        with hall.tenant.write() as conn:
            unit = Unit(hall.system, conn, "test", hall.clock.now())
            declared, _ = run_mass.mass_of(hall.registry, "club_mass.daily")
            chunk = chunk_of(run_mass, unit, declared, ids)

            def said(terms):
                twice = terms.kept(terms.row("amount") - 1 + terms.row("amount") + 1)
                four = terms.kept(twice + twice)               # of what is kept already
                return Reckoned({"fees": terms.sum(terms.row("amount")), "none": terms.number(0), "so_far": terms.sum(four // 4) * terms.each},
                                having=[terms.sum(twice) == 2 * terms.sum(terms.row("amount"))], rises={"more": ("so_far", "none")})

            done = chunk.settle("club.fee", "member", range(1, 4), said,
                lambda lines: Written({name: lines.of("so_far") for name in change}, {"club.fee": {
                    "member": lines.id, "amount": lines.of("more"), "memo": "settled", **dict.fromkeys(add)}}, {"all": lines.of("more")}))
            told.append((done, chunk.written))
            run_mass._check(unit, declared, chunk, Outcome(held={ids[0]: Text("否", "No")}) if not change else Outcome())

    for wrong in ((["status"], []), (["fee"], []), (["balance"], ["paid"])):
        with pytest.raises(PluginFault, match="may not"):
            settled(*wrong)
    with pytest.raises(PluginFault, match="is settled"):
        settled([], [])
    assert not stored("club.fee", memo="settled")
    before = {row["member_id"]: int(row["amount"] * 100) for row in stored("club.fee")}
    versions = {row["id"]: row["row_version"] for row in stored("club.member")}
    with hall.tenant.write() as conn:
        unit = Unit(hall.system, conn, "test", hall.clock.now())
        chunk = chunk_of(run_mass, unit, run_mass.mass_of(hall.registry, "club_mass.daily")[0], members[:2])
        kept = [(row["joined_on"].toordinal(), int(row["balance"] * 100)) for row in stored("club.member") if row["id"] in members[:2]]
        assert [chunk.least(name) for name in ("joined_on", "balance")] == [min(column) for column in zip(*kept, strict=True)]
        with pytest.raises(PluginFault, match="undeclared"):
            chunk.least("email")
        with pytest.raises(ValueError, match="in a sum alone"):
            chunk.settle("club.fee", "member", range(1, 2), lambda terms: Reckoned({"fee": terms.row("amount")}), lambda lines: Written({}, {}, {}))
    settled(["balance"], [])
    done, written = told[-1]
    assert (list(done.ids), done.lines) == (members[:2], 6) and len(written[0]["settled"][0]) >= 64
    assert done.sums == {each: {"all": sum(before[one] for one in members[:2])} for each in (1, 2, 3)}
    rows = sorted((row["member_id"], int(row["amount"] * 100)) for row in stored("club.fee", memo="settled"))
    assert rows == sorted((one, before[one]) for one in members[:2] for _ in range(3))
    for one in members:
        row, = stored("club.member", id=one)
        changed = one in members[:2]
        assert (row["row_version"] - versions[one], int(row["balance"] * 100)) == (int(changed), before[one] * (3 if changed else 1))


def test_the_statements_of_a_range_serve_the_next_one_of_the_same_run(hall):
    first, second, third = hall.members(3)
    hall.next_day()
    hall.work()
    run_mass = sys.modules["metaloom.command.run_mass"]
    from metaloom.command.unit import Unit
    kept, said, times = {}, [], []

    def settled(ids, same):
        with hall.tenant.write() as conn:
            unit = Unit(hall.system, conn, "test", hall.clock.now())
            times.append(unit.now)
            declared, _ = run_mass.mass_of(hall.registry, "club_mass.daily")
            above = run_mass.rows.mass.within(unit.tables.of(declared.on).c.id, ids[0] - 1, ids[-1])
            chunk = run_mass.PluginChunk(unit, declared, ids, above, date(2026, 1, 1), None, ("club.member", ids[0]), kept)

            def say(terms):
                said.append(ids)
                return Reckoned({"fees": terms.sum(terms.row("amount"))})

            return chunk.settle("club.fee", "member", range(1, 2), say, lambda lines: Written(
                {"balance": lines.of("fees")}, {"club.fee": {"member": lines.id, "amount": lines.of("fees"), "memo": "kept"}}, {}), same=same).ids

    hall.clock.at += timedelta(seconds=5)
    assert settled([first], "a") == [first]
    hall.clock.at += timedelta(seconds=5)
    assert settled([second, third], "a") == [second, third] and said == [[first]]
    assert settled([third], "b") == [third] and said == [[first], [third]]
    table = hall.tenant.revision().tables.of("club.fee")
    with hall.tenant.read() as conn:
        rows = conn.execute(sa.select(table.c.member_id, table.c.created_at).where(table.c.memo == "kept").order_by(table.c.id)).all()
    assert [tuple(row) for row in rows] == [(first, times[0]), (second, times[1]), (third, times[1]), (third, times[2])] and times[0] < times[1]
