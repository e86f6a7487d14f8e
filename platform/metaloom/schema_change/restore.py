"""Restore: an archive becomes a tenant again, of any name, on either kind of database.

    engine     the engine's and the login library's rows; ledger entries are posted anew, so that the database adds each of them up
    entities   the tables that the archive's revision asks for, and those that are kept from earlier ones; their rows
    rules      foreign keys, indexes and checks, over the rows that are there now
    files      the bytes of uploads

The tenant is closed until ``Tenancy.release``. Anything that does not fit ends the restore, and nothing of it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.schema_change import ddl
from metaloom.schema_change.physical import look
from metaloom.schema_change.plan import Step, plan
from metaloom.storage import engine
from metaloom.storage.archive import Archive, ArchivedTable, tables_in_order
from metaloom.storage.columns import ColumnSpec
from metaloom.storage.engine import run_statement
from metaloom.storage.layout import TableSpec
from metaloom.storage.secrets import BOUND_TO
from metaloom.storage.tenancy import Tenancy, Tenant

register({
    "restore.table": ("本版本不认识备份文件中的表 {table}。", "This version does not know the table {table} of the archive."),
    "restore.refused": ("数据不符合新数据库的规则，恢复已撤销：{fault}", "The rows break a rule of the new database; the restore was undone: {fault}"),
    "release.waiting": (
        "备份时有 {count} 项待发送（{kinds}）。请选择继续发送（--send）或全部放弃（--discard）。",
        "{count} pieces of work waited when the archive was taken ({kinds}). Say whether to go on with them (--send) or to give them up (--discard).",
    ),
})  # fmt: skip

_LAST = ("ml_ledger_period",)       # a closed month takes no entry, so months are closed again when all entries are there


def restore(
    tenancy: Tenancy, archive: Archive, name: str, *, label: Text | None = None, url: str | None = None, secrets: bool = True,
    after_create: Sequence[Callable[[sa.Connection], None]] = (),
) -> Tenant:  # fmt: skip
    """The archive as the closed tenant ``name``. ``secrets`` False leaves out named secrets: such a copy can reach no gateway.

    NotPossible when the archive is damaged, knows more than this version, or breaks a rule here; Conflict when the name is taken.
    """
    archive.verify()
    made = tenancy.create(name, label or Text(*archive.manifest.label), after_create=after_create, url=url,
                          fill=lambda tenant: _fill(tenant, archive, secrets))
    if archive.key != tenancy.settings.master_key:
        made.secrets.rewrap(archive.key)
    return made


def release(tenancy: Tenancy, name: str, *, waiting: str = "") -> int:
    """Open a closed tenant. ``waiting``: 'send' or 'discard' what waits in its outbox; NotPossible when something waits and neither is
    said. Returns how much waited."""
    tenant = tenancy.open(name, closed=True)
    open_ = engine.outbox.c.state.in_(("pending", "running"))
    with tenant.write() as conn:
        counted = sa.select(engine.outbox.c.kind, sa.func.count()).where(open_).group_by(engine.outbox.c.kind).order_by(engine.outbox.c.kind)
        kinds = {row[0]: int(row[1]) for row in conn.execute(counted)}
        if kinds and waiting not in ("send", "discard"):
            raise NotPossible(message("release.waiting", count=sum(kinds.values()), kinds=", ".join(f"{kind}: {n}" for kind, n in kinds.items())))
        if waiting == "discard":
            conn.execute(engine.outbox.update().where(open_).values(state="done", last_error="given up when the restored tenant was released"))
    tenancy.release(name)
    return sum(kinds.values())


def _fill(tenant: Tenant, archive: Archive, secrets: bool) -> None:
    try:
        _rows_of_the_engine(tenant, archive, secrets)
        _rows_of_entities(tenant, archive)
    except (sa.exc.IntegrityError, sa.exc.DataError) as error:
        raise NotPossible(message("restore.refused", fault=str(error.orig).splitlines()[0][:300])) from error
    for digest in archive.files():
        with archive.open(digest) as content:
            tenant.files.put(content)


# ---- what the engine itself keeps

def _rows_of_the_engine(tenant: Tenant, archive: Archive, secrets: bool) -> None:
    with tenant.ddl() as conn:
        _later_keys(conn)
        order = tables_in_order(conn)
        known = {table.name: table for table in archive.manifest.tables}
        specs = _specs(archive, known)
        for name in sorted(set(order) - set(_LAST), key=order.index):
            if name in known and (secrets or name != "ml_secret"):
                _make_room(conn, known[name], specs.get(name, {}))
                _load(conn, archive, known[name])
        for name in _LAST:
            _post(conn, archive, known["ml_ledger_entry"])
            _load(conn, archive, known[name])
        if archive.manifest.bound_to != tenant.name:
            conn.execute(engine.setting.delete().where(engine.setting.c.name == BOUND_TO))
            conn.execute(engine.setting.insert().values(name=BOUND_TO, value=archive.manifest.bound_to))


def _load(conn: sa.Connection, archive: Archive, table: ArchivedTable) -> None:
    if table.name == "ml_setting":
        archive.load(conn, table, leave_out=lambda row: row["name"] == engine.MARK, without=("id",))
    else:
        archive.load(conn, table, instead={"state": "draft"} if table.name == "ml_ledger_entry" else None)


def _post(conn: sa.Connection, archive: Archive, table: ArchivedTable) -> None:
    """As a posting does it: the header is flipped when its legs are there, and the database refuses what does not balance."""
    entry = engine.ledger_entry
    drafts = [row["id"] for rows in archive.rows(table) for row in rows if row["state"] != "posted"]
    conn.execute(entry.update().where(entry.c.id.not_in(drafts)).values(state="posted"))


def _make_room(conn: sa.Connection, table: ArchivedTable, specs: Mapping[str, ColumnSpec]) -> None:
    """Columns that overlays added to an engine table."""
    there = {column["name"] for column in sa.inspect(conn).get_columns(table.name)}
    for name, _ in table.columns:
        if name not in there:
            if name not in specs:
                raise NotPossible(message("archive.column", table=table.name, column=name))
            run_statement(conn, ddl.add_column(table.name, specs[name], conn.dialect.name))


# ---- what metadata asked for

def _rows_of_entities(tenant: Tenant, archive: Archive) -> None:
    with tenant.read() as conn:
        published = conn.scalar(sa.select(engine.pointer.c.revision_number)) is not None
    catalog = tenant.revision().catalog if published else None
    with tenant.ddl() as conn:
        _later_keys(conn)
        there = frozenset(look(conn).columns)
        known = {table.name: table for table in archive.manifest.tables}
        specs = _specs(archive, known)
        steps = plan(conn, catalog, catalog).steps if catalog is not None else ()
        _run(conn, steps, ("create_table", "append_only", "room"))
        theirs = [table for table in archive.manifest.tables if table.name not in there]
        kept = [key for table in theirs for key in _keep(conn, table, specs.get(table.name, {}))]
        for table in theirs:
            archive.load(conn, table)
        _run(conn, steps, ("add_key", "look_up", "create_index"))
        for statement in kept:
            run_statement(conn, statement)
        _check(conn, steps)


def _run(conn: sa.Connection, steps: Sequence[Step], actions: Collection[str]) -> None:
    for step in steps:
        if step.action in actions:
            for statement in step.sql:
                run_statement(conn, statement)


def _keep(conn: sa.Connection, table: ArchivedTable, specs: Mapping[str, ColumnSpec]) -> Iterator[str]:
    """What no metadata names any more is kept in a restored tenant, too. Yields the keys to add when all rows are there."""
    found = look(conn).columns.get(table.name)
    wanted = {name: specs[name] for name, _ in table.columns if name in specs}
    if found is None:
        if len(wanted) != len(table.columns):
            raise NotPossible(message("restore.table", table=table.name))
        run_statement(conn, ddl.create_table(TableSpec(table.name, "", wanted, {}, {}), conn.dialect.name))
    for name, _ in table.columns:
        if found is not None and name not in found:
            if name not in wanted:
                raise NotPossible(message("archive.column", table=table.name, column=name))
            run_statement(conn, ddl.add_column(table.name, wanted[name], conn.dialect.name))
        if name in wanted and wanted[name].references and conn.dialect.name == "postgresql" and (found is None or name not in found):
            yield ddl.add_foreign_key(table.name, wanted[name], checked=True)


def _check(conn: sa.Connection, steps: Sequence[Step]) -> None:
    """Checks hold for what is written from now on; a row that broke one before it was made stays as it is."""
    for step in steps:
        for statement in step.sql if step.action == "checks" else ():
            try:
                with conn.begin_nested():
                    run_statement(conn, statement)
            except sa.exc.IntegrityError:
                run_statement(conn, f"{statement} NOT VALID")


def _specs(archive: Archive, known: Mapping[str, ArchivedTable]) -> dict[str, dict[str, ColumnSpec]]:
    found: dict[str, dict[str, ColumnSpec]] = {}
    for rows in archive.rows(known["ml_layout"]):
        for row in rows:
            spec: Any = engine.layout.c.spec.type.process_result_value(row["spec"], None)  # type: ignore[arg-type]
            if row["column_name"] and spec:
                found.setdefault(row["table_name"], {})[row["column_name"]] = ColumnSpec(**spec)
    return found


def _later_keys(conn: sa.Connection) -> None:
    """SQLite holds foreign keys inside its tables: they are looked at when the transaction ends."""
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
