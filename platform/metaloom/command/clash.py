"""A unique rule on a field that the person does not read everywhere must not tell what others have.

The save cannot happen, but the sentence names no field and no record; it is written down, and whoever tries one value after
the other is stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from metaloom.access import AccessPlan, EntityRights
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import Message, message, register
from metaloom.model import Entity, FieldLevel
from metaloom.storage import rate

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

COMMAND = "unique_clash"
WINDOW = timedelta(hours=1)

register({
    "clash.neutral": ("暂时不能保存，请联系管理员处理，并告知请求编号 {request}。",
                      "This cannot be saved for now. Please ask your administrator and name the request {request}."),
})


class Clash(Invalid):
    """Another record holds the same, in rows or a field beyond the person's rights. ``names``: the fields of the rule; ``told``:
    the sentence of a rule that is told to everybody."""

    def __init__(self, entity: str, names: tuple[str, ...], request_id: str, told: Message | None = None) -> None:
        said = told or message("clash.neutral", request=request_id or "-")
        super().__init__([Problem(names[0] if told is not None else "", said)], said)
        self.entity, self.names = entity, names


def beyond_rights(plan: AccessPlan, entity: Entity, names: Sequence[str], *, per_company: bool) -> bool:
    """Whether a clash of these fields could tell the person of a value that is masked, encrypted or hidden from them in rows
    they do not read it in."""
    fields = [entity.fields[name] for name in names if name in entity.fields]
    rights = plan.rights(entity.address)
    return any((field.mask or field.encrypted or plan.field_level_anywhere(entity.address, field.name) < FieldLevel.READ)
               and not _read_everywhere(rights, field.name, per_company) for field in fields)


def _read_everywhere(rights: EntityRights, name: str, per_company: bool) -> bool:
    """Every row in which an equal value could stand: all of them, or those of the company."""
    scopes = [rights.scopes[i] for i in rights.scopes_at(name, FieldLevel.READ)]
    return any(scope.covers_all or (per_company and scope.kind in ("all", "company") and scope.limit_units is None) for scope in scopes)


def note(unit: Unit, clashes: Sequence[Clash]) -> int:
    """Writes the clashes down; how many the person met within the hour."""
    for one in clashes:
        unit.log(unit.entity(one.entity), None, None, {"clash": {"fields": list(one.names), "request": unit.ctx.request_id}})
    counter = rate.counter("clash", unit.ctx.actor.user_id)
    return rate.count(unit.conn, counter, unit.now, WINDOW, hits=len(clashes)).hits

