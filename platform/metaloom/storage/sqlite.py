"""SQLite: one file per tenant, WAL, every commit on the disk before it is answered.

Readers use connections that cannot write; writers begin IMMEDIATE and queue inside the process, because
SQLite itself waits by looking again and again.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock, get_ident
from typing import TYPE_CHECKING

import sqlalchemy as sa

from metaloom.base.errors import Busy, Conflict
from metaloom.base.messages import message
from metaloom.expression import register_sqlite_functions
from metaloom.storage.settings import Settings

if TYPE_CHECKING:
    from metaloom.storage.control import TenantRow

WAIT_SECONDS = 5.0
SYNCHRONOUS = "FULL"              # a commit that was answered is on the disk
_VERSION_MIN = (3, 37, 0)


class Door:
    """Makes, finds and destroys the files."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "tenants"

    def path(self, row: TenantRow) -> Path:
        return self._folder / f"{row.name}.db"

    def create(self, row: TenantRow) -> TenantRow:
        if sqlite3.sqlite_version_info < _VERSION_MIN:
            raise RuntimeError(f"SQLite {sqlite3.sqlite_version} is too old, 3.37 or newer is needed; or use PostgreSQL")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(self.path(row))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
        os.chmod(self.path(row), 0o600)
        return replace(row, schema_name="", owner_role="", app_role="")

    def grant(self, row: TenantRow) -> None:
        """Nothing: a file has one owner."""

    def drop(self, row: TenantRow) -> None:
        for ending in ("", "-wal", "-shm", ".publish"):
            Path(f"{self.path(row)}{ending}").unlink(missing_ok=True)

    def access(self, row: TenantRow) -> Access:
        return Access(self.path(row))


class Access:
    """The connections of one tenant's file in this process."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.read = _engine(path, "BEGIN", reader=True, size=8)
        self.write = self.ddl = _engine(path, "BEGIN IMMEDIATE", reader=False, size=2)
        self.bind = _engine(path, "BEGIN", reader=False, size=4)
        self._queue = Lock()
        self._holder: int | None = None

    @contextmanager
    def queue(self) -> Iterator[None]:
        """One writer at a time in this process: the others wait here instead of polling the file."""
        if self._holder == get_ident():
            raise RuntimeError("a write transaction is already open in this thread; use its connection")
        if not self._queue.acquire(timeout=WAIT_SECONDS):
            raise Busy()
        self._holder = get_ident()
        try:
            yield
        finally:
            self._holder = None
            self._queue.release()

    @contextmanager
    def autocommit(self) -> Iterator[sa.Connection]:
        with self.queue(), self.ddl.begin() as conn:
            yield conn

    @contextmanager
    def publishing(self) -> Iterator[None]:
        with open(f"{self._path}.publish", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(message("publish.running")) from None
            yield

    def close(self) -> None:
        for engine in (self.read, self.write, self.bind):
            engine.dispose()


def control_engine(settings: Settings) -> sa.Engine:
    """The control file; made when missing."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = settings.home / "control.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return _engine(path, "BEGIN IMMEDIATE", reader=False, size=1)


def _engine(path: Path, begin: str, *, reader: bool, size: int) -> sa.Engine:
    # mode=rw: a file that is not there is an error, not a new and empty tenant.
    engine = sa.create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        ),
        poolclass=sa.QueuePool, pool_size=size, max_overflow=16, pool_timeout=WAIT_SECONDS, hide_parameters=True,  # errors are logged, values are private
    )  # fmt: skip

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: object) -> None:
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA trusted_schema = ON")
        register_sqlite_functions(connection)
        if reader:
            connection.execute("PRAGMA query_only = ON")

    @sa.event.listens_for(engine, "begin")
    def started(conn: sa.Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine
