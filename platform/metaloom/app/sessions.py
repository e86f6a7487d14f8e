"""Logins that live in the tenant's database: the cookie holds a random token, the row says whose it is.

A visitor who has not logged in holds a signed cookie only (for the CSRF token of the login form), so nobody can fill
the table by asking for pages. A login always makes a fresh token: a cookie planted before it is worth nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask, g
from flask.sessions import SessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import CallbackDict

from metaloom.access import person_columns, plan_of
from metaloom.base.clock import Clock
from metaloom.base.errors import Busy, MetaloomError
from metaloom.base.network import network_of
from metaloom.record.paths import PerRevision
from metaloom.storage import rate
from metaloom.storage.ready import Ready
from metaloom.web.current import Current, Visit

log = logging.getLogger("metaloom.app")

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
TOUCH_EVERY = timedelta(seconds=60)
LOCK_AFTER, LOCK_FOR = 10, timedelta(minutes=15)
LOCK_ADDRESS_AFTER = 50
LOCK_PROVIDER_AFTER = 100         # logins by a provider that one network began and did not finish; each makes the server call outside
KEPT_FOR = timedelta(days=2)
PREFERENCES_MAX = 60_000
VISITS_SHOWN = 20
COMPANY = "platform.company"


class WebSession(CallbackDict[str, Any], SessionMixin):
    """The session of one request; ``visit`` is set for a live login."""

    def __init__(self, initial: Mapping[str, Any] | None = None, *, visit: Visit | None = None, seen_at: datetime | None = None) -> None:
        def changed(_: Any) -> None:
            self.modified = True

        super().__init__(dict(initial or {}), changed)
        self.visit = visit
        self.seen_at = seen_at
        self.modified = False


@dataclass(frozen=True)
class Login:
    """What checking a password needs."""

    user_id: int
    username: str
    password_hash: str
    active: bool
    auth_stamp: int
    locale: str
    bound: bool          # to a provider of logins or a directory


class LoginStore:
    """Statements about sessions, failed logins and personal settings of one tenant; every method takes the tenant."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    # -- visits

    def visit(self, pinned: Current, token: str) -> tuple[Visit, dict[str, Any], datetime] | None:
        """The live login of ``token``; None when it was ended, is too old, or its owner may not enter. The same statement reads the
        person with the roles held now, so ``pinned`` has its rights without asking again."""
        names, asked = _VISITS.of(pinned.revision)
        rows = asked.rows(pinned.conn, {"digest": _digest(token)})
        if not rows:
            return None
        found, now = dict(zip(names, rows[0], strict=True)), self.clock.now()
        data = found["data"] or {}
        if found["expires_at"] <= now or found["seen_at"] + IDLE <= now or data.get("auth_stamp") != found["auth_stamp"]:
            return None
        plan = plan_of(pinned.conn, pinned.revision, found)
        if plan is None:
            return None
        pinned.plan = plan
        visit = Visit(found["session_id"], found["id"], _as_date(found.get("business_date")), found.get("company_name") or "",
                      dict(found["preferences"] or {}))
        return visit, data, found["seen_at"]

    def begin(self, tenant: Any, user_id: int, data: Mapping[str, Any], address: str, agent: str) -> str:
        """A new login; gives the token for the cookie (the table holds its digest only)."""
        token, now = secrets.token_urlsafe(32), self.clock.now()
        session = tenant.revision().tables.engine.session
        with tenant.write() as conn:
            conn.execute(session.delete().where(session.c.expires_at < now))
            conn.execute(session.insert().values(
                token_digest=_digest(token), user_id=user_id, data=dict(data), seen_at=now, expires_at=now + ABSOLUTE,
                address=address[:60], agent=agent[:300], created_at=now, updated_at=now, created_by=user_id))
        return token

    def keep(self, tenant: Any, session_id: int, data: Mapping[str, Any]) -> None:
        """Store ``data`` and the time of this visit."""
        session = tenant.revision().tables.engine.session
        with tenant.write() as conn:
            conn.execute(session.update().where(session.c.id == session_id).values(data=dict(data), seen_at=self.clock.now()))

    def end(self, tenant: Any, session_id: int, user_id: int) -> bool:
        """End one login of ``user_id``; False when it is not theirs."""
        session = tenant.revision().tables.engine.session
        with tenant.write() as conn:
            return bool(conn.execute(session.delete().where(session.c.id == session_id, session.c.user_id == user_id)).rowcount)

    def end_others(self, tenant: Any, user_id: int, keep: int | None) -> None:
        """End every login of the person except ``keep``."""
        session = tenant.revision().tables.engine.session
        with tenant.write() as conn:
            conn.execute(session.delete().where(session.c.user_id == user_id, session.c.id != (keep or 0)))

    def open_visits(self, pinned: Current, user_id: int) -> list[Mapping[str, Any]]:
        """The person's live logins, latest first."""
        session, user = pinned.revision.tables.engine.session, pinned.revision.tables.engine.user
        now = self.clock.now()
        found = pinned.conn.execute(
            sa.select(session.c.id, session.c.address, session.c.agent, session.c.seen_at, session.c.data, user.c.auth_stamp)
            .select_from(session.join(user, user.c.id == session.c.user_id))
            .where(session.c.user_id == user_id, user.c.active, session.c.expires_at > now, session.c.seen_at > now - IDLE)
            .order_by(session.c.seen_at.desc()).limit(VISITS_SHOWN)
        ).mappings()
        return [visit for visit in found if (visit["data"] or {}).get("auth_stamp") == visit["auth_stamp"]]

    # -- passwords

    def login(self, pinned: Current, username: str) -> Login | None:
        """The account that ``username`` (or an e-mail address) names."""
        user = pinned.revision.tables.engine.user
        found = pinned.conn.execute(
            sa.select(*_login_columns(user))
            .where(sa.or_(user.c.username == username, user.c.email == username)).order_by((user.c.username == username).desc()).limit(1)
        ).mappings().first()
        return None if found is None else _login(found)

    def alike(self, pinned: Current, username: str) -> list[Login]:
        """The accounts that ``username`` (or an e-mail address) would name if small and capital letters were one, as they are to a directory."""
        user, wanted = pinned.revision.tables.engine.user, sa.func.lower(username)
        return [_login(found) for found in pinned.conn.execute(
            sa.select(*_login_columns(user)).where(sa.or_(sa.func.lower(user.c.username) == wanted, sa.func.lower(user.c.email) == wanted))).mappings()]

    def person(self, pinned: Current, user_id: int) -> Mapping[str, Any]:
        """Mail address and last login, for the profile page."""
        user = pinned.revision.tables.engine.user
        return dict(pinned.conn.execute(sa.select(user.c.email, user.c.last_login).where(user.c.id == user_id)).mappings().one())

    def note_success(self, tenant: Any, login: Login, address: str) -> None:
        user = tenant.revision().tables.engine.user
        # Flask-AppBuilder's column has no zone; the last login is kept in UTC.
        now = self.clock.now().replace(tzinfo=None)
        with tenant.write() as conn:
            conn.execute(user.update().where(user.c.id == login.user_id).values(
                login_count=sa.func.coalesce(user.c.login_count, 0) + 1, fail_login_count=0, locked_until=None,
                last_login=now.isoformat(" ") if conn.dialect.name == "sqlite" else now))
            self._forget(conn, login.username, address)

    # -- failed logins

    def locked_minutes(self, pinned: Current, username: str, address: str) -> int:
        """Minutes until this account may be tried again from this network; 0 when it may be now."""
        limits = _limits(username, address)
        return self._minutes(rate.standing(pinned.conn, limits), limits)

    def begin_attempt(self, tenant: Any, username: str, address: str, user_id: int | None = None) -> int:
        """Counts a login before its password is looked at, so that requests at the same moment get no more tries than one
        after the other; minutes until the next try when there were too many, else 0.

        ``user_id``: the account, when there is one; its row then says until when it is locked, and an administrator can unlock it.
        """
        now, limits = self.clock.now(), _limits(username, address)
        user, counted = tenant.revision().tables.engine.user, {}
        with tenant.write() as conn:
            rate.sweep(conn, now - KEPT_FOR)
            for name, limit in limits.items():
                counted[name] = rate.count(conn, name, now, LOCK_FOR, user_id=user_id if limit == LOCK_AFTER else None)
                if user_id is not None and limit == LOCK_AFTER and counted[name].hits >= limit:
                    conn.execute(user.update().where(user.c.id == user_id).values(locked_until=now + LOCK_FOR))
        return self._minutes(counted, {name: limit + 1 for name, limit in limits.items()})

    def end_attempt(self, tenant: Any, username: str, address: str) -> None:
        """The password was right: the account's failures are forgotten, and the network's count as it was."""
        with tenant.write() as conn:
            self._forget(conn, username, address)

    def undo_attempt(self, tenant: Any, username: str, address: str, user_id: int | None = None) -> None:
        """Nobody looked at the password: this try is taken off both counters, and those before it stay."""
        now, user = self.clock.now(), tenant.revision().tables.engine.user
        with tenant.write() as conn:
            for name, limit in _limits(username, address).items():
                left = rate.count(conn, name, now, LOCK_FOR, hits=-1)
                if user_id is not None and limit == LOCK_AFTER and left.hits == limit - 1:
                    conn.execute(user.update().where(user.c.id == user_id).values(locked_until=None))

    def _forget(self, conn: sa.Connection, username: str, address: str) -> None:
        account, network = _limits(username, address)
        rate.forget(conn, names=(account,))
        rate.count(conn, network, self.clock.now(), LOCK_FOR, hits=-1)

    def _minutes(self, counted: Mapping[str, rate.Counted], limits: Mapping[str, int]) -> int:
        left = [found.last + LOCK_FOR - self.clock.now() for name, found in counted.items() if found.hits >= limits[name]]
        return max((int(gap.total_seconds() // 60) + 1 for gap in left if gap > timedelta(0)), default=0)

    # -- logins by a provider

    def begin_provider(self, tenant: Any, address: str) -> int:
        """Counts one step of a login by a provider for the network it comes from; minutes until the next try when there were too many."""
        now, name = self.clock.now(), rate.counter("provider", network_of(address))
        with tenant.write() as conn:
            standing = rate.standing(conn, (name,))
            if minutes := self._minutes(standing, {name: LOCK_PROVIDER_AFTER}):
                return minutes
            rate.count(conn, name, now, LOCK_FOR)
        return 0

    def end_provider(self, tenant: Any, address: str) -> None:
        """The login was finished: its two steps are forgotten."""
        with tenant.write() as conn:
            rate.count(conn, rate.counter("provider", network_of(address)), self.clock.now(), LOCK_FOR, hits=-2)

    # -- personal settings

    def save_preference(self, tenant: Any, user_id: int, name: str, value: object) -> None:
        """Keep one personal setting of a screen (columns, density, page size); None forgets it."""
        user = tenant.revision().tables.engine.user
        with tenant.write() as conn:
            kept = dict(conn.execute(sa.select(user.c.preferences).where(user.c.id == user_id)).scalar() or {})
            kept.pop(name, None)
            if value is not None:
                kept[name] = value
            while len(json.dumps(kept)) > PREFERENCES_MAX:
                kept.pop(next(iter(kept)))
            conn.execute(user.update().where(user.c.id == user_id).values(preferences=kept))


def _visit_statement(revision: Any) -> tuple[tuple[str, ...], Ready]:
    """The session with this ``digest``, its account with the roles held, and what the frame says of its company; with the names of its columns."""
    session, user = revision.tables.engine.session, revision.tables.engine.user
    company, columns = _company_columns(revision)
    source = session.join(user, user.c.id == session.c.user_id)
    if company is not None:
        source = source.outerjoin(company, company.c.id == user.c.company_id)
    found = (
        sa.select(session.c.id.label("session_id"), session.c.data, session.c.seen_at, session.c.expires_at, user.c.preferences, *columns,
                  *person_columns(revision))
        .select_from(source).where(session.c.token_digest == sa.bindparam("digest", type_=session.c.token_digest.type))
    )
    return tuple(found.selected_columns.keys()), Ready(found, lasting=revision.digest)


_VISITS: PerRevision[tuple[tuple[str, ...], Ready]] = PerRevision(_visit_statement)


def _company_columns(revision: Any) -> tuple[Any, list[Any]]:
    if COMPANY not in revision.catalog.entities:
        return None, []
    table = revision.tables.of(COMPANY)
    wanted = {"name": "company_name", "business_date": "business_date"}
    return table, [table.c[column].label(label) for column, label in wanted.items() if column in table.c]


def _as_date(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _login_columns(user: sa.Table) -> tuple[Any, ...]:
    return user.c.id, user.c.username, user.c.password, user.c.active, user.c.auth_stamp, user.c.archived_at, user.c.locale, user.c.login_subject


def _login(found: Mapping[str, Any]) -> Login:
    return Login(found["id"], found["username"], found["password"] or "", bool(found["active"]) and found["archived_at"] is None,
                 found["auth_stamp"], found["locale"] or "", found["login_subject"] is not None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _limits(username: str, address: str) -> dict[str, int]:
    """The two counters of a login, with their limits: the account from this network, and the network."""
    network = network_of(address)
    return {rate.counter("login", username.lower(), network): LOCK_AFTER, rate.counter("network", network): LOCK_ADDRESS_AFTER}


class TenantSessions(SessionInterface):
    """Flask's door to the store. The cookie's path is the tenant, its signature is salted with the tenant."""

    def __init__(self, store: LoginStore, secure: bool) -> None:
        self.store = store
        self.secure = secure
        self.name = "__Secure-ml" if secure else "ml_session"

    def open_session(self, app: Flask, request: Any) -> WebSession:
        pinned: Current | None = g.get("metaloom")
        cookie = request.cookies.get(self.name, "")
        if pinned is None:
            return WebSession()
        if cookie.startswith("s."):
            return self._live(pinned, cookie[2:]) or WebSession()
        if cookie.startswith("a."):
            try:
                return WebSession(self._signer(app, pinned).loads(cookie[2:], max_age=int(ABSOLUTE.total_seconds())))
            except BadSignature:
                return WebSession()
        return WebSession()

    def _live(self, pinned: Current, token: str) -> WebSession | None:
        try:
            found = self.store.visit(pinned, token)
        except MetaloomError as busy:
            g.refused = busy
            return None
        if found is None:
            return None
        visit, data, seen_at = found
        pinned.visit = visit
        return WebSession(data, visit=visit, seen_at=seen_at)

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        pinned: Current | None = g.get("metaloom")
        if pinned is None or not isinstance(session, WebSession):
            return
        response.vary.add("Cookie")
        if g.get("token_login"):  # the cookie that came along says nothing: its login is neither kept alive nor ended
            return
        user_id = session.get("_user_id")
        if session.visit is None and user_id:
            self._log_in(pinned, session, int(user_id), response)
        elif session.visit is not None and not user_id:
            self._forget(response)
        elif session.visit is not None:
            self._keep(pinned, session)
        elif session.modified:
            self._set(response, "a." + self._signer(app, pinned).dumps(dict(session)), int(ABSOLUTE.total_seconds()))

    def _log_in(self, pinned: Current, session: WebSession, user_id: int, response: Any) -> None:
        from flask import request

        token = self.store.begin(pinned.tenant, user_id, dict(session), request.remote_addr or "", request.user_agent.string)
        self._set(response, "s." + token, None)

    def _keep(self, pinned: Current, session: WebSession) -> None:
        late = session.seen_at is None or self.store.clock.now() - session.seen_at > TOUCH_EVERY
        if not session.modified and (not late or g.get("by_itself")):  # a page that asks by itself is no visit of a person
            return
        try:
            pinned.release()
            assert session.visit is not None
            self.store.keep(pinned.tenant, session.visit.session_id, dict(session))
        except Busy:  # the visit stays valid; the next request notes the time
            log.info("the time of a visit was not noted: the database is busy")

    def _forget(self, response: Any) -> None:
        from flask import request

        response.delete_cookie(self.name, path=request.script_root or "/", secure=self.secure or request.is_secure, httponly=True, samesite="Lax")

    def _set(self, response: Any, value: str, max_age: int | None) -> None:
        from flask import request

        response.set_cookie(self.name, value, max_age=max_age, path=request.script_root or "/", secure=self.secure or request.is_secure,
                            httponly=True, samesite="Lax")

    def _signer(self, app: Flask, pinned: Current) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(app.secret_key, salt=f"visitor:{pinned.tenant.name}")  # type: ignore[arg-type]
