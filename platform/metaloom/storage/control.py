"""The control database: tenant → where it lies, in which state, and a stamp. Nothing about what tenants hold."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from threading import Lock
from time import monotonic

import sqlalchemy as sa

from metaloom.base.text import Text
from metaloom.storage import postgresql, sqlite
from metaloom.storage.secrets import seal, unseal
from metaloom.storage.settings import Settings
from metaloom.storage.types import BigInt, LongText, ShortText, UtcDateTime, utc_now

_FRESH_SECONDS = 1.0

METADATA = sa.MetaData()
TENANT = sa.Table(
    "ml_tenant", METADATA,
    sa.Column("name", ShortText(30), primary_key=True),
    sa.Column("label", ShortText(400), nullable=False),
    sa.Column("url", LongText()),
    sa.Column("schema_name", ShortText(63), nullable=False, server_default=""),
    sa.Column("owner_role", ShortText(63), nullable=False, server_default=""),
    sa.Column("app_role", ShortText(63), nullable=False, server_default=""),
    sa.Column("state", ShortText(20), nullable=False),
    sa.Column("stamp", BigInt(), nullable=False, server_default="1"),
    sa.Column("created_at", UtcDateTime(), nullable=False, server_default=utc_now()),
    sqlite_strict=True,
)  # fmt: skip


@dataclass(frozen=True)
class TenantRow:
    """``url`` is empty for the installation's own place. ``state``: creating | restoring | closed | ready | dropping."""

    name: str
    label: Text
    url: str
    schema_name: str
    owner_role: str
    app_role: str
    state: str
    created_at: object = None


class Control:
    """Reads are at most one second old; writes are seen at once by the process that made them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = postgresql.control_engine(settings) if settings.database_url else sqlite.control_engine(settings)
        self._rows: dict[str, TenantRow] = {}
        self._read_at: float | None = None
        self._lock = Lock()
        self._made = False

    def rows(self) -> tuple[TenantRow, ...]:
        with self._lock:
            if self._read_at is None or monotonic() - self._read_at > _FRESH_SECONDS:
                self._rows = self._read()
                self._read_at = monotonic()
            return tuple(self._rows[name] for name in sorted(self._rows))

    def row(self, name: str) -> TenantRow | None:
        self.rows()
        found = self._rows.get(name)
        if found is None or found.state != "ready":
            self._stale()
            self.rows()
            found = self._rows.get(name)
        return found

    def begin(self, name: str, label: Text, url: str | None, state: str = "creating") -> TenantRow | None:
        """Reserve the name; None when a tenant has it, ready or closed. A creation that broke off is taken up again."""
        sealed = seal(self._settings.master_key, url.encode(), f"control|{name}") if url else None
        words = _words(label)
        with self._begin() as conn:
            found = conn.scalar(sa.select(TENANT.c.state).where(TENANT.c.name == name))
            if found in ("ready", "closed"):
                return None
            if found is not None:
                conn.execute(TENANT.delete().where(TENANT.c.name == name))
            conn.execute(TENANT.insert().values(name=name, label=words, url=sealed, state=state))
        self._stale()
        return self.row(name)

    def change(self, row: TenantRow) -> None:
        with self._begin() as conn:
            conn.execute(TENANT.update().where(TENANT.c.name == row.name).values(
                schema_name=row.schema_name, owner_role=row.owner_role, app_role=row.app_role,
            ))  # fmt: skip
        self._stale()

    def relabel(self, name: str, label: Text) -> None:
        with self._begin() as conn:
            conn.execute(TENANT.update().where(TENANT.c.name == name).values(label=_words(label)))
        self._stale()

    def mark(self, name: str, state: str) -> None:
        with self._begin() as conn:
            conn.execute(TENANT.update().where(TENANT.c.name == name).values(state=state, stamp=TENANT.c.stamp + 1))
        self._stale()

    def touch(self, name: str) -> None:
        with self._begin() as conn:
            conn.execute(TENANT.update().where(TENANT.c.name == name).values(stamp=TENANT.c.stamp + 1))

    def forget(self, name: str) -> None:
        with self._begin() as conn:
            conn.execute(TENANT.delete().where(TENANT.c.name == name))
        self._stale()

    def close(self) -> None:
        self._engine.dispose()

    def _begin(self) -> AbstractContextManager[sa.Connection]:
        if not self._made:
            with self._engine.begin() as conn:
                if conn.dialect.name == "postgresql":
                    postgresql.one_maker(conn)
                METADATA.create_all(conn)
            self._made = True
        return self._engine.begin()

    def _read(self) -> dict[str, TenantRow]:
        with self._begin() as conn:
            rows = conn.execute(sa.select(TENANT)).all()
        return {row.name: self._known(row) for row in rows}

    def _known(self, row: sa.Row[tuple[object, ...]]) -> TenantRow:
        url = unseal(self._settings.master_key, row.url, f"control|{row.name}").decode() if row.url else ""
        known = TenantRow(
            row.name, Text(*json.loads(row.label)), url, row.schema_name, row.owner_role, row.app_role, row.state,
        )  # fmt: skip
        return replace(known, created_at=row.created_at)

    def _stale(self) -> None:
        self._read_at = None


def _words(label: Text) -> str:
    return json.dumps([label.zh, label.en], ensure_ascii=False)
