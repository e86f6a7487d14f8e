"""Who am I, what may I do, what does the menu show me."""

from __future__ import annotations

from typing import Any

from flask import Response

from metaloom.api.answer import answer
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.speech import locale, say
from metaloom.model import MenuItem


def me() -> Response:
    """GET /me: the person, the roles held, and the rights on every entity."""
    no_other_parameters()
    here = pinned()
    actor, plan, catalog = here.actor, here.plan, here.catalog
    roles = [{"role": held.role, "label": say(catalog.roles[held.role].label) if held.role in catalog.roles else held.role,
              "company": held.company_id, "org_unit": held.org_unit_id} for held in actor.roles]
    entities = {address: {"label": say(entity.label), "actions": sorted(plan.actions(address))}
                for address, entity in catalog.entities.items() if plan.actions(address)}
    return answer({
        "id": actor.user_id, "username": actor.username, "name": actor.display_name, "locale": locale(), "company": actor.company_id,
        "org_unit": actor.org_unit_id, "business_date": here.business_date, "tenant": here.tenant.name, "revision": here.revision.number,
        "roles": roles, "entities": entities,
    })


def menu() -> Response:
    """GET /menu: groups and entries that the person may open, in their order."""
    no_other_parameters()
    groups = []
    for group in sorted(pinned().catalog.menus.values(), key=lambda m: m.order):
        items = [entry for item in sorted(group.items.values(), key=lambda i: i.order) if (entry := _entry(item))]
        if items:
            groups.append({"name": group.address, "label": say(group.label), "icon": group.icon, "items": items})
    return answer({"items": groups})


def _entry(item: MenuItem) -> dict[str, Any] | None:
    if not item.list:
        return None
    address, _, name = item.list.partition("/")
    here = pinned()
    if address not in here.catalog.entities or not here.plan.may(address, "list"):
        return None
    return {"name": item.name, "label": say(item.label), "icon": item.icon, "entity": address, "list": name or "main"}
