"""Why somebody may or may not do something: asked by administrators, answered with every grant and the line it was written at (S06)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, render_template, request

from metaloom import command
from metaloom.base.messages import message, register
from metaloom.command.explain_access import AccessTold, GrantTold
from metaloom.model import FieldLevel
from metaloom.model.access import STANDARD_ACTIONS
from metaloom.record.filters import Filter
from metaloom.web.current import Current, current, locale, say
from metaloom.web.words import whole

blueprint = Blueprint("access", __name__)
USER = "platform.user"
LEVELS = (FieldLevel.WRITE, FieldLevel.READ, FieldLevel.MASKED, FieldLevel.HIDDEN)

register({
    "access.told.no_person": ("没有用户名为“{name}”的用户。", "There is no user “{name}”."),
    "access.told.number": ("记录编号必须是正整数。", "The number of a record is a positive whole number."),
})  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A grant as the page shows it."""

    grant: GrantTold
    role: str
    scope: str
    verdict: str
    place: str


@blueprint.get("/access/")
def show() -> Any:
    """The question, and its answer when it is whole."""
    g.menu_here = "page:access"
    pinned = current()
    command.refuse_unless_admin(pinned.looking())
    asked = {name: request.args.get(name, "").strip()[:200] for name in ("person", "entity", "record", "action")}
    told, problem = _told(pinned, asked) if asked["person"] and asked["entity"] else (None, "")
    entities = sorted(((address, say(entity.label)) for address, entity in pinned.catalog.entities.items()), key=lambda pair: pair[1])
    page = render_template(
        "people/access.html", asked=asked, told=told, problem=problem, entities=entities, actions=_actions(pinned, asked["entity"]),
        held=[_line(one) for one in told.held] if told else [], others=[_line(one) for one in told.others] if told else [],
        summary=told.summary.say(locale()) if told else "", fields=_fields(pinned, told) if told else [])
    return (page, 422) if problem else page


def _told(pinned: Current, asked: dict[str, str]) -> tuple[AccessTold | None, str]:
    found = pinned.reader.list(USER, filters=[Filter("username", "eq", asked["person"])], paths=("username",), limit=1).rows
    if not found:
        return None, message("access.told.no_person", name=asked["person"]).say(locale())
    if asked["entity"] not in pinned.catalog.entities:
        return None, message("access.unknown_entity", entity=asked["entity"]).say(locale())
    number = whole(asked["record"])
    if asked["record"] and not number:
        return None, message("access.told.number").say(locale())
    told = command.explain_access(pinned.looking(), found[0].id, asked["entity"], asked["action"] or "read", number)
    return told, ""


def _actions(pinned: Current, entity: str) -> list[tuple[str, str]]:
    names = {name for grant in pinned.catalog.grants.get(entity, ()) for name in grant.actions}
    ordered = [*STANDARD_ACTIONS, *sorted(names - set(STANDARD_ACTIONS))]
    return [(name, say(pinned.plan.action_label(entity, name)) if entity in pinned.catalog.entities else name) for name in ordered]


def _line(one: GrantTold) -> Line:
    return Line(one, say(one.role_label), one.scope.say(locale()), one.verdict.say(locale()), str(one.position))


def _fields(pinned: Current, told: AccessTold) -> list[tuple[str, list[str]]]:
    """Labels of the fields by level, the best first."""
    entity = pinned.catalog.entities[told.entity]
    by_level: dict[FieldLevel, list[str]] = {}
    for name, level in told.fields.items():
        if name in entity.fields:
            by_level.setdefault(level, []).append(say(entity.fields[name].label))
    return [(message(f"access.level.{int(level)}").say(locale()), by_level[level]) for level in LEVELS if level in by_level]
