"""Roles of people: given and taken away by commands only."""

from __future__ import annotations

from datetime import date

from metaloom.base.errors import Invalid, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.create_record import refuse_outside_own_rows
from metaloom.command.reach import account_within_reach, refuse_gift
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform, permit

ASSIGNMENT, COMPANY, ORG_UNIT, USER = "platform.role_assignment", "platform.company", "platform.org_unit", "platform.user"

register({
    "role.assigned": ("已为{name}分配角色“{role}”。", "{name} holds the role “{role}” now."),
    "role.revoked": ("已收回{name}的角色“{role}”。", "{name} no longer holds the role “{role}”."),
    "role.own_admin": ("不能收回自己的系统管理员角色。", "You cannot take the administrator's role from yourself."),
    "role.other_company": ("所选部门不属于所选公司。", "The chosen department does not belong to the chosen company."),
    "role.dates": ("失效日期不能早于生效日期。", "The end cannot lie before the beginning."),
})


def assign_role(ctx: Context, user_id: int, role: str, *, company: int | None = None, org_unit: int | None = None,
                valid_from: date | None = None, valid_to: date | None = None) -> Saved:
    """Gives a role, perhaps limited to a company or unit. The right is ``create`` on ``platform.role_assignment``. Giving the
    same again changes nothing. It holds at the person's next request."""
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
    same = rows.find(unit, ASSIGNMENT, values, limit=1)
    assignment = same[0]["id"] if same else rows.engine_insert(unit, ASSIGNMENT, values, {})
    if not same:
        refuse_outside_own_rows(unit, ASSIGNMENT, assignment)
        unit.log(unit.entity(ASSIGNMENT), assignment, None, {name: value for name, value in values.items() if value is not None})
    title = account["display_name"] or account["username"]
    return Saved(ASSIGNMENT, assignment, 1, title, message("role.assigned", name=title, role=unit.catalog.roles[role].label))


def revoke_role(ctx: Context, assignment_id: int) -> Saved:
    """Takes a role away, at once. The right is ``delete`` on ``platform.role_assignment``."""
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
    fields = unit.entity(ASSIGNMENT).fields
    unit.log(unit.entity(ASSIGNMENT), assignment_id, {name: held[name] for name in fields if held.get(name) is not None}, None)
    title = account["display_name"] or account["username"]
    role = unit.catalog.roles.get(held["role"])
    return Saved(ASSIGNMENT, assignment_id, held["row_version"], title,
                 message("role.revoked", name=title, role=role.label if role else held["role"]))
