"""Keeping a list as it stands: search, order and columns under a name; for oneself, for roles, or for everybody.

What is kept is the address of the list. Whoever opens a shared one asks it with rights of their own: nothing is widened, and
conditions on fields that they may not see are neither run nor told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaloom.base.errors import Invalid, LoginRequired, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import Message, message, register
from metaloom.command.context import Context, Saved
from metaloom.command.run_command import ADMIN
from metaloom.command.unit import Unit, perform
from metaloom.model import FieldLevel, ListView
from metaloom.record.saved_lists import (
    CODED,
    EVERYBODY,
    NOBODY,
    OWN_WORDS,
    PATHED,
    ROLES,
    SavedList,
    SavedLists,
    known,
    path_of,
    reaches,
    sees,
    told,
)

NAME_MAX, VALUE_MAX, VALUES_MAX, KEYS_MAX, COLUMNS_MAX, KEPT_MAX, ROLES_MAX = 60, 300, 50, 40, 60, 50, 50
ADDRESS = "saved_list"

register({
    "saved.kept": ("筛选“{name}”已保存。", "The search “{name}” was saved."),
    "saved.removed": ("筛选“{name}”已删除。", "The search “{name}” was deleted."),
    "saved.name": ("请填写名称（不超过 {limit} 个字符）。", "Give it a name of at most {limit} characters."),
    "saved.taken": ("您已有一个同名的筛选“{name}”。", "You keep a search named “{name}” already."),
    "saved.many": ("每个列表最多保存 {limit} 个筛选，请先删除不用的。", "At most {limit} searches are kept for one list; delete one that you do not use."),
    "saved.secret": ("“{label}”的内容受保护，不能存入筛选，请先清除该条件。",
                     "What is searched in “{label}” is protected and cannot be kept; clear that condition first."),
    "saved.unknown": ("列表中没有“{name}”。", "The list has no “{name}”."),
    "saved.shared": ("共享范围须为 nobody、roles、everybody 之一。", "Share with nobody, roles or everybody."),
    "saved.roles": ("请选择要共享的角色。", "Choose the roles to share with."),
    "saved.texts": ("须为文本列表。", "This must be a list of texts."),
    "saved.too_long": ("筛选条件过多。", "There are too many conditions."),
    "saved.not_yours": ("这是别人的筛选，您只能使用。", "This search is somebody else's: you may use it, and no more."),
})


def saved_lists(ctx: Context, conn: Any, entity: str, name: str) -> list[SavedList]:
    """What the person who asks keeps of this list or is shown of it, each as far as their rights go."""
    _listable(ctx, entity, name)
    actor = ctx.actor
    return [told(ctx.plan, ctx.revision, one) for one in SavedLists(conn).of(_me(ctx), actor.role_addresses, entity, name)]


def saved_list(ctx: Context, conn: Any, id: int) -> SavedList:
    """One of them; NotFound when it is not this person's to see."""
    return told(ctx.plan, ctx.revision, _shown(ctx, SavedLists(conn).one(id)))


def may_share(ctx: Context, entity: str) -> bool:
    """Whether the person may keep lists of this entity for others."""
    return _missing_right(ctx, entity) is None


def _missing_right(ctx: Context, entity: str) -> Message | None:
    found = ctx.plan.may(entity, "share")
    return None if found or ctx.actor.holds_everywhere(ADMIN) else found.reason


def may_change(ctx: Context, one: SavedList) -> bool:
    """Owners change their own; what is shared also those who may share."""
    return one.owner_id == ctx.actor.user_id or (one.shared != NOBODY and may_share(ctx, one.entity))


def save_list(ctx: Context, entity: str, list_name: str, values: Mapping[str, Any]) -> Saved:
    """Keeps a list under a name. ``values``: name, query, columns, shared (nobody | roles | everybody), roles."""
    _listable(ctx, entity, list_name)
    wanted = _checked(ctx, entity, list_name, {"shared": NOBODY, "roles": (), "query": {}, "columns": (), **values})

    def work(unit: Unit) -> Saved:
        kept = SavedLists(unit.conn)
        mine = [one for one in kept.of(_me(ctx), (), entity, list_name) if one.owner_id == _me(ctx)]
        if len(mine) >= KEPT_MAX:
            raise NotPossible(message("saved.many", limit=KEPT_MAX))
        _refuse_taken(mine, wanted["name"], 0)
        id = kept.add({"entity": entity, "list": list_name, "owner_id": _me(ctx), "created_by": _me(ctx), **wanted})
        _log(unit, entity, None, wanted)
        return Saved(ADDRESS, id, 1, wanted["name"], message("saved.kept", name=wanted["name"]))

    return perform(ctx, "save_list", [entity, list_name, wanted], work)


def change_saved_list(ctx: Context, id: int, values: Mapping[str, Any]) -> Saved:
    """Changes what is given of a kept list; those it was shared with see it changed."""

    def work(unit: Unit) -> Saved:
        kept = SavedLists(unit.conn)
        before = _mine_to_change(ctx, kept.one(id, lock=True))
        whole = {"name": before.name, "query": before.query, "columns": before.columns, "shared": before.shared, "roles": before.roles}
        wanted = _checked(ctx, before.entity, before.list, {**whole, **values}, before)
        _refuse_taken([one for one in kept.of(before.owner_id, (), before.entity, before.list) if one.owner_id == before.owner_id], wanted["name"], id)
        kept.change(id, {**wanted, "updated_at": unit.now, "updated_by": ctx.actor.user_id})
        _log(unit, before.entity, whole, wanted)
        return Saved(ADDRESS, id, before.row_version + 1, wanted["name"], message("saved.kept", name=wanted["name"]))

    return perform(ctx, "save_list", [id, dict(values)], work)


def forget_saved_list(ctx: Context, id: int) -> Saved:
    """Deletes a kept list, for everybody it was shared with."""

    def work(unit: Unit) -> Saved:
        kept = SavedLists(unit.conn)
        before = _mine_to_change(ctx, kept.one(id, lock=True))
        kept.remove(id)
        _log(unit, before.entity, {"name": before.name, "query": before.query, "shared": before.shared, "roles": before.roles}, None)
        return Saved(ADDRESS, id, before.row_version, before.name, message("saved.removed", name=before.name))

    return perform(ctx, "forget_list", [id], work)


def _me(ctx: Context) -> int:
    if ctx.actor.user_id is None:
        raise LoginRequired
    return ctx.actor.user_id


def _listable(ctx: Context, entity: str, name: str) -> None:
    if entity not in ctx.revision.catalog.entities or not ctx.plan.actions(entity):
        raise NotFound
    verdict = ctx.plan.may(entity, "list")
    if not verdict:
        raise NotAllowed(verdict.reason)
    if name != "main" and f"{entity}/{name}" not in ctx.revision.catalog.lists:
        raise NotFound


def _shown(ctx: Context, one: SavedList | None) -> SavedList:
    if one is None or not reaches(one, ctx.actor.user_id, ctx.actor.role_addresses) or not ctx.plan.may(one.entity, "list"):
        raise NotFound
    return one


def _mine_to_change(ctx: Context, one: SavedList | None) -> SavedList:
    found = _shown(ctx, one)
    if not may_change(ctx, found):
        raise NotAllowed(message("saved.not_yours"))
    return found


def _refuse_taken(mine: Sequence[SavedList], name: str, id: int) -> None:
    if any(one.name == name and one.id != id for one in mine):
        raise Invalid([Problem("name", message("saved.taken", name=name))])


# -------------------------------------------------------------------------------------------------------- what may be kept


def _checked(ctx: Context, entity: str, list_name: str, values: Mapping[str, Any], before: SavedList | None = None) -> dict[str, Any]:
    """The values as they are stored; Invalid with everything that is wrong with them."""
    problems: list[Problem] = []
    name = values.get("name")
    name = " ".join(name.split()) if isinstance(name, str) else ""
    if not 0 < len(name) <= NAME_MAX or not name.isprintable():
        problems.append(Problem("name", message("saved.name", limit=NAME_MAX)))
    shared, roles = values["shared"], _texts("roles", values["roles"], problems)
    if not isinstance(shared, str) or shared not in (NOBODY, ROLES, EVERYBODY):
        problems.append(Problem("shared", message("saved.shared")))
    elif shared != NOBODY and (missing := _missing_right(ctx, entity)) is not None:
        raise NotAllowed(missing)
    if shared == ROLES and (not roles or len(roles) > ROLES_MAX or not set(roles) <= ctx.revision.catalog.roles.keys()):
        problems.append(Problem("roles", message("saved.roles")))
    query = _query(ctx, entity, list_name, values["query"], problems, before)
    columns = _columns(ctx, entity, values["columns"], problems, before)
    if problems:
        raise Invalid(problems)
    return {"name": name, "shared": shared, "roles": list(roles) if shared == ROLES else [], "query": query, "columns": columns}


def _texts(field: str, given: Any, problems: list[Problem]) -> tuple[str, ...]:
    """A list of texts, each once."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(v, str) for v in given):
        problems.append(Problem(field, message("saved.texts")))
        return ()
    return tuple(dict.fromkeys(given))


def _query(ctx: Context, entity: str, list_name: str, given: Any, problems: list[Problem], before: SavedList | None) -> dict[str, list[str]]:
    if not isinstance(given, Mapping) or len(given) > KEYS_MAX:
        problems.append(Problem("query", message("saved.too_long")))
        return {}
    kept: dict[str, list[str]] = {}
    for key, values in given.items():
        key = str(key)[:80]
        values = [v for v in _texts(f"query.{key}", values, problems) if v]
        values = [part.strip() for v in values for part in v.split(",") if part.strip()] if key == "sort" else values
        if len(values) > VALUES_MAX or any(len(v) > VALUE_MAX or not v.isprintable() for v in values):
            problems.append(Problem(f"query.{key}", message("saved.too_long")))
        elif values and before is not None and before.query.get(key) == tuple(values):
            kept[key] = values                                  # was checked when it was kept, maybe by somebody who sees more
        elif values and _may_keep(ctx, entity, list_name, key, values, problems):
            kept[key] = values
    return kept


def _may_keep(ctx: Context, entity: str, list_name: str, key: str, values: list[str], problems: list[Problem]) -> bool:
    path = path_of(key)
    if not path:
        view = ctx.revision.catalog.lists.get(f"{entity}/{list_name}")
        paths = [part.removeprefix("-") for part in values] if key in PATHED else []
        right = key in OWN_WORDS and all(sees(ctx.plan, ctx.revision, entity, p, FieldLevel.READ) for p in paths) \
            and (key != "tab" or (view is not None and set(values) <= view.tabs.keys())) and _sayable(view, key, values)
    else:
        right = sees(ctx.plan, ctx.revision, entity, path, FieldLevel.MASKED)
    if not right:
        problems.append(Problem(f"query.{key[:80]}", message("saved.unknown", name=key[:80])))
        return False
    found = known(ctx.revision, entity, path) if path else None
    if found is not None and (found.field.encrypted or not sees(ctx.plan, ctx.revision, entity, path, FieldLevel.READ)):
        problems.append(Problem(f"query.{key[:80]}", message("saved.secret", label=found.field.label)))
        return False
    return True


def _sayable(view: ListView | None, key: str, values: list[str]) -> bool:
    """Whether a word of the way of looking says what there is: no board and no calendar of a list that has none."""
    if key not in CODED:
        return True
    lacking = {"board": view is None or view.board is None, "calendar": view is None or view.calendar is None}
    return all(value in CODED[key] and not (key == "view" and lacking.get(value)) for value in values)


def _columns(ctx: Context, entity: str, given: Any, problems: list[Problem], before: SavedList | None) -> list[str]:
    columns = list(_texts("columns", given, problems))
    if len(columns) > COLUMNS_MAX:
        problems.append(Problem("columns", message("saved.too_long")))
    for one in columns if before is None or tuple(columns) != before.columns else ():
        if not sees(ctx.plan, ctx.revision, entity, one, FieldLevel.MASKED):
            problems.append(Problem("columns", message("saved.unknown", name=one[:80])))
    return columns[:COLUMNS_MAX]


def _log(unit: Unit, entity: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    """The audit says which fields were asked about, with whom it was shared, and never for which values."""
    def plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if values is None else {"saved_list": {
            "name": values["name"], "asks": sorted(values["query"]), "shared": values["shared"], "roles": list(values["roles"])}}

    unit.log(unit.entity(entity), None, plain(before), plain(after))
