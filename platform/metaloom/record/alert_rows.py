"""Alerts of a rule, kept true to its records in a few statements for all of them (W01).

One alert at most stands for a cause that is not cleared (``platform.alert/unique/one_per_cause``); two evaluations at once
therefore raise it once. What each statement does with one alert is written down in ``warning.next_step``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.access import AccessPlan
from metaloom.expression import Env
from metaloom.model import Catalog, Receiver, WarningRule
from metaloom.model.warning import LEVELS
from metaloom.record.alert_query import ALERT, COMPANY, RuleQuery, owner_path, some_of
from metaloom.record.mass import joined_as_sets
from metaloom.record.paths import target_of
from metaloom.storage.types import IsoDate, JsonText, UtcDateTime

Clause = sa.ColumnElement[Any]
Ids = Sequence[int] | range
OWNERS = ("company", "org_unit", "owner")
WAITING, LIVE, DONE = ("open", "working"), ("open", "working", "snoozed"), ("handled", "ignored")
NUMBER = "YJ"


@dataclass
class Tally:
    """How many alerts an evaluation touched. ``cleared``: handled or ignored ones whose cause went. ``risen``: counted only where
    receivers ask for a level."""

    raised: int = 0
    again: int = 0
    refreshed: int = 0
    woken: int = 0
    closed: int = 0
    cleared: int = 0
    escalated: int = 0
    risen: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))
        return self

    def counts(self) -> dict[str, int]:
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def changed(self) -> bool:
        return any(self.counts().values())


class AlertRows:
    """The alerts of one rule on one business date. ``companies``: only records of these (None: all of them)."""

    def __init__(self, conn: sa.Connection, revision: Any, rule: WarningRule, env: Env, *, now: datetime, run: str,
                 user_id: int | None = None, companies: Sequence[int | None] | None = None) -> None:
        assert env.business_date is not None
        self.conn, self.revision, self.rule, self.now, self.run, self.user_id = conn, revision, rule, now, run, user_id
        self.today: date = env.business_date
        self.companies = companies
        self.ask = RuleQuery(revision, rule, env)
        self.alert: sa.Table = revision.tables.of(ALERT)

    def evaluate(self, ids: Ids, *, time_passes: bool) -> Tally:
        """Alerts of the records ``ids``: close what is gone, then refresh, raise and (when time passes) escalate."""
        if not self.rule.enabled:
            return self._closed(self._of_rule(ids))
        if not time_passes and self._is_quiet(ids):
            return Tally()
        with joined_as_sets(self.conn, self.revision.dialect) if isinstance(ids, range) else nullcontext():
            return self._evaluated(ids, time_passes)

    def _is_quiet(self, ids: Ids) -> bool:
        """Neither a cause nor an alert of one that went: what most saved records are, told by one statement instead of six."""
        cause = sa.exists(sa.select(sa.literal(1)).select_from(self.ask.table).where(*self._records(ids)))
        alert = sa.exists(sa.select(sa.literal(1)).select_from(self.alert).where(*self._of_rule(ids)))
        return not self.conn.scalar(sa.select(sa.or_(cause, alert)))

    def _evaluated(self, ids: Ids, time_passes: bool) -> Tally:
        tally = self._closed([*self._of_rule(ids), ~self._still_there()])
        tally.again = self._let_again(ids)
        tally.woken, tally.risen, tally.refreshed = self._refresh(ids)
        tally.raised = self._raise(ids)
        for number in range(1, len(self.rule.escalate) + 1) if time_passes else ():
            tally.escalated += self._escalate(ids, number)
        return tally

    # -- which rows ----------------------------------------------------------------------------------------------------

    def _of_rule(self, ids: Ids) -> list[Clause]:
        """Alerts of this rule that are not cleared, of these records."""
        a = self.alert.c
        return [a.rule == self.rule.address, a.cleared_at.is_(None), some_of(a.record_id, ids), *_in_companies(a.company_id, self.companies)]

    def _records(self, ids: Ids) -> list[Clause]:
        company = self.ask.owner("company") if self.companies is not None else sa.null()
        return [some_of(self.ask.table.c.id, ids), *_in_companies(company, self.companies), *self.ask.holds()]

    def _still_there(self) -> Clause:
        """The record of an alert still has its cause."""
        t = self.ask.table
        return sa.exists(sa.select(sa.literal(1)).select_from(t)
                         .where(t.c.id == self.alert.c.record_id, *self.ask.holds(), self.ask.cause == self.alert.c.cause)
                         .correlate(self.alert))

    # -- the end -------------------------------------------------------------------------------------------------------

    def _closed(self, conditions: list[Clause]) -> Tally:
        status = self.alert.c.status
        done = self._set([*conditions, status.in_(DONE)], {"cleared_at": self._now})
        live = self._set(conditions, {"cleared_at": self._now, "status": "closed", "snoozed_until": None})
        return Tally(closed=live, cleared=done)

    def _let_again(self, ids: Ids) -> int:
        """Handled alerts that the rule wants to hear of again make room for a new one."""
        again, a, reasons = self.rule.again, self.alert.c, []
        if again.after_days:
            reasons.append(a.handled_on <= sa.literal(self.today - timedelta(days=again.after_days), IsoDate()))
        if again.on_rise:
            t = self.ask.table
            rank = sa.select(self.ask.severity).select_from(t).where(t.c.id == a.record_id).correlate(self.alert).scalar_subquery()
            reasons.append(rank > a.severity)
        if not reasons:
            return 0
        return self._set([*self._of_rule(ids), a.status.in_(DONE), sa.or_(*reasons)], {"cleared_at": self._now})

    # -- the middle ----------------------------------------------------------------------------------------------------

    def _refresh(self, ids: Ids) -> tuple[int, int, int]:
        """(woken, risen, refreshed): days, level, words and owners of alerts that wait, once a day and whenever they differ."""
        a, t, values = self.alert.c, self.ask.table, self._values()
        severity = self._greatest(self.ask.severity, self._floor(a.escalated))
        joined = [*self._of_rule(ids), t.c.id == a.record_id]
        wakes = [a.status == "snoozed", sa.or_(a.snoozed_until.is_(None), a.snoozed_until <= self.ask.today, severity > a.severity)]
        level = {"severity": severity, "level": _level_code(severity), "last_seen_on": self.ask.today}
        woken = self._set([*joined, *wakes], {**values, **level, "status": "open", "snoozed_until": None, "run": self.run})
        risen = self._set([*joined, a.status.in_(WAITING), severity > a.severity], {**values, **level, "run": self.rise_run}) if self.hears_of_rises else 0
        differs = [a.last_seen_on.is_distinct_from(self.ask.today), a.severity != severity,
                   *(a[name].is_distinct_from(value) for name, value in values.items() if name != "subject"),
                   sa.type_coerce(a.subject, sa.Text()).is_distinct_from(values["subject"])]
        return woken, risen, self._set([*joined, a.status.in_(LIVE), sa.or_(*differs)], {**values, **level})

    def _values(self) -> dict[str, Any]:
        """What an alert repeats of its record."""
        owners = {self._owner_column(name): self.ask.owner(name) for name in OWNERS}
        return {"due_on": self.ask.due, "days": self.ask.days, "subject": self.ask.subject(), **owners, **dict(self.ask.values())}

    @staticmethod
    def _owner_column(name: str) -> str:
        return f"{name}_id"

    def _escalate(self, ids: Ids, number: int) -> int:
        """The step ``number``, for alerts that have waited long enough."""
        step, a = self.rule.escalate[number - 1], self.alert.c
        severity = self._greatest(a.severity, sa.literal(LEVELS.index(step.level) if step.level else 0, sa.Integer()))
        long_ago = sa.literal(self.today - timedelta(days=step.after_days), IsoDate())
        return self._set([*self._of_rule(ids), a.status.in_(WAITING), a.escalated == number - 1, a.first_raised_on <= long_ago],
                         {"escalated": number, "severity": severity, "level": _level_code(severity), "run": self.escalation_run(number)})

    @property
    def hears_of_rises(self) -> bool:
        """Whether somebody is to be told when an alert rises to a level."""
        return any(receiver.level for receiver in self.rule.receivers)

    @property
    def rise_run(self) -> str:
        return f"{self.run}^"

    def escalation_run(self, number: int) -> str:
        return f"{self.run}/{number}"

    # -- the beginning -------------------------------------------------------------------------------------------------

    def _raise(self, ids: Ids) -> int:
        """New alerts for causes that have none; the unique index decides between two who raise at once."""
        a, t = self.alert, self.ask.table
        known = sa.exists(sa.select(sa.literal(1)).select_from(a).where(
            a.c.rule == self.rule.address, a.c.record_id == t.c.id, a.c.cause == self.ask.cause, a.c.cleared_at.is_(None)).correlate(t))
        values = self._new()
        rows = sa.select(*(clause.label(name) for name, clause in values.items())).select_from(t).where(*self._records(ids), ~known)
        insert = (postgresql if self.revision.dialect == "postgresql" else sqlite).insert(a)
        if self.revision.dialect == "postgresql":       # the id is taken first, so that no second statement has to write the number
            n = rows.add_columns(sa.func.nextval(sa.func.pg_get_serial_sequence(a.name, "id")).label("id")).subquery("n")
            rows, values = sa.select(*(n.c[name] for name in values), n.c.id, _number(n.c.id, sa.func.lpad)), {**values, "id": n.c.id, "alert_no": n.c.id}
        done = self.conn.execute(insert.from_select(list(values), rows.where(sa.true())).on_conflict_do_nothing().inline(),
                                 execution_options={"preserve_rowcount": True})
        if done.rowcount and self.revision.dialect == "sqlite":
            self.conn.execute(a.update().where(a.c.rule == self.rule.address, a.c.cleared_at.is_(None), a.c.run == self.run, a.c.alert_no.is_(None))
                              .values(alert_no=_number(a.c.id, _padded)))
        return done.rowcount

    def _new(self) -> dict[str, Clause]:
        text, whole = sa.Text(), sa.BigInteger()
        rule, user = self.rule, sa.cast(sa.literal(self.user_id, whole), whole)
        return {
            "rule": sa.literal(rule.address, text), "rule_name": sa.literal({"zh": rule.label.zh, "en": rule.label.en}, JsonText()),
            "entity": sa.literal(rule.entity, text), "record_id": self.ask.table.c.id, "cause": self.ask.cause,
            "severity": self.ask.severity, "level": _level_code(self.ask.severity), "status": sa.literal("open", text),
            **self._values(), "first_raised_at": self._now, "first_raised_on": self.ask.today, "last_seen_on": self.ask.today,
            "escalated": sa.literal(0, whole), "note_required": sa.true() if rule.note_required else sa.false(),
            "measures": sa.literal(list(rule.measures), JsonText()) if rule.measures else sa.cast(sa.null(), text),
            "run": sa.literal(self.run, text), "row_version": sa.literal(1, whole),
            "created_at": self._now, "updated_at": self._now, "created_by": user, "updated_by": user,
        }

    # -- small things --------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> Clause:
        return sa.literal(self.now, UtcDateTime())

    def _set(self, conditions: Sequence[Clause], values: Mapping[str, Any]) -> int:
        """One statement; a new version of every alert that it changes."""
        a = self.alert
        kept = {**values, "row_version": a.c.row_version + 1, "updated_at": self.now, "updated_by": self.user_id}
        return self.conn.execute(a.update().where(*conditions).values(kept)).rowcount

    def _greatest(self, one: Clause, other: Clause) -> Clause:
        return (sa.func.greatest if self.revision.dialect == "postgresql" else sa.func.max)(one, other, type_=sa.Integer())

    def _floor(self, escalated: Clause) -> Clause:
        """The severity that the steps of escalation reached so far demand."""
        ranks, worst = [], 0
        for number, step in enumerate(self.rule.escalate, 1):
            worst = max(worst, LEVELS.index(step.level) if step.level else 0)
            ranks.append((escalated == number, sa.literal(worst, sa.Integer())))
        return sa.case(*ranks, else_=sa.literal(0, sa.Integer())) if worst else sa.literal(0, sa.Integer())

    # -- who is told ---------------------------------------------------------------------------------------------------

    def people(self, receivers: Sequence[Receiver], run: str) -> Iterator[int]:
        """Ids of the people that ``receivers`` may mean for the alerts of ``run``; holders of a role on the day of the database."""
        a, t = self.alert, self.ask.table
        for receiver in receivers:
            if receiver.role:
                yield from self._holders(receiver.role)
            else:
                person = self.ask.person(receiver.field)
                joined = sa.join(a, t, t.c.id == a.c.record_id)
                yield from self.conn.scalars(sa.select(person).select_from(joined).where(*self._of_run(run), person.is_not(None)).distinct())

    def _holders(self, role: str) -> Sequence[int]:
        held = self.revision.tables.engine.role_assignment
        today = sa.func.current_date(type_=held.c.valid_from.type)
        live = (sa.func.coalesce(held.c.valid_from, today) <= today, sa.func.coalesce(held.c.valid_to, today) >= today)
        return self.conn.scalars(sa.select(held.c.user_id).where(held.c.role == role, *live).distinct()).all()

    def meant_for(self, plan: AccessPlan, receivers: Sequence[Receiver], run: str, env: Env) -> tuple[int, int | None]:
        """(how many alerts of ``run`` concern this person and stand on records that the person may read, the last of them). Other companies are
        read by many: of an alert about a company those are told who may list it."""
        a, t, rights = self.alert, self.ask.table, plan.rights(self.rule.entity)
        held = plan.actor.role_addresses
        mine = [sa.and_(a.c.severity >= (LEVELS.index(r.level) if r.level else 0),
                        sa.true() if r.role else self.ask.person(r.field) == plan.actor.user_id) for r in receivers if not r.role or r.role in held]
        if not mine or plan.actor.user_id is None:
            return 0, None
        readable = rights.any_of(rights.scopes_for("read"), t, env)
        if self.rule.entity == COMPANY:
            shown = plan.rights(ALERT)
            readable = sa.and_(readable, shown.any_of(shown.scopes_for("list"), a, env))
        found = self.conn.execute(sa.select(sa.func.count(), sa.func.max(a.c.id)).select_from(sa.join(a, t, t.c.id == a.c.record_id))
                                  .where(*self._of_run(run), readable, sa.or_(*mine))).one()
        return found[0], found[1]

    def _of_run(self, run: str) -> list[Clause]:
        return [self.alert.c.rule == self.rule.address, self.alert.c.cleared_at.is_(None), self.alert.c.run == run]


def _number(ident: Any, pad: Any) -> Clause:
    """YJ and the id, with zeros before it to eight digits."""
    digits = sa.cast(ident, sa.Text())
    return sa.literal(NUMBER, sa.Text()).op("||")(sa.case((sa.func.length(digits) > 8, digits), else_=pad(digits, 8, "0")))


def _padded(digits: Clause, width: int, _: str) -> Clause:
    return sa.func.printf(f"%0{width}d", sa.cast(digits, sa.BigInteger()), type_=sa.Text())


def _in_companies(column: Any, companies: Sequence[int | None] | None) -> list[Clause]:
    if companies is None:
        return []
    known = [company for company in companies if company is not None]
    return [sa.or_(column.in_(known), column.is_(None)) if None in companies else column.in_(known)]


def _level_code(severity: Clause) -> Clause:
    return sa.case(*((severity == rank, sa.literal(level, sa.Text())) for rank, level in enumerate(LEVELS[1:], 1)),
                   else_=sa.literal(LEVELS[0], sa.Text()))


def id_range(conn: sa.Connection, revision: Any, entity: str) -> tuple[int, int] | None:
    """Smallest and largest id of an entity; None for an empty table."""
    table = revision.tables.of(entity)
    low, high = conn.execute(sa.select(sa.func.min(table.c.id), sa.func.max(table.c.id))).one()
    return None if low is None else (low, high)


def close_orphans(conn: sa.Connection, revision: Any, *, now: datetime) -> int:
    """Closes alerts of rules that the metadata no longer has."""
    a = revision.tables.of(ALERT)
    gone = [a.c.cleared_at.is_(None), a.c.rule.not_in(sorted(revision.catalog.warning_rules))]
    status = sa.case((a.c.status.in_(LIVE), "closed"), else_=a.c.status)
    return conn.execute(a.update().where(*gone).values(
        cleared_at=now, status=status, snoozed_until=None, row_version=a.c.row_version + 1, updated_at=now)).rowcount


def follow_owners(conn: sa.Connection, revision: Any, entity: str, record_id: int, *, now: datetime) -> int:
    """After a record was handed over: its alerts, and those of records whose scope follows it, go with it."""
    catalog: Catalog = revision.catalog
    if not catalog.warning_rules:
        return 0
    a, moved = revision.tables.of(ALERT), 0
    for address in sorted({rule.entity for rule in catalog.warning_rules.values()}):
        path = _path_to(catalog, address, entity)
        if path is None:
            continue
        rule = next(rule for rule in catalog.warning_rules.values() if rule.entity == address)
        ask = RuleQuery(revision, rule, Env())
        t = ask.table
        above = t.c.id if not path else ask.at(path)
        moved += conn.execute(a.update().where(a.c.entity == address, a.c.record_id == t.c.id, above == record_id).values(
            **{f"{name}_id": ask.owner(name) for name in OWNERS}, row_version=a.c.row_version + 1, updated_at=now)).rowcount
    return moved


def _path_to(catalog: Catalog, entity: str, wanted: str) -> tuple[str, ...] | None:
    """The links by which the scope of ``entity`` follows ``wanted``; () for itself, None when it does not."""
    for name in OWNERS:
        here, path = entity, owner_path(catalog, catalog.entities[entity], name)
        for depth in range(len(path)):
            if here == wanted:
                return path[:depth]
            here = target_of(catalog.entities[here].fields[path[depth]]) if depth < len(path) - 1 else here
    return None


def counts(plan: AccessPlan, conn: sa.Connection, env: Env) -> list[tuple[str, str, int]]:
    """(rule, level, how many wait) of the alerts that the reader may list, worst first."""
    revision = plan.revision
    if ALERT not in plan.catalog.entities or not plan.may(ALERT, "list"):
        return []
    a, rights = revision.tables.of(ALERT), plan.rights(ALERT)
    found = conn.execute(sa.select(a.c.rule, a.c.level, sa.func.count()).where(a.c.status.in_(WAITING), rights.any_of(rights.scopes_for("list"), a, env))
                         .group_by(a.c.rule, a.c.level, a.c.severity).order_by(a.c.severity.desc(), a.c.rule))
    return [(row[0], row[1], row[2]) for row in found]
