"""Runs the tests that stand in metadata: each in an empty tenant of its own, through the commands that people use.

The tenant is made and published once and copied for every test, so that no test sees what another one did. Everything a test
does goes the way of REST: values are read by the same schemas, rights, rules and audit are those of the person who acts.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as hour
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from metaloom import command
from metaloom.access import AccessPlan, plan_for
from metaloom.app.login_tables import make_login_tables
from metaloom.app.tasks import CASE, waiting_for, words_of
from metaloom.base.clock import FixedClock
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Stale
from metaloom.base.messages import Message, message, register
from metaloom.base.position import Position
from metaloom.command import process_rows, rows
from metaloom.command.approval_case import TIMER
from metaloom.command.environment import role_names, user_values
from metaloom.command.evaluate import value
from metaloom.command.handle_call import ask
from metaloom.command.live import Live
from metaloom.command.move_case import CASE_MOVES, DATA
from metaloom.command.unit import Unit
from metaloom.compile import Source
from metaloom.expression import Env
from metaloom.job import run_due
from metaloom.model import Expectation, FieldLevel, Move, Person, Trial
from metaloom.plugin.doors import DOORS
from metaloom.plugin.registry import Registry
from metaloom.record import Reader, Row
from metaloom.record.schema import input_schema
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy, Tenant
from metaloom.storage.revisions import compiler_with
from metaloom.worker.handlers import handlers

TENANT, COMPANY, UNIT = "trial", "main", "main_unit"
STAFF, PROCESS = "platform.staff", "process.step"
ALERT = "platform.alert"
ENDED = ("handled", "ignored", "closed")
KINDS: Mapping[str, type[MetaloomError]] = {
    "not_allowed": NotAllowed, "invalid": Invalid, "not_found": NotFound, "stale": Stale, "not_possible": NotPossible}

register({
    "trial.refused": ("“{move}”被拒绝：{why}", "“{move}” was refused: {why}"),
    "trial.not_refused": ("本应被拒绝，实际上成功了：{said}", "this should have been refused, but it was done: {said}"),
    "trial.other_kind": ("应以 {wanted} 拒绝，实际是 {found}：{why}", "should be refused as {wanted}, was {found}: {why}"),
    "trial.other_words": ("提示语中没有“{wanted}”：{found}", "the sentence does not hold “{wanted}”: {found}"),
    "trial.other_field": ("提示没有指向字段 {wanted}：{found}", "the refusal is not about the field {wanted}: {found}"),
    "trial.value": ("{path} 应为 {wanted}，实际为 {found}", "{path} should be {wanted}, is {found}"),
    "trial.archived": ("{name} 的归档状态应为 {wanted}", "archived should be {wanted} for {name}"),
    "trial.seen": ("{person} 本应看得到 {name}", "{person} should see {name}"),
    "trial.unseen": ("{person} 本不应看到 {name}", "{person} should not see {name}"),
    "trial.offered": ("{person} 本应可以“{action}”，实际可用：{found}", "{person} should be offered “{action}”, is offered: {found}"),
    "trial.kept_back": ("{person} 本不应可以“{action}”", "{person} should not be offered “{action}”"),
    "trial.level": ("{person} 对 {field} 的权限应为 {wanted}，实际为 {found}", "{person} should have {wanted} on {field}, has {found}"),
    "trial.count": ("应有 {wanted} 条，实际 {found} 条", "there should be {wanted} records, there are {found}"),
    "trial.waits": ("应等待 {wanted}，实际等待 {found}", "this should wait for {wanted}, waits for {found}"),
    "trial.no_task": ("没有等待 {person} 处理的任务", "no task waits for {person}"),
    "trial.no_run": ("该记录没有流程运行", "the record has no run of a process"),
    "trial.no_case": ("该记录没有审批单", "the record has no approval case"),
    "trial.alert_none": ("不应有未处理的预警“{rule}”", "there should be no open alert “{rule}”"),
    "trial.alert_missing": ("应有未处理的预警“{rule}”", "there should be an open alert “{rule}”"),
    "trial.not_one": ("应找到一条记录，实际 {found} 条", "one record should fit, {found} do"),
})


@dataclass(frozen=True)
class Failure:
    """What did not hold, and where the test says that it must."""

    position: Position
    said: Message


@dataclass(frozen=True)
class Outcome:
    """``error``: the test could not be run to its end (a refusal in ``given``); ``failures``: expectations that do not hold."""

    trial: Trial
    failures: tuple[Failure, ...] = ()
    error: Failure | None = None
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.failures and self.error is None


@contextmanager
def stage(sources: Iterable[Source], registry: Registry) -> Iterator[Stage]:
    """A place to run the tests of ``sources``; MetadataRefused when they do not compile. Nothing of it is left behind."""
    with tempfile.TemporaryDirectory(prefix="metaloom-test-") as folder:
        yield Stage(Path(folder), tuple(sources), registry)


class Stage:
    """The published empty tenant, copied for every test."""

    def __init__(self, folder: Path, sources: Sequence[Source], registry: Registry) -> None:
        self._folder, self._registry, self._numbers = folder, registry, count(1)
        self._compiler = compiler_with(registry.manifest())  # one for all copies: what it compiled once is not compiled again
        tenancy = self._tenancy(folder / "clean")
        try:
            tenant = tenancy.create(TENANT, TENANT, after_create=(make_login_tables,))
            publish(tenant, sources)
            self.catalog = tenant.revision().catalog
        finally:
            tenancy.close()

    def _tenancy(self, home: Path) -> Tenancy:
        return Tenancy(Settings(home=home, master_key=b"trial" * 6 + b"ml", secret_key="trial-0123456789-abcdef" * 2), compiler=self._compiler)

    def trials(self, packs: Sequence[str] = (), name: str = "") -> tuple[Trial, ...]:
        """The tests of the packs (all without any), by address; ``name``: those whose address holds it."""
        found = (t for address, t in sorted(self.catalog.trials.items()) if not packs or address.partition(".")[0] in packs)
        return tuple(t for t in found if name in t.address)

    def run(self, trial: Trial) -> Outcome:
        """One test, from its beginning to its end."""
        begin = time.perf_counter()
        home = self._folder / str(next(self._numbers))
        shutil.copytree(self._folder / "clean", home)
        tenancy = self._tenancy(home)
        try:
            outcome = _Play(tenancy.open(TENANT), self._registry, trial).outcome()
        finally:
            tenancy.close()
            shutil.rmtree(home, ignore_errors=True)
        return replace(outcome, seconds=time.perf_counter() - begin)


class _Stop(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.said.say("en"))
        self.failure = failure


class _Play:
    """One test while it runs."""

    def __init__(self, tenant: Tenant, registry: Registry, trial: Trial) -> None:
        self.tenant, self.registry, self.trial = tenant, registry, trial
        self.revision = tenant.revision()
        self.day = trial.day
        self.clock = FixedClock(self._instant())
        self.ids: dict[str, int] = {}
        self.said: Message | None = None
        self.refusal: MetaloomError | None = None
        self.answers: list[Mapping[str, Any]] = []

    def _instant(self) -> datetime:
        return datetime.combine(self.day, hour(10), self.tenant.zone).astimezone(UTC)

    def outcome(self) -> Outcome:
        try:
            self._people()
            for move in self.trial.given:
                self._do(move)
            self._try(self.trial.when)
        except _Stop as stop:
            return Outcome(self.trial, error=stop.failure)
        return Outcome(self.trial, tuple(f for e in self.trial.then for f in _EXPECT[e.verb](self, e)))

    # -- people ---------------------------------------------------------------------------------------------------------

    def _people(self) -> None:
        system = self._context("")
        for number, person in enumerate(self.trial.people.values(), 1):
            company, unit = self._place(system, person)
            saved = command.save_user(system, None, {
                "username": person.login, "display_name": person.login, "staff_no": f"T{number:04d}", "email": f"{person.login}@example.cn",
                "company": company, "org_unit": unit})
            self.ids[person.login] = saved.id
            limits = {"company": {"company": company}, "unit": {"company": company, "org_unit": unit}}.get(person.within, {})
            command.assign_role(system, saved.id, STAFF)
            for role in person.roles:
                command.assign_role(system, saved.id, role, **limits)

    def _place(self, system: command.Context, person: Person) -> tuple[int, int]:
        """The person's company and department, made when first named."""
        company = person.company or COMPANY
        if company not in self.ids:
            self.ids[company] = command.create_record(
                system, "platform.company", {"code": company, "name": company, "business_date": self.day}).id
        unit = person.unit or f"{company}_unit"
        if unit not in self.ids:
            self.ids[unit] = command.create_record(system, "platform.org_unit", {"code": unit, "name": unit, "company": self.ids[company]}).id
        return self.ids[company], self.ids[unit]

    def _context(self, login: str) -> command.Context:
        if not login:
            return command.system_context(self.tenant, plugins=self.registry, clock=self.clock, request_id="trial", run_as="test")
        with self.tenant.read() as conn:
            plan = plan_for(conn, self.revision, self.ids[login])
        return command.Context(tenant=self.tenant, revision=self.revision, actor=plan.actor, plan=plan, clock=self.clock, plugins=self.registry,
                               request_id="trial")

    # -- moves ----------------------------------------------------------------------------------------------------------

    def _try(self, moves: Sequence[Move]) -> None:
        """Every move must go through, but the last may be refused where the test expects just that."""
        for move in moves[:-1]:
            self._do(move)
        expects = any(e.verb == "refused" for e in self.trial.then)
        for move in moves[-1:]:
            try:
                self._do(move)
            except _Stop:
                if not expects or self.refusal is None:
                    raise

    def _do(self, move: Move) -> None:
        try:
            self.said = _MOVES[move.verb](self, move)
            self._drain()
        except MetaloomError as error:
            self.refusal = error
            raise _Stop(Failure(move.position, message("trial.refused", move=move.verb, why=_why(error)))) from error

    def _drain(self) -> None:
        """What a worker would do at once: calls to the (sandboxed) world outside, and their results."""
        known = {**handlers(self.registry, self.clock), PROCESS: partial(command.handle_process, plugins=self.registry, clock=self.clock, asking=self._asked)}
        limits = {TIMER: known.pop(TIMER)}
        run_due(self.tenant, known)
        while run_due(self.tenant, limits, at=self.clock.now()):
            run_due(self.tenant, known)

    def _asked(self, ctx: command.Context, task: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The next of the answers that the test gives; the (sandboxed) provider itself when it gives none."""
        if not self.answers:
            return ask(ctx, task, deadline)
        given, door = self.answers.pop(0), DOORS[task["door"]]
        if "outcome" not in given:
            assert door.accident is not None
            return door.accident({}, TimeoutError("the test lets nothing come back"))
        values = given.get("values", {})
        return {"code": "", "text": "", **{k: v for k, v in values.items() if k in door.reply}, "outcome": given["outcome"],
                door.details or "values": {k: v for k, v in values.items() if k not in door.reply}}

    def _answers(self, move: Move) -> Message | None:
        self.answers.extend(move.more["answers"])
        return None

    def _process(self, move: Move) -> Message:
        """The process that waits on the record, or one that is started by hand."""
        entity, record = self._record(move.on)
        ctx = self._context(move.by)
        if move.name == "start":
            return command.start_process(ctx, entity, record, move.more["process"], self._version(entity, record)).message
        run = self._run(entity, record, move.more["process"])
        if run is None:
            raise _Stop(Failure(move.position, message("trial.no_run")))
        if move.name == "retry":
            return command.retry_process(ctx, run["id"]).message
        if move.name == "give_up":
            return command.give_up_process(ctx, run["id"], move.reason).message
        return command.continue_by_hand(ctx, run["id"], self._named(move.values), move.reason).message

    def _run(self, entity: str, record: int, process: str = "") -> Mapping[str, Any] | None:
        """The newest run of a process about the record."""
        with self.tenant.read() as conn:
            found = process_rows.runs_of(conn, self.revision.tables, entity, record, 20)
        return next((run for run in found if process in ("", run["process"])), None)

    def _hours(self, move: Move) -> Message | None:
        self.clock.at += timedelta(hours=move.more["hours"])
        command.wake_runs(self._context(""))
        return None

    def _create(self, move: Move) -> Message:
        values = input_schema(self.revision, move.target, "create", source="json").load(self._named(move.values), zone=self.tenant.zone)
        saved = command.create_record(self._context(move.by), move.target, values)
        self._keep(move.name, saved.id)
        return saved.message

    def _change(self, move: Move) -> Message:
        entity, record = self._record(move.on)
        values = input_schema(self.revision, entity, "edit", source="json").load(self._named(move.values), zone=self.tenant.zone)
        return command.change_record(self._context(move.by), entity, record, values, self._version(entity, record)).message

    def _act(self, move: Move) -> Message:
        entity, record = self._record(move.on) if move.on else (move.target, None)
        version = self._version(entity, record) if record is not None else None
        return command.run_action(self._context(move.by), entity, record, move.name, self._named(move.values), version, move.reason).message

    def _archive(self, move: Move) -> Message:
        entity, record = self._record(move.on)
        return command.archive_record(self._context(move.by), entity, record, self._version(entity, record)).message

    def _restore(self, move: Move) -> Message:
        entity, record = self._record(move.on)
        return command.restore_record(self._context(move.by), entity, record, self._version(entity, record)).message

    def _delete(self, move: Move) -> Message:
        entity, record = self._record(move.on)
        return command.delete_record(self._context(move.by), entity, record, self._version(entity, record)).message

    def _start(self, move: Move) -> Message:
        entity, record = self._record(move.on)
        chosen = {step: [self.ids[login] for login in people] for step, people in move.more.get("chosen", {}).items()}
        return command.start_approval(self._context(move.by), entity, record, move.name, chosen, self._version(entity, record)).message

    def _decide(self, move: Move) -> Message:
        entity, record = self._record(move.on)
        more = move.more
        return command.decide_task(
            self._context(move.by), self._task(move), move.name, more.get("opinion", ""), self._named(more.get("outputs", {})), self._named(move.values),
            record_version=self._version(entity, record), to=more.get("to"), then=more.get("then")).message

    def _move(self, move: Move) -> Message:
        """Moves of an approval: with the person's task where the move is about one, else with the case."""
        ctx, to = self._context(move.by), move.more.get("to", ())
        shapes = DATA[move.name]
        data = words_of(move.name, move.more.get("words", ""))
        if to:
            data["to"] = to[0] if shapes.get("to") == "step" else [self.ids[login] for login in to]
        if move.name in CASE_MOVES and move.name not in ("resubmit",):
            return command.move_case(ctx, move.name, case_id=self._case(move.on, move.position), data=data).message
        return command.move_case(ctx, move.name, task_id=self._task(move), data=data).message

    def _task(self, move: Move) -> int:
        """The task that waits for the person on the record."""
        found = self._waiting(move.by, *self._record(move.on))
        if not found:
            done = self._newest(move.on)
            raise _Stop(Failure(move.position, message("trial.no_task", person=move.by))) if done is None else NotAllowed(
                message("trial.no_task", person=move.by))
        return found[0].id

    def _waiting(self, login: str, entity: str, record: int) -> list[Row]:
        """Open tasks of the person on the record, as the person's own inbox shows them."""
        plan = self._context(login).plan
        with self.tenant.read() as conn:
            return list(waiting_for(Reader(conn, self.tenant, self.revision, plan, self._env(plan)), entity, record))

    def _newest(self, name: str) -> Mapping[str, Any] | None:
        """The latest approval case of the record."""
        entity, record = self._record(name)
        with self._looking() as unit:
            found = rows.find(unit, CASE, {"entity": entity, "record_id": record}, order=("id",))
        return found[-1] if found else None

    def _case(self, name: str, where: Position) -> int:
        found = self._newest(name)
        if found is None:
            raise _Stop(Failure(where, message("trial.no_case")))
        return int(found["id"])

    def _evaluate(self, move: Move) -> Message | None:
        command.evaluate_warnings(self._context(""), list(move.values["rules"]) or None)
        return None

    def _find(self, move: Move) -> Message | None:
        found = self._rows(move.target, move.values)
        if len(found) != 1:
            raise _Stop(Failure(move.position, message("trial.not_one", found=len(found))))
        self._keep(move.name, found[0]["id"])
        return None

    def _days(self, move: Move) -> Message | None:
        self.day += timedelta(days=move.days)
        self.clock.at = self._instant()
        for name in {p.company or COMPANY for p in self.trial.people.values()}:
            command.move_business_date(self._context(""), self.ids[name], self.day)
        command.wake_runs(self._context(""))
        return None

    # -- expectations ---------------------------------------------------------------------------------------------------

    def _refused(self, expected: Expectation) -> Iterator[Failure]:
        asked, error = expected.asked, self.refusal
        if error is None:
            yield self._failure(expected, "trial.not_refused", said=self.said or "")
            return
        if not isinstance(error, KINDS[expected.subject]) or (expected.subject == "not_possible" and isinstance(error, Stale)):
            yield self._failure(expected, "trial.other_kind", wanted=expected.subject, found=type(error).__name__, why=_why(error))
        if "says" in asked and not any(_holds(said, asked["says"]) for said in _sentences(error)):
            yield self._failure(expected, "trial.other_words", wanted=asked["says"], found=_why(error))
        fields = [p.field for p in error.problems] if isinstance(error, Invalid) else []
        if "field" in asked and asked["field"] not in fields:
            yield self._failure(expected, "trial.other_field", wanted=asked["field"], found=", ".join(fields) or "-")

    def _spoke(self, expected: Expectation) -> Iterator[Failure]:
        if self.said is None or not _holds(self.said, expected.subject):
            yield self._failure(expected, "trial.other_words", wanted=expected.subject, found=self.said or "")

    def _counted(self, expected: Expectation) -> Iterator[Failure]:
        found = len(self._rows(expected.subject, expected.asked.get("where", {})))
        if found != expected.asked.get("count", found) or ("count" not in expected.asked and not found):
            yield self._failure(expected, "trial.count", wanted=expected.asked.get("count", "≥ 1"), found=found)

    def _waits(self, expected: Expectation) -> Iterator[Failure]:
        entity, record = self._record(expected.subject)
        if "of" in expected.asked:
            step = expected.asked.get("step", "")
            found = {login for login in self.trial.people if any(step in ("", row["step"]) for row in self._waiting(login, entity, record))}
            if found != set(expected.asked["of"]):
                yield self._failure(expected, "trial.waits", wanted=", ".join(expected.asked["of"]) or "-", found=", ".join(sorted(found)) or "-")
        if "status" in expected.asked:
            case = self._newest(expected.subject)
            status = case["status"] if case is not None else None
            if status != expected.asked["status"]:
                yield self._failure(expected, "trial.value", path="status", wanted=expected.asked["status"], found=_shown(status))

    def _ran(self, expected: Expectation) -> Iterator[Failure]:
        asked = expected.asked
        run = self._run(*self._record(expected.subject), asked.get("process", "")) or {}
        for key, column in (("status", "status"), ("step", "step"), ("tries", "attempt")):
            if key in asked and run.get(column) != asked[key]:
                yield self._failure(expected, "trial.value", path=key, wanted=asked[key], found=_shown(run.get(column)))

    def _alerted(self, expected: Expectation) -> Iterator[Failure]:
        asked, rule = expected.asked, expected.subject
        entity, record = self._record(asked["on"])
        with self._looking() as unit:
            found = [row for row in rows.find(unit, ALERT, {"entity": entity, "record_id": record, "rule": f"{entity}/{rule}"}, order=("id",))
                     if row["status"] not in ENDED]
        if asked.get("none"):
            if found:
                yield self._failure(expected, "trial.alert_none", rule=rule)
            return
        if not found:
            yield self._failure(expected, "trial.alert_missing", rule=rule)
            return
        for name in ("level", "days", "status"):
            if name in asked and not _same(found[-1][name], asked[name]):
                yield self._failure(expected, "trial.value", path=name, wanted=_shown(asked[name]), found=_shown(found[-1][name]))
        for key, wanted in (("seen_by", True), ("unseen_by", False)):
            for login in asked.get(key, ()):
                if (self._row(login, ALERT, found[-1]["id"]) is not None) is not wanted:
                    yield self._failure(expected, "trial.seen" if wanted else "trial.unseen", person=login, name=rule)

    def _held(self, expected: Expectation) -> Iterator[Failure]:
        asked, name = expected.asked, expected.subject
        entity, record = self._record(name)
        yield from self._values(expected, entity, record)
        for login in asked.get("seen_by", ()):
            if self._row(login, entity, record) is None:
                yield self._failure(expected, "trial.seen", person=login, name=name)
        for login in asked.get("unseen_by", ()):
            if self._row(login, entity, record) is not None:
                yield self._failure(expected, "trial.unseen", person=login, name=name)
        yield from self._offers(expected, entity, record)
        for key, wanted in _LEVELS.items():
            for login, fields in asked.get(key, {}).items():
                yield from self._levels(expected, login, entity, record, fields, key, wanted)

    def _values(self, expected: Expectation, entity: str, record: int) -> Iterator[Failure]:
        asked = expected.asked
        with self._looking() as unit:
            stored = rows.fetch(unit, entity, record)
            if stored is None:
                yield self._failure(expected, "trial.not_one", found=0)
                return
            live = Live(unit, unit.entity(entity), stored)
            wanted = {**self._named(asked.get("values", {})), **dict.fromkeys(asked.get("empty", ()))}
            for path, want in wanted.items():
                found = _plain(value(unit, unit.entity(entity), path, live, unit.env()))
                if not _same(found, want):
                    yield self._failure(expected, "trial.value", path=path, wanted=_shown(want), found=_shown(found))
            if "archived" in asked and (stored.get("archived_at") is not None) != asked["archived"]:
                yield self._failure(expected, "trial.archived", name=expected.subject, wanted=str(asked["archived"]).lower())

    def _offers(self, expected: Expectation, entity: str, record: int) -> Iterator[Failure]:
        for key in ("offers", "keeps_back"):
            for login, names in expected.asked.get(key, {}).items():
                found = self._offered(login, entity, record)
                for name in names:
                    if (name in found) != (key == "offers"):
                        code = "trial.offered" if key == "offers" else "trial.kept_back"
                        yield self._failure(expected, code, person=login, action=name, found=", ".join(sorted(found)) or "-")

    def _offered(self, login: str, entity: str, record: int) -> set[str]:
        row = self._row(login, entity, record)
        if row is None:
            return set()
        ctx = self._context(login)
        found = {o.name for o in command.available_actions(ctx, entity, row) if o.enabled}
        conditional = {x.name for x in (*self.revision.catalog.actions_of(entity), *self.registry.commands_on(entity))}
        standing = {a for a in row.actions if a not in conditional}
        return found | (standing - {"edit"}) | ({"edit"} if command.may_edit(ctx, entity, row) else set())

    def _levels(self, expected: Expectation, login: str, entity: str, record: int, fields: Sequence[str], key: str,
                wanted: Callable[[FieldLevel], bool]) -> Iterator[Failure]:
        row = self._row(login, entity, record)
        for field in fields:
            level = row.levels.get(field, FieldLevel.HIDDEN) if row is not None else FieldLevel.HIDDEN
            if not wanted(level):
                yield self._failure(expected, "trial.level", person=login, field=field, wanted=key, found=level.name.lower())

    # -- looking --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _looking(self) -> Iterator[Unit]:
        with self.tenant.read() as conn:
            yield Unit(self._context(""), conn, "look", self.clock.now())

    def _rows(self, entity: str, where: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The live rows whose fields (or paths) have these values."""
        wanted = self._named(where)
        with self._looking() as unit:
            model = unit.entity(entity)
            found = rows.find(unit, entity, {}, live_only=True)
            return [row for row in found
                    if all(_same(_plain(value(unit, model, path, Live(unit, model, row), unit.env())), want) for path, want in wanted.items())]

    def _row(self, login: str, entity: str, record: int) -> Row | None:
        plan = self._context(login).plan
        with self.tenant.read() as conn:
            try:
                return Reader(conn, self.tenant, self.revision, plan, self._env(plan)).get(entity, record)
            except (NotFound, NotAllowed):
                return None

    def _env(self, plan: AccessPlan) -> Env:
        return Env(business_date=self.day, now=self.clock.now(), user_id=plan.actor.user_id, roles=role_names(plan.actor), user=user_values(plan.actor))

    def _version(self, entity: str, record: int) -> int | None:
        with self._looking() as unit:
            found = rows.fetch(unit, entity, record)
        return found["row_version"] if found is not None else None

    def _record(self, name: str) -> tuple[str, int]:
        return self.trial.records[name], self.ids[name]

    def _keep(self, name: str, record: int) -> None:
        if name:
            self.ids[name] = record

    def _named(self, given: Any) -> Any:
        """``$name`` → the id behind it, at any depth."""
        if isinstance(given, Mapping):
            return {key: self._named(inner) for key, inner in given.items()}
        if isinstance(given, (list, tuple)):
            return [self._named(inner) for inner in given]
        return self.ids[given[1:]] if isinstance(given, str) and given.startswith("$") else given

    def _failure(self, expected: Expectation, code: str, **slots: object) -> Failure:
        return Failure(expected.position, message(code, **slots))


_MOVES: Mapping[str, Callable[[_Play, Move], Message | None]] = {
    "create": _Play._create, "change": _Play._change, "do": _Play._act, "archive": _Play._archive, "restore": _Play._restore,
    "delete": _Play._delete, "find": _Play._find, "days": _Play._days, "start": _Play._start, "decide": _Play._decide, "approval": _Play._move,
    "evaluate": _Play._evaluate, "answers": _Play._answers, "process": _Play._process, "hours": _Play._hours}
_EXPECT: Mapping[str, Callable[[_Play, Expectation], Iterator[Failure]]] = {
    "refused": _Play._refused, "said": _Play._spoke, "rows": _Play._counted, "record": _Play._held, "waits": _Play._waits, "alert": _Play._alerted,
    "runs": _Play._ran}
_LEVELS: Mapping[str, Callable[[FieldLevel], bool]] = {
    "clear": lambda level: level >= FieldLevel.READ, "masked": lambda level: level is FieldLevel.MASKED,
    "hidden": lambda level: level is FieldLevel.HIDDEN, "writes": lambda level: level >= FieldLevel.WRITE}


def _sentences(error: MetaloomError) -> list[Message]:
    return [error.message, *(p.message for p in error.problems)] if isinstance(error, Invalid) else [error.message]


def _why(error: MetaloomError) -> str:
    return "; ".join(dict.fromkeys(f"{said.say('zh')} / {said.say('en')}" for said in _sentences(error)))


def _holds(said: Message, words: str) -> bool:
    return any(words in said.say(locale) for locale in ("zh", "en"))


def _plain(found: Any) -> Any:
    """A value of the record as a test writes it: a linked record as its id, dates as text."""
    if isinstance(found, Mapping):
        return found["id"]
    if isinstance(found, (list, tuple, frozenset, set)):
        return sorted((_plain(one) for one in found), key=str)
    return found.isoformat() if isinstance(found, (date, datetime, hour)) else found


def _same(found: Any, want: Any) -> bool:
    if isinstance(want, list):
        return isinstance(found, list) and len(found) == len(want) and all(map(_same, found, sorted(want, key=str)))
    if isinstance(found, bool) or isinstance(want, bool) or found is None or want is None:
        return found is want
    if isinstance(found, (int, Decimal)):
        try:
            return Decimal(found) == Decimal(str(want))
        except ArithmeticError:
            return False
    return str(found) == str(want)


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
