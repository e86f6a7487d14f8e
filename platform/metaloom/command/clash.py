"""A unique rule on a field that the person does not read everywhere must not tell what others have.

The save cannot happen, but the sentence names no field and no record; it is written down, and whoever tries one value after
the other is stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from metaloom.access import AccessPlan, EntityRights
from metaloom.base.errors import Invalid, Problem, TooMany
from metaloom.base.messages import Message, message, register
from metaloom.command.limits import limit
from metaloom.model import Entity, FieldLevel
from metaloom.storage import rate

if TYPE_CHECKING:
    from metaloom.command.context import Context
    from metaloom.command.unit import Unit

COMMAND = "unique_clash"
WINDOW = timedelta(hours=1)

register({
    "clash.neutral": ("暂时不能保存，请联系管理员处理，并告知请求编号 {request}。",
                      "This cannot be saved for now. Please ask your administrator and name the request {request}."),
    "clash.too_many": ("一小时内与他人记录重复的次数超过 {limit} 次，请在 {at} 之后再继续。",
                       "More than {limit} times within an hour this met what others have; please go on after {at}."),
})


class Doubled(Invalid):
    """Another record holds the same. ``names``: the fields of the rule that was broken."""

    def __init__(self, names: tuple[str, ...], field: str, said: Message) -> None:
        super().__init__([Problem(field, said)], said)
        self.names = names


class Clash(Doubled):
    """The same, in rows or a field beyond the person's rights. ``told``: the sentence of a rule that is told to everybody."""

    def __init__(self, entity: str, names: tuple[str, ...], request_id: str, told: Message | None = None) -> None:
        said = told or message("clash.neutral", request=request_id or "-")
        super().__init__(names, names[0] if told is not None else "", said)
        self.entity = entity


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


def allowance(unit: Unit) -> int:
    """How many clashes the person may still be told within the hour; TooMany when one too many was met already."""
    top, counter = limit(unit.catalog, "unique_refusals_per_hour"), rate.counter("clash", unit.ctx.actor.user_id)
    counted = rate.standing(unit.conn, [counter]).get(counter)
    if counted is None or counted.since <= unit.now - WINDOW:
        return top
    if counted.hits > top:
        raise too_many(top, counted, unit.ctx)
    return top - counted.hits


def too_many(top: int, counted: rate.Counted, ctx: Context) -> TooMany:
    """The refusal that names the minute from which on the person is told again."""
    again = counted.since + WINDOW + timedelta(minutes=1, microseconds=-1)
    said = message("clash.too_many", limit=top, at=f"{again.astimezone(ctx.tenant.zone):%H:%M}")
    return TooMany(said, counted.seconds_left(ctx.clock.now(), WINDOW))


def note(unit: Unit, clashes: Sequence[Clash]) -> rate.Counted:
    """Writes the clashes down; how many the person met within the hour."""
    for one in clashes:
        unit.log(unit.entity(one.entity), None, None, {"clash": {"fields": list(one.names), "request": unit.ctx.request_id}})
    counter = rate.counter("clash", unit.ctx.actor.user_id)
    return rate.count(unit.conn, counter, unit.now, WINDOW, hits=len(clashes))

