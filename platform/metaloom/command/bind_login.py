"""Which name of the provider of logins an account belongs to: given and taken by whoever looks after accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.notify import notify
from metaloom.command.reach import account_within_reach, administers_something
from metaloom.command.unit import Unit, perform

USER = "platform.user"
SUBJECT_MAX = 200

register({
    "login.bound": ("{name}已绑定企业账号。", "{name} is bound to the company account."),
    "login.unbound": ("已解除{name}的企业账号绑定。", "{name} is no longer bound to a company account."),
    "login.not_bound": ("该账号没有绑定企业账号。", "This account is bound to no company account."),
    "login.bound_already": ("该账号已绑定企业账号，请先解除绑定。", "This account is bound to a company account already; unbind it first."),
    "login.taken": ("该企业账号已绑定其他账号。", "That company account belongs to another account here."),
    "login.no_provider": ("没有设置企业账号登录。", "No provider of logins is named."),
    "login.administrator": ("系统管理员的账号不绑定企业账号。", "An administrator's account is never bound to a company account."),
    "login.told_bound": ("您的账号已被绑定到一个企业账号", "Your account was bound to a company account"),
    "login.told_why": ("操作人：{who}。如非您本人要求，请立即联系系统管理员。", "By {who}. If you did not ask for this, speak to an administrator at once."),
})


def issuer_of(login: Mapping[str, Any]) -> str:
    """Who names people, of ``settings.login`` of a tenant: a provider by its issuer, a directory by where its people stand; '' without either."""
    if login.get("oidc"):
        return str(login["oidc"]["issuer"].rstrip("/"))
    return f"ldap:{login['ldap']['base'].lower()}" if login.get("ldap") else ""


def bind_login(ctx: Context, user_id: int, subject: str) -> Saved:
    """Binds the account to the person whom the provider calls ``subject`` (the ``sub`` of its tokens, the subject attribute of a directory).
    The right is ``edit`` on ``platform.user``; the person is told. NotPossible: an administrator's account, one that is bound, a subject
    that another account has."""
    return perform(ctx, "bind_login", [user_id, subject], lambda unit: _bind(unit, user_id, subject.strip()))


def unbind_login(ctx: Context, user_id: int) -> Saved:
    """The provider's word opens the account no more, and its logins end at once. The right is ``edit`` on ``platform.user``.

    For a person whom the provider made anew or who left it: the next login by the provider asks for the account's password once, or the
    account is bound anew.
    """
    return perform(ctx, "unbind_login", [user_id], lambda unit: _unbind(unit, user_id))


def forget_subject(unit: Unit, user_id: int) -> bool:
    """The binding ends, and with it every login that it opened; False where there was none. Inside a running unit."""
    account = rows.fetch(unit, USER, user_id, lock=True)
    subject = rows.engine_column(unit, USER, user_id, "login_subject")
    if account is None or subject is None:
        return False
    stamp = rows.engine_column(unit, USER, user_id, "auth_stamp") + 1
    rows.engine_update(unit, USER, user_id, {}, {"login_subject": None, "auth_stamp": stamp}, account["row_version"])
    unit.log(unit.entity(USER), user_id, {"login_subject": subject}, {"login_subject": None})
    return True


def _bind(unit: Unit, user_id: int, subject: str) -> Saved:
    account = account_within_reach(unit, user_id)
    login = unit.catalog.settings.get("login")
    issuer = issuer_of(login) if isinstance(login, Mapping) else ""
    if not issuer or not 0 < len(subject) <= SUBJECT_MAX:
        raise NotPossible(message("login.no_provider"))
    if administers_something(unit, user_id):
        raise NotPossible(message("login.administrator"))
    if rows.engine_column(unit, USER, user_id, "login_subject") is not None:
        raise NotPossible(message("login.bound_already"))
    whole, user = f"{issuer}|{subject}", unit.tables.engine.user
    if unit.conn.scalar(sa.select(user.c.id).where(user.c.login_subject == whole)) is not None:
        raise NotPossible(message("login.taken"))
    version = rows.engine_update(unit, USER, user_id, {}, {"login_subject": whole}, account["row_version"])
    unit.log(unit.entity(USER), user_id, {"login_subject": None}, {"login_subject": whole})
    notify(unit, [user_id], kind="password", subject=message("login.told_bound"), body=message("login.told_why", who=unit.ctx.actor.display_name),
           entity=USER, record_id=user_id, urgent=True)
    title = account["display_name"] or account["username"]
    return Saved(USER, user_id, version, title, message("login.bound", name=title))


def _unbind(unit: Unit, user_id: int) -> Saved:
    account = account_within_reach(unit, user_id)
    if not forget_subject(unit, user_id):
        raise NotPossible(message("login.not_bound"))
    title = account["display_name"] or account["username"]
    return Saved(USER, user_id, account["row_version"] + 1, title, message("login.unbound", name=title))
