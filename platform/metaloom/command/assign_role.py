"""Roles of people: given and taken away by commands only."""

from __future__ import annotations

from datetime import date

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.bind_login import forget_subject
from metaloom.command.context import Context, Saved
from metaloom.command.create_record import refuse_outside_own_rows
from metaloom.command.reach import account_within_reach, refuse_gift, refuse_unless_administering
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform, permit

ASSIGNMENT, COMPANY, ORG_UNIT, USER = "platform.role_assignment", "platform.company", "platform.org_unit", "platform.user"

register({
    "role.assigned": ("已为{name}分配角色“{role}”。", "{name} holds the role “{role}” now."),
    "role.revoked": ("已收回{name}的角色“{role}”。", "{name} no longer holds the role “{role}”."),
    "role.own_admin": ("不能收回自己的系统管理员角色。", "You cannot take the administrator's role from yourself."),
    "role.other_company": ("所选部门不属于所选公司。", "The chosen department does not belong to the chosen company."),
    "role.waits": ("已为{name}登记角色“{role}”，须由另一位系统管理员确认后生效。",
                   "The role “{role}” for {name} is noted; it holds when another administrator has confirmed it."),
    "role.confirmed": ("{name}的角色“{role}”已确认生效。", "The role “{role}” of {name} is confirmed and holds now."),
    "role.not_waiting": ("这项角色分配不需要确认。", "This role waits for no confirmation."),
    "role.second": ("须由另一位系统管理员确认：分配人和被分配人不能确认。",
                    "Another administrator must confirm: neither who gave the role nor who gets it may."),
    "role.dates": ("失效日期不能早于生效日期。", "The end cannot lie before the beginning."),
})


def assign_role(ctx: Context, user_id: int, role: str, *, company: int | None = None, org_unit: int | None = None,
                valid_from: date | None = None, valid_to: date | None = None) -> Saved:
    """Gives a role, perhaps limited to a company or unit. The right is ``create`` on ``platform.role_assignment``. Giving the
    same again changes nothing. It holds at the person's next request; the administrator's role only when another
    administrator has confirmed it (``confirm_role``). Nobody gives roles to oneself."""
    body = [user_id, role, company, org_unit, valid_from, valid_to]
    return perform(ctx, "assign_role", body, lambda unit: assign_in(unit, user_id, role, company, org_unit, valid_from, valid_to))


def assign_in(unit: Unit, user_id: int, role: str, company: int | None = None, org_unit: int | None = None,
              valid_from: date | None = None, valid_to: date | None = None) -> Saved:
    """The same inside a running unit."""
    permit(unit, ASSIGNMENT, "create")
    account = account_within_reach(unit, user_id)
    problems = []
    if role not in unit.catalog.roles:
        problems.append(Problem("role", message("user.unknown_role", role=role)))
    for name, address, value in (("company", COMPANY, company), ("org_unit", ORG_UNIT, org_unit)):
        if value is not None and rows.fetch(unit, address, value) is None:
            problems.append(Problem(name, message("field.link")))
    unit_row = rows.fetch(unit, ORG_UNIT, org_unit) if company is not None and org_unit is not None else None
    if unit_row is not None and unit_row["company"] != company:
        problems.append(Problem("org_unit", message("role.other_company")))
    if valid_from is not None and valid_to is not None and valid_to < valid_from:
        problems.append(Problem("valid_to", message("role.dates")))
    if problems:
        raise Invalid(problems)
    refuse_gift(unit, user_id, role, company, org_unit)
    values = {"user": user_id, "role": role, "company": company, "org_unit": org_unit, "valid_from": valid_from, "valid_to": valid_to}
    waits = role == ADMIN and not unit.ctx.system
    same = rows.find(unit, ASSIGNMENT, values, limit=1)
    assignment = same[0]["id"] if same else rows.engine_insert(unit, ASSIGNMENT, values, {"waits_for_second": waits})
    if not same:
        refuse_outside_own_rows(unit, ASSIGNMENT, assignment)
        unit.log(unit.entity(ASSIGNMENT), assignment, None, {name: value for name, value in values.items() if value is not None})
    if role == ADMIN:
        forget_subject(unit, user_id)  # no provider opens an administrator's account: logins that one opened end here
    title = account["display_name"] or account["username"]
    waiting = same[0]["waits_for_second"] if same else waits
    said = "role.waits" if waiting else "role.assigned"
    return Saved(ASSIGNMENT, assignment, 1, title, message(said, name=title, role=unit.catalog.roles[role].label))


def confirm_role(ctx: Context, assignment_id: int) -> Saved:
    """Lets a waiting administrator's role hold: by an administrator who neither gave it nor gets it."""
    return perform(ctx, "confirm_role", [assignment_id], lambda unit: confirm_in(unit, assignment_id))


def confirm_in(unit: Unit, assignment_id: int) -> Saved:
    """The same inside a running unit."""
    permit(unit, ASSIGNMENT, "create")
    held = rows.fetch(unit, ASSIGNMENT, assignment_id, lock=True)
    if held is None:
        raise NotFound()
    if not held["waits_for_second"]:
        raise NotPossible(message("role.not_waiting"))
    account = rows.fetch(unit, USER, held["user"])
    if not unit.ctx.system:
        refuse_unless_administering(unit, held["company"], held["org_unit"])
        for one in (held["created_by"], held["user"]):
            if one is None or rows.same_person(unit, one, unit.ctx.actor.user_id or 0):
                raise NotAllowed(message("role.second"))
    version = rows.engine_update(unit, ASSIGNMENT, assignment_id, {}, {"waits_for_second": False}, held["row_version"])
    unit.log(unit.entity(ASSIGNMENT), assignment_id, {"waits_for_second": True}, {"waits_for_second": False})
    forget_subject(unit, held["user"])
    title = (account or {}).get("display_name") or ""
    role = unit.catalog.roles.get(held["role"])
    return Saved(ASSIGNMENT, assignment_id, version, title, message("role.confirmed", name=title, role=role.label if role else held["role"]))


def revoke_role(ctx: Context, assignment_id: int) -> Saved:
    """Takes a role away, at once; the person's tokens and keys end with it. The role is gone at the next click.

    The right is ``delete`` on ``platform.role_assignment``.
    """
    return perform(ctx, "revoke_role", [assignment_id], lambda unit: revoke_in(unit, assignment_id))


def revoke_in(unit: Unit, assignment_id: int) -> Saved:
    """The same inside a running unit."""
    permit(unit, ASSIGNMENT, "delete")
    held = rows.fetch(unit, ASSIGNMENT, assignment_id, lock=True)
    if held is None:
        raise NotFound()
    if held["role"] == ADMIN and held["user"] == unit.ctx.actor.user_id:
        raise NotPossible(message("role.own_admin"))
    account = account_within_reach(unit, held["user"])
    refuse_gift(unit, held["user"], held["role"], held["company"], held["org_unit"], "delete")
    rows.engine_delete(unit, ASSIGNMENT, assignment_id)
    if not held["waits_for_second"]:
        lost = rows.engine_column(unit, USER, held["user"], "roles_lost") + 1
        rows.engine_update(unit, USER, held["user"], {}, {"roles_lost": lost}, account["row_version"])
    fields = unit.entity(ASSIGNMENT).fields
    unit.log(unit.entity(ASSIGNMENT), assignment_id, {name: held[name] for name in fields if held.get(name) is not None}, None)
    title = account["display_name"] or account["username"]
    role = unit.catalog.roles.get(held["role"])
    return Saved(ASSIGNMENT, assignment_id, held["row_version"], title,
                 message("role.revoked", name=title, role=role.label if role else held["role"]))
