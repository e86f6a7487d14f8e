"""Publish: from metadata to a served revision, in steps that may be interrupted anywhere.

    expand    new tables and columns, invisible to the revision that is served       one transaction
    index     indexes, built while others write                                      one by one
    backfill  values of new columns                                                  range by range
    validate  unique indexes; rows that break them refuse the publish                one by one
    swap      renames, changed types, checks, the revision's row and the pointer     one transaction
    tidy      what is not needed any more, late checks of old rows                   one by one

Until the swap commits, the old revision serves and nothing that it uses has changed: a publish that dies before is
abandoned (its new columns stay, and the next plan finds them). One that dies after it has only tidying left, which the
next publisher, or ``recover``, finishes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa

from metaloom import __version__
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, Conflict, NotFound
from metaloom.base.messages import message, register
from metaloom.compile import Source
from metaloom.model import Catalog
from metaloom.schema_change.backfill import backfill
from metaloom.schema_change.ddl import q
from metaloom.schema_change.impact import Impact
from metaloom.schema_change.physical import look
from metaloom.schema_change.plan import Plan, PlanRefused, Step, plan
from metaloom.storage.engine import (
    engine_tables_are_current,
    layout,
    make_engine_tables,
    pointer,
    run_statement,
    setting,
)
from metaloom.storage.engine import publish as journal
from metaloom.storage.engine import revision as revision_table
from metaloom.storage.layout import layout_of
from metaloom.storage.revisions import Revision, SourceText, shared
from metaloom.storage.tenancy import Tenant
from metaloom.storage.types import utc_now

register({
    "publish.moved_on": (
        "在您编辑期间，他人已发布版本 {current}（您基于版本 {base}）。请核对后重新发布。",
        "Someone published revision {current} while you worked on revision {base}. Compare and publish again.",
    ),
    "publish.duplicates": (
        "数据中有重复的值，唯一性规则无法生效：{place}", "Rows hold equal values, so the unique rule cannot be put in force: {place}",
    ),
})  # fmt: skip

_TRIES = 3
_SKEW = timedelta(minutes=5)    # the clocks of the machines that write may differ that much
FILE_LAYERS = ("engine", "pack", "client")


@dataclass(frozen=True)
class Author:
    """Who publishes; kept with the revision."""

    id: int | None = None
    name: str = ""


SYSTEM = Author(None, "system")


def reached(point: str) -> None:
    """Named points between the steps; tests put a kill here."""
    crash_point(f"publish.{point}")


def publish(
    tenant: Tenant, sources: Iterable[Source | SourceText], author: Author = SYSTEM, reason: str = "", *,
    allow: Collection[str] = (), base: int | None = None,
) -> Revision:  # fmt: skip
    """Compile, plan, carry out, swap. Returns the revision that is served from now on.

    ``sources`` are those of all layers. ``base``: the revision number the author started from; Conflict when it is no longer
    the published one, or when someone else is publishing. MetadataRefused and PlanRefused leave everything as it was.
    The sources that are already published make no new revision.
    """
    texts = tuple(_text(source) for source in sources)
    compiler = tenant.tenancy.compiler
    catalog, _ = shared(texts, compiler)
    with tenant.publishing():
        _keep_engine_tables(tenant)
        recover_locked(tenant)
        with tenant.read() as conn:
            served = _served(conn)
            highest = conn.scalar(sa.select(sa.func.max(revision_table.c.number))) or 0
        if base is not None and base != served:
            raise Conflict(message("publish.moved_on", current=served or 0, base=base))
        if served is not None and _sources_of(tenant, served) == texts:
            _keep_indexes(tenant, catalog)
            return tenant.revision_number(served)
        steps = _planned(tenant, served, catalog, allow)
        _carry_out(_Work(tenant, "publish", served, highest + 1, catalog, texts, author, reason, steps))
    return _seen(tenant)


def rollback(tenant: Tenant, number: int, author: Author = SYSTEM, reason: str = "", *, allow: Collection[str] = ()) -> Revision:
    """Serve revision ``number`` again (an older or a newer one). Data that was entered meanwhile stays where it is."""
    target = tenant.revision_number(number)
    with tenant.publishing():
        recover_locked(tenant)
        with tenant.read() as conn:
            served = _served(conn)
        if served == number:
            return target
        steps = _planned(tenant, served, target.catalog, allow)
        _carry_out(_Work(tenant, "rollback", served, number, target.catalog, None, author, reason, steps))
    return _seen(tenant)


def apply(tenant: Tenant, made: Plan, allow: Collection[str] = ()) -> None:
    """Carry out a plan's changes of tables alone, without a new revision (repairing a drift). Refuses what needs a word."""
    made.require(allow)
    with tenant.publishing():
        current = tenant.revision()
        work = _Work(tenant, "repair", current.number, current.number, current.catalog, None, SYSTEM, "", made)
        _carry_out(work)


def plan_for(tenant: Tenant, sources: Iterable[Source | SourceText], allow: Collection[str] = ()) -> tuple[Plan, Catalog]:
    """What ``publish`` of these sources would do; changes nothing."""
    catalog, _ = shared(tuple(_text(source) for source in sources), tenant.tenancy.compiler)
    with tenant.read() as conn:
        served = _served(conn)
        before = tenant.revision_number(served).catalog if served is not None else None
        return plan(conn, before, catalog, allow=allow), catalog


def served_catalog(tenant: Tenant) -> Catalog | None:
    """What is published now; None before the first time."""
    with tenant.read() as conn:
        served = _served(conn)
    return tenant.revision_number(served).catalog if served is not None else None


def with_site_layer(tenant: Tenant, file_sources: Iterable[Source | SourceText]) -> tuple[SourceText, ...]:
    """The file layers given, under the site layer (Studio) that is published now: what ``apply`` publishes (decision 10)."""
    texts = tuple(_text(source) for source in file_sources)
    with tenant.read() as conn:
        served = _served(conn)
    kept = () if served is None else tuple(source for source in _sources_of(tenant, served) if source[0] not in FILE_LAYERS)
    return (*texts, *kept)


def client_of(tenant: Tenant, given: str | None = None) -> str:
    """The folder under tenants/ that a tenant is made from: the one given, remembered, or of its own name."""
    with tenant.read() as conn:
        known = conn.scalar(setting.select().with_only_columns(setting.c.value).where(setting.c.name == "client"))
    return given or known or tenant.name


def remembered(tenant: Tenant) -> tuple[tuple[str, str], ...]:
    """(table, column) of everything that revisions made so far, also where no metadata names it any more; column '' for the table."""
    with tenant.read() as conn:
        return tuple((row.table_name, row.column_name) for row in conn.execute(sa.select(layout.c.table_name, layout.c.column_name)))


def sources_of(tenant: Tenant, number: int) -> tuple[Source, ...]:
    """The source texts of a revision, all layers."""
    return tuple(Source(*text) for text in _sources_of(tenant, number))


def recover(tenant: Tenant) -> str:
    """Finish or undo what a killed publisher left; says which: '' | 'abandoned' | 'completed'. Conflict while one is alive."""
    with tenant.publishing():
        return recover_locked(tenant)


def recover_locked(tenant: Tenant) -> str:
    """As ``recover``, for who holds the publishing lock."""
    with tenant.read() as conn:
        row = conn.execute(sa.select(journal).where(journal.c.finished_at.is_(None))).one_or_none()
    if row is None:
        return ""
    if row.state != "swapped":
        _close(tenant, row.id, "abandoned", "the publisher was interrupted")
        return "abandoned"
    _tidy(tenant, row.id, tuple(Step(**{**step, "sql": tuple(step["sql"])}) for step in row.steps if step["phase"] == "tidy"))
    return "completed"


# ---- the steps

@dataclass(frozen=True)
class _Work:
    tenant: Tenant
    kind: str
    served: int | None
    target: int
    catalog: Catalog
    sources: tuple[SourceText, ...] | None
    author: Author
    reason: str
    plan: Plan


def _carry_out(work: _Work) -> None:
    tenant, steps = work.tenant, work.plan
    entry = _open(work)
    reached("opened")
    try:
        _expand(work)
        reached("expanded")
        _one_by_one(tenant, steps.of("index"))
        reached("indexed")
        for step in steps.of("backfill"):
            backfill(tenant, work.catalog, step)
        reached("backfilled")
        _validate(work)
        reached("validated")
        _retrying(lambda: _swap(work, entry))
    except BaseException as error:
        _close(tenant, entry, "abandoned", f"{type(error).__name__}: {error}"[:4000])
        raise
    reached("swapped")
    _tidy(tenant, entry, steps.of("tidy"))
    reached("tidied")


def _keep_engine_tables(tenant: Tenant) -> None:
    """After an upgrade of the engine its own tables grow with the first publish."""
    with tenant.read() as conn:
        current = engine_tables_are_current(conn)
    if not current:
        with tenant.ddl() as conn:
            make_engine_tables(conn)


def _keep_indexes(tenant: Tenant, catalog: Catalog) -> None:
    """After an upgrade of the engine the same metadata may ask for other indexes; none of them says what a row may hold."""
    with tenant.read() as conn:
        made = plan(conn, catalog, catalog)
    _one_by_one(tenant, [step for phase in ("index", "tidy") for step in made.of(phase) if step.action in ("create_index", "drop_index")])


def _planned(tenant: Tenant, served: int | None, catalog: Catalog, allow: Collection[str]) -> Plan:
    with tenant.read() as conn:
        before = tenant.revision_number(served).catalog if served is not None else None
        made = plan(conn, before, catalog, allow=allow)
    made.require(allow)
    return made


def _open(work: _Work) -> int:
    with work.tenant.write() as conn:
        return int(conn.scalar(journal.insert().values(
            kind=work.kind, state="open", base_number=work.served, target_number=work.target, digest=work.catalog.digest,
            steps=json.loads(json.dumps([vars(step) for step in work.plan.steps])), author_id=work.author.id,
            author_name=work.author.name[:128], reason=work.reason[:1000],
        ).returning(journal.c.id)))  # fmt: skip


def _expand(work: _Work) -> None:
    def run() -> None:
        with work.tenant.ddl() as conn:
            steps = _keys_last(work.plan.of("expand"))
            for step in steps:
                _execute(conn, step)
            _remember_new(conn, steps, work.target)
    _retrying(run)


def _keys_last(steps: Sequence[Step]) -> list[Step]:
    """Foreign keys and indexes need every table and column there first."""
    order = {"create_table": 0, "rename_key": 0, "remember": 1, "add_column": 1, "retype": 1, "add_key": 2, "create_index": 3, "append_only": 4}
    return sorted(steps, key=lambda step: order.get(step.action, 2))


def _one_by_one(tenant: Tenant, steps: Sequence[Step]) -> None:
    for step in steps:
        _retrying(lambda step=step: _alone(tenant, step))  # type: ignore[misc]


def _alone(tenant: Tenant, step: Step) -> None:
    """One step by itself: outside a transaction where it is built concurrently, else in one of its own."""
    with tenant.autocommit_ddl() if tenant.dialect == "postgresql" else tenant.ddl() as conn:
        for statement in step.sql:
            run_statement(conn, statement)


def _validate(work: _Work) -> None:
    for step in work.plan.of("validate"):
        try:
            _one_by_one(work.tenant, (step,))
        except sa.exc.IntegrityError as error:
            if work.tenant.dialect == "postgresql" and step.action == "create_index":
                _alone(work.tenant, replace(step, sql=(f"DROP INDEX CONCURRENTLY IF EXISTS {q(step.detail)}",)))
            place = f"{step.table} {step.detail}"
            broken = replace(work.plan, impacts=(*work.plan.impacts, Impact("unique", place, 0, (), True, str(error.orig)[:300])))
            raise PlanRefused(broken, message("publish.duplicates", place=place)) from error


def _swap(work: _Work, entry: int) -> None:
    with work.tenant.ddl() as conn:
        _hold_pointer(conn, work)
        steps = work.plan.of("swap")
        for step in sorted(steps, key=lambda step: _SWAP_ORDER.get(step.action, 6)):
            _execute(conn, step)
            _remember(conn, step, work.target)
        _retire(conn, work)
        if work.sources is not None:
            conn.execute(revision_table.insert().values(
                number=work.target, digest=work.catalog.digest, engine_version=__version__, sources=[list(s) for s in work.sources],
                base_number=work.served, author_id=work.author.id, author_name=work.author.name[:128], reason=work.reason[:1000],
                created_by=work.author.id,
            ))  # fmt: skip
        _point(conn, work)
        conn.execute(journal.update().where(journal.c.id == entry).values(state="swapped"))
        reached("swapping")


_SWAP_ORDER = {"append_only_off": 0, "look_up_off": 0, "rename_table": 1, "rename_column": 2, "rename_key": 3, "set_aside": 4, "retype": 5, "initial_state": 6,
               "remember": 6, "checks": 7, "append_only": 8, "look_up": 8}


def _hold_pointer(conn: sa.Connection, work: _Work) -> None:
    """The pointer is where this publish found it, and stays there until the commit."""
    rows = sa.select(pointer.c.revision_number)
    found = conn.scalar(rows.with_for_update() if conn.dialect.name == "postgresql" else rows)
    if found != work.served:
        raise Conflict(message("publish.moved_on", current=found or 0, base=work.served or 0))


def _point(conn: sa.Connection, work: _Work) -> None:
    if work.served is None:
        conn.execute(pointer.insert().values(id=1, revision_number=work.target, stamp=1))
    else:
        conn.execute(pointer.update().values(revision_number=work.target, stamp=pointer.c.stamp + 1))


def _tidy(tenant: Tenant, entry: int, steps: Sequence[Step]) -> None:
    """Every statement here may be repeated, and one that fails does not take the served revision back."""
    notes: list[str] = []
    unmade: set[str] = set()
    makes_first = sorted(steps, key=lambda step: {"create_index": 0, "validate": 1, "drop_index": 2}.get(step.action, 3))
    for step in makes_first:
        if step.action == "drop_index" and step.table in unmade:
            continue                    # its successor could not be made: the old one still holds
        try:
            if step.action == "values":
                _catch_up(tenant, entry, step)
                continue
            _one_by_one(tenant, (step,))
            if step.action == "drop_column":
                with tenant.ddl() as conn:
                    conn.execute(layout.delete().where(layout.c.table_name == step.table, layout.c.column_name == step.column))
        except (sa.exc.DBAPIError, Busy) as error:
            if step.action == "drop_column" and not _has_column(tenant, step):
                continue
            notes.append(f"{step.say()}: {error}")
            unmade.add(step.table)
    _close(tenant, entry, "done", "\n".join(notes)[:4000])


def _catch_up(tenant: Tenant, entry: int, step: Step) -> None:
    """Values for rows that were written by the former revision while this publish was under way."""
    with tenant.read() as conn:
        begun, target = conn.execute(sa.select(journal.c.created_at, journal.c.target_number).where(journal.c.id == entry)).one()
    backfill(tenant, tenant.revision_number(target).catalog, step, since=begun - _SKEW)


def _has_column(tenant: Tenant, step: Step) -> bool:
    with tenant.read() as conn:
        return step.column in look(conn).columns.get(step.table, ())


def _close(tenant: Tenant, entry: int, state: str, note: str) -> None:
    with tenant.write() as conn:
        here = journal.c.id == entry
        if state == "abandoned":        # a commit whose answer was lost: the swap did happen, tidying is still open
            here = sa.and_(here, journal.c.state != "swapped")
        conn.execute(journal.update().where(here).values(state=state, note=note or None, finished_at=utc_now()))


def _execute(conn: sa.Connection, step: Step) -> None:
    for statement in step.sql:
        run_statement(conn, statement)


def _retrying(run: Callable[[], None]) -> None:
    """A table that is in use for a moment is waited for again, then the publish gives up cleanly."""
    for attempt in range(1, _TRIES + 1):
        try:
            run()
            return
        except Busy:
            if attempt == _TRIES:
                raise


# ---- what the engine remembers of tables

def _remember_new(conn: sa.Connection, steps: Sequence[Step], number: int) -> None:
    """The tables and columns that steps without a rename make. Those that were never there go in together: a first publish has a thousand."""
    made = {(step.table, step.column): step for step in steps if _makes(step)}
    known = {(row.table_name, row.column_name) for row in conn.execute(sa.select(layout.c.table_name, layout.c.column_name))}
    for place in made.keys() & known:
        _remember(conn, made[place], number)
    if fresh := [_row(*place, step.spec, number) for place, step in made.items() if place not in known]:
        conn.execute(layout.insert(), fresh)


def _makes(step: Step) -> bool:
    return step.action == "create_table" or step.action in ("add_column", "remember", "retype") and step.spec is not None


def _remember(conn: sa.Connection, step: Step, number: int) -> None:
    here = sa.and_(layout.c.table_name == step.table, layout.c.column_name == step.column)
    if _makes(step):
        _put(conn, step.table, step.column, step.spec, number)
    elif step.action == "rename_table":
        _rename(conn, sa.and_(layout.c.table_name == step.former, layout.c.column_name == ""), step.former, table_name=step.table)
        conn.execute(layout.update().where(layout.c.table_name == step.former).values(table_name=step.table))
    elif step.action == "rename_column":
        old = sa.and_(layout.c.table_name == step.table, layout.c.column_name == step.former)
        spec = conn.scalar(sa.select(layout.c.spec).where(old))
        _rename(conn, old, step.former, column_name=step.column, spec={**spec, "name": step.column} if spec else None)
    elif step.action == "set_aside":
        spec = conn.scalar(sa.select(layout.c.spec).where(here))
        conn.execute(layout.update().where(here).values(
            column_name=step.former, spec={**spec, "name": step.former, "field": ""} if spec else None, retired_revision=number,
        ))  # fmt: skip
        _put(conn, step.table, step.column, step.spec, number)


def _put(conn: sa.Connection, table: str, column: str, spec: object, number: int) -> None:
    here = sa.and_(layout.c.table_name == table, layout.c.column_name == column)
    if conn.execute(layout.update().where(here).values(spec=spec, retired_revision=None)).rowcount == 0:
        conn.execute(layout.insert(), _row(table, column, spec, number))


def _row(table: str, column: str, spec: object, number: int) -> dict[str, object]:
    origin = (spec.get("origin") or None) if isinstance(spec, dict) else None
    return {"table_name": table, "column_name": column, "origin": origin, "since_revision": number, "spec": spec, "retired_revision": None}


def _rename(conn: sa.Connection, here: sa.ColumnElement[bool], former: str, **values: object) -> None:
    names = conn.scalar(sa.select(layout.c.former).where(here)) or []
    conn.execute(layout.update().where(here).values(former=[*(n for n in names if n != former), former], **values))


def _retire(conn: sa.Connection, work: _Work) -> None:
    """Mark what the new catalog does not name, and unmark what it names again."""
    wanted = layout_of(work.catalog, conn.dialect.name)
    for row in conn.execute(sa.select(layout.c.id, layout.c.table_name, layout.c.column_name, layout.c.retired_revision)).all():
        table = wanted.get(row.table_name)
        named = table is not None and (not row.column_name or row.column_name in table.columns)
        if named == (row.retired_revision is not None):
            number = None if named else work.target
            conn.execute(layout.update().where(layout.c.id == row.id).values(retired_revision=number))


# ---- helpers

def _text(source: Source | SourceText) -> SourceText:
    return (source.layer, source.path, source.text) if isinstance(source, Source) else (source[0], source[1], source[2])


def _served(conn: sa.Connection) -> int | None:
    return conn.scalar(sa.select(pointer.c.revision_number))


def _sources_of(tenant: Tenant, number: int) -> tuple[SourceText, ...]:
    with tenant.read() as conn:
        found = conn.scalar(sa.select(revision_table.c.sources).where(revision_table.c.number == number))
    if found is None:
        raise NotFound()
    return tuple((layer, path, text) for layer, path, text in found)


def _seen(tenant: Tenant) -> Revision:
    tenant.refresh()
    tenant.tenancy.touch(tenant.name)
    return tenant.revision()
