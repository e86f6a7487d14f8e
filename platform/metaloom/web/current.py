"""What one request works with, pinned once: tenant, revision, person, rights, reader.

Everything after the pin reads the same revision, so that no answer mixes two (decision 41).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, cast
from zoneinfo import ZoneInfo

from flask import current_app, g, request

from metaloom.access import AccessPlan, Actor, plan_for
from metaloom.base.clock import Clock
from metaloom.base.errors import LoginRequired
from metaloom.base.text import DEFAULT_LOCALE, LOCALES, Text
from metaloom.model import Catalog, Entity


@dataclass(frozen=True)
class Visit:
    """The answer of the session store: who this cookie belongs to."""

    session_id: int
    user_id: int
    business_date: date | None = None
    company_name: str = ""
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Current:
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
        return self.revision.catalog

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which this tenant reads instants."""
        return ZoneInfo(self.tenant.zone)

    @property
    def conn(self) -> Any:
        """A read-only connection, opened when first needed; one snapshot for the whole request."""
        if self._conn is None:
            self._conn = self._stack.enter_context(self.tenant.read())
        return self._conn

    def release(self) -> None:
        """End the read transaction; the next ``conn`` sees what was committed meanwhile."""
        self._stack.close()
        self._conn = None
        self.__dict__.pop("reader", None)

    @cached_property
    def plan(self) -> AccessPlan:
        if self.visit is None:
            raise LoginRequired
        return plan_for(self.conn, self.revision, self.visit.user_id)

    @property
    def actor(self) -> Actor:
        return self.plan.actor

    @cached_property
    def env(self) -> Any:
        from metaloom.expression import Env

        business = self.visit.business_date if self.visit else None
        return Env(business_date=business or self.clock.now().astimezone(self.zone).date(), now=self.clock.now(), user=self._user_facts())

    def _user_facts(self) -> dict[str, object]:
        actor = self.actor
        return {"id": actor.user_id, "username": actor.username, "company": actor.company_id, "org_unit": actor.org_unit_id}

    @cached_property
    def reader(self) -> Any:
        from metaloom.record import Reader

        return Reader(self.conn, self.tenant, self.revision, self.plan, self.env)

    def context(self) -> Any:
        """The context in which commands of this request run; the read transaction is ended first."""
        from metaloom.command import Context

        plan, revision = self.plan, self.revision
        self.release()
        return Context(tenant=self.tenant, revision=revision, actor=plan.actor, plan=plan, channel=self.channel, locale=locale(),
                       clock=self.clock, request_id=self.request_id, idempotency_key=request.headers.get("Idempotency-Key"))

    def entity(self, address: str) -> Entity:
        """The entity at ``address``, provided that the person holds any right on it; NotFound otherwise."""
        from metaloom.base.errors import NotFound

        entity = self.catalog.entities.get(address)
        if entity is None or not self.plan.actions(address):
            raise NotFound
        return entity


def current() -> Current:
    """The pinned values of this request."""
    return cast(Current, g.metaloom)


def locale() -> str:
    """Preference of the person (cookie, set at login from the account), else Chinese."""
    wanted = g.get("locale") or request.cookies.get("ml_locale", "")
    return wanted if wanted in LOCALES else DEFAULT_LOCALE


def say(text: Text | None) -> str:
    """A label in the reader's language; empty for none."""
    return text.say(locale()) if text else ""


def url(path: str) -> str:
    """An address inside this tenant."""
    return request.script_root + path


def site() -> Any:
    """What ``app`` wired together (settings, tenancy, session store, assets)."""
    return current_app.extensions["metaloom"]
