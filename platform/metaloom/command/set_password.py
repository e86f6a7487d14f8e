"""A new password for an account."""

from __future__ import annotations

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.password import hashed, matches, refuse_weak
from metaloom.command.reach import account_within_reach
from metaloom.command.save_user import USER, must_exist
from metaloom.command.unit import Unit, perform

register({
    "password.set": ("{name}的密码已修改。", "The password of {name} was changed."),
    "password.same": ("新密码不能与原密码相同。", "The new password must differ from the present one."),
    "password.wrong": ("原密码不正确。", "The present password is wrong."),
})


def set_password(ctx: Context, user_id: int, password: str, *, old: str | None = None, initial: bool | None = None) -> Saved:
    """Sets a password and ends every session of the account. One's own needs ``old``; another's the right to edit users.

    A password that somebody else set must be changed at the next login; ``initial`` says so for the engine's own.
    """
    return perform(ctx, "set_password", [user_id], lambda unit: set_password_in(unit, user_id, password, old, initial))


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
    stamp = rows.engine_column(unit, USER, user_id, "auth_stamp") + 1
    renew = bool(initial) if unit.ctx.system else not own
    version = rows.engine_update(unit, USER, user_id, {}, {
        "must_renew": renew, "password": hashed(password), "auth_stamp": stamp, "password_changed_at": unit.now}, account["row_version"])
    unit.log(unit.entity(USER), user_id, None, {"password_changed_at": unit.now})
    title = account["display_name"] or account["username"]
    return Saved(USER, user_id, version, title, message("password.set", name=title))
