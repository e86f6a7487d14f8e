"""Ends one login of an account: one's own, or another's."""

from __future__ import annotations

from metaloom.base.errors import NotFound
from metaloom.base.messages import message, register
from metaloom.command.context import Context, Saved
from metaloom.command.reach import account_within_reach
from metaloom.command.save_user import USER, must_exist
from metaloom.command.unit import Unit, perform

register({"session.ended": ("已结束{name}的该次登录。", "That login of {name} was ended.")})


def end_session(ctx: Context, user_id: int, session_id: int) -> Saved:
    """Ends the login ``session_id`` of the account, at once. One's own always; another's needs the right to edit users."""
    return perform(ctx, "end_session", [user_id, session_id], lambda unit: _end(unit, user_id, session_id))


def _end(unit: Unit, user_id: int, session_id: int) -> Saved:
    account = must_exist(unit, user_id) if user_id == unit.ctx.actor.user_id else account_within_reach(unit, user_id)
    table = unit.tables.engine.session
    if not unit.conn.execute(table.delete().where(table.c.id == session_id, table.c.user_id == user_id)).rowcount:
        raise NotFound
    unit.log(unit.entity(USER), user_id, {"session": session_id}, None)
    title = account["display_name"] or account["username"]
    return Saved(USER, user_id, account["row_version"], title, message("session.ended", name=title))
