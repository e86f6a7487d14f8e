"""One request, pinned once: tenant, revision, person, rights, reader, and the context its commands run in.

The screens and the REST API share it; neither imports the other. Everything after the pin reads the same revision, so
that no answer mixes two (decision 41).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from metaloom.access import AccessPlan, Actor, plan_for
from metaloom.base.clock import Clock
from metaloom.base.errors import LoginRequired, NotFound
from metaloom.base.text import DEFAULT_LOCALE
from metaloom.command.context import Context
from metaloom.command.environment import role_names, user_values
from metaloom.command.note_search import note_search
from metaloom.command.note_view import note_view
from metaloom.expression import Env
from metaloom.model import Catalog, Entity
from metaloom.plugin.registry import Registry, installed
from metaloom.record import Reader, Searched

COMPANY = "platform.company"


@dataclass(frozen=True)
class Visit:
    """Who this request belongs to, as the session store, a token or a key said it. ``session_id`` 0: no browser session."""

    session_id: int
    user_id: int
    business_date: date | None = None
    company_name: str = ""
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Pinned:
    """The pinned values of one request. ``release`` ends the read transaction (before a command writes, and at the end)."""

    tenant: Any
    request_id: str
    clock: Clock
    visit: Visit | None = None
    channel: str = "screen"
    _stack: ExitStack = field(default_factory=ExitStack)
    _conn: Any = None

    @cached_property
    def revision(self) -> Any:
        return self.tenant.revision()

    @property
    def catalog(self) -> Catalog:
        catalog: Catalog = self.revision.catalog
        return catalog

    @property
    def zone(self) -> tzinfo:
        """The zone in which this tenant reads instants."""
        zone = self.tenant.zone
        return ZoneInfo(zone) if isinstance(zone, str) else zone

    @property
    def conn(self) -> Any:
        """A read-only connection, opened when first needed; one snapshot for the whole request."""
        if self._conn is None:
            self._conn = self._stack.enter_context(self.tenant.read(waits=False))
        return self._conn

    def release(self) -> None:
        """End the read transaction; the next ``conn`` sees what was committed meanwhile."""
        self._stack.close()
        self._conn = None
        self.__dict__.pop("reader", None)

    def enter(self, user_id: int, channel: str) -> None:
        """Someone whom no browser session named: the holder of a token or a key."""
        self.visit, self.channel = Visit(0, user_id), channel
        for name in ("plan", "env", "reader"):
            self.__dict__.pop(name, None)

    @cached_property
    def plan(self) -> AccessPlan:
        if self.visit is None:
            raise LoginRequired
        return plan_for(self.conn, self.revision, self.visit.user_id)

    @property
    def actor(self) -> Actor:
        return self.plan.actor

    @cached_property
    def env(self) -> Env:
        """What expressions know besides the record."""
        now = self.clock.now()
        known = self.plan.memory.get("person")
        if known is None:
            known = self.plan.memory["person"] = role_names(self.actor), user_values(self.actor)
        return Env(business_date=self.business_date or now.astimezone(self.zone).date(), now=now, user_id=self.actor.user_id,
                   roles=known[0], user=known[1])

    @property
    def business_date(self) -> date | None:
        """The day the books of the person's company are at; None before its first day was set."""
        if self.visit is not None and self.visit.session_id:
            return self.visit.business_date
        company = self.catalog.entities.get(COMPANY)
        if company is None or "business_date" not in company.fields or self.actor.company_id is None:
            return None
        table = self.revision.tables.of(COMPANY)
        found: date | None = self.conn.scalar(sa.select(table.c.business_date).where(table.c.id == self.actor.company_id))
        return found

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.conn, self.tenant, self.revision, self.plan, self.env, watch=self._note)

    def _note(self, reader: Reader, searched: Sequence[Searched]) -> None:
        """Searches on masked fields are written down before they are answered; the reader goes on with a new snapshot."""
        note_search(self.context(), searched)
        reader.conn = self.conn
        self.__dict__["reader"] = reader

    def opened(self, entity: Entity, id: int) -> None:
        """The record is about to be shown to the person, who may see it."""
        if entity.log_views:
            note_view(self.context(), entity.address, id)

    def context(self, *, locale: str = DEFAULT_LOCALE, idempotency_key: str | None = None, plugins: Registry | None = None,
                address: str = "") -> Context:
        """The context in which commands of this request run; the read transaction is ended first."""
        plan, revision = self.plan, self.revision
        self.release()
        return Context(tenant=self.tenant, revision=revision, actor=plan.actor, plan=plan, channel=self.channel, locale=locale,
                       clock=self.clock, request_id=self.request_id, idempotency_key=idempotency_key, plugins=plugins or installed(),
                       address=address[:60])

    def entity(self, address: str) -> Entity:
        """The entity at ``address``, provided that the person holds any right on it; NotFound otherwise."""
        entity = self.catalog.entities.get(address)
        if entity is None or not self.plan.actions(address):
            raise NotFound
        return entity


class Away(Pinned):
    """The person who asked for work in the background, without a browser. Searches on masked fields were written down when it was asked for."""

    def _note(self, reader: Reader, searched: Sequence[Searched]) -> None:
        pass
