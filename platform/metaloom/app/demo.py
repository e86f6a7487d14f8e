"""The stage of the demo_data door: simulated days on which people work through the engine's own commands (decision 39).

Every piece of work carries its key as request id into the audit, in the transaction of its effect. A run that was
interrupted reads the keys back from there, walks through the history again without doing anything twice, and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from metaloom import command
from metaloom.access import AccessPlan, plan_for
from metaloom.app.tasks import CASE, waiting_for, words_of
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.errors import Busy, NotAllowed, NotPossible, Stale
from metaloom.base.messages import message, register
from metaloom.command import ActionDone, Context, system_context
from metaloom.command.approval_case import TIMER
from metaloom.command.environment import role_names, user_values
from metaloom.command.move_case import CASE_MOVES
from metaloom.expression import Env
from metaloom.job import run_due
from metaloom.plugin.demo_data import Size
from metaloom.plugin.environment import Environment
from metaloom.plugin.registry import Registry, installed
from metaloom.record import Filter, Reader, Row
from metaloom.storage import Tenancy, Tenant
from metaloom.storage.types import utc_now
from metaloom.worker import handlers

PASSWORD = "metaloom2026"
"""Every demonstration login has it; the README says so. Demonstration tenants are not for real data."""
ADMIN, AUDITOR = "admin", "auditor"
PREFIX, SETTING = "demo:", "demo"
READY, FINISHED = "ready", "finished"
MORNING, STEP = time_of_day(9), timedelta(seconds=7)
DOOR, COMPANY, ORG_UNIT, USER = "demo_data", "platform.company", "platform.org_unit", "platform.user"
TRIES, WAIT_SECONDS = 8, 60.0
PAUSE_MIN, PAUSE_MAX = 0.02, 0.25

Progress = Callable[[int, int, str], None]

register({
    "demo.not_empty": ("租户“{name}”中已有业务数据，演示数据只能用于新租户。",
                       "The tenant “{name}” holds records of its own; demonstration data goes into a new tenant only."),
    "demo.no_task": ("没有等待您处理的审批任务。", "No approval task waits for you here."),
})


class ReadySoFar(Exception):  # noqa: N818 - not an error: the first part is there
    """Ends a run that was asked for the first part only."""


def make(tenancy: Tenancy, name: str, *, size: Size | None = None, first_only: bool = False, progress: Progress | None = None,
         registry: Registry | None = None, clock: Clock | None = None, ready: Callable[[], None] | None = None,
         gently: bool = False) -> bool:
    """Fills tenant ``name`` with the histories of all providers whose packs it has; False when that was done before.

    ``first_only``: only until there is enough to log in and look around; a later call goes on. ``ready`` is called at that
    point otherwise. ``gently`` leaves room for people who work at the same time. Refuses a tenant that holds records of somebody else's making.
    """
    tenant = tenancy.open(name)
    stage = DemoStage(tenant, (registry or installed()).anew(), clock or SystemClock(), progress, first_only=first_only, on_ready=ready, gently=gently,
                      jobs=True)
    if stage.finished():
        return False
    if first_only and stage.begun():
        return True
    with tenancy.keeping(name), suppress(ReadySoFar):
        _play(stage, size or Size())
    return True


def _play(stage: DemoStage, size: Size) -> None:
    stage.open()
    packs = set(stage.tenant.revision().catalog.packs)
    providers = [stage.plugins.provider(DOOR, name, Environment(tenant=stage.tenant.name)) for name in stage.plugins.provider_names(DOOR)]
    for provider in providers:
        if packs.issuperset(provider.packs()):
            provider.run(stage, size)
    stage.close()


class DemoStage:
    """Implements :class:`metaloom.plugin.demo_data.Stage` on one tenant. ``jobs``: what the metadata schedules runs on the days that are played."""

    def __init__(self, tenant: Tenant, plugins: Registry, clock: Clock, progress: Progress | None = None, *, first_only: bool = False,
                 on_ready: Callable[[], None] | None = None, gently: bool = False, jobs: bool = False) -> None:
        self.tenant, self.plugins, self._jobs = tenant, plugins, jobs
        self.clock = SimulatedClock(clock, tenant.zone)
        self._tell, self._first_only, self._on_ready, self._gently = progress, first_only, on_ready, gently
        self._journal = Journal(tenant)
        self._people: dict[str, int] = {}
        self._companies: dict[str, int] = {}
        self._actors: dict[str, Worker] = {}
        self._waiting, self._new = True, False
        self._handlers = handlers(plugins, self.clock)
        self._limits = {TIMER: self._handlers.pop(TIMER)}    # these run out by the days that are played, not by the machine's clock
        self.done = 0

    # -- begin and end -----------------------------------------------------------------------------------------------

    def finished(self) -> bool:
        """Whether a run came to its end here."""
        return self._journal.has(FINISHED)

    def begun(self) -> bool:
        """Whether a run came so far that there is enough to look around."""
        return self._journal.has(READY)

    def open(self) -> None:
        """Reads what an earlier run did; makes the administrator and the auditor."""
        self._journal.read()
        if not self._journal and self._holds_records():
            raise NotPossible(message("demo.not_empty", name=self.tenant.name))
        if self._journal and self._tell is not None:
            self._tell(0, 0, f"已有 {len(self._journal):,} 步，接着做 / going on after {len(self._journal):,} steps")
        self.user(ADMIN, "系统管理员", ("platform.admin",))
        self.user(AUDITOR, "审计员", ("platform.auditor",))

    def _holds_records(self) -> bool:
        table = self.tenant.revision().tables.of(COMPANY)
        with self.tenant.read() as conn:
            return conn.scalar(sa.select(table.c.id).limit(1)) is not None

    def close(self) -> None:
        """The books reach the real day, and what deserves a warning on it gets one; the end is written down."""
        self.next_day(self.last_day)
        self.drain()
        self.attempt(lambda: command.evaluate_warnings(self._context(PREFIX + "warnings")))
        self._journal.mark(FINISHED)

    # -- organisation ------------------------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        return self.clock.day

    @property
    def last_day(self) -> date:
        return self.clock.real_day()

    def company(self, code: str, values: Mapping[str, Any]) -> int:
        made = self._once(f"company:{code}", COMPANY, lambda ctx: command.create_record(
            ctx, COMPANY, {"code": code, "business_date": self.today, **values}).id)
        self._companies[code] = made
        return made

    def org_unit(self, code: str, values: Mapping[str, Any]) -> int:
        return self._once(f"unit:{code}", ORG_UNIT, lambda ctx: command.create_record(ctx, ORG_UNIT, {"code": code, **values}).id)

    def user(self, username: str, display_name: str, roles: Sequence[str], company: int | None = None, org_unit: int | None = None,
             **values: Any) -> int:
        given = {"username": username, "display_name": display_name, "email": f"{username}@demo.invalid", "company": company,
                 "org_unit": org_unit, **values}
        user_id = self._once(f"user:{username}", USER, lambda ctx: command.save_user(ctx, None, given, password=PASSWORD, initial=False).id)
        for role in roles:
            self._once(f"role:{username}:{role}", "", lambda ctx, role=role: command.assign_role(ctx, user_id, role).id)
        self._people[username] = user_id
        return user_id

    def role(self, username: str, role: str, company: int) -> None:
        self._once(f"role:{username}:{role}:{company}", "", lambda ctx: command.assign_role(ctx, self._people[username], role, company=company).id)

    # -- work --------------------------------------------------------------------------------------------------------

    def as_user(self, username: str) -> Worker:
        if username not in self._actors:
            self._actors[username] = Worker(self, self._people[username])
        return self._actors[username]

    def drain(self) -> int:
        """Runs the outbox through the worker's own handlers, in this process."""
        if not self._waiting:
            return 0
        self._waiting, total, give_up = False, 0, time.monotonic() + WAIT_SECONDS
        while True:
            total += self._patiently(lambda: run_due(self.tenant, self._handlers))
            if not self._under_way() or time.monotonic() > give_up:
                return total
            time.sleep(0.05)                      # another worker has it in hand

    def _under_way(self) -> bool:
        outbox = self.tenant.revision().tables.engine.outbox
        due = sa.or_(outbox.c.state == "running", sa.and_(outbox.c.state == "pending", outbox.c.kind != TIMER, outbox.c.run_after <= utc_now()))
        with self.tenant.read() as conn:
            return conn.scalar(sa.select(outbox.c.id).where(due).limit(1)) is not None

    def next_day(self, day: date) -> None:
        self.clock.begin(day)
        for code, company in self._companies.items():
            self._once(f"day:{code}:{day}", "", lambda ctx, company=company: _move(ctx, company, day))
        self._patiently(lambda: run_due(self.tenant, self._limits, at=self.clock.now()))
        if self._jobs:
            self._patiently(lambda: command.schedule_jobs(self.tenant, plugins=self.plugins, clock=self.clock))
            self._waiting = True

    def ready(self) -> None:
        self.drain()
        if not self.begun():
            self._journal.mark(READY)
        if self._on_ready is not None:
            self._on_ready()
        if self._first_only:
            raise ReadySoFar

    def progress(self, done: int, total: int, text: str) -> None:
        """Silent while the walk is over what an earlier run did: it would count from nothing what is there."""
        if self._tell is not None and (self._new or not self._journal):
            self._tell(done, total, text)

    # -- the one way in ----------------------------------------------------------------------------------------------

    def _once(self, key: str, entity: str, work: Callable[[Context], int]) -> int:
        known = self._journal.find(key, entity)
        if known is not None:
            return known
        self._waiting = True
        return self.attempt(lambda: work(self._context(PREFIX + key)))

    def _context(self, request_id: str) -> Context:
        self.clock.step()
        ctx = system_context(self.tenant, plugins=self.plugins, clock=self.clock, request_id=request_id, run_as="demo")
        return replace(ctx, channel="cli")

    def attempt(self, work: Callable[[], Any]) -> Any:
        """One step of the story; whoever else waits gets a turn after it."""
        begun = time.monotonic()
        found = self._patiently(work)
        self.done += 1
        if self._gently:                          # SQLite has one writer
            time.sleep(min(max(time.monotonic() - begun, PAUSE_MIN) / 2, PAUSE_MAX))
        return found

    @staticmethod
    def _patiently(work: Callable[[], Any]) -> Any:
        """Tries again while the database is busy with other people's work: a server that is used beside may be at its day end."""
        for turn in range(TRIES):
            try:
                return work()
            except Busy:
                if turn == TRIES - 1:
                    raise
                time.sleep(0.2 * 2**turn)
        raise AssertionError("unreachable")


def _move(ctx: Context, company: int, day: date) -> int:
    """The company's next day; where somebody was faster, the books stay where they are."""
    try:
        return int(command.move_business_date(ctx, company, day).id)
    except NotPossible:
        return company


class Worker:
    """Implements :class:`metaloom.plugin.demo_data.Person`: a user with the user's rights."""

    def __init__(self, stage: DemoStage, user_id: int) -> None:
        self._stage, self._user_id = stage, user_id
        self._plan: AccessPlan | None = None
        self._versions: dict[tuple[str, int], int] = {}

    def create(self, key: str, entity: str, values: Mapping[str, Any]) -> int:
        stage = self._stage
        known = stage._journal.find(key, entity)
        if known is not None:
            return known
        stage._waiting = True
        saved = stage.attempt(lambda: command.create_record(self._context(key), entity, values))
        stage._new = True
        self._versions[entity, saved.id] = saved.row_version
        return int(saved.id)

    def do(self, key: str, entity: str, id: int, action: str, input: Mapping[str, Any] | None = None, reason: str = "") -> None:
        stage = self._stage
        if stage._journal.find(key, "") is not None:
            return
        stage._waiting = True
        version = self._versions.get((entity, id)) or self._version(entity, id)
        try:
            done = stage.attempt(lambda: self._run(key, entity, id, action, input, version, reason))
        except Stale as stale:                    # somebody else moved it on: look again, as a person would
            assert stale.row_version is not None
            moved = stale.row_version
            done = stage.attempt(lambda: self._run(key, entity, id, action, input, moved, reason))
        stage._new = True
        if done.row_version is not None:
            self._versions[entity, id] = done.row_version

    def decide(self, key: str, entity: str, id: int, decision: str, opinion: str = "", outputs: Mapping[str, Any] | None = None,
               to: str = "") -> None:
        if self._stage._journal.find(key, "") is not None:
            return
        task = self._task(entity, id)
        if task["assignee"] is None:
            self._work(f"{key}:claim", lambda ctx: command.move_case(ctx, "claim", task_id=task.id))
        version = self._version(entity, id)
        self._work(key, lambda ctx: command.decide_task(ctx, task.id, decision, opinion, outputs or {}, record_version=version, to=to or None))

    def move(self, key: str, entity: str, id: int, kind: str, words: str = "") -> None:
        if self._stage._journal.find(key, "") is not None:
            return
        data = words_of(kind, words)
        if kind in CASE_MOVES:
            case = self.find(CASE, {"entity": entity, "record_id": id}, limit=1)[0]["id"]
            self._work(key, lambda ctx: command.move_case(ctx, kind, case_id=case, data=data))
        else:
            task = self._task(entity, id).id
            self._work(key, lambda ctx: command.move_case(ctx, kind, task_id=task, data=data))

    def _task(self, entity: str, id: int) -> Row:
        with self._stage.tenant.read() as conn:
            found = waiting_for(self._reader(conn), entity, id)
        if not found:
            raise NotAllowed(message("demo.no_task"))
        return found[0]

    def _work(self, key: str, work: Callable[[Context], ActionDone]) -> None:
        self._stage._waiting = True
        done = self._stage.attempt(lambda: work(self._context(key)))
        self._stage._new = True
        self._versions.pop((done.entity, done.id), None)

    def ask(self, entity: str, id: int, action: str, input: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        version = self._version(entity, id)
        done = self._stage.attempt(lambda: self._run("", entity, id, action, input, version, ""))
        found: Mapping[str, Any] = done.results
        return found

    def _run(self, key: str, entity: str, id: int, action: str, input: Mapping[str, Any] | None, version: int, reason: str) -> Any:
        return command.run_action(self._context(key), entity, id, action, input or {}, version, reason)

    def read(self, entity: str, id: int) -> Mapping[str, Any]:
        with self._stage.tenant.read() as conn:
            row = self._reader(conn).get(entity, id, children=False)
            return {"id": row.id, "row_version": row.row_version, **row.values}

    def find(self, entity: str, where: Mapping[str, Any] | None = None, limit: int = 200) -> Sequence[Mapping[str, Any]]:
        filters = [Filter(name, "eq", value) for name, value in (where or {}).items()]
        with self._stage.tenant.read() as conn:
            page = self._reader(conn).list(entity, filters=filters, limit=limit)
            return [{"id": row.id, "row_version": row.row_version, **row.values} for row in page.rows]

    def _version(self, entity: str, id: int) -> int:
        with self._stage.tenant.read() as conn:
            return int(self._reader(conn).get(entity, id, paths=[], children=False).row_version)

    def _context(self, key: str) -> Context:
        stage = self._stage
        stage.clock.step()
        plan = self._rights()
        return Context(tenant=stage.tenant, revision=plan.revision, actor=plan.actor, plan=plan, channel="cli", clock=stage.clock,
                       request_id=PREFIX + key, plugins=stage.plugins)

    def _rights(self) -> AccessPlan:
        """Looked up once per published revision: roles do not change while the history is played."""
        revision = self._stage.tenant.revision()
        if self._plan is None or self._plan.revision is not revision:
            with self._stage.tenant.read() as conn:
                self._plan = plan_for(conn, revision, self._user_id)
        return self._plan

    def _reader(self, conn: sa.Connection) -> Reader:
        plan = self._rights()
        env = Env(business_date=self._stage.today, now=self._stage.clock.now(), user_id=self._user_id, roles=role_names(plan.actor),
                  user=user_values(plan.actor))
        return Reader(conn, self._stage.tenant, plan.revision, plan, env)


class SimulatedClock:
    """Nine in the morning of the day that is played and a little later with every step, never beyond the real clock."""

    def __init__(self, real: Clock, zone: Any) -> None:
        self._real = real
        self._zone = ZoneInfo(zone) if isinstance(zone, str) else zone
        self._at = real.now()
        self.day = self.real_day()

    def real_day(self) -> date:
        return self._real.now().astimezone(self._zone).date()

    def begin(self, day: date) -> None:
        self.day = day
        self._at = datetime.combine(day, MORNING, self._zone).astimezone(UTC)

    def step(self) -> None:
        self._at += STEP

    def now(self) -> datetime:
        """On the real day, the real time: what waits for a later answer then really waits."""
        real = self._real.now()
        return real if self.day >= self.real_day() else min(self._at, real)


class Journal:
    """Which keys were worked off, and which record each one made; kept in the audit, which is append-only."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._made: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._made)

    def read(self) -> None:
        audit = self._tenant.revision().tables.engine.audit
        wanted = sa.select(audit.c.request_id, audit.c.entity, audit.c.record_id).where(audit.c.request_id.like(f"{PREFIX}%")).order_by(audit.c.id)
        with self._tenant.read() as conn:
            for request_id, entity, record_id in conn.execute(wanted):
                self._made.setdefault(request_id[len(PREFIX):], {}).setdefault(entity or "", record_id or 0)

    def has(self, mark: str) -> bool:
        with self._tenant.read() as conn:
            return bool(self._marks(conn).get(mark))

    def mark(self, mark: str) -> None:
        """Spares the next start the reading."""
        setting = self._tenant.revision().tables.engine.setting
        with self._tenant.write() as conn:
            kept = self._marks(conn)
            conn.execute(setting.update().where(setting.c.name == SETTING).values(value={**kept, mark: True}) if kept
                         else setting.insert().values(name=SETTING, value={mark: True}))

    def _marks(self, conn: sa.Connection) -> Mapping[str, Any]:
        setting = self._tenant.revision().tables.engine.setting
        return conn.scalar(sa.select(setting.c.value).where(setting.c.name == SETTING)) or {}

    def find(self, key: str, entity: str) -> int | None:
        """The record that ``key`` made in ``entity`` ('' = whether it was worked off at all)."""
        made = self._made.get(key)
        if made is None:
            return None
        return made.get(entity, next(iter(made.values())) if not entity else None)
