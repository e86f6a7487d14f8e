"""Lets an account log in again before its lock-out is over."""

from __future__ import annotations

from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.reach import account_within_reach
from metaloom.command.save_user import USER
from metaloom.command.unit import Unit, perform
from metaloom.storage import rate

register({"user.unlocked": ("{name}可以重新登录。", "{name} may log in again.")})


def unlock_user(ctx: Context, user_id: int) -> Saved:
    """Forgets the failed logins of the account at every address. The right is ``edit`` on ``platform.user``.

    An address that was locked because of many accounts stays locked.
    """
    return perform(ctx, "unlock_user", [user_id], lambda unit: _unlock(unit, user_id))


def _unlock(unit: Unit, user_id: int) -> Saved:
    account = account_within_reach(unit, user_id)
    rate.forget(unit.conn, user_id=user_id, kind="login")
    version = account["row_version"]
    if account["locked_until"] is not None:
        version = rows.engine_update(unit, USER, user_id, {"locked_until": None}, {}, version)
    unit.log(unit.entity(USER), user_id, {"locked_until": account["locked_until"]}, {"locked_until": None})
    title = account["display_name"] or account["username"]
    return Saved(USER, user_id, version, title, message("user.unlocked", name=title))
