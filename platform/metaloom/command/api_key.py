"""API keys: a person's rights for a program. The table holds a digest; the key itself is shown once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import Invalid, NotFound, Problem
from metaloom.base.messages import message, register
from metaloom.command.context import Context, Saved
from metaloom.command.reach import account_within_reach
from metaloom.command.unit import Unit, perform

PREFIX = "mlk_"
SHOWN = 12
NAME_MAX = 100
NOTE_EVERY = timedelta(minutes=5)
USER = "platform.user"

register({
    "api_key.made": ("已创建 API 密钥“{name}”。", "The API key “{name}” was made."),
    "api_key.revoked": ("已撤销 API 密钥“{name}”。", "The API key “{name}” was revoked."),
    "api_key.name": ("请填写名称（最多 {limit} 个字符）。", "Give it a name of at most {limit} characters."),
})


@dataclass(frozen=True)
class KeyHolder:
    """Who a key speaks for. ``stale_use``: the time of its last use should be noted."""

    key_id: int
    user_id: int
    stale_use: bool


def create_api_key(ctx: Context, name: str, *, user_id: int | None = None, expires_at: datetime | None = None) -> tuple[Saved, str]:
    """Makes a key for oneself, or (with the right to edit people) for ``user_id``; gives (what was stored, the key).

    The key may do what its person may do, no more. It ends at ``expires_at``, when revoked, and with everything that ends the
    account's logins: a new password, switching off, another company or unit, a role taken away.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    holder = ctx.actor.user_id if user_id is None else user_id
    name = name.strip()
    if not 0 < len(name) <= NAME_MAX:
        raise Invalid([Problem("name", message("api_key.name", limit=NAME_MAX))])
    saved = perform(ctx.with_key(None), "create_api_key", [name, holder], lambda unit: _create(unit, name, holder, secret, expires_at))
    return saved, secret


def _create(unit: Unit, name: str, holder: int | None, secret: str, expires_at: datetime | None) -> Saved:
    if holder is not None and holder != unit.ctx.actor.user_id:
        account_within_reach(unit, holder)
    user, table = unit.tables.engine.user, unit.tables.engine.api_key
    stamp = unit.conn.scalar(sa.select(user.c.auth_stamp + user.c.roles_lost).where(user.c.id == holder)) if holder is not None else None
    if stamp is None:
        raise NotFound
    key_id = int(unit.conn.execute(table.insert().values(
        user_id=holder, name=name, prefix=secret[:SHOWN], key_digest=digest(secret), expires_at=expires_at, auth_stamp=stamp,
        created_at=unit.now, updated_at=unit.now, created_by=unit.ctx.actor.user_id, updated_by=unit.ctx.actor.user_id,
    ).returning(table.c.id)).scalar_one())
    unit.log(unit.entity(USER), holder, None, {"api_key": secret[:SHOWN], "api_key_name": name})
    return Saved(USER, key_id, 1, name, message("api_key.made", name=name))


def revoke_api_key(ctx: Context, key_id: int) -> Saved:
    """Ends a key at once: one's own, or (with the right to edit people) anyone's."""
    return perform(ctx, "revoke_api_key", [key_id], lambda unit: _revoke(unit, key_id))


def _revoke(unit: Unit, key_id: int) -> Saved:
    table = unit.tables.engine.api_key
    row = unit.conn.execute(sa.select(table.c.user_id, table.c.name, table.c.prefix).where(table.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound
    if row.user_id != unit.ctx.actor.user_id:
        account_within_reach(unit, row.user_id)
    unit.conn.execute(table.update().where(table.c.id == key_id).values(revoked_at=unit.now, updated_at=unit.now))
    unit.log(unit.entity(USER), row.user_id, {"api_key": row.prefix}, {"api_key": None})
    return Saved(USER, key_id, 1, row.name, message("api_key.revoked", name=row.name))


def key_holder(conn: sa.Connection, revision: Any, secret: str, now: datetime) -> KeyHolder | None:
    """The person of a live key; None for an unknown, expired or revoked one, and for one that was made before the account's
    password changed, it was switched off, moved, or lost a role."""
    table, user = revision.tables.engine.api_key, revision.tables.engine.user
    row = conn.execute(sa.select(table.c.id, table.c.user_id, table.c.expires_at, table.c.revoked_at, table.c.last_used_at, table.c.auth_stamp,
                                 table.c.created_at, (user.c.auth_stamp + user.c.roles_lost).label("stamp"), user.c.password_changed_at)
                       .join_from(table, user, user.c.id == table.c.user_id).where(table.c.key_digest == digest(secret))).one_or_none()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now) or not _of_now(row):
        return None
    return KeyHolder(row.id, row.user_id, row.last_used_at is None or now - row.last_used_at > NOTE_EVERY)


def _of_now(row: Any) -> bool:
    """Whether nothing ended the account's logins since the key was made; keys of an older engine know no stamp, only their day."""
    if row.auth_stamp is not None:
        return bool(row.auth_stamp == row.stamp)
    return row.password_changed_at is None or row.password_changed_at <= row.created_at


def note_use(tenant: Any, revision: Any, key_id: int, now: datetime) -> None:
    """Keeps when the key was last used (at most every few minutes)."""
    table = revision.tables.engine.api_key
    with tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == key_id).values(last_used_at=now))


def digest(secret: str) -> str:
    """SHA-256; a key has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
