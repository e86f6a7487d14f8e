"""What must hold of every tenant at any time: the engine's own invariants and those that plugins bring. Looked up, never mended.

Codes are those of the reliability paper (I1 to I23).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import sqlalchemy as sa

from metaloom import audit, ledger
from metaloom.app.approval_invariant import unlike_log
from metaloom.app.process_invariant import unlike_log as process_unlike_log
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.text import Text
from metaloom.plugin.invariant import checked
from metaloom.plugin.registry import EMPTY, Registry
from metaloom.record import Survey
from metaloom.storage import Tenant

OUTBOX_AGE = timedelta(hours=1)
SHOWN = 5


@dataclass(frozen=True)
class Looked:
    """What came of one invariant: ``rows`` looked at, ``breaches`` found, the ``first`` of them in words.
    ``fault``: why it could not be looked up, or ''."""

    code: str
    name: str
    label: Text
    rows: int
    breaches: int
    first: tuple[str, ...]
    fault: str = ""

    @property
    def holds(self) -> bool:
        return not self.breaches and not self.fault


@dataclass(frozen=True)
class _Own:
    """One invariant of the engine."""

    code: str
    name: str
    label: Text
    look: Callable[..., Iterable[str]]      # (connection, tables, survey, clock), and the store of files where it reads them
    files: bool = False


def examine(tenant: Tenant, plugins: Registry = EMPTY, clock: Clock | None = None) -> tuple[Looked, ...]:
    """Every invariant that concerns the tenant, the engine's first. Each is looked up in a read-only transaction of its own."""
    revision, now = tenant.revision(), clock or SystemClock()
    looked = []
    for own in ENGINE:
        with tenant.read() as conn:
            survey = Survey(conn, revision)
            found = own.look(conn, revision.tables, survey, now, *([tenant.files] if own.files else []))
            looked.append(_tell(own.code, own.name, own.label, survey, found))
    for said, invariant in plugins.invariants():
        if said.on not in revision.catalog.entities:
            continue
        with tenant.read() as conn:
            survey = Survey(conn, revision)
            found = (f"{b.entity}{'' if b.id is None else f' {b.id}'}: {b.text}" for b in _asked(invariant, survey, said.plugin))
            looked.append(_tell(said.code, f"{said.plugin}.{said.name}", said.label, survey, found))
    return tuple(looked)


def _asked(invariant: Any, survey: Survey, plugin: str) -> Iterator[Any]:
    yield from checked(invariant(survey), plugin)


def _tell(code: str, name: str, label: Text, survey: Survey, found: Iterable[str]) -> Looked:
    sentences = iter(found)
    first: tuple[str, ...] = ()
    number, fault = 0, ""
    try:
        first = tuple(islice(sentences, SHOWN))
        number = len(first) + sum(1 for _ in sentences)
    except Exception as error:  # an invariant that cannot be looked up must not hide the others
        fault = f"{type(error).__name__}: {error}"
    return Looked(code, name, label, survey.looked, number, first, fault)


def _unbalanced(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """Every entry is posted, has two legs or more, and balances by itself in one currency."""
    entry, leg = tables.engine.ledger_entry, tables.engine.ledger_leg
    survey.looked += _count(conn, entry) + _count(conn, leg)
    drafts = _count(conn, entry, entry.c.state != "posted")
    if drafts:
        yield f"{drafts} ledger entries were begun and never posted"
    signed = sa.func.sum(sa.case((leg.c.side == "debit", leg.c.amount), else_=-leg.c.amount))
    yield from (f"ledger entry {number} does not balance" for number in conn.scalars(
        sa.select(leg.c.entry_id).group_by(leg.c.entry_id, leg.c.currency).having(signed != 0)))
    yield from (f"ledger entry {number} mixes currencies" for number in conn.scalars(
        sa.select(leg.c.entry_id).group_by(leg.c.entry_id).having(sa.func.count(leg.c.currency.distinct()) > 1)))
    legs = sa.select(sa.func.count()).where(leg.c.entry_id == entry.c.id).scalar_subquery()
    yield from (f"ledger entry {number} has fewer than two legs" for number in conn.scalars(
        sa.select(entry.c.id).where(entry.c.state == "posted", legs < 2)))


def _broken_chain(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """What was sealed is there, unaltered and in its place."""
    survey.looked += _count(conn, tables.engine.seal)
    broken = audit.verify(conn, tables)
    if broken is not None:
        yield f"the audit is not what was sealed: {broken.fault}"


def _broken_books(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """What was sealed of the ledger is there with all its legs, unaltered and in its place."""
    survey.looked += ledger.head(conn, tables).seals
    broken = ledger.verify(conn, tables)
    if broken is not None:
        yield f"the ledger is not what was sealed: {broken.fault}"


def _off_balance(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """The balances of a company in one currency sum to zero."""
    entry = tables.engine.ledger_entry
    for company in conn.scalars(sa.select(entry.c.company_id).distinct()).all():
        off: dict[str, Decimal] = {}
        for account in ledger.trial_balance(conn, tables, company_id=company):
            survey.looked += 1
            off[account.currency] = off.get(account.currency, Decimal(0)) + account.balance
        yield from (f"the trial balance of company {company} in {currency} is off by {amount}" for currency, amount in off.items() if amount)


def _unlike_original(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """A reversal and its original are zero together on every account, and a reversal is never reversed."""
    entry, leg = tables.engine.ledger_entry, tables.engine.ledger_leg
    survey.looked += _count(conn, entry, entry.c.reversal_of.is_not(None))
    root = sa.func.coalesce(entry.c.reversal_of, entry.c.id)
    reversed_ = sa.select(entry.c.reversal_of).where(entry.c.reversal_of.is_not(None))
    signed = sa.func.sum(sa.case((leg.c.side == "debit", leg.c.amount), else_=-leg.c.amount))
    left = (sa.select(root.label("root"), leg.c.account).join(leg, leg.c.entry_id == entry.c.id).where(root.in_(reversed_))
            .group_by(root, leg.c.account).having(signed != 0))
    yield from (f"ledger entry {number} and its reversal leave something on account {account}" for number, account in conn.execute(left))
    again = sa.select(entry.c.id).where(entry.c.reversal_of.is_not(None), entry.c.id.in_(reversed_))
    yield from (f"ledger entry {number} is a reversal and was reversed" for number in conn.scalars(again))


def _without_cause(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """A posted entry names the record it is about, the command that wrote it and the revision of the metadata."""
    entry = tables.engine.ledger_entry
    survey.looked += _count(conn, entry)
    nameless = sa.or_(*(entry.c[name].is_(None) for name in ("entity", "record_id", "command", "revision_number")))
    yield from (f"ledger entry {number} does not name its cause" for number in conn.scalars(
        sa.select(entry.c.id).where(entry.c.state == "posted", nameless)))


def _dangling(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """What has no foreign key because it is looked up statement by statement points to something."""
    for address, link, target in survey.links_checked_in_sets():
        table, there = tables.of(address), tables.of(target)
        survey.looked += _count(conn, table)
        yield from (f"{address} {number} points to {target} {gone}, which is not there" for number, gone in conn.execute(
            sa.select(table.c.id, table.c[link]).where(table.c[link].is_not(None), ~sa.exists().where(there.c.id == table.c[link])).order_by(table.c.id)))


def _lost(conn: sa.Connection, tables: Any, survey: Survey, clock: Clock) -> Iterator[str]:
    """Nothing was given up, and nothing that is due waits for more than an hour."""
    outbox = tables.engine.outbox
    survey.looked += _count(conn, outbox)
    for state in ("dead", "failed"):
        given_up = _count(conn, outbox, outbox.c.state == state)
        if given_up:
            yield f"{given_up} outbox rows are {state}; see: metaloom outbox"
    waiting = _count(conn, outbox, outbox.c.state.in_(("pending", "running")), outbox.c.run_after < clock.now() - OUTBOX_AGE)
    if waiting:
        yield f"{waiting} outbox rows are due for more than an hour; is a worker running?"


def _count(conn: sa.Connection, table: sa.Table, *where: Any) -> int:
    return int(conn.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0)


ENGINE = (
    _Own("I1", "ledger.entries", Text("每张凭证借贷平衡", "Every ledger entry balances"), _unbalanced),
    _Own("I2", "audit.chain", Text("审计链完整", "The sealed audit is unaltered"), _broken_chain),
    _Own("I2", "ledger.chain", Text("账簿链完整", "The sealed ledger is unaltered"), _broken_books),
    _Own("I4", "ledger.trial_balance", Text("试算平衡", "The trial balance is zero"), _off_balance),
    _Own("I12", "ledger.reversals", Text("红字与原凭证相抵", "A reversal mirrors its original"), _unlike_original),
    _Own("I16", "ledger.causes", Text("凭证均有来源", "Every ledger entry names its cause"), _without_cause),
    _Own("", "links", Text("成批核对的关联均有对象", "Every link that is checked in sets points to a record"), _dangling),
    _Own("I23", "approval.log", Text("审批单与其记录一致", "Every approval case is what its log says"), unlike_log, files=True),
    _Own("", "process.log", Text("流程运行与其记录一致", "Every run of a process is what its log says, and somebody goes on with it"), process_unlike_log),
    _Own("I22", "outbox", Text("待发事项无积压", "Nothing hangs in the outbox"), _lost),
)
