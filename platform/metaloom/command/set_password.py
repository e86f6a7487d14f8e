"""A new password for an account; that of an administrator by two others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import Invalid, NotAllowed, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.notify import notify
from metaloom.command.password import hashed, matches, refuse_weak
from metaloom.command.reach import account_within_reach, administers_something
from metaloom.command.save_user import USER, must_exist
from metaloom.command.unit import Unit, perform

KIND = "password"                      # what a person's preferences call such messages
NOTHING_WAITS = {"waiting_password": None, "waiting_by": None, "password_waits": False}

register({
    "password.set": ("{name}的密码已修改。", "The password of {name} was changed."),
    "password.same": ("新密码不能与原密码相同。", "The new password must differ from the present one."),
    "password.wrong": ("原密码不正确。", "The present password is wrong."),
    "password.waits": ("{name}是系统管理员：新密码已登记，须由另一位系统管理员确认后生效。",
                       "{name} is an administrator: the new password is noted and holds when another administrator has confirmed it."),
    "password.not_waiting": ("该账号没有待确认的新密码。", "No new password of this account waits."),
    "password.second": ("须由另一位系统管理员确认：重置人和本人不能确认。", "Another administrator must confirm: neither who reset it nor whose it is may."),
    "password.refused": ("{name}的新密码已作废，原密码不变。", "The new password of {name} is void; the present one stays."),
    "password.told_set": ("您的密码已被管理员重置", "An administrator reset your password"),
    "password.told_waits": ("有管理员申请重置您的密码，等待另一位管理员确认", "An administrator asks to reset your password; another one has to confirm"),
    "password.told_why": ("操作人：{who}。原因：{why}。如非您本人要求，请立即联系其他管理员。",
                          "By {who}. Reason: {why}. If you did not ask for this, speak to another administrator at once."),
})


def set_password(ctx: Context, user_id: int, password: str, *, old: str | None = None, initial: bool | None = None, reason: str = "") -> Saved:
    """Sets a password and ends every session of the account. One's own needs ``old``; another's the right to edit users.

    A password that somebody else set must be changed at the next login; ``initial`` says so for the engine's own. That of an
    administrator, set by somebody else, needs a ``reason`` and waits until another administrator confirms it
    (``confirm_password``); until then the present one holds. The person is told either way.
    """
    return perform(ctx, "set_password", [user_id], lambda unit: set_password_in(unit, user_id, password, old, initial), reason=reason)


def set_password_in(unit: Unit, user_id: int, password: str, old: str | None, initial: bool | None = None) -> Saved:
    """The same inside a running unit."""
    own = user_id == unit.ctx.actor.user_id
    account = must_exist(unit, user_id) if own else account_within_reach(unit, user_id)
    if own and not unit.ctx.system:
        stored = rows.engine_column(unit, USER, user_id, "password") or ""
        if old is None or not matches(stored, old):
            raise Invalid([Problem("old", message("password.wrong"))])
    refuse_weak(password, account["username"])
    if old is not None and old == password:
        raise Invalid([Problem("password", message("password.same"))])
    if not own and not unit.ctx.system and administers_something(unit, user_id):
        return _note(unit, account, password)
    return _put(unit, account, hashed(password), bool(initial) if unit.ctx.system else not own, tell=not own and not unit.ctx.system)


def confirm_password(ctx: Context, user_id: int) -> Saved:
    """Lets the new password of an administrator hold: by an administrator who neither set it nor gets it."""
    return perform(ctx, "confirm_password", [user_id], lambda unit: _confirm(unit, user_id))


def refuse_password(ctx: Context, user_id: int) -> Saved:
    """Voids a new password that waits: by any administrator of the account, also who set it, or the person."""
    return perform(ctx, "refuse_password", [user_id], lambda unit: _refuse(unit, user_id))


def _note(unit: Unit, account: Mapping[str, Any], password: str) -> Saved:
    if not unit.reason.strip():
        raise Invalid([Problem("reason", message("command.reason_missing"))])
    version = rows.engine_update(unit, USER, account["id"], {}, {
        "waiting_password": hashed(password), "waiting_by": unit.ctx.actor.user_id, "password_waits": True}, account["row_version"])
    unit.log(unit.entity(USER), account["id"], {"password_waits": account["password_waits"]}, {"password_waits": True})
    _tell(unit, account, "password.told_waits", unit.reason)
    return Saved(USER, account["id"], version, _name(account), message("password.waits", name=_name(account)))


def _confirm(unit: Unit, user_id: int) -> Saved:
    account = account_within_reach(unit, user_id)
    waiting, by = (rows.engine_column(unit, USER, user_id, column) for column in ("waiting_password", "waiting_by"))
    if not waiting:
        raise NotPossible(message("password.not_waiting"))
    actor = unit.ctx.actor.user_id or 0
    if not unit.ctx.system and (by is None or any(rows.same_person(unit, one, actor) for one in (by, user_id))):
        raise NotAllowed(message("password.second"))
    return _put(unit, account, waiting, renew=True, tell=True)


def _refuse(unit: Unit, user_id: int) -> Saved:
    account = must_exist(unit, user_id) if user_id == unit.ctx.actor.user_id else account_within_reach(unit, user_id)
    if not rows.engine_column(unit, USER, user_id, "waiting_password"):
        raise NotPossible(message("password.not_waiting"))
    version = rows.engine_update(unit, USER, user_id, {}, NOTHING_WAITS, account["row_version"])
    unit.log(unit.entity(USER), user_id, {"password_waits": True}, {"password_waits": False})
    return Saved(USER, user_id, version, _name(account), message("password.refused", name=_name(account)))


def _put(unit: Unit, account: Mapping[str, Any], password_hash: str, renew: bool, *, tell: bool) -> Saved:
    """The password holds from now on; every session ends, and what waited is void."""
    stamp = rows.engine_column(unit, USER, account["id"], "auth_stamp") + 1
    version = rows.engine_update(unit, USER, account["id"], {}, {
        "must_renew": renew, "password": password_hash, "auth_stamp": stamp, "password_changed_at": unit.now, **NOTHING_WAITS}, account["row_version"])
    unit.log(unit.entity(USER), account["id"], None, {"password_changed_at": unit.now})
    if tell:
        _tell(unit, account, "password.told_set", unit.reason)
    return Saved(USER, account["id"], version, _name(account), message("password.set", name=_name(account)))


def _tell(unit: Unit, account: Mapping[str, Any], subject: str, why: str) -> None:
    body = message("password.told_why", who=unit.ctx.actor.display_name, why=why.strip() or "-")
    notify(unit, [account["id"]], kind=KIND, subject=message(subject), body=body, entity=USER, record_id=account["id"], urgent=True)


def _name(account: Mapping[str, Any]) -> str:
    return str(account["display_name"] or account["username"])
