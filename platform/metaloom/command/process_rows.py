"""The rows of processes: definitions kept, runs, and the log that a run is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.lifecycle import RunEvent

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

Row = sa.RowMapping


def keep_definition(unit: Unit, digest: str, entity: str, name: str, body: str) -> None:
    """Keeps the text of a process under its digest, once."""
    table = unit.tables.engine.process
    insert = (sqlite if unit.conn.dialect.name == "sqlite" else postgresql).insert(table)
    values = {"digest": digest, "entity": entity, "name": name, "revision_number": unit.revision.number, "body": body}
    unit.conn.execute(insert.values(**values).on_conflict_do_nothing(index_elements=["digest"]))


def definition(conn: sa.Connection, tables: Any, digest: str) -> str:
    table = tables.engine.process
    return str(conn.scalar(sa.select(table.c.body).where(table.c.digest == digest)) or "")


def subject_of(unit: Unit, run_id: int) -> tuple[str, int] | None:
    """(entity, record) that a run is about; neither ever changes."""
    table = unit.tables.engine.process_run
    found = unit.conn.execute(sa.select(table.c.entity, table.c.record_id).where(table.c.id == run_id)).one_or_none()
    return (found.entity, found.record_id) if found is not None else None


def run(unit: Unit, run_id: int, *, lock: bool = True) -> dict[str, Any] | None:
    table = unit.tables.engine.process_run
    statement = sa.select(table).where(table.c.id == run_id)
    row = unit.conn.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()
    return dict(row) if row is not None else None


def open_runs(conn: sa.Connection, tables: Any, entity: str, record_id: int, process: str | None = None) -> list[dict[str, Any]]:
    """Runs about a record that are not over, oldest first."""
    table = tables.engine.process_run
    same = [table.c.entity == entity, table.c.record_id == record_id, table.c.finished_at.is_(None)]
    same += [table.c.process == process] if process is not None else []
    return [dict(row) for row in conn.execute(sa.select(table).where(*same).order_by(table.c.id)).mappings()]


def runs_of(conn: sa.Connection, tables: Any, entity: str, record_id: int, limit: int) -> list[dict[str, Any]]:
    """The last runs about a record, newest first."""
    table = tables.engine.process_run
    same = (table.c.entity == entity, table.c.record_id == record_id)
    return [dict(row) for row in conn.execute(sa.select(table).where(*same).order_by(table.c.id.desc()).limit(limit)).mappings()]


def latest(conn: sa.Connection, tables: Any, status: str | None, limit: int) -> list[Row]:
    """Runs in a status, or open ones, newest first."""
    table = tables.engine.process_run
    wanted = table.c.status == status if status is not None else table.c.finished_at.is_(None)
    columns = (table.c.id, table.c.entity, table.c.record_id, table.c.process, table.c.status, table.c.step, table.c.attempt, table.c.started_at,
               table.c.since, table.c.error_en)
    return list(conn.execute(sa.select(*columns).where(wanted).order_by(table.c.id.desc()).limit(limit)).mappings())


def due_runs(conn: sa.Connection, tables: Any, now: datetime) -> list[int]:
    """Open runs whose instant has come, by id."""
    table = tables.engine.process_run
    return list(conn.scalars(sa.select(table.c.id).where(table.c.finished_at.is_(None), table.c.wake_at <= now).order_by(table.c.id)))


def pinned(conn: sa.Connection, tables: Any) -> list[Row]:
    """Every definition that open runs are pinned to: entity, name, digest, how many runs."""
    table = tables.engine.process_run
    columns = (table.c.entity, table.c.process, table.c.process_digest)
    return list(conn.execute(sa.select(*columns, sa.func.count().label("runs")).where(table.c.finished_at.is_(None)).group_by(*columns)
                             .order_by(*columns)).mappings())


def new_run(unit: Unit, values: Mapping[str, Any]) -> int:
    table = unit.tables.engine.process_run
    return int(unit.conn.execute(table.insert().values(**values, **_made(unit)).returning(table.c.id)).scalar_one())


def update_run(unit: Unit, run_id: int, values: Mapping[str, Any]) -> None:
    table = unit.tables.engine.process_run
    unit.conn.execute(table.update().where(table.c.id == run_id).values(
        **values, row_version=table.c.row_version + 1, updated_at=unit.now, updated_by=unit.ctx.actor.user_id))


def add_events(unit: Unit, run_id: int, first: int, step: str, events: Sequence[RunEvent]) -> None:
    """Appends to the log; the unique number of an event is the last guard against two workers at once."""
    rows = []
    for place, event in enumerate(events):
        step = str(event.data.get("step") or step)
        rows.append({"run_id": run_id, "seq": first + place, "kind": event.kind, "step": step or None, "data": dict(event.data), "at": unit.now,
                     "actor_id": unit.ctx.actor.user_id, "request_id": unit.ctx.request_id or None, **_made(unit)})
    unit.conn.execute(unit.tables.engine.process_step.insert(), rows)


def log(conn: sa.Connection, tables: Any, run_id: int) -> list[Row]:
    """The whole log of a run, in order."""
    table = tables.engine.process_step
    return list(conn.execute(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.seq)).mappings())


def _made(unit: Unit) -> dict[str, Any]:
    user = unit.ctx.actor.user_id
    return {"created_at": unit.now, "updated_at": unit.now, "created_by": user, "updated_by": user}
