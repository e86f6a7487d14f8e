"""Whom a provider of logins named: the account that is meant, made where the tenant wants that, with the roles that follow groups.

A name is no proof: an account that was made here is opened by the provider's word only after its password was given once, or after
somebody who looks after accounts bound it (``bind_login``). An administrator's account is opened by its password alone.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from metaloom.base.errors import NotAllowed
from metaloom.base.messages import message, register
from metaloom.command.assign_role import assign_in, revoke_in
from metaloom.command.context import Context, Saved
from metaloom.command.reach import administers_something
from metaloom.command.save_user import USER, save_user_in
from metaloom.command.unit import Unit, perform

register({
    "enter.done": ("{name}通过企业账号登录。", "{name} came in by the provider."),
    "enter.refused": ("没有可用的账号。", "There is no usable account."),
})


class PasswordFirst(NotAllowed):
    """There is an account of that name and it has a password, which must be given once before the provider's word opens it."""


def enter_by_provider(ctx: Context, subject: str, username: str, display_name: str, email: str, *, roles: Collection[str] | None,
                      following: Collection[str], create: bool = False, company: str = "", proven: int | None = None) -> Saved:
    """The account of whoever the provider vouches for. ``ctx`` is the engine's own.

    ``subject``: the provider's own name of the person, never given to anybody else. ``proven``: the account whose password this person
    gave just now; it is bound to the subject. ``following``: roles that follow the person's groups; those in ``roles`` are given, the
    others taken; ``roles`` None: the provider did not say, all stay as they are. ``create``: make a missing account, in the company of
    that code. PasswordFirst: an account of that name is there and nobody proved to own it. NotAllowed: no such account, one that is
    switched off, one of another subject, an administrator's.
    """
    return perform(ctx, "enter", [subject, username], lambda unit: _enter(
        unit, subject, username, display_name, email, roles, following, create, company, proven))


def _enter(unit: Unit, subject: str, username: str, display_name: str, email: str, roles: Collection[str] | None, following: Collection[str],
           create: bool, company: str, proven: int | None) -> Saved:
    user = unit.tables.engine.user
    wanted = sa.select(user.c.id, user.c.username, user.c.active, user.c.archived_at, user.c.login_subject, user.c.display_name, user.c.row_version,
                       user.c.password)
    found = unit.conn.execute(wanted.where(user.c.login_subject == subject).with_for_update()).mappings().first() \
        or unit.conn.execute(wanted.where(user.c.username == username).with_for_update()).mappings().first()
    made_here = found is None
    if found is None:
        if not create:
            raise NotAllowed(message("enter.refused"))
        values = {"username": username, "display_name": display_name, "email": email or f"{username}@invalid.invalid", **_place(unit, company)}
        made = save_user_in(unit, None, values, None, None)
        found = unit.conn.execute(wanted.where(user.c.id == made.id)).mappings().one()
    if not found["active"] or found["archived_at"] is not None or found["login_subject"] not in (None, subject) or administers_something(unit, found["id"]):
        raise NotAllowed(message("enter.refused"))
    if found["login_subject"] is None:
        if not made_here and proven != found["id"]:
            raise PasswordFirst(message("enter.refused")) if found["password"] else NotAllowed(message("enter.refused"))
        unit.conn.execute(user.update().where(user.c.id == found["id"]).values(login_subject=subject))
        unit.log(unit.entity(USER), found["id"], None, {"login_subject": subject})
    if roles is not None:
        _follow(unit, found["id"], roles, following)
    return Saved(USER, found["id"], found["row_version"], found["username"], message("enter.done", name=found["display_name"]))


def _place(unit: Unit, company: str) -> dict[str, int]:
    if not company:
        return {}
    table = unit.tables.of("platform.company")
    found = unit.conn.scalar(sa.select(table.c.id).where(table.c.code == company))
    if found is None:
        raise NotAllowed(message("enter.refused"))
    return {"company": int(found)}


def _follow(unit: Unit, user_id: int, roles: Collection[str], following: Collection[str]) -> None:
    """An assignment that is over or not yet valid gives nothing today: it stays as it was written and blocks no new one."""
    held = unit.tables.engine.role_assignment
    today = sa.func.current_date(type_=held.c.valid_from.type)
    rows = unit.conn.execute(sa.select(held.c.id, held.c.role).where(
        held.c.user_id == user_id, held.c.role.in_(list(following)), held.c.company_id.is_(None), held.c.org_unit_id.is_(None),
        sa.func.coalesce(held.c.valid_from, today) <= today, sa.func.coalesce(held.c.valid_to, today) >= today)).all()
    for row in rows:
        if row.role not in roles:
            revoke_in(unit, row.id)
    for role in sorted(set(roles) - {row.role for row in rows}):
        assign_in(unit, user_id, role)
