"""The log of webhooks: what was told to other systems, and what they asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.storage.tables import Tables


class Hooks:
    """Deliveries and calls of one tenant on one connection."""

    def __init__(self, conn: sa.Connection, tables: Tables) -> None:
        self.conn = conn
        self._deliveries, self._calls = tables.engine.webhook_delivery, tables.engine.webhook_call

    def queue(self, **values: Any) -> int:
        """A new delivery; its id."""
        return int(self.conn.execute(self._deliveries.insert().values(status="queued", **values).returning(self._deliveries.c.id)).scalar_one())

    def delivery(self, number: int, *, lock: bool = False) -> Mapping[str, Any] | None:
        """One delivery by column."""
        wanted = sa.select(self._deliveries).where(self._deliveries.c.id == number)
        return self.conn.execute(wanted.with_for_update() if lock else wanted).mappings().first()

    def note(self, number: int, **values: Any) -> None:
        self.conn.execute(self._deliveries.update().where(self._deliveries.c.id == number).values(**values))

    def call(self, webhook: str, event_id: str) -> Mapping[str, Any] | None:
        """What became of this event of this webhook before, locked; None when it is new."""
        table = self._calls
        wanted = sa.select(table).where(table.c.webhook == webhook, table.c.event_id == event_id).with_for_update()
        return self.conn.execute(wanted).mappings().first()

    def claim(self, webhook: str, event_id: str, now: datetime) -> bool:
        """Take the event in the running transaction; False when it was done before. Two transactions cannot both take it: the
        later one waits at the row or at its unique key, and fails there."""
        earlier = self.call(webhook, event_id)
        if earlier is None:
            self.conn.execute(self._calls.insert().values(webhook=webhook, event_id=event_id, status="done", created_at=now, updated_at=now))
        elif earlier["status"] != "done":
            self.finish(webhook, event_id, status="done", error=None, updated_at=now)
        return earlier is None or earlier["status"] != "done"

    def finish(self, webhook: str, event_id: str, **values: Any) -> int:
        """What became of a known event; how many rows that were."""
        table = self._calls
        return self.conn.execute(table.update().where(table.c.webhook == webhook, table.c.event_id == event_id).values(**values)).rowcount

    def refuse(self, webhook: str, event_id: str, now: datetime, **values: Any) -> None:
        """Remember that an event was refused: it may be tried again. One that was done stays done."""
        earlier = self.call(webhook, event_id)
        if earlier is None:
            self.conn.execute(self._calls.insert().values(webhook=webhook, event_id=event_id, status="refused", created_at=now,
                                                          updated_at=now, **values))
        elif earlier["status"] != "done":
            self.finish(webhook, event_id, updated_at=now, **values)
            self.repeated(earlier["id"])

    def repeated(self, number: int) -> None:
        table = self._calls
        self.conn.execute(table.update().where(table.c.id == number).values(repeats=table.c.repeats + 1))

    def lines(self, webhook: str, begin: str, most: int) -> int:
        """How many refused events of the webhook have a number that begins so; counted no further than ``most``."""
        table = self._calls
        found = sa.select(table.c.id).where(table.c.webhook == webhook, table.c.status == "refused",
                                            table.c.event_id.startswith(begin, autoescape=True)).limit(most)
        return len(self.conn.execute(found).all())

    def forget(self, begin: str, before: datetime) -> None:
        """Refused events whose number begins so and that nobody repeated since ``before``."""
        table = self._calls
        self.conn.execute(table.delete().where(table.c.status == "refused", table.c.event_id.startswith(begin, autoescape=True), table.c.updated_at < before))
