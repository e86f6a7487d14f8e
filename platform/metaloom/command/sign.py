"""A signature under a decision: whoever decides says the account's password again (A06)."""

from __future__ import annotations

from datetime import timedelta

from metaloom.base.errors import Invalid, NotAllowed, Problem, TooMany
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.password import LENGTH_MAX, matches
from metaloom.command.save_user import USER
from metaloom.command.unit import Unit, perform
from metaloom.storage import rate

TRIES, WINDOW = 10, timedelta(minutes=15)       # as a login has

register({
    "sign.needed": ("本环节须签名：请输入登录密码。", "This step is signed: enter your password."),
    "sign.wrong": ("密码不正确，未签名。", "The password is wrong; nothing was signed."),
    "sign.too_many": ("密码错误次数过多，请 15 分钟后再试。", "Too many wrong passwords; please try again in 15 minutes."),
    "sign.done": ("已确认身份。", "The identity was confirmed."),
})


def confirm_identity(ctx: Context, password: str) -> None:
    """Invalid unless this is the password of the person who asks; TooMany after ten tries within a quarter of an hour.

    A try is counted before the password is looked at, so that tries at the same moment are no more than one after the other.
    """
    user = ctx.actor.user_id
    if user is None:
        raise NotAllowed
    counter, stored = rate.counter("sign", user), ""
    tries: list[rate.Counted] = []

    def count(unit: Unit) -> ActionDone:
        nonlocal stored
        stored = str(rows.engine_column(unit, USER, user, "password") or "")
        tries[:] = [rate.count(unit.conn, counter, unit.now, WINDOW, user_id=user)]
        return _done()

    def forget(unit: Unit) -> ActionDone:
        rate.forget(unit.conn, names=[counter])
        return _done()

    perform(ctx.with_key(None), "confirm_identity", [], count)
    if tries[0].hits > TRIES:
        raise TooMany(message("sign.too_many"), tries[0].seconds_left(ctx.clock.now(), WINDOW))
    if len(password) > LENGTH_MAX or not matches(stored, password):
        raise Invalid([Problem("password", message("sign.wrong"))])
    perform(ctx.with_key(None), "confirm_identity", [], forget)


def _done() -> ActionDone:
    return ActionDone("", None, None, message("sign.done"))
