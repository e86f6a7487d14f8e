"""What expressions and rules know besides the record: the person, the instant, the day the books are at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from metaloom import expression
from metaloom.access import Actor
from metaloom.command import rows

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

COMPANY = "platform.company"


def environment_of(unit: Unit, company_id: int | None = None) -> expression.Env:
    """The environment for a record of ``company_id`` (None: the actor's company)."""
    company = company_id if company_id is not None else unit.ctx.actor.company_id
    key = ("env", company)
    if key not in unit.memory:
        actor = unit.ctx.actor
        unit.memory[key] = expression.Env(
            business_date=business_date(unit, company), now=unit.now, user_id=actor.user_id,
            roles=role_names(actor), user=user_values(actor),
        )
    found: expression.Env = unit.memory[key]
    return found


def business_date(unit: Unit, company_id: int | None) -> date:
    """The day the books of the company are at. Without a company, or before its first day was set, the tenant's calendar
    day: nothing of money belongs to nobody."""
    if company_id not in unit.days:
        unit.days[company_id] = _stored_day(unit, company_id) or unit.now.astimezone(unit.ctx.tenant.zone).date()
    return unit.days[company_id]


def _stored_day(unit: Unit, company_id: int | None) -> date | None:
    entity = unit.catalog.entities.get(COMPANY)
    if company_id is None or entity is None or "business_date" not in entity.fields:
        return None
    company = rows.fetch(unit, COMPANY, company_id)
    day: date | None = company["business_date"] if company else None
    return day


def role_names(actor: Actor) -> frozenset[str]:
    """Addresses of the roles held, and their short names: metadata of a pack may say either."""
    addresses = actor.role_addresses
    return addresses | {address.rpartition(".")[2] for address in addresses}


def user_values(actor: Actor) -> Mapping[str, Any]:
    """The values behind ``user.<name>`` in expressions."""
    companies = {a.company_id for a in actor.roles if a.company_id is not None} | {actor.company_id} - {None}
    units = {a.org_unit_id for a in actor.roles if a.org_unit_id is not None} | {actor.org_unit_id} - {None}
    return {
        "id": actor.user_id, "username": actor.username, "name": actor.display_name or actor.username,
        "company": actor.company_id, "org_unit": actor.org_unit_id, "companies": frozenset(companies),
        "org_units": frozenset(units), "roles": role_names(actor),
    }
