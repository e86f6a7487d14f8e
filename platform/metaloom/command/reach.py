"""Power over accounts and roles ends at one's own reach: its rows, its company and units, and never an administrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.access import RowScope
from metaloom.base.errors import NotAllowed
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.run_command import ADMIN
from metaloom.command.store import locked_for
from metaloom.command.unit import Unit, permit

ASSIGNMENT, USER = "platform.role_assignment", "platform.user"

register({
    "reach.beyond": ("这超出了您管理的公司或部门。", "This lies outside the company or department that you administer."),
    "reach.administrator": ("系统管理员的账号和角色只能由系统管理员处理。", "Accounts and roles of administrators are for administrators only."),
    "reach.oneself": ("不能给自己分配角色。", "You cannot give roles to yourself."),
})


def account_within_reach(unit: Unit, user_id: int, action: str = "edit") -> Mapping[str, Any]:
    """The account, locked, when the person may do ``action`` to it: it lies in the rows of the right and in the company and
    units by which the right is limited, and is no administrator's (unless the person administers there too)."""
    permit(unit, USER, action)
    account: Mapping[str, Any] = locked_for(unit, USER, user_id, action, archived=True)
    if not unit.ctx.system:
        refuse_beyond(unit, USER, action, account.get("company"), account.get("org_unit"))
        for company, org_unit in _administered(unit, user_id):
            refuse_unless_administering(unit, company, org_unit)
    return account


def refuse_gift(unit: Unit, user_id: int, role: str, company: int | None, org_unit: int | None, action: str = "create") -> None:
    """Giving (or taking) a role: within the reach of the right; the administrator's by administrators; nobody gives to oneself."""
    if unit.ctx.system:
        return
    refuse_beyond(unit, ASSIGNMENT, action, company, org_unit)
    if role == ADMIN:
        refuse_unless_administering(unit, company, org_unit)
    if action == "create" and rows.same_person(unit, user_id, unit.ctx.actor.user_id or 0):
        raise NotAllowed(message("reach.oneself"))


def refuse_beyond(unit: Unit, entity: str, action: str, company: int | None, org_unit: int | None) -> None:
    """NotAllowed unless a grant of ``action`` covers this company and unit (None: all of them)."""
    plan = unit.ctx.plan
    if unit.ctx.system or any(_covers(unit, held.scope, company, org_unit) for held in plan.grants(entity) if action in held.grant.actions):
        return
    raise NotAllowed(message("reach.beyond"))


def _covers(unit: Unit, scope: RowScope, company: int | None, org_unit: int | None) -> bool:
    """Tables without owners know no company, so the limits of an assignment are compared here."""
    if scope.kind == "none":
        return False
    place = company if company is not None else unit.ctx.plan.org.company_of(org_unit)
    companies = {scope.limit_company, scope.company_id} - {None}
    units = [given for given in (scope.limit_units, scope.unit_ids or None) if given is not None]
    return companies <= {place} and all(org_unit in given for given in units)


def refuse_unless_administering(unit: Unit, company: int | None, org_unit: int | None) -> None:
    if not _administers(unit, company, org_unit):
        raise NotAllowed(message("reach.administrator"))


def _administers(unit: Unit, company: int | None, org_unit: int | None) -> bool:
    """Whether the person holds the administrator's role for this company and unit (None: for all of them)."""
    org = unit.ctx.plan.org
    place = company if company is not None else org.company_of(org_unit)
    return unit.ctx.system or any(
        held.role == ADMIN and held.company_id in (None, place) and (held.org_unit_id is None or org_unit in org.subtree(held.org_unit_id))
        for held in unit.ctx.actor.roles)


def administers_something(unit: Unit, user_id: int) -> bool:
    """Whether the account holds the administrator's role anywhere, also where it still waits for a second."""
    return bool(_administered(unit, user_id))


def _administered(unit: Unit, user_id: int) -> list[tuple[int | None, int | None]]:
    """The companies and units that the account administers; (None, None) is everything."""
    return [(held["company"], held["org_unit"]) for held in rows.find(unit, ASSIGNMENT, {"user": user_id, "role": ADMIN})]
