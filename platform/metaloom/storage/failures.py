"""What the database refuses, in the words of the error tree, and which rule a violated constraint belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from metaloom.base.errors import Busy
from metaloom.base.messages import message, register

register({
    "storage.full": ("存储空间不足，数据没有保存。请联系管理员。", "The storage is full; nothing was saved. Please tell your administrator."),
})

_CONTENTION = ("40001", "40P01")
_BUSY = ("55P03", "53300", "53400", "25006")
_CUT_OFF = ("57P01", "57P02", "57P03", "57014", "25P03", "53200")
_FULL = ("53100", "53200")


class Contended(Busy):
    """Two transactions got in each other's way; the whole unit may be tried again at once (a bounded number of times)."""


class CutOff(Busy):
    """The database ended the work in its midst: cancelled, too long, out of memory, connection lost. It may be the work itself that is too much."""


def answered(error: BaseException) -> Busy | None:
    """The error a person is told for a database that is locked, full or away; None when it is something else."""
    if isinstance(error, PoolTimeout):
        return Busy()
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError):
        return None
    state = getattr(error.orig, "sqlstate", None) or ""
    if state in _CONTENTION:
        return Contended()
    if state in _CUT_OFF or state.startswith("08") or error.connection_invalidated:
        return CutOff(message("storage.full") if state in _FULL else None)
    if state in _FULL:
        return Busy(message("storage.full"))
    if state in _BUSY:
        return Busy()
    return _answered_sqlite(error) if isinstance(error, OperationalError) else None


def _answered_sqlite(error: OperationalError) -> Busy | None:
    text = str(error.orig).lower()
    if "locked" in text or "busy" in text:
        return Busy()
    if "full" in text or "disk i/o" in text or "readonly" in text or "unable to open" in text:
        return Busy(message("storage.full"))
    if "connection" in text and not getattr(error.orig, "sqlstate", None) and "sqlite" not in text:
        return Busy()
    return None


def names_what_is_gone(error: BaseException) -> bool:
    """The statement speaks of a table or column that is not there (any more)."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state in ("42703", "42P01") or "no such column" in str(error.orig) or "no such table" in str(error.orig)


@dataclass(frozen=True)
class Violation:
    """Which constraint refused. ``kind``: unique | foreign_key | check | not_null | append_only | balance | closed.

    ``table`` and ``columns`` as far as the database tells; ``name`` is the constraint's or index's name where it is known
    (``<table>__<field or rule>__uq``, ``…__ck``).
    """

    kind: str
    table: str = ""
    columns: tuple[str, ...] = ()
    name: str = ""


def violation(error: DBAPIError) -> Violation | None:
    """What an IntegrityError (or a trigger's refusal) was about; None for anything else."""
    if getattr(error.orig, "sqlstate", None):
        return _violation_postgresql(error)
    return _violation_sqlite(str(error.orig)) if isinstance(error, sa.exc.IntegrityError) else None


_CLOSED = "ledger entry is closed"  # the end of what storage/engine.py says
_STATES = {"23505": "unique", "23503": "foreign_key", "23514": "check", "23502": "not_null", "23001": "append_only"}


def _violation_postgresql(error: DBAPIError) -> Violation | None:
    diagnostic = error.orig.diag  # type: ignore[union-attr]
    kind = _STATES.get(error.orig.sqlstate)  # type: ignore[union-attr]
    if kind is None:
        return None
    text = diagnostic.message_primary or ""
    if kind == "append_only" and "append-only" not in text and "posted" not in text:
        kind = "foreign_key"
    if "does not balance" in text or "begins as draft" in text:
        return Violation("balance", "ml_ledger_entry")
    if _CLOSED in text:
        return Violation("closed", "ml_ledger_entry")
    table = diagnostic.table_name or (text.split(" ")[0] if kind == "append_only" else "")
    columns = re.search(r"^Key \((.+?)\)=", diagnostic.message_detail or "")
    return Violation(
        kind, table, tuple(c.strip(' "') for c in columns[1].split(",")) if columns else (),
        diagnostic.constraint_name or "",
    )  # fmt: skip


def _violation_sqlite(text: str) -> Violation | None:
    if found := re.match(r"UNIQUE constraint failed: index '(.+)'", text):
        return Violation("unique", found[1].split("__uq")[0].rpartition("__")[0], (), found[1])
    if found := re.match(r"(UNIQUE|NOT NULL) constraint failed: (.+)", text):
        pairs = [part.strip().split(".") for part in found[2].split(",")]
        kind = "unique" if found[1] == "UNIQUE" else "not_null"
        return Violation(kind, pairs[0][0], tuple(pair[-1] for pair in pairs))
    if found := re.match(r"CHECK constraint failed: (.+)", text):
        return Violation("check", found[1].partition("__")[0], (), found[1])
    if "FOREIGN KEY" in text:
        return Violation("foreign_key")
    if "append-only" in text or "takes no more legs" in text:
        return Violation("append_only", text.split(" ")[0])
    if "does not balance" in text or "begins as draft" in text:
        return Violation("balance", "ml_ledger_entry")
    if _CLOSED in text:
        return Violation("closed", "ml_ledger_entry")
    return None
