"""The rows of approval: cases, their tasks and log, the chains kept. Everything here is a projection of events, but the events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.access.person import person_key
from metaloom.approval import CaseState, Event, Task, codec
from metaloom.storage.tables import ENGINE

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

Row = sa.RowMapping


def _of_task() -> sa.Select[Any]:
    """A task, its case, and a row for each party with what tells the person behind the account."""
    task, case_, party, user = ENGINE.approval_task, ENGINE.approval_case, ENGINE.approval_party, ENGINE.user
    source = task.join(case_, case_.c.id == task.c.case_id).outerjoin(party, party.c.case_id == case_.c.id).outerjoin(user, user.c.id == party.c.user_id)
    columns = (task.c.case_id, task.c.task_no, case_.c.entity, case_.c.record_id, user.c.id.label("user_id"), user.c.person_key, user.c.staff_no)
    return sa.select(*columns).select_from(source).where(task.c.id == sa.bindparam("task"))


def _next_version(table: sa.Table, *where: sa.ColumnElement[bool]) -> sa.Update:
    """A change of columns that are named when it is carried out."""
    return table.update().where(*where).values(row_version=table.c.row_version + 1)


# Made once: a statement that is made anew costs more than the database's answer.
_OF_TASK = _of_task()
_CASE = sa.select(ENGINE.approval_case).where(ENGINE.approval_case.c.id == sa.bindparam("case"))
_LOCKED_CASE = _CASE.with_for_update()
_CHANGED_CASE = _next_version(ENGINE.approval_case, ENGINE.approval_case.c.id == sa.bindparam("case"))
_CHANGED_TASK = _next_version(ENGINE.approval_task, ENGINE.approval_task.c.case_id == sa.bindparam("case"),
                              ENGINE.approval_task.c.task_no == sa.bindparam("no"))
_NEW_TASKS = ENGINE.approval_task.insert().returning(ENGINE.approval_task.c.task_no, ENGINE.approval_task.c.id)
_NEW_EVENTS, _NEW_POOL = ENGINE.approval_event.insert().inline(), ENGINE.approval_pool.insert().inline()


# -- chains ------------------------------------------------------------------------------------------------------------------


def keep_chain(unit: Unit, digest: str, entity: str, name: str, body: str) -> None:
    """Keeps the text of a chain under its digest, once."""
    table = unit.tables.engine.approval_chain
    values = {"digest": digest, "entity": entity, "name": name, "revision_number": unit.revision.number, "body": body}
    unit.conn.execute(_insert(unit, table).values(**values).on_conflict_do_nothing(index_elements=["digest"]))


def chain_body(conn: sa.Connection, tables: Any, digest: str) -> str:
    table = tables.engine.approval_chain
    return str(conn.scalar(sa.select(table.c.body).where(table.c.digest == digest)) or "")


def chain_bodies(conn: sa.Connection, tables: Any, digests: Iterable[str]) -> dict[str, str]:
    """The texts of several chains, by digest."""
    table = tables.engine.approval_chain
    return {row.digest: row.body for row in conn.execute(sa.select(table.c.digest, table.c.body).where(table.c.digest.in_(sorted(digests))))}


# -- cases -------------------------------------------------------------------------------------------------------------------


def subject_of(unit: Unit, case_id: int) -> tuple[str, int] | None:
    """(entity, record) that a case is about; neither ever changes."""
    known: tuple[str, int] | None = unit.memory.get(("case about", case_id))
    if known is not None:
        return known
    table = unit.tables.engine.approval_case
    found = unit.conn.execute(sa.select(table.c.entity, table.c.record_id).where(table.c.id == case_id)).one_or_none()
    return (found.entity, found.record_id) if found is not None else None


def case(unit: Unit, case_id: int, *, lock: bool = True) -> dict[str, Any] | None:
    row = unit.conn.execute(_LOCKED_CASE if lock else _CASE, {"case": case_id}).mappings().one_or_none()
    return dict(row) if row is not None else None


def case_of_task(unit: Unit, task_id: int) -> tuple[int, int] | None:
    """(case, number of the task in it); what the case is about and who takes part in it are remembered on the way."""
    found = unit.conn.execute(_OF_TASK, {"task": task_id}).all()
    if not found:
        return None
    first = found[0]
    unit.memory["case about", first.case_id] = (first.entity, first.record_id)
    unit.memory["parties", first.case_id] = {row.user_id: person_key(row.user_id, row.person_key, row.staff_no)
                                             for row in found if row.user_id is not None}
    return first.case_id, first.task_no


def open_cases(unit: Unit, entity: str, record_id: int, chain: str | None = None) -> list[dict[str, Any]]:
    """Cases about a record that are not finished, oldest first."""
    table = unit.tables.engine.approval_case
    same = [table.c.entity == entity, table.c.record_id == record_id, table.c.finished_at.is_(None)]
    if chain is not None:
        same.append(table.c.chain == chain)
    return [dict(row) for row in unit.conn.execute(sa.select(table).where(*same).order_by(table.c.id)).mappings()]


def took_part(unit: Unit, entity: str, record_id: int) -> set[int]:
    """Whoever made, started or decided in a case about the record: the accounts that began, the persons who acted (by their first account)."""
    table = unit.tables.engine.approval_case
    kept = unit.conn.scalars(sa.select(table.c.state).where(table.c.entity == entity, table.c.record_id == record_id)).all()
    states = [codec.load_state(text) for text in kept]
    return {maker for state in states for maker in (state.initiator, *state.makers)} | {person for state in states for _, person in state.acted}


def new_case(unit: Unit, values: Mapping[str, Any]) -> int:
    return int(unit.conn.execute(unit.tables.engine.approval_case.insert().values(**values, **_made(unit))
                                 .returning(unit.tables.engine.approval_case.c.id)).scalar_one())


def update_case(unit: Unit, case_id: int, values: Mapping[str, Any]) -> None:
    unit.conn.execute(_CHANGED_CASE, {**values, **_changed(unit), "case": case_id})


def child_case(unit: Unit, case_id: int, step: str) -> int | None:
    """The open case that a sub-chain's step waits for."""
    table = unit.tables.engine.approval_case
    return unit.conn.scalar(sa.select(table.c.id).where(
        table.c.parent_case_id == case_id, table.c.parent_step == step, table.c.finished_at.is_(None)))


def cases_under(conn: sa.Connection, tables: Any, digest: str, *, limit: int | None = None) -> list[Row]:
    """Running cases that are pinned to a chain, by id."""
    table = tables.engine.approval_case
    running = sa.select(table).where(table.c.chain_digest == digest, table.c.finished_at.is_(None)).order_by(table.c.id).limit(limit)
    return list(conn.execute(running).mappings())


def pinned(conn: sa.Connection, tables: Any) -> list[Row]:
    """Every chain that running cases are pinned to: entity, name, digest, how many cases."""
    table = tables.engine.approval_case
    return list(conn.execute(
        sa.select(table.c.entity, table.c.chain, table.c.chain_digest, sa.func.count().label("cases"))
        .where(table.c.finished_at.is_(None)).group_by(table.c.entity, table.c.chain, table.c.chain_digest)
        .order_by(table.c.entity, table.c.chain, table.c.chain_digest)).mappings())


def open_by_step(conn: sa.Connection, tables: Any, entity: str, chain: str) -> dict[str, int]:
    """Step → running cases of the chain, whatever its text, that wait for somebody there."""
    case_, task = tables.engine.approval_case, tables.engine.approval_task
    rows = conn.execute(sa.select(task.c.step, sa.func.count(sa.distinct(case_.c.id))).select_from(task.join(case_, case_.c.id == task.c.case_id)).where(
        case_.c.entity == entity, case_.c.chain == chain, case_.c.finished_at.is_(None), task.c.status == "open").group_by(task.c.step))
    return {step: int(number) for step, number in rows}


def finished(unit: Unit, entity: str, chain: str, *, records: Sequence[int] | None = None, limit: int | None = None) -> list[Row]:
    """The last finished case of each record under a chain, newest first; ``records``: of these alone."""
    table = unit.tables.engine.approval_case
    own = [table.c.entity == entity, table.c.chain == chain, table.c.finished_at.is_not(None)]
    own += [table.c.record_id.in_(records)] if records is not None else []
    last = sa.select(sa.func.max(table.c.id)).where(*own).group_by(table.c.record_id)
    return list(unit.conn.execute(sa.select(table).where(table.c.id.in_(last)).order_by(table.c.id.desc()).limit(limit)).mappings())


# -- the log -----------------------------------------------------------------------------------------------------------------


def add_events(unit: Unit, case_id: int, first: int, events: Sequence[Event]) -> None:
    """Appends to the log; the unique number of an event is the last guard against two decisions at once."""
    ctx = unit.ctx
    unit.conn.execute(_NEW_EVENTS, [{
        "case_id": case_id, "seq": first + place, "kind": event.kind, "data": dict(event.data), "at": unit.now, "actor_id": ctx.actor.user_id,
        "request_id": ctx.request_id or None, "address": ctx.address or None, **_made(unit)} for place, event in enumerate(events)])


def events(conn: sa.Connection, tables: Any, case_id: int) -> list[Event]:
    """The whole log of a case, in order."""
    table = tables.engine.approval_event
    return [Event(row.kind, row.data) for row in conn.execute(
        sa.select(table.c.kind, table.c.data).where(table.c.case_id == case_id).order_by(table.c.seq))]


def events_among(unit: Unit, cases: sa.Select[Any], *, without: Iterable[str], before: int | None, limit: int) -> list[Any]:
    """(id, case_id, kind, data, at) of what happened in any of the cases that ``cases`` selects, newest first; not of kinds ``without``."""
    table = unit.tables.engine.approval_event
    asked = sa.select(table.c.id, table.c.case_id, table.c.kind, table.c.data, table.c.at).where(
        table.c.case_id.in_(cases), table.c.kind.not_in(sorted(without)), *([table.c.id < before] if before is not None else []))
    return list(unit.conn.execute(asked.order_by(table.c.id.desc()).limit(limit)))


def states_of(unit: Unit, cases: Iterable[int]) -> list[Any]:
    """(id, chain_digest, state) of several cases."""
    table = unit.tables.engine.approval_case
    return list(unit.conn.execute(sa.select(table.c.id, table.c.chain_digest, table.c.state).where(table.c.id.in_(sorted(cases)))))


# -- tasks, pools, parties, copies -------------------------------------------------------------------------------------------


Told = Mapping[int, Mapping[str, Any]]


def change_tasks(unit: Unit, case_id: int, before: Mapping[int, Task], after: CaseState, more: Told) -> None:
    """Makes the rows of tasks that were there before what the state says. ``more``: columns by task that the state does not hold."""
    for no in sorted(before.keys() & after.tasks.keys()):
        if before[no] != after.tasks[no] or no in more:
            values = {**_columns(after.tasks[no]), **more.get(no, {})}
            unit.conn.execute(_CHANGED_TASK, {**values, **_changed(unit), "case": case_id, "no": no})


def new_tasks(unit: Unit, case_id: int, before: Mapping[int, Task], after: CaseState, more: Told, labels: Mapping[str, Any],
              admins: Callable[[], Sequence[int]]) -> dict[int, int]:
    """Stores the tasks that are new, and whoever may take up a task; the row ids of the new ones by number."""
    made = _new_tasks(unit, case_id, {no: {**_columns(task), **more.get(no, {})} for no, task in after.tasks.items() if no not in before}, labels)
    moved = {no for no in before.keys() & after.tasks.keys() if before[no].pool != after.tasks[no].pool}
    pools = {no: pool_of(after.tasks[no], admins) for no in (*made, *sorted(moved))}
    if moved or any(pools.values()):
        _write_pools(unit, task_ids(unit, case_id) if moved else made, pools, moved)
    return made


def _new_tasks(unit: Unit, case_id: int, tasks: Mapping[int, Mapping[str, Any]], labels: Mapping[str, Any]) -> dict[int, int]:
    """Row id by number of the tasks that are new."""
    if not tasks:
        return {}
    names = dict.fromkeys(name for values in tasks.values() for name in values)
    rows = [{"case_id": case_id, "task_no": no, "step_label": labels.get(values["step"]), **dict.fromkeys(names), **values, **_made(unit)}
            for no, values in tasks.items()]
    found = {row.task_no: row.id for row in unit.conn.execute(_NEW_TASKS, rows)}
    return {no: found[no] for no in tasks}


def _columns(task: Task) -> dict[str, Any]:
    return {
        "step": task.step, "kind": task.kind, "assignee_id": task.assignee, "principal_id": task.principal, "status": task.status,
        "opened_at": _instant(task.opened_at), "read_at": _instant(task.read_at),
        "urged_at": _instant(task.urged_at), "due_at": _instant(task.due), "closed_at": _instant(task.closed_at) if not task.live else None,
        "closed_by_id": task.by or None, "decision": task.decision or None, "opinion": task.opinion or None,
    }


def pool_of(task: Task, admins: Callable[[], Sequence[int]]) -> Sequence[int]:
    """Who may take the task up: its pool, or the administrators for one of theirs."""
    return tuple(admins()) if task.kind == "admin" and task.assignee is None and not task.pool else task.pool


def _write_pools(unit: Unit, ids: Mapping[int, int], pools: Mapping[int, Sequence[int]], old: Iterable[int]) -> None:
    """Stores who may take up which task (by number); ``old``: those that may have had somebody else before."""
    pool, emptied = unit.tables.engine.approval_pool, [ids[no] for no in old]
    if emptied:
        unit.conn.execute(pool.delete().where(pool.c.task_id.in_(emptied)))
    rows = [{"task_id": ids[no], "user_id": user, **_made(unit)} for no, people in pools.items() for user in people]
    if rows:
        unit.conn.execute(_NEW_POOL, rows)


def task_ids(unit: Unit, case_id: int) -> dict[int, int]:
    """Row id by number."""
    table = unit.tables.engine.approval_task
    return {row.task_no: row.id for row in unit.conn.execute(sa.select(table.c.task_no, table.c.id).where(table.c.case_id == case_id))}


def files_of_task(unit: Unit, task_id: int) -> list[int]:
    """What came with the words at a task so far."""
    table = unit.tables.engine.approval_task
    return list(unit.conn.scalar(sa.select(table.c.attachments).where(table.c.id == task_id)) or ())


def files_of_cases(unit: Unit, cases: Iterable[int], entity: str, field: str) -> Sequence[Row]:
    """The rows of the files that belong to the tasks of the cases."""
    file, task = unit.tables.engine.file, unit.tables.engine.approval_task
    own = sa.and_(file.c.entity == entity, file.c.field == field, file.c.state == "attached", file.c.record_id == task.c.id)
    wanted = sa.select(file.c.id, file.c.name, file.c.media_type, file.c.size, file.c.digest)
    return unit.conn.execute(wanted.join(task, own).where(task.c.case_id.in_(sorted(cases)))).mappings().all()


def came_with_another(unit: Unit, digest: str, entity: str, task_id: int) -> bool:
    """Whether a file of these bytes belongs to another task."""
    file = unit.tables.engine.file
    same = sa.and_(file.c.digest == digest, file.c.state == "attached", file.c.entity == entity, file.c.record_id != task_id)
    return unit.conn.scalar(sa.select(file.c.id).where(same).limit(1)) is not None


def parties(unit: Unit, case_id: int) -> Mapping[int, str]:
    """Whoever takes or took part in a case, and whose accounts they are. Nobody ever leaves."""
    key = ("parties", case_id)
    if key not in unit.memory:
        table, user = unit.tables.engine.approval_party, unit.tables.engine.user
        found = unit.conn.execute(sa.select(user.c.id, user.c.person_key, user.c.staff_no).where(
            table.c.case_id == case_id, user.c.id == table.c.user_id))
        unit.memory[key] = {row.id: person_key(*row) for row in found}
    known: Mapping[int, str] = unit.memory[key]
    return known


def known_parties(unit: Unit, case_id: int) -> set[int]:
    """The parties that this unit has met already."""
    return set(unit.memory.get(("parties", case_id), ()))


def add_parties(unit: Unit, case_id: int, people: Iterable[int]) -> None:
    unit.memory.pop(("parties", case_id), None)
    table = unit.tables.engine.approval_party
    values = [{"case_id": case_id, "user_id": user, **_made(unit)} for user in sorted(set(people))]
    if values:
        unit.conn.execute(_insert_new(unit.conn.dialect.name, table), values)


def add_copies(unit: Unit, case_id: int, people: Iterable[int], by: int | None, step: str) -> None:
    table = unit.tables.engine.approval_copy
    values = [{"case_id": case_id, "user_id": user, "by_id": by, "step": step or None, **_made(unit)} for user in dict.fromkeys(people)]
    if values:
        unit.conn.execute(_insert_new(unit.conn.dialect.name, table), values)


def read_copy(unit: Unit, case_id: int, user_id: int) -> bool:
    """Whether there was a copy that this person had not read yet."""
    table = unit.tables.engine.approval_copy
    mine = (table.c.case_id == case_id, table.c.user_id == user_id, table.c.read_at.is_(None))
    return unit.conn.execute(table.update().where(*mine).values(read_at=unit.now, updated_at=unit.now)).rowcount > 0


def names_of(conn: sa.Connection, tables: Any, accounts: Iterable[int]) -> dict[int, str]:
    """What the people of a case call each other: display name, else login."""
    user = tables.engine.user
    wanted = sorted(set(accounts))
    found = conn.execute(sa.select(user.c.id, user.c.display_name, user.c.username).where(user.c.id.in_(wanted))) if wanted else ()
    return {row.id: row.display_name or row.username for row in found}


def open_tasks_of(unit: Unit, user_id: int) -> list[int]:
    """Cases in which something waits for a person, by id."""
    table = unit.tables.engine.approval_task
    pool = unit.tables.engine.approval_pool
    pooled = sa.select(pool.c.task_id).where(pool.c.user_id == user_id)
    mine = sa.or_(table.c.assignee_id == user_id, table.c.id.in_(pooled))
    return list(unit.conn.scalars(sa.select(table.c.case_id).where(mine, table.c.status.in_(("open", "waiting"))).distinct().order_by(table.c.case_id)))


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _made(unit: Unit) -> dict[str, Any]:
    user = unit.ctx.actor.user_id
    return {"created_at": unit.now, "updated_at": unit.now, "created_by": user, "updated_by": user}


def _changed(unit: Unit) -> dict[str, Any]:
    return {"updated_at": unit.now, "updated_by": unit.ctx.actor.user_id}


@cache
def _insert_new(dialect: str, table: sa.Table) -> Any:
    """Rows of a case and a person; those that are there already stay as they are."""
    return (sqlite if dialect == "sqlite" else postgresql).insert(table).on_conflict_do_nothing(index_elements=["case_id", "user_id"]).inline()


def _insert(unit: Unit, table: Any) -> Any:
    return (sqlite if unit.conn.dialect.name == "sqlite" else postgresql).insert(table)
