"""The club with jobs: the world of the job tests, and the child process that works in it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from metaloom import schema_change
from metaloom.base.errors import Busy
from metaloom.command import handle_run, schedule_jobs
from metaloom.compile import Source
from metaloom.job import run_due
from tests.command.club import Club, sources
from tests.forked import Forked

JOBS = """jobs:
  fees:
    label: {zh: 每日收费, en: Daily fees}
    schedule: {cron: "0 6 * * *"}
    steps:
      - {action: member/charge, where: "status == 'active'", values: {amount: rating}}
      - notify: {roles: [chief], subject: {zh: "收费完成 {done}，失败 {failed}", en: "{done} charged, {failed} failed"}}
  day:
    label: {zh: 日终, en: Day end}
    schedule: {business_date: after_move}
    steps:
      - {action: member/charge, where: "status == 'active' and joined_on <= business_date()", values: {amount: rating}}
  chief_only:
    label: {zh: 主管, en: Chief}
    run_as: chief
    steps:
      - {action: member/admit, where: "status == 'draft'"}
  sweep:
    label: {zh: 清扫, en: Sweep}
    catch_up: latest
    schedule: {cron: "*/5 * * * *"}
    steps:
      - run: club_desk.sweep
  switch:
    label: {zh: 日切, en: Date switch}
    schedule: {cron: "5 0 * * *", paused: true}
    per: company
    catch_up: latest
    steps:
      - {move_business_date: {most: 3}, tell: [chief]}
"""
EARLY = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)          # 08:00 in Shanghai
CHILD = """
import os, signal, sys, time
from datetime import datetime
from metaloom.base.clock import FixedClock
from metaloom.command import handle_run, schedule_jobs
from metaloom.command import run_job
from metaloom.job import run_due
from metaloom.storage import Settings, Tenancy
from metaloom.storage.revisions import compiler_with
from tests.command.club import plugins
home, url, name, now, what, lease, slow, deadly = sys.argv[1:]
registry = plugins()
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url}), compiler=compiler_with(registry.manifest())).open(name)
clock = FixedClock(datetime.fromisoformat(now))
act = run_job._act
def slowly(going, unit, step, record_id):
    if str(record_id) == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    done = act(going, unit, step, record_id)
    time.sleep(float(slow))
    return done
run_job._act = slowly
print("ready", flush=True)
if "schedule" in what:
    schedule_jobs(tenant, plugins=registry, clock=clock)
if "run" in what:
    def handle(tenant, row):
        return handle_run(tenant, row, plugins=registry, clock=clock)
    for _ in range(400):
        if not run_due(tenant, {"job.run": handle}, lease_seconds=float(lease)) and "once" in what:
            break
        time.sleep(0.05)
"""


class Hall(Club):
    """``hall.members(5)`` are active members that can be charged; ``hall.tick()`` schedules, ``hall.work()`` carries out."""

    def _fill(self) -> None:
        schema_change.publish(self.tenant, (*sources(), Source("pack", "club/jobs.yaml", JOBS)))
        self.system = type(self.system)(**{**vars(self.system), "revision": self.tenant.revision()})
        super()._fill()
        self.clock.at = EARLY

    def members(self, count: int, rating: int = 5) -> list[int]:
        made = [self.active() for _ in range(count)]
        for one in made:
            self.rate(one, rating)
        return made

    def rate(self, member: int, rating: int) -> None:
        """As if it had been entered: a member that is active cannot be changed by a form."""
        with self.tenant.write() as conn:
            table = self.tenant.revision().tables.of("club.member")
            conn.execute(table.update().where(table.c.id == member).values(rating=rating))

    def tick(self) -> int:
        return schedule_jobs(self.tenant, plugins=self.registry, clock=self.clock)

    def work(self, **more) -> int:
        return run_due(self.tenant, {"job.run": lambda tenant, row: handle_run(tenant, row, plugins=self.registry, clock=self.clock, **more)})

    def runs(self, job: str = "club.fees", **where) -> list[dict]:
        jobs = {row["id"]: row["job"] for row in self.engine_rows("scheduled_job")}
        return [row for row in self.engine_rows("scheduled_run") if jobs[row["job_id"]] == job and all(row[k] == v for k, v in where.items())]

    def errors(self, run_id: int) -> list[dict]:
        return self.engine_rows("run_error", lambda row: row["run_id"] == run_id)

    def charged(self) -> dict[int, int]:
        """How many fees each member has."""
        with self.tenant.read() as conn:
            table = self.tenant.revision().tables.of("club.fee")
            return {row[0]: row[1] for row in conn.execute(sa.select(table.c.member_id, sa.func.count()).group_by(table.c.member_id))}

    def job_id(self, job: str) -> int:
        return next(row["id"] for row in self.engine_rows("scheduled_job") if row["job"] == job)

    def child(self, what: str, *, lease: float = 60, slow: float = 0, deadly: int = 0, point: str = "") -> Forked:
        settings = self.tenant.settings
        given = {**os.environ, "METALOOM_CRASH_POINT": point}
        process = Forked(CHILD, settings.home, settings.database_url or "", self.tenant.name, self.clock.at.isoformat(), what, lease, slow, deadly, env=given)
        assert process.stdout.readline() == "ready\n", process.errors()[-2000:]
        return process

    def expire(self) -> None:
        """Every lease has run out, every pause is over."""
        past = "2020-01-01T00:00:00.000000Z" if self.tenant.dialect == "sqlite" else "2020-01-01"
        cast = "" if self.tenant.dialect == "sqlite" else "timestamptz "
        with self.tenant.write() as conn:
            conn.exec_driver_sql(f"UPDATE ml_outbox SET run_after = {cast}'{past}', "
                                 f"lease_until = CASE WHEN lease_until IS NULL THEN NULL ELSE {cast}'{past}' END")


def home_of(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def is_free(hall: Hall) -> bool:
    """Whether nobody holds the lock of a writer."""
    try:
        with hall.tenant.write():
            return True
    except Busy:
        return False


def end_sleepers(hall: Hall) -> None:
    """What the server does to a session that is idle in a transaction: the stopped process may hold a row."""
    server = sa.create_engine(hall.tenant.settings.database_url)
    with server.connect() as conn:
        conn.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' "
                             "AND pid <> pg_backend_pid() AND datname = current_database()")
    server.dispose()
