"""Tenancy: which tenants there are and where each one's database lies; a Tenant opens transactions there.

The current tenant is always named by the caller; a name that is missing or unknown is an error, never a default.
The control database knows tenant → URL, schema, roles, state, stamp, and nothing about what tenants hold.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from types import TracebackType
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from metaloom.base.errors import Conflict, NotFound, NotPossible
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.compile import EMPTY, PluginManifest
from metaloom.storage import engine, hooks, postgresql, sqlite
from metaloom.storage.control import Control, TenantRow
from metaloom.storage.failures import Contended, answered, names_what_is_gone
from metaloom.storage.files import FileStore
from metaloom.storage.keeping import is_kept, keeping
from metaloom.storage.revisions import Compiler, Revision, Revisions, compiler_with
from metaloom.storage.sealed_files import SealedFiles
from metaloom.storage.secrets import Secrets, make_keys
from metaloom.storage.settings import Settings

log = logging.getLogger(__name__)

register({
    "tenant.unknown": ("没有名为“{name}”的租户。", "There is no tenant named “{name}”."),
    "tenant.bad_name": (
        "租户名只能由小写字母、数字和下划线组成，以字母开头，最多 30 个字符，且不能使用保留名称。",
        "A tenant name has lower-case letters, digits and underscores, begins with a letter, has at most 30 characters "
        "and is not a reserved word.",
    ),
    "tenant.exists": ("租户“{name}”已经存在。", "The tenant “{name}” exists already."),
    "tenant.not_ready": ("租户“{name}”尚未就绪。", "The tenant “{name}” is not ready."),
    "tenant.closed": ("租户“{name}”已关闭，请联系系统管理员。", "The tenant “{name}” is closed; please ask whoever runs the system."),
})  # fmt: skip

_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}", re.ASCII)
_RESERVED = frozenset({
    "api", "static", "health", "login", "logout", "metrics", "control", "public", "ext", "information_schema", "webhook",
    "swagger", "admin", "assets", "favicon", "robots", "none", "null", "default",
})  # fmt: skip


class TenantClosed(NotPossible):
    """The tenant is whole, and closed to people and workers till somebody releases it."""


class Tenancy:
    """All tenants of this installation. Share one object per process; threads may use it together.

    ``manifest``: the commands of the loaded plugins, against which metadata is compiled.
    """

    def __init__(self, settings: Settings, *, manifest: PluginManifest = EMPTY, compiler: Compiler | None = None) -> None:
        self.settings = settings
        self.compiler = compiler or compiler_with(manifest)
        self._control = Control(settings)
        self._open: dict[str, Tenant] = {}
        self._lock = Lock()

    def names(self) -> tuple[str, ...]:
        """Names of the tenants that are ready, in alphabetical order."""
        return tuple(row.name for row in self._control.rows() if row.state == "ready")

    def names_to_work(self) -> tuple[str, ...]:
        """Names of the ready tenants that workers may serve: without those that one process keeps to itself."""
        return tuple(name for name in self.names() if not self.is_kept(name))

    def is_kept(self, name: str) -> bool:
        """Whether a process keeps the tenant to itself, so that workers leave it alone."""
        return is_kept(self.settings, name)

    def keeping(self, name: str) -> AbstractContextManager[None]:
        """Workers of other processes begin nothing for the tenant inside (``storage/keeping.py``)."""
        return keeping(self.settings, name)

    def closed_names(self) -> tuple[str, ...]:
        """Names of the tenants that are whole but closed: nobody enters and no worker works for them."""
        return tuple(row.name for row in self._control.rows() if row.state == "closed")

    def open(self, name: str, *, closed: bool = False) -> Tenant:
        """The tenant; NotFound when there is none of that name (also for an empty one). ``closed``: also one that is closed, for
        who looks after it from the machine."""
        row = self._control.row(name) if _NAME.fullmatch(name or "") else None
        if row is None:
            raise NotFound(message("tenant.unknown", name=name or ""))
        if row.state == "closed" and not closed:
            raise TenantClosed(message("tenant.closed", name=name))
        if row.state not in ("ready", "closed"):
            raise NotPossible(message("tenant.not_ready", name=name))
        with self._lock:
            tenant = self._open.get(name)
            if tenant is None or tenant.row.created_at != row.created_at:
                if tenant is not None:
                    tenant.close()
                tenant = self._open[name] = Tenant(self, row)
            tenant.row = row
        return tenant

    def create(
        self, name: str, label: Text | str, *, after_create: Sequence[Callable[[sa.Connection], None]] = (), url: str | None = None,
        fill: Callable[[Tenant], None] | None = None,
    ) -> Tenant:  # fmt: skip
        """Make the tenant's database with the engine's tables and keys; ``after_create`` adds other tables with the same rights.

        ``url``: a PostgreSQL database of its own. A creation that fails or is killed half-way leaves nothing that ``open``
        would find, and the same call may be made again. ``fill`` brings rows and keys of its own (a restore); that tenant is
        closed till ``release``, and nothing of it is left when ``fill`` fails.
        """
        if not _NAME.fullmatch(name or "") or name in _RESERVED:
            raise NotPossible(message("tenant.bad_name"))
        text = label if isinstance(label, Text) else Text(label, label)
        left = self._control.row(name)
        if left is not None and left.state == "restoring":
            self.drop(name)             # a restore that was killed: what it brought must not come into being as somebody's
        row = self._control.begin(name, text, url, "restoring" if fill else "creating")
        if row is None:
            raise Conflict(message("tenant.exists", name=name))
        row = self._door(row).create(row)
        self._control.change(row)
        tenant = Tenant(self, row)
        with tenant.ddl() as conn:
            engine.make_engine_tables(conn)
            if not fill and not conn.scalar(sa.select(sa.func.count()).select_from(engine.data_key)):
                make_keys(conn, name, self.settings.master_key)
            for step in after_create:
                step(conn)
        if fill:
            self._filled(tenant, fill)
        tenant.close()
        self._door(row).grant(row)
        self._control.mark(name, "closed" if fill else "ready")
        return self.open(name, closed=True)

    def _filled(self, tenant: Tenant, fill: Callable[[Tenant], None]) -> None:
        try:
            fill(tenant)
        except BaseException:
            tenant.close()
            self.drop(tenant.name)
            raise

    def shut(self, name: str) -> None:
        """Close the tenant: from the next second nobody enters, and no worker begins anything for it."""
        self.open(name)
        self._control.mark(name, "closed")

    def release(self, name: str) -> None:
        """Open a closed tenant to people and workers."""
        self.open(name, closed=True)
        self._control.mark(name, "ready")

    def drop(self, name: str) -> None:
        """Destroy the tenant with everything it holds. Callers ask first."""
        row = self._control.row(name)
        if row is None:
            raise NotFound(message("tenant.unknown", name=name))
        self._control.mark(name, "dropping")
        with self._lock:
            tenant = self._open.pop(name, None)
        if tenant is not None:
            tenant.close()
        self._door(row).drop(row)
        shutil.rmtree(self.settings.home / "files" / name, ignore_errors=True)
        self._control.forget(name)

    def relabel(self, name: str, label: Text) -> None:
        """Call the tenant something else; every process shows it within a second."""
        if self.open(name).label != label:
            self._control.relabel(name, label)

    def touch(self, name: str) -> None:
        """Raise the tenant's stamp in the control database (something about it changed)."""
        self._control.touch(name)

    def disconnect(self) -> None:
        """Close every connection that is open and idle; tenants stay open with their revisions and connect anew when asked. For a
        process that is about to fork: a connection must not have two owners."""
        for tenant in tuple(self._open.values()):
            tenant.close()
        self._control.close()
        postgresql.disconnect_all()

    def close(self) -> None:
        """Close every connection of this process."""
        for tenant in tuple(self._open.values()):
            tenant.close()
        self._open.clear()
        self._control.close()
        postgresql.close_all()

    def _door(self, row: TenantRow) -> sqlite.Door | postgresql.Door:
        url = row.url or self.settings.database_url
        return postgresql.Door(self.settings, url) if url else sqlite.Door(self.settings)


class Tenant:
    """One tenant, open. ``read()`` and ``write()`` are the only ways to its data."""

    def __init__(self, tenancy: Tenancy, row: TenantRow) -> None:
        self.tenancy = tenancy
        self.row = row
        self.name = row.name
        self._access = tenancy._door(row).access(row)
        self.dialect = self._access.dialect
        self.settings = tenancy.settings
        self._zone = ZoneInfo(tenancy.settings.zone)
        self.secrets = Secrets(row.name, tenancy.settings.master_key, self.read, self.write)
        self.files = FileStore(tenancy.settings.home / "files", row.name, tenancy.settings.file_size_max)
        self.sealed_files = SealedFiles(tenancy.settings.home / "files" / row.name / "sealed")
        self._revisions = Revisions(self, tenancy.compiler)

    @property
    def label(self) -> Text:
        """What people call the tenant."""
        return self.row.label

    @property
    def zone(self) -> ZoneInfo:
        """The zone its people live in: that of the settings it was last seen to serve, else that of the installation."""
        said = self._revisions.setting("zone")
        return ZoneInfo(said) if isinstance(said, str) else self._zone

    def read(self, *, waits: bool = True) -> AbstractContextManager[sa.Connection]:
        """A read-only transaction: one consistent picture of the data. Writing in it is refused by the database. ``waits``: Busy also when the
        connection is lost after everything was read; a page that has what it shows need not wait for the end."""
        return _Transaction(self, self._access.read, waits)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, committed at the end, rolled back by any exception; then the hooks of ``after_commit`` run.

        Busy when the database is locked for 5 seconds or away; Contended (a Busy) when trying the whole unit again helps.
        """
        with self._access.queue(), _Transaction(self, self._access.write) as conn:
            yield conn

    @contextmanager
    def ddl(self) -> Iterator[sa.Connection]:
        """As ``write``, with the right to change tables. Only ``schema_change`` and tenant creation use it."""
        with self._access.queue(), _Transaction(self, self._access.ddl) as conn:
            yield conn

    def bind(self) -> sa.Engine:
        """An engine for ORM sessions of the login library: transactions begin deferred and may write."""
        return self._access.bind

    @contextmanager
    def autocommit_ddl(self) -> Iterator[sa.Connection]:
        """Statements that cannot run in a transaction (building an index while others write)."""
        with _answering(), self._access.autocommit() as conn:
            yield conn

    def publishing(self) -> AbstractContextManager[None]:
        """A lock over processes and machines: at most one publisher at a time; Conflict when another one is at it.

        The lock dies with its holder, so a killed publisher blocks nobody.
        """
        return self._access.publishing()

    def revision(self) -> Revision:
        """The published revision, at most 0.3 s old; NotPossible when nothing is published yet."""
        return self._revisions.current()

    def revision_number(self, number: int) -> Revision:
        """A revision by number, published now or earlier."""
        return self._revisions.numbered(number)

    def refresh(self) -> None:
        """Look at the stamp at the next ``revision()`` whatever its age (after a publish, or when the bell says so)."""
        self._revisions.refresh()

    def close(self) -> None:
        self._access.close()


class _Transaction:
    """One transaction of a tenant. A class, because each request passes here, and nested generators take longer to enter and to leave."""

    __slots__ = ("_conn", "_source", "_tenant", "_waits")

    def __init__(self, tenant: Tenant, source: sa.Engine, waits: bool = True) -> None:
        self._tenant, self._source, self._waits = tenant, source, waits

    def __enter__(self) -> sa.Connection:
        try:
            self._conn = _begun(self._source)
        except sa.exc.SQLAlchemyError as error:
            _answer(error, self._tenant)
            raise
        return self._conn

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        conn = self._conn
        try:
            try:
                if error is None:
                    if not self._waits and conn.dialect.name == "postgresql":
                        postgresql.end_unseen(conn)
                    _commit(conn)
                else:
                    hooks.forget(conn)
            except BaseException:
                hooks.forget(conn)
                raise
            finally:
                conn.close()
        except sa.exc.SQLAlchemyError as refused:
            _answer(refused, self._tenant)
            raise
        if isinstance(error, sa.exc.SQLAlchemyError):
            _answer(error, self._tenant)
        if error is None:
            hooks.run(conn)


def together(conn: sa.Connection) -> AbstractContextManager[None]:
    """Changes without an answer (no RETURNING, no count of rows) that go to the database in one go where it can take them so.

    Inside the block nothing is read. A statement that is refused raises at the end of the block, and what came after it was not done.
    """
    return postgresql.together(conn) if conn.dialect.name == "postgresql" else nullcontext()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        _answer(error)
        raise


def _answer(error: sa.exc.SQLAlchemyError, tenant: Tenant | None = None) -> None:
    """Raises what people are told, where the error is no mistake of a program."""
    answer = answered(error)
    if answer is None and tenant is not None and names_what_is_gone(error) and tenant._revisions.switched_lately():
        answer = Contended()        # a publish renamed it meanwhile; under the new revision the request will do
    if answer is not None:
        log.warning("database busy: %s", getattr(error, "orig", error))
        raise answer from error


def _commit(conn: sa.Connection) -> None:
    """A connection whose commit failed is given up: it may still be in that transaction, and whoever took it out of the pool next would go on in it."""
    try:
        conn.commit()
    except BaseException:
        conn.invalidate()
        raise


def _begun(source: sa.Engine) -> sa.Connection:
    """A connection whose transaction has begun; a pooled one that died meanwhile is replaced once."""
    for last in (False, True):
        conn = source.connect()
        try:
            conn.begin()
            return conn
        except sa.exc.DBAPIError as error:
            conn.close()
            if last or not error.connection_invalidated:
                raise
        except BaseException:
            conn.close()
            raise
    raise AssertionError("unreachable")


