"""The role matrix: who may do what with which records and fields; changed by administrators as a draft, looked at, published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import Conflict, Invalid, NotAllowed, NotFound, NotPossible
from metaloom.base.messages import message
from metaloom.command.change_rights import Draft, Effect, Granted, draft_rights, granted, publish_rights
from metaloom.model import Entity, FieldLevel
from metaloom.model.access import SCOPES, STANDARD_ACTIONS
from metaloom.model.levels import grant_levels
from metaloom.record.filters import Filter
from metaloom.web.current import Current, current, locale, say, site, url
from metaloom.web.frame import toast
from metaloom.web.words import t as _t
from metaloom.web.words import whole

blueprint = Blueprint("rights", __name__)
ASSIGNMENT = "platform.role_assignment"
LEVELS = ("hidden", "masked", "read", "write")
SLOTS = {"expression": "condition", "assigned": "assigned_field", "custom": "units"}
OWNERS = {"company": "company", "dept": "org_unit", "dept_tree": "org_unit", "self": "user"}
FIELDS_ROLE = "fields_of"


@dataclass(frozen=True)
class Cell:
    """One right in the line of a role. ``state``: '' | more | less, against what stands below the site's own change."""

    action: str
    held: bool
    state: str


@dataclass(frozen=True)
class Line:
    """A grant as a line of the matrix."""

    id: str
    role: str
    name: str
    scope: str
    scopes: tuple[tuple[str, str, bool], ...]
    cells: tuple[Cell, ...]
    origin: str
    place: str
    own: bool
    people: str


# ---------------------------------------------------------------------------------------------------------------- looking


@blueprint.get("/access/rights/")
def show() -> Any:
    """``entity``: its roles and rights, to be changed; ``role``: what the role may do everywhere; without them the entities."""
    pinned = _here()
    entity, role = request.args.get("entity", ""), request.args.get("role", "")
    if entity:
        return _page(pinned, _entity(pinned, entity))
    picked = role if role in pinned.catalog.roles else next(iter(pinned.catalog.roles), "")
    return render_template("people/rights_of_role.html", **_names(pinned), role=picked, lines=_of_role(pinned, picked), actions=_labels(STANDARD_ACTIONS),
                           crumbs=[(_t("rights.title"), "")])


def _here() -> Current:
    g.menu_here = "page:rights"
    pinned = current()
    command.refuse_unless_admin(pinned.looking())
    return pinned


def _entity(pinned: Current, address: str) -> Entity:
    found = pinned.catalog.entities.get(address)
    if found is None:
        raise NotFound
    return found


def _names(pinned: Current) -> dict[str, Any]:
    entities = [(e.address, f"{say(e.label)} · {e.address}") for e in pinned.catalog.entities.values()]
    return {"entities": sorted(entities, key=lambda one: one[1]), "roles": [(r.address, say(r.label)) for r in pinned.catalog.roles.values()],
            "here_url": url("/access/rights/"), "revision": request.form.get("base", pinned.revision.number)}


def _of_role(pinned: Current, role: str) -> list[tuple[str, str, list[tuple[str, frozenset[str], list[str]]]]]:
    """By entity: the grants of the role, each with its rows, its standard actions and the words of its own ones."""
    found = []
    for address, grants in pinned.catalog.grants.items():
        own = [(_scope(grant.scope), grant.actions, [_action(pinned, address, name) for name in sorted(grant.actions - set(STANDARD_ACTIONS))])
               for grant in grants if grant.role == role]
        if own:
            found.append((address, say(pinned.catalog.entities[address].label), own))
    return sorted(found, key=lambda one: one[1])


def _labels(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, _word(name)) for name in names]


def _word(name: str) -> str:
    from metaloom.access.messages import ACTION_WORDS

    words = ACTION_WORDS.get(name)
    return (words[0] if locale() == "zh" else words[1]) if words else name


def _action(pinned: Current, entity: str, name: str) -> str:
    if name in STANDARD_ACTIONS:
        return _word(name)
    declared = next((one for one in site().registry.commands_on(entity) if name in (one.permission, one.name)), None) if site().registry else None
    return say(declared.label) if declared is not None else say(pinned.plan.action_label(entity, name))


def _scope(name: str) -> str:
    return _t(f"rights.scope.{name}")


def _page(pinned: Current, entity: Entity, draft: Draft | None = None, problem: str = "", wanted: Mapping[str, Any] | None = None, status: int = 200) -> Any:
    ctx = pinned.looking()
    grants = granted(ctx, entity.address)
    actions = _actions(pinned, entity, grants)
    picked = request.values.get(FIELDS_ROLE, "")
    fields_of = next((one for one in grants if one.id == picked), None)
    people = _people(pinned, {one.role for one in grants})
    shown = [_line(pinned, entity, one, (wanted or {}).get(one.id, one.value), actions, people) for one in grants]
    free = [(address, label) for address, label in _names(pinned)["roles"] if address not in {one.role for one in grants}]
    return render_template(
        "people/rights.html", **_names(pinned), entity=entity, lines=shown, actions=[(name, _action(pinned, entity.address, name)) for name in actions],
        locked=entity.locked, free=free, fields_of=fields_of, grants=[(one.id, _called(pinned, one)) for one in grants],
        fields=_fields(entity, fields_of, wanted) if fields_of is not None else (), levels=[(name, _t(f"rights.level.{name}")) for name in LEVELS],
        problem=problem, draft=_told(pinned, entity, draft) if draft is not None else None, reason=request.form.get("reason", ""),
        new_role=request.form.get("new_role", ""), crumbs=[(_t("rights.title"), url("/access/rights/")), (say(entity.label), "")]), status


def _actions(pinned: Current, entity: Entity, grants: Sequence[Granted]) -> list[str]:
    """The columns: what somebody is granted, then what could be, in one order for all entities."""
    own = {n for a in pinned.catalog.actions_of(entity.address) for n in (a.permission or a.name,)}
    known = {name for one in grants for name in one.value.get("actions", ())} | own
    refused = set() if entity.storage == "table" and not entity.child_of else {"create", "import", "transfer", "restore"}
    refused |= {"comment"} if not entity.comments else set()
    refused |= {"unmask"} if not any(f.mask for f in entity.fields.values()) else set()
    refused |= {"delete", "restore"} if entity.delete == "never" else {"restore"} if entity.delete == "physical" else set()
    refused |= {"edit", "delete", "restore"} if entity.append_only else set()
    return [name for name in STANDARD_ACTIONS if name in known or name not in refused] + sorted(known - set(STANDARD_ACTIONS))


def _line(pinned: Current, entity: Entity, one: Granted, value: Mapping[str, Any] | None, actions: Sequence[str], people: Mapping[str, str]) -> Line:
    held = frozenset(value.get("actions", ()) if value is not None else ())
    base = frozenset(one.base.get("actions", ())) if one.base is not None else None
    cells = tuple(Cell(name, name in held, "" if base is None or (name in held) == (name in base) else "more" if name in held else "less") for name in actions)
    scope = value.get("scope", one.value["scope"]) if value is not None else one.value["scope"]
    own = one.layer == "site"
    return Line(one.id, _role(pinned, one.role), one.name, scope, tuple((name, _scope(name), _open(entity, one, name)) for name in SCOPES), cells,
                _t(f"rights.layer.{one.layer}"), one.place, own, people.get(one.role, ""))


def _role(pinned: Current, address: str) -> str:
    found = pinned.catalog.roles.get(address)
    return say(found.label) if found is not None else address


def _called(pinned: Current, one: Granted) -> str:
    return _role(pinned, one.role) + (f" · {one.name}" if one.name else "")


def _open(entity: Entity, one: Granted, scope: str) -> bool:
    """Whether the scope can be chosen here: one that needs words of its own is written in the files."""
    if scope == one.value.get("scope"):
        return True
    owner = entity.ownership.owned_by
    return scope not in SLOTS and (scope not in OWNERS or not owner or OWNERS[scope] in owner)


def _people(pinned: Current, roles: Iterable[str]) -> dict[str, str]:
    found = {}
    for role in roles:
        count = pinned.reader.count(ASSIGNMENT, filters=[Filter("role", "eq", role)]) if pinned.plan.may(ASSIGNMENT, "list") else None
        found[role] = f"{count.number:,}" + ("" if count.exact else "+") if count is not None else ""
    return found


def _fields(entity: Entity, one: Granted, wanted: Mapping[str, Any] | None) -> list[tuple[str, str, str, str, bool]]:
    """Every field: name, label, the level that is written ('' for none), the level that holds, whether it can be masked."""
    value = (wanted or {}).get(one.id) or one.value
    written = value.get("fields", {})
    from metaloom.compile.build_pack import LEVELS as MEANING
    from metaloom.model import AccessGrant

    grant = AccessGrant("", entity.address, one.role, one.name, value["scope"], frozenset(value.get("actions", ())),
                        {name: MEANING[level] for name, level in written.items()})
    holds = grant_levels(entity, grant)
    rows = [("*", _t("rights.all_fields"), written.get("*", ""), "", True)]
    rows += [(name, say(f.label), written.get(name, ""), _t(f"rights.level.{LEVELS[int(holds.get(name, FieldLevel.HIDDEN))]}"), bool(f.mask))
             for name, f in entity.fields.items()]
    return rows


# --------------------------------------------------------------------------------------------------------------- changing


@blueprint.post("/access/rights/")
def draft() -> Any:
    """``do=look``: what it would change, for whom; ``do=publish``: publishes it."""
    pinned = _here()
    entity = _entity(pinned, request.form.get("entity", ""))
    wanted = _wanted(pinned, entity)
    number = whole(request.form.get("base", ""), 9)
    served = pinned.revision.number
    try:
        if number is None or number != served:      # the form holds every grant: what others published meanwhile would be taken back unseen
            raise Conflict(message("publish.moved_on", current=served, base=number or 0))
        if request.form.get("do") != "publish":
            return _page(pinned, entity, draft_rights(pinned.looking(), entity.address, wanted), wanted=wanted)
        reason = request.form.get("reason", "").strip()[:2000]
        if not reason:
            return _page(pinned, entity, draft_rights(pinned.looking(), entity.address, wanted), _t("rights.reason_needed"), wanted, 422)
        made = publish_rights(pinned.context(), entity.address, wanted, reason, number)
    except (Invalid, NotPossible, NotAllowed, Conflict) as refused:
        words = " ".join(p.message.say(locale()) for p in getattr(refused, "problems", ())) or refused.message.say(locale())
        return _page(pinned, entity, None, words, wanted, refused.status)
    return toast(redirect(url(f"/access/rights/?entity={entity.address}"), 303), _t("rights.published", n=made.number))


def _wanted(pinned: Current, entity: Entity) -> dict[str, Any]:
    """The grants as the form says them; what the form does not speak of (conditions, units) stays as it is."""
    form, found = request.form, {}
    for one in granted(pinned.looking(), entity.address):
        if f"scope|{one.id}" not in form:
            continue
        value = dict(one.value)
        scope = form.get(f"scope|{one.id}", "")
        value["scope"] = scope if scope in SCOPES else value["scope"]
        for kind, slot in SLOTS.items():
            if value["scope"] != kind:
                value.pop(slot, None)
        value["actions"] = form.getlist(f"may|{one.id}")
        if form.get(FIELDS_ROLE) == one.id:
            value["fields"] = {name: level for name in ("*", *entity.fields) if (level := form.get(f"level|{name}", "")) in LEVELS} | {
                name: level for name, level in one.value.get("fields", {}).items() if name not in ("*", *entity.fields)}
        found[one.id] = value if value["actions"] else None
    new = form.get("new_role", "")
    if new in pinned.catalog.roles:
        short = new.partition(".")[2] if new.partition(".")[0] == entity.pack else new
        found[short] = {"scope": "none" if entity.child_of else form.get("new_scope", "none"), "actions": ["list", "read"]}
    return found


def _told(pinned: Current, entity: Entity, made: Draft) -> dict[str, Any]:
    """The draft in words: who gains and loses what, how many people that are, and what the person may not publish."""
    people = _people(pinned, {one.role for one in made.effects})
    return {
        "findings": [(f.code, str(f.position), f.said[0].say(locale()) if hasattr(f.said[0], "say") else str(f.said[0])) for f in made.findings],
        "effects": [_effect(pinned, entity, one, people) for one in made.effects], "beyond": [one.what for one in made.beyond],
        "text": made.text if made.beyond else ""}


def _effect(pinned: Current, entity: Entity, one: Effect, people: Mapping[str, str]) -> dict[str, Any]:
    return {
        "role": _role(pinned, one.role) + (f" · {one.name}" if one.name != "main" else ""), "people": people.get(one.role, ""),
        "more": [_action(pinned, entity.address, name) for name in one.more], "less": [_action(pinned, entity.address, name) for name in one.less],
        "scope": tuple(map(_scope, one.scope)) if one.scope else (),
        "fields": [(say(entity.fields[name].label), *(message(f"access.level.{int(level)}").say(locale()) for level in (was, now)))
                   for name, was, now in one.fields], "beyond": bool(one.beyond)}
