"""The message log: rows of ``ml_message``, written and read in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.storage.tables import ENGINE, Tables
from metaloom.storage.types import utc_now

IN_APP = "in_app"

# Made once: every message begins with them.
_KEEP = ENGINE.message.insert().inline()
_STORE = ENGINE.message.insert().returning(ENGINE.message.c.id, sort_by_parameter_order=True)
_PREFERENCE = ENGINE.message_preference.c
_WANTED = sa.select(_PREFERENCE.user_id, _PREFERENCE.kind, _PREFERENCE.channel, _PREFERENCE.wanted).where(
    _PREFERENCE.user_id.in_(sa.bindparam("people", expanding=True)))
_WANTED_OF_KIND = _WANTED.where(_PREFERENCE.kind == sa.bindparam("kind"))


@dataclass(frozen=True, slots=True)
class Note:
    """One message as its receiver sees it in the application."""

    id: int
    kind: str
    subject: str
    body: str
    entity: str
    record_id: int | None
    link: str
    urgent: bool
    created_at: datetime
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way out. ``first``: no try was begun before, so it cannot have been sent."""

    id: int
    channel: str
    subject: str
    body: str
    link: str
    entity: str
    record_id: int | None
    sealed: str
    reference: str
    first: bool
    tries: int


class Box:
    """The messages of one tenant on one connection."""

    def __init__(self, conn: sa.Connection, tables: Tables) -> None:
        self.conn = conn
        self.table = tables.engine.message
        self._preference, self._opt_out = tables.engine.message_preference, tables.engine.message_opt_out

    def add(self, messages: Iterable[Mapping[str, Any]]) -> list[int]:
        """Store messages (values by column) and return their ids in the same order."""
        rows = [dict(values) for values in messages]
        if not rows:
            return []
        return [int(id) for id in self.conn.scalars(_STORE, rows)]

    def keep(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Store messages that nobody will speak of by id."""
        rows = [dict(values) for values in messages]
        if rows:
            self.conn.execute(_KEEP, rows)

    def notes(self, receiver: int, *, unread: bool | None = None, before: int | None = None, limit: int = 20) -> list[Note]:
        """The person's messages in the application, newest first; ``before`` continues below an id."""
        c = self.table.c
        wanted: list[Any] = [c.receiver_id == receiver, c.channel == IN_APP, c.status != "suppressed"]
        if unread is not None:
            wanted.append(c.read_at.is_(None) if unread else c.read_at.is_not(None))
        if before is not None:
            wanted.append(c.id < before)
        columns = (c.id, c.kind, c.subject, c.body, c.entity, c.record_id, c.link, c.urgent, c.created_at, c.read_at)
        found = self.conn.execute(sa.select(*columns).where(*wanted).order_by(c.id.desc()).limit(limit))
        return [Note(row.id, row.kind, row.subject, row.body or "", row.entity or "", row.record_id, row.link or "", bool(row.urgent),
                     row.created_at, row.read_at) for row in found]

    def mark_read(self, receiver: int, ids: Sequence[int] | None = None) -> int:
        """Mark the person's own unread messages read (all of them without ``ids``); how many were."""
        wanted = self._unread_of(receiver)
        if ids is not None:
            wanted = (*wanted, self.table.c.id.in_(list(ids)))
        return self.conn.execute(self.table.update().where(*wanted).values(read_at=utc_now(), updated_at=utc_now())).rowcount

    # -- what goes out ---------------------------------------------------------------------------------------------------

    def take(self, message_id: int, now: datetime) -> Outgoing | None:
        """The message for one try to send it, marked *unknown* from now on: whoever dies here leaves it so. None when nothing is
        to be done any more."""
        c = self.table.c
        columns = (c.id, c.channel, c.subject, c.body, c.link, c.entity, c.record_id, c.sealed, c.reference, c.status, c.tries)
        found = self.conn.execute(sa.select(*columns).where(c.id == message_id, c.status.in_(("queued", "unknown"))).with_for_update()).first()
        if found is None:
            return None
        self.note(message_id, status="unknown", tries=found.tries + 1, updated_at=now)
        return Outgoing(found.id, found.channel, found.subject, found.body or "", found.link or "", found.entity or "", found.record_id,
                        found.sealed or "", found.reference, found.status == "queued", found.tries + 1)

    def note(self, message_id: int, **values: Any) -> None:
        """Store what became of a message."""
        self.conn.execute(self.table.update().where(self.table.c.id == message_id).values(**values))

    def receipt(self, reference: str, outcome: str, now: datetime) -> int:
        """A receipt of a provider; how many messages it changed. A message that failed or arrived keeps that."""
        status = {"delivered": "delivered", "refused": "failed", "accepted": "sent"}.get(outcome)
        if status is None:
            return 0
        values: dict[str, Any] = {"status": status, "updated_at": now, **({"delivered_at": now} if status == "delivered" else {})}
        open_ = ("unknown", "sent") if status != "sent" else ("unknown",)
        return self.conn.execute(self.table.update().where(self.table.c.reference == reference, self.table.c.status.in_(open_))
                                 .values(**values)).rowcount

    def stored(self, message_id: int) -> Mapping[str, Any] | None:
        """One row by column, locked."""
        return self.conn.execute(sa.select(self.table).where(self.table.c.id == message_id).with_for_update()).mappings().first()

    # -- who wants what --------------------------------------------------------------------------------------------------

    def preferences(self, people: Iterable[int], kind: str | None = None) -> dict[int, dict[tuple[str, str], bool]]:
        """What people said they want, by person and (kind, channel)."""
        found: dict[int, dict[tuple[str, str], bool]] = {}
        for row in self.conn.execute(_WANTED if kind is None else _WANTED_OF_KIND, {"people": list(people), "kind": kind}):
            found.setdefault(row.user_id, {})[row.kind, row.channel] = bool(row.wanted)
        return found

    def prefer(self, person: int, wanted: Mapping[tuple[str, str], bool]) -> None:
        """Replace what a person wants of these kinds and channels."""
        c = self._preference.c
        for (kind, channel), wants in wanted.items():
            self.conn.execute(self._preference.delete().where(c.user_id == person, c.kind == kind, c.channel == channel))
            self.conn.execute(self._preference.insert().values(user_id=person, kind=kind, channel=channel, wanted=wants))

    def opted_out(self, channel: str, mark: str) -> bool:
        c = self._opt_out.c
        return self.conn.scalar(sa.select(c.id).where(c.channel == channel, c.address_mark == mark)) is not None

    def opt_out(self, channel: str, address: str, mark: str, *, word: str = "", reason: str = "", by: int | None = None) -> bool:
        """Remember that an address wants nothing more; False when it was known already. ``address`` is masked."""
        if self.opted_out(channel, mark):
            return False
        self.conn.execute(self._opt_out.insert().values(channel=channel, address=address, address_mark=mark, word=word[:60] or None,
                                                        reason=reason[:500] or None, created_by=by))
        return True

    def opt_in(self, channel: str, mark: str) -> int:
        c = self._opt_out.c
        return self.conn.execute(self._opt_out.delete().where(c.channel == channel, c.address_mark == mark)).rowcount

    def _unread_of(self, receiver: int) -> tuple[sa.ColumnElement[bool], ...]:
        c = self.table.c
        return (c.receiver_id == receiver, c.channel == IN_APP, c.read_at.is_(None), c.status != "suppressed")
