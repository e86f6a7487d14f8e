"""PostgreSQL: one schema per tenant, with an owner role for DDL and an app role for data.

Every transaction begins with SET LOCAL ROLE and SET LOCAL search_path, so a statement that forgot where it is finds no
table instead of another tenant's. Where the connecting role may not create roles, tenants share its rights (a warning
says so); the search path still keeps them apart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus

from metaloom.base.errors import Conflict
from metaloom.base.messages import message
from metaloom.storage import engine as engine_tables
from metaloom.storage.settings import Settings, postgres_url

if TYPE_CHECKING:
    from metaloom.storage.control import TenantRow

log = logging.getLogger(__name__)

EXTENSIONS = "ext"
CONTROL = "ml_control"
_POOL_SIZE, _POOL_MORE, _WAIT_SECONDS = 5, 10, 5
_PROLOGUE, _PLACE = "metaloom_prologue", "metaloom_place"
_JOINS_ORDERED = 4
READ_ONLY = b" READ ONLY"

_engines: dict[str, sa.Engine] = {}
_lock = Lock()


class Door:
    """Makes, finds and destroys the schemas of one database."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._url = postgres_url(url) or url

    def create(self, row: TenantRow) -> TenantRow:
        """Schema, roles and rights; every step may be repeated."""
        schema = f"t_{row.name}"
        with _administering(self._url) as conn:
            may_make_roles = bool(conn.scalar(sa.text(
                "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )))  # fmt: skip
            if not may_make_roles:
                log.warning(
                    "The PostgreSQL role of METALOOM_DATABASE_URL may not create roles: tenant %s shares its rights with the "
                    "others. Cure: ALTER ROLE … CREATEROLE, then create the tenant again.", row.name,
                )  # fmt: skip
            owner, app = (_role(conn, row.name, "own"), _role(conn, row.name, "app")) if may_make_roles else ("", "")
            for role in filter(None, (owner, app)):
                _make_role(conn, role)
            conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {_q(schema)}" + (f" AUTHORIZATION {_q(owner)}" if owner else ""))
            _make_extensions(conn)
            for role in filter(None, (owner, app)):
                conn.exec_driver_sql(f"GRANT USAGE ON SCHEMA {_q(schema)} TO {_q(role)}")
                if conn.scalar(sa.text("SELECT to_regnamespace('ext') IS NOT NULL")):
                    _try(conn, f"GRANT USAGE ON SCHEMA {EXTENSIONS} TO {_q(role)}")
            if app:
                conn.exec_driver_sql(
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {_q(owner)} IN SCHEMA {_q(schema)} "
                    f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {_q(app)}"
                )
                conn.exec_driver_sql(
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {_q(owner)} IN SCHEMA {_q(schema)} "
                    f"GRANT USAGE, SELECT ON SEQUENCES TO {_q(app)}"
                )
        return replace(row, schema_name=schema, owner_role=owner, app_role=app)

    def grant(self, row: TenantRow) -> None:
        """What is append-only cannot even be asked to change by the app role."""
        if not row.app_role:
            return
        with _administering(self._url) as conn:
            conn.exec_driver_sql(f"SET LOCAL ROLE {_q(row.owner_role)}")
            for table in engine_tables.APPEND_ONLY:
                conn.exec_driver_sql(f"REVOKE UPDATE, DELETE, TRUNCATE ON {_q(row.schema_name)}.{table.name} FROM {_q(row.app_role)}")

    def drop(self, row: TenantRow) -> None:
        with _administering(self._url) as conn:
            conn.exec_driver_sql(f"DROP SCHEMA IF EXISTS {_q(row.schema_name)} CASCADE")
            for role in filter(None, (row.app_role, row.owner_role)):
                if conn.scalar(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
                    conn.exec_driver_sql(f"DROP OWNED BY {_q(role)}")
                    conn.exec_driver_sql(f"DROP ROLE {_q(role)}")

    def access(self, row: TenantRow) -> Access:
        return Access(self._url, row)


class Access:
    """The transactions of one tenant's schema; the connections are shared with the other tenants of the database."""

    dialect = "postgresql"

    def __init__(self, url: str, row: TenantRow) -> None:
        self._url, self._row = url, row
        base = _shared_engine(url).execution_options(**{_PLACE: row.schema_name})
        path = f"SET LOCAL search_path = {_q(row.schema_name)}, {EXTENSIONS}"
        app = f"SET LOCAL ROLE {_q(row.app_role)}; " if row.app_role else ""
        owner = f"SET LOCAL ROLE {_q(row.owner_role)}; " if row.owner_role else ""
        # Titles of links are joined by primary key in the order in which they are asked for: to look for a better order among nine tables
        # takes the planner several times as long as the answer.
        joins = f"SET LOCAL join_collapse_limit = {_JOINS_ORDERED}"
        self.read = _with_prologue(base, f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {app}{path}; {joins}")
        limits = "SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '120s'"
        self.write = self.bind = _with_prologue(base, f"BEGIN; {app}{path}; {limits}")
        self.ddl = _with_prologue(base, f"BEGIN; {owner}{path}; SET LOCAL lock_timeout = '2s'")

    @contextmanager
    def queue(self) -> Iterator[None]:
        """PostgreSQL queues by itself."""
        yield

    @contextmanager
    def autocommit(self) -> Iterator[sa.Connection]:
        """A connection of its own whose role and path hold for the session."""
        engine = _bare_engine(self._url).execution_options(isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as conn:
                if self._row.owner_role:
                    conn.exec_driver_sql(f"SET ROLE {_q(self._row.owner_role)}")
                conn.exec_driver_sql(f"SET search_path = {_q(self._row.schema_name)}, {EXTENSIONS}")
                yield conn
        finally:
            engine.dispose()

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """A session lock of a connection of its own: it ends with the connection, however that ends."""
        engine = _bare_engine(self._url).execution_options(isolation_level="AUTOCOMMIT")
        key = int.from_bytes(sha256(f"metaloom publish {self._row.schema_name}".encode()).digest()[:8], "big", signed=True)
        try:
            with engine.connect() as conn:
                if not conn.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
                    raise Conflict(message("publish.running"))
                try:
                    yield
                finally:        # at once; the end of the connection would do it only a moment later
                    conn.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": key})
        finally:
            engine.dispose()

    def close(self) -> None:
        """The pool belongs to all tenants of the database; ``close_all`` ends it."""


def place_of(conn: sa.Connection) -> str:
    """The schema of the tenant whose transaction this is."""
    return str(conn.get_execution_options()[_PLACE])


@contextmanager
def together(conn: sa.Connection) -> Iterator[None]:
    """Statements whose answers nobody waits for travel in one go; the first that is refused ends all of them, at the end."""
    try:
        with conn.connection.driver_connection.pipeline():  # type: ignore[union-attr]
            yield
    except psycopg.Error as refused:        # SQLAlchemy was not asked for the answer, so it cannot have given the error its own kind
        raise sa.exc.DBAPIError.instance("(several statements)", None, refused, psycopg.Error, hide_parameters=True, dialect=conn.dialect) from refused


def end_unseen(conn: sa.Connection) -> None:
    """Nobody waits for the end of this transaction, if it only read: it has nothing to lose."""
    driver: Any = conn.connection.driver_connection
    driver.unseen = driver.reads


def without_waiting(conn: sa.Connection) -> None:
    """The end of this transaction does not wait until it is on the disk. A server that dies (not a process: PostgreSQL or its machine) may forget it with
    everything after it, and only with that: for steps of work that is taken up again where it stands. The next end that waits keeps it, too."""
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL synchronous_commit = off")


def control_engine(settings: Settings) -> sa.Engine:
    """The control schema of the installation's database; made when missing."""
    url = str(settings.database_url)
    with _administering(url) as conn:
        one_maker(conn)
        conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {CONTROL}")
    engine = sa.create_engine(
        url, pool_size=1, max_overflow=4, pool_timeout=_WAIT_SECONDS, pool_pre_ping=True, hide_parameters=True,
        connect_args={"prepare_threshold": None, "options": f"-c search_path={CONTROL}"},
    )  # fmt: skip

    @sa.event.listens_for(engine, "begin")
    def one_at_a_time(conn: sa.Connection) -> None:
        conn.exec_driver_sql("SET LOCAL lock_timeout = '5s'")

    return engine


def one_maker(conn: sa.Connection) -> None:
    """Until the end of the transaction: CREATE … IF NOT EXISTS fails where two processes make the same thing at the same moment."""
    conn.exec_driver_sql("SELECT pg_advisory_xact_lock(4711201)")


class _Described(Sequence[Any]):
    """The columns of a result, looked at when somebody wants to know them."""

    def __init__(self, read: Callable[[], Sequence[Any]]) -> None:
        self._read = read
        self._found: Sequence[Any] | None = None

    def _columns(self) -> Sequence[Any]:
        if self._found is None:
            self._found = self._read()
        return self._found

    def __len__(self) -> int:
        return len(self._columns())

    def __getitem__(self, index: Any) -> Any:
        return self._columns()[index]


class _Cursor(psycopg.Cursor[Any]):
    """SQLAlchemy asks each result for its columns, and looks at them once for each statement: describing 27 columns took as long as
    fetching 20 rows."""

    @property
    def description(self) -> Any:
        result = self.pgresult
        if result is None or not result.nfields:
            return super().description
        return _Described(lambda: psycopg.Cursor.description.__get__(self))


class _Connection(psycopg.Connection[Any]):
    """What begins and ends a transaction brings no rows, so libpq is asked itself: the driver makes ready for rows, waits through Python and looks
    at the answer, which took four times as long as the server did."""

    @cached_property
    def asking(self) -> _Cursor:
        """A cursor for questions whose rows are fetched at once; it knows how to read the types that it met."""
        return _Cursor(self)

    reads = asked = unseen = False        # of the open transaction: it only reads, something was asked in it, nobody waits for its end
    _ending = False

    def enter(self, prologue: bytes) -> bool:
        """Begin a transaction; False where something was refused, which is then to be asked in the ordinary way."""
        with self.lock:
            self._end()
            self.reads, self.unseen = READ_ONLY in prologue, False
            return self.pgconn.exec_(prologue).status == ExecStatus.COMMAND_OK

    def commit(self) -> None:
        """The answer to a COMMIT that nobody waits for is fetched before the connection is asked again."""
        if self.pgconn.transaction_status != TransactionStatus.INTRANS or self.pgconn.pipeline_status != PipelineStatus.OFF:
            super().commit()
            return
        with self.lock:
            if self.unseen:
                self.pgconn.send_query(b"COMMIT")
                self._ending = True
                if self.pgconn.flush():         # the rest did not fit into the socket
                    self._end()
                return
            result = self.pgconn.exec_(b"COMMIT")
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result, encoding=self.info.encoding)

    def rollback(self) -> None:
        """The pool asks for it when a connection comes back; a transaction that ends by itself needs none."""
        if not self._ending:
            super().rollback()

    def _end(self) -> None:
        """Wait for the answer to a COMMIT that nobody waited for. A connection that died meanwhile is found out by whoever asks it next."""
        if self._ending:
            self._ending = False
            while self.pgconn.get_result() is not None:
                pass


def disconnect_all() -> None:
    """Close the idle connections of the shared pools; the pools live on."""
    with _lock:
        for engine in _engines.values():
            engine.dispose()


def close_all() -> None:
    """End the shared pools of this process."""
    with _lock:
        for engine in _engines.values():
            engine.dispose()
        _engines.clear()


def _shared_engine(url: str) -> sa.Engine:
    with _lock:
        engine = _engines.get(url)
        if engine is None:
            # prepare_threshold None: a statement prepared in one tenant's schema must not run in another's (``Ready`` prepares what names the schema).
            # autocommit: the prologue itself begins the transaction, so that beginning and entering the tenant are one trip.
            engine = _engines[url] = sa.create_engine(
                url, pool_size=_POOL_SIZE, max_overflow=_POOL_MORE, pool_timeout=_WAIT_SECONDS, pool_recycle=1800, pool_use_lifo=True, hide_parameters=True,
                connect_args={"prepare_threshold": None, "autocommit": True, "application_name": "metaloom", "cursor_factory": _Cursor},
            )  # fmt: skip
            sa.event.listen(engine, "do_connect", lambda dialect, record, args, named: _Connection.connect(*args, **named))
            sa.event.listen(engine, "begin", _enter_tenant)
            sa.event.listen(engine, "before_cursor_execute", _asks)
    return engine


def _bare_engine(url: str) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args={"prepare_threshold": None})


def _with_prologue(engine: sa.Engine, prologue: str) -> sa.Engine:
    return engine.execution_options(**{_PROLOGUE: prologue})


def _enter_tenant(conn: sa.Connection) -> None:
    prologue = conn.get_execution_options().get(_PROLOGUE)
    if prologue is None:
        raise RuntimeError("a transaction was begun without naming a tenant")
    driver: Any = conn.connection.driver_connection
    driver.asked = False
    try:
        entered = driver.enter(_bytes(prologue))
    except psycopg.Error:
        entered = False
    if not entered:        # asked again through SQLAlchemy, which gives the error its kind and throws a dead connection away
        if not driver.closed:
            driver.rollback()
        conn.exec_driver_sql(prologue)


@lru_cache(4000)
def _bytes(prologue: str) -> bytes:
    return prologue.encode()


def _asks(conn: sa.Connection, *statement: Any) -> None:
    driver: Any = conn.connection.driver_connection
    driver.asked = True


def begin_anew(conn: sa.Connection) -> None:
    """The reading transaction once more, over a connection that has forgotten what was prepared there."""
    driver: Any = conn.connection.driver_connection
    driver.rollback()
    driver.execute("DEALLOCATE ALL")
    driver.execute(conn.get_execution_options()[_PROLOGUE])


@contextmanager
def _administering(url: str) -> Iterator[sa.Connection]:
    engine = _bare_engine(url)
    try:
        with engine.begin() as conn:
            yield conn
    finally:
        engine.dispose()


def _role(conn: sa.Connection, tenant: str, kind: str) -> str:
    """Roles belong to the whole server, so the database is part of the name."""
    database = conn.scalar(sa.text("SELECT current_database()"))
    name = f"ml_{database}_{tenant}_{kind}"
    return name if len(name.encode()) <= 63 else f"ml_{sha256(name.encode()).hexdigest()[:40]}_{kind}"


def _make_role(conn: sa.Connection, role: str) -> None:
    if not conn.scalar(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
        conn.exec_driver_sql(f"CREATE ROLE {_q(role)} NOLOGIN NOINHERIT")
    if not conn.scalar(sa.text("SELECT pg_has_role(current_user, :role, 'MEMBER')"), {"role": role}):
        conn.exec_driver_sql(f"GRANT {_q(role)} TO CURRENT_USER")


def _make_extensions(conn: sa.Connection) -> None:
    """Trigram search where the server has it; without it ``contains`` is only slower."""
    _try(conn, f"CREATE SCHEMA IF NOT EXISTS {EXTENSIONS}")
    _try(conn, f"CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA {EXTENSIONS}")


def _try(conn: sa.Connection, statement: str) -> None:
    try:
        with conn.begin_nested():
            conn.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        log.info("left out: %s (%s)", statement, error.orig)


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
