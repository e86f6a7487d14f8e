"""The commands' way to stored rows: thin words over ``record.Writer``, which alone knows columns and companions.

A row is a mapping of plain values by field name, secrets in clear, read whoever asks: it never leaves a command.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa

from metaloom import access
from metaloom.access.condition import TableResolver
from metaloom.base.errors import NotFound
from metaloom.expression import Checked, Env, to_sql
from metaloom.model import Entity, Field, FieldLevel
from metaloom.model.entity import LIST_TYPES
from metaloom.record import Reader, Writer, mass
from metaloom.record.paths import column_of, field_of, implicit_fields, target_of

if TYPE_CHECKING:
    from metaloom.command.unit import Unit


def writer(unit: Unit) -> Writer:
    if "writer" not in unit.memory:
        unit.memory["writer"] = Writer(unit.conn, unit.ctx.tenant, unit.revision, user_id=unit.ctx.actor.user_id, now=unit.now)
    found: Writer = unit.memory["writer"]
    return found


def reader(unit: Unit) -> Reader:
    """The scoped reader of the person who asks, on the same transaction."""
    if "reader" not in unit.memory:
        unit.memory["reader"] = Reader(unit.conn, unit.ctx.tenant, unit.revision, unit.ctx.plan, unit.env(), locale=unit.ctx.locale)
    found: Reader = unit.memory["reader"]
    return found


def standing(unit: Unit, address: str, record_id: int, row: Mapping[str, Any] | None = None) -> tuple[frozenset[str], Mapping[str, FieldLevel]]:
    """The actions and field levels that the person has on this row, in one statement; NotFound outside what may be read. ``row``: its values
    where they are at hand."""
    rights, holding = unit.ctx.plan.rights(address), scopes_of(unit, address, record_id, row)
    if not holding & set(rights.scopes_for("read")):
        raise NotFound
    return rights.actions_in(holding), rights.levels(holding)


def scopes_of(unit: Unit, address: str, record_id: int, row: Mapping[str, Any] | None = None) -> frozenset[int]:
    """The person's row scopes that hold for this row, seen or not. What the values of a row that was read already, or ``row``, tell is not
    asked of the database again."""
    rights, row = unit.ctx.plan.rights(address), row if row is not None else known(unit, address, record_id)
    verdicts = [access.scope_holds(unit.revision, scope, rights.entity, row) if row is not None else None for scope in rights.scopes]
    asked = [index for index, verdict in enumerate(verdicts) if verdict is None]
    if asked:
        table = unit.tables.of(address)
        env = unit.env() if unit.ctx.plan.asks_environment(address) else None
        clauses = [rights.clause(index, table, env).label(f"s{index}") for index in asked]
        flags = unit.conn.execute(sa.select(*clauses).where(table.c.id == record_id)).one_or_none()
        if flags is None:
            return frozenset()
        for index, flag in zip(asked, flags, strict=True):
            verdicts[index] = bool(flag)
    return frozenset(index for index, verdict in enumerate(verdicts) if verdict)


def who_reads(readings: Iterable[Unit], address: str, record_id: int) -> set[int]:
    """Accounts, among those whose eyes these are in one transaction, that may read the row: one statement for all, and none where the row at
    hand tells."""
    found: set[int] = set()
    asked: list[tuple[int, Any]] = []
    for reading in readings:
        rights, row, user = reading.ctx.plan.rights(address), known(reading, address, record_id), reading.ctx.actor.user_id or 0
        for index in rights.scopes_for("read"):
            verdict = access.scope_holds(reading.revision, rights.scopes[index], rights.entity, row) if row is not None else None
            if verdict:
                found.add(user)
            elif verdict is None:
                env = reading.env() if reading.ctx.plan.asks_environment(address) else None
                asked.append((user, rights.clause(index, reading.tables.of(address), env)))
        conn, table = reading.conn, reading.tables.of(address)
    asked = [(user, clause) for user, clause in asked if user not in found]
    if asked:
        flags = conn.execute(sa.select(*(clause.label(f"s{at}") for at, (_, clause) in enumerate(asked))).where(table.c.id == record_id)).one_or_none()
        found |= {user for (user, _), flag in zip(asked, flags or (), strict=False) if flag}
    return found


def known(unit: Unit, address: str, record_id: int) -> dict[str, Any] | None:
    """The row as this transaction read it last; also for the eyes of somebody else in the same transaction."""
    found: dict[str, Any] | None = unit.memory.get("beside", unit).memory.get(("row", address, record_id))
    return found


def standing_or_none(unit: Unit, address: str, record_id: int) -> frozenset[str]:
    """The actions that the person has on this row; none outside what may be read."""
    try:
        return standing(unit, address, record_id)[0]
    except NotFound:
        return frozenset()


def nothing(entity: Entity) -> dict[str, Any]:
    """A record without values: every name, None."""
    return dict.fromkeys((*(f.name for f in implicit_fields(entity)), *(f.name for f in entity.fields.values() if f.stored)))


def target(field: Field) -> str:
    """The entity that a link field points to."""
    return target_of(field)


def missing() -> NoReturn:
    raise NotFound


def fetch(unit: Unit, address: str, record_id: int, *, lock: bool = False) -> dict[str, Any] | None:
    """One row, or None. Read once per unit until it is changed or locked: what is locked is read as it is now."""
    key = ("row", address, record_id)
    if lock or key not in unit.memory:
        unit.memory[key] = writer(unit).stored(address, record_id, lock=lock)
    found: dict[str, Any] | None = unit.memory[key]
    return None if found is None else dict(found)


def _changed(unit: Unit, address: str, record_id: int) -> None:
    unit.memory.pop(("row", address, record_id), None)


def forget(unit: Unit, address: str, ids: Collection[int]) -> None:
    """These rows were changed by other means: they are read anew. Of very many, a unit remembers a few."""
    for key in [key for key in unit.memory if key[0] == "row" and key[1] == address and key[2] in ids]:
        del unit.memory[key]


def exists(unit: Unit, address: str, record_id: int) -> bool:
    """Whether there is such a row; remembered for the length of the unit, in which nothing a link may name disappears."""
    key = ("exists", address, record_id)
    if key not in unit.memory:
        unit.memory[key] = fetch(unit, address, record_id) is not None
    found: bool = unit.memory[key]
    return found


def find(unit: Unit, address: str, where: Mapping[str, Any], *, order: Sequence[str] = (), limit: int | None = None,
         lock: bool = False, live_only: bool = False) -> list[Any]:
    """Rows by equality of fields: None = is null, a list or tuple = one of. ``lock``: locked by rising id."""
    entity, table = unit.entity(address), unit.tables.of(address)
    conditions = [_equals(unit, entity, table, name, value) for name, value in where.items()]
    if live_only and "archived_at" in table.c:
        conditions.append(table.c.archived_at.is_(None))
    return _select(unit, entity, conditions, order, limit, lock)


def find_where(unit: Unit, address: str, condition: Checked, env: Env, *, order: Sequence[str] = (), limit: int | None = None,
               lock: bool = False, also: Sequence[Any] = ()) -> list[Any]:
    """Rows for which a checked expression over the entity is true; archived rows are left out. ``also``: more clauses in SQL."""
    entity, table = unit.entity(address), unit.tables.of(address)
    clause = to_sql(condition, TableResolver(unit.revision, address, table), unit.revision.dialect, env)
    live = [table.c.archived_at.is_(None)] if "archived_at" in table.c else []
    return _select(unit, entity, [clause, *live, *also], order, limit, lock)


def extent(unit: Unit, address: str, condition: Checked, env: Env, among: Any = None) -> tuple[int, int]:
    """The highest id of the rows for which the condition is true and that the person may read, and how many they are."""
    table = unit.tables.of(address)
    query = sa.select(sa.func.max(table.c.id), sa.func.count()).where(*_meant(unit, address, condition, env, among))
    highest, count = unit.conn.execute(query).one()
    return int(highest or 0), int(count)


def next_ids(unit: Unit, address: str, condition: Checked, env: Env, among: Any = None, *, after: int, until: int, limit: int) -> list[int]:
    """The next ids of those rows, rising, above ``after`` and not above ``until``."""
    table = unit.tables.of(address)
    query = sa.select(table.c.id).where(table.c.id > after, table.c.id <= until, *_meant(unit, address, condition, env, among))
    return [int(found) for found in unit.conn.scalars(query.order_by(table.c.id).limit(limit))]


def mass_extent(unit: Unit, address: str, condition: Checked, env: Env, among: Any, *, held: Any, size: int) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Ranges of ids (above, up to, rows) over the rows for which the condition is true, without the ``held`` ones; and those of them that are held."""
    table, clauses = unit.tables.of(address), _meant(unit, address, condition, env, among)
    again = [int(one) for one in unit.conn.scalars(sa.select(table.c.id).where(table.c.id.in_(held), *clauses).order_by(table.c.id))]
    return (mass.bounds(unit.conn, table, [*clauses, table.c.id.not_in(held)], size) if among is None else []), again


def mass_clauses(unit: Unit, address: str, condition: Checked, env: Env, *, above: int, until: int, without: Any = None) -> list[Any]:
    """The rows of one range for which the condition is true."""
    table = unit.tables.of(address)
    left_out = [table.c.id.not_in(without)] if without is not None else []
    return [*mass.within(table.c.id, above, until), *_meant(unit, address, condition, env, None), *left_out]


def still(unit: Unit, address: str, condition: Checked, env: Env, record_id: int) -> bool:
    """Whether the condition is true for the row, which is locked first."""
    table = unit.tables.of(address)
    if fetch(unit, address, record_id, lock=True) is None:
        return False
    return unit.conn.scalar(sa.select(table.c.id).where(table.c.id == record_id, *_meant(unit, address, condition, env, None))) is not None


def _meant(unit: Unit, address: str, condition: Checked, env: Env, among: Any) -> list[Any]:
    """True for the condition, not archived, within what may be read, and among those of a query."""
    table = unit.tables.of(address)
    clauses = [to_sql(condition, TableResolver(unit.revision, address, table), unit.revision.dialect, env)]
    if "archived_at" in table.c:
        clauses.append(table.c.archived_at.is_(None))
    if not unit.ctx.system:
        rights = unit.ctx.plan.rights(address)
        clauses.append(sa.or_(sa.false(), *(rights.clause(index, table, unit.env()) for index in rights.scopes_for("read"))))
    return [*clauses, table.c.id.in_(among)] if among is not None else clauses


def _select(unit: Unit, entity: Entity, conditions: list[Any], order: Sequence[str], limit: int | None, lock: bool) -> list[Any]:
    """With a lock rows come (and are locked) by rising id and are put in order afterwards: no two commands lock crosswise."""
    table = unit.tables.of(entity.address)
    if lock:
        rows = writer(unit).where(entity.address, conditions, limit=None if order else limit, lock=True)
        unit.memory.update({("row", entity.address, row["id"]): row for row in rows})
        return _ordered(rows, order)[:limit]
    columns = [_order_column(entity, table, name) for name in order]
    return writer(unit).where(entity.address, conditions, order=[*columns, table.c.id] if columns else (), limit=limit)


def _order_column(entity: Entity, table: sa.Table, name: str) -> Any:
    column = table.c[column_of(field_of(entity, name.lstrip("-")))]
    return column.desc() if name.startswith("-") else column


def _ordered(rows: list[dict[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
    for name in reversed(order):
        plain = name.lstrip("-")
        filled = [row for row in rows if row[plain] is not None]
        empty = [row for row in rows if row[plain] is None]
        rows = sorted(filled, key=itemgetter(plain), reverse=name.startswith("-")) + empty
    return rows


def _equals(unit: Unit, entity: Entity, table: sa.Table, name: str, value: Any) -> Any:
    """Equality of one field; an encrypted field is compared by its blind index."""
    field = field_of(entity, name)
    values = list(value) if isinstance(value, (list, tuple, set, frozenset)) and field.type not in LIST_TYPES else [value]
    column = table.c[f"{name}__bx"] if field.encrypted else table.c[column_of(field)]
    if field.encrypted:
        values = [writer(unit).encode(entity, {name: item}).get(f"{name}__bx") for item in values]
    wanted = [item for item in values if item is not None]
    return sa.or_(*([column.in_(wanted)] if wanted else []), *([column.is_(None)] if None in values else []), sa.false())


def insert(unit: Unit, entity: Entity, values: Mapping[str, Any]) -> int:
    return writer(unit).insert(entity.address, values)


def insert_many(unit: Unit, entity: Entity, values: Sequence[Mapping[str, Any]]) -> list[int]:
    """New rows in one statement; ids in the same order."""
    return writer(unit).insert_many(entity.address, values) if values else []


def update(unit: Unit, entity: Entity, record_id: int, changes: Mapping[str, Any], row_version: int) -> int:
    """Stores changes of a locked row and returns its new version."""
    _changed(unit, entity.address, record_id)
    return writer(unit).update(entity.address, record_id, changes, row_version)


def remove(unit: Unit, entity: Entity, record_id: int, row_version: int) -> None:
    """Takes a row away: a child row that archives is archived, everything else is gone."""
    _changed(unit, entity.address, record_id)
    writer(unit).delete(entity.address, record_id, row_version)


# -- engine tables that have commands of their own ------------------------------------------------------------------------


def engine_insert(unit: Unit, address: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> int:
    """A new row of an engine table: values by field, ``extra`` by column."""
    table = unit.tables.of(address)
    encoded = {**writer(unit).encode(unit.entity(address), values), **extra, **_reserved(unit, table, new=True)}
    return int(unit.conn.execute(table.insert().values(**encoded).returning(table.c.id)).scalar_one())


def engine_update(unit: Unit, address: str, record_id: int, values: Mapping[str, Any], extra: Mapping[str, Any], row_version: int) -> int:
    """Changes a locked row of an engine table; its new version."""
    table = unit.tables.of(address)
    encoded = {**writer(unit).encode(unit.entity(address), values), **extra, **_reserved(unit, table, new=False),
               "row_version": row_version + 1}
    _changed(unit, address, record_id)
    unit.conn.execute(table.update().where(table.c.id == record_id).values(**encoded))
    return row_version + 1


def engine_delete(unit: Unit, address: str, record_id: int) -> None:
    table = unit.tables.of(address)
    _changed(unit, address, record_id)
    unit.conn.execute(table.delete().where(table.c.id == record_id))


def engine_column(unit: Unit, address: str, record_id: int, column: str) -> Any:
    """One column that is no field (a password hash)."""
    table = unit.tables.of(address)
    return unit.conn.scalar(sa.select(table.c[column]).where(table.c.id == record_id))


def _reserved(unit: Unit, table: sa.Table, *, new: bool) -> dict[str, Any]:
    user = unit.ctx.actor.user_id
    found = {"updated_at": unit.now, "updated_by": user, **({"created_at": unit.now, "created_by": user} if new else {})}
    return {name: value for name, value in found.items() if name in table.c}


def same_person(unit: Unit, one: int, *others: int) -> bool:
    """Whether an account belongs to the person of another one of these. Asked once per unit and in one statement: many buttons ask the same."""
    known: dict[int, str] = unit.memory.setdefault("whose accounts", {})
    new = {one, *others} - known.keys()
    if new and others and one not in others:
        known.update(access.persons_of(unit.conn, unit.tables, new))
    return one in others or bool(others) and known[one] in {known[other] for other in others}


def file(unit: Unit, file_id: int) -> sa.RowMapping | None:
    table = unit.tables.engine.file
    return unit.conn.execute(sa.select(table).where(table.c.id == file_id)).mappings().one_or_none()


def attach(unit: Unit, file_id: int, entity: str, record_id: int, field: str) -> None:
    """From now on the file belongs to the record."""
    table = unit.tables.engine.file
    unit.conn.execute(table.update().where(table.c.id == file_id).values(
        state="attached", entity=entity, record_id=record_id, field=field, updated_at=unit.now))
