"""What an alert offers besides its own actions: actions of the warned record, new records about it, and the records it names.

Nothing here is done to the alert: every offer is an action, a form or a page of the other record, with the rights there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import NotFound
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.available_actions import available_actions
from metaloom.command.context import Context, Offered
from metaloom.command.evaluate import checked, run
from metaloom.command.live import Live
from metaloom.command.tell import may_read_all
from metaloom.command.unit import Unit
from metaloom.compile import entity_scope
from metaloom.expression import Checked, Typed
from metaloom.model import AlertForm, WarningRule
from metaloom.model.entity import LINK_TYPES
from metaloom.record import Row
from metaloom.record.alert_query import ALERT

ALIKE_MAX = 50


@dataclass(frozen=True)
class FormOffer:
    """A new record of ``entity`` with ``values``; ``id``: the one that is under way already and is opened instead."""

    label: Text
    icon: str
    entity: str
    values: Mapping[str, Any]
    id: int | None = None


@dataclass(frozen=True)
class LinkOffer:
    label: Text
    icon: str
    entity: str
    id: int


@dataclass(frozen=True)
class AlertOffers:
    """``row``: the warned record, None for who may not read it; then there are no actions on it."""

    row: Row | None = None
    actions: tuple[Offered, ...] = ()
    forms: tuple[FormOffer, ...] = ()
    links: tuple[LinkOffer, ...] = ()


def alert_offers(ctx: Context, alert_id: int, conn: sa.Connection, *, day: date | None = None) -> AlertOffers:
    """For the person who asks. An alert whose cause is gone offers only where to look."""
    unit = Unit(ctx, conn, "look", ctx.clock.now(), days={ctx.actor.company_id: day} if day is not None else {})
    alert = rows.fetch(unit, ALERT, alert_id) or {}
    rule = unit.catalog.warning_rules.get(alert.get("rule", ""))
    if rule is None:
        return AlertOffers()
    links = tuple(_links(unit, rule, alert))
    row = _readable(unit, rule.entity, alert["record_id"])
    if row is None or alert["cleared_at"] is not None:
        return AlertOffers(row, links=links)
    by_name = {one.name: one for one in available_actions(ctx, rule.entity, row, conn, day=day)} if rule.actions else {}
    actions = tuple(by_name[name] for name in rule.actions if name in by_name)
    forms = tuple(_form(unit, rule, form, row.id) for form in rule.forms.values() if ctx.plan.may(form.entity, "create"))
    return AlertOffers(row, actions, forms, links)


def _readable(unit: Unit, entity: str, record_id: int) -> Row | None:
    try:
        return rows.reader(unit).get(entity, record_id, children=False)
    except NotFound:
        return None


def _links(unit: Unit, rule: WarningRule, alert: Mapping[str, Any]) -> Iterator[LinkOffer]:
    for name in rule.links:
        target, record_id = rows.target(unit.entity(ALERT).fields[name]), alert.get(name)
        if record_id is not None and "read" in rows.standing_or_none(unit, target, record_id):
            entity = unit.entity(target)
            yield LinkOffer(entity.label, entity.icon, target, record_id)


# -- new records ------------------------------------------------------------------------------------------------------------


def _form(unit: Unit, rule: WarningRule, form: AlertForm, record_id: int) -> FormOffer:
    stored = rows.fetch(unit, rule.entity, record_id)
    assert stored is not None
    live = Live(unit, unit.entity(rule.entity), stored)
    values = {name: found for name, text in form.values.items() if (found := _value(unit, rule, text, live)) is not None}
    return FormOffer(form.label, form.icon or unit.entity(form.entity).icon, form.entity, values, _under_way(unit, form, values))


def _value(unit: Unit, rule: WarningRule, text: str, live: Live) -> Any:
    """The value; None where it is reckoned from something that the person does not read in the clear."""
    formula: Checked = checked(entity_scope(unit.catalog, rule.entity), text)
    if not may_read_all(unit, live, _paths(formula.node)):
        return None
    found = run(formula, live, unit.env(live.raw.get("company")))
    return found["id"] if isinstance(found, Mapping) else found


def _paths(node: Typed) -> Iterator[tuple[str, ...]]:
    if node.op == "field":
        yield tuple(node.value)
    for arg in node.args:
        yield from _paths(arg)


def _under_way(unit: Unit, form: AlertForm, values: Mapping[str, Any]) -> int | None:
    """The newest record with the same links that the form's condition calls open and the person may read."""
    entity = unit.entity(form.entity)
    same = {name: value for name, value in values.items() if name in entity.fields and entity.fields[name].type in LINK_TYPES}
    if not form.open or not same:
        return None
    condition = checked(entity_scope(unit.catalog, form.entity), form.open)
    for found in rows.find(unit, form.entity, same, live_only=True, order=("-id",), limit=ALIKE_MAX):
        if run(condition, Live(unit, entity, found), unit.env(found.get("company"))) is True \
                and "read" in rows.standing_or_none(unit, form.entity, found["id"]):
            return int(found["id"])
    return None
