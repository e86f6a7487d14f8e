"""One row of the audit: built from typed values, with secrets masked before they reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from metaloom.model import Entity
from metaloom.storage.tables import ENGINE

MASKED = "***"
_STORE = ENGINE.audit.insert().inline()


@dataclass(frozen=True)
class Entry:
    """``before`` and ``after`` hold only the fields that changed, by field name; both None for a command without record.

    ``command`` is the verb or action (``create``, ``action:submit``, ``desk.close``); ``record_id`` is None for a range.
    """

    command: str
    entity: str
    record_id: int | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    at: datetime
    actor_id: int | None
    actor_name: str
    channel: str
    reason: str
    revision_number: int
    revision_digest: str
    request_id: str


def write(conn: sa.Connection, tables: Any, entries: Iterable[Entry]) -> int:
    """Stores the entries in the running transaction; returns how many."""
    rows = [_row(entry) for entry in entries]
    if rows:
        conn.execute(_STORE, rows)
    return len(rows)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "at": entry.at, "actor_id": entry.actor_id, "actor_name": entry.actor_name[:128], "channel": entry.channel,
        "command": entry.command[:160], "entity": entry.entity, "record_id": entry.record_id,
        "before": None if entry.before is None else {k: typed(v) for k, v in entry.before.items()},
        "after": None if entry.after is None else {k: typed(v) for k, v in entry.after.items()},
        "reason": entry.reason[:2000] or None, "revision_number": entry.revision_number,
        "revision_digest": entry.revision_digest, "request_id": entry.request_id[:64] or None,
    }


def typed(value: Any) -> Any:
    """The value as JSON that keeps its kind: decimals and dates say so, everything else is plain.

    ``{"decimal": "10.00"}``, ``{"date": "2026-01-31"}``, ``{"datetime": …}``, ``{"time": …}``.
    """
    if isinstance(value, Decimal):
        return {"decimal": format(value, "f")}
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, time):
        return {"time": value.isoformat()}
    if isinstance(value, (tuple, list, frozenset, set)):
        return [typed(item) for item in value]
    return value


def untyped(value: Any) -> Any:
    """The value that :func:`typed` was given (tuples come back as lists)."""
    if isinstance(value, dict) and len(value) == 1:
        kind, text = next(iter(value.items()))
        if kind in _READ and isinstance(text, str):
            return _READ[kind](text)
    return [untyped(item) for item in value] if isinstance(value, list) else value


_READ: Mapping[str, Callable[[str], Any]] = {"decimal": Decimal, "date": date.fromisoformat, "datetime": datetime.fromisoformat, "time": time.fromisoformat}


def masked_values(entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` fit for the audit: encrypted fields show that there was a value and never which one."""
    out = {}
    for name, value in values.items():
        field = entity.fields.get(name)
        hidden = field is not None and field.encrypted and value is not None
        out[name] = _mask(field.mask if field else "", str(value)) if hidden else value
    return out


def _mask(kind: str, value: str) -> str:
    """The last four characters of numbers that are shown that way on screens anyway; nothing of the rest."""
    return MASKED + value[-4:] if kind in ("phone", "id_card", "bank_card") and len(value) >= 8 else MASKED
