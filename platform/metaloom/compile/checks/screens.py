"""Lists, forms, menus and tiles lead to what exists."""

from __future__ import annotations

from metaloom.compile.build_screen import entered
from metaloom.compile.checks.look import NUMBERS, check_path, follow, say, spot
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.model import Catalog, Entity, Field, FieldType, ListView
from metaloom.model.access import STANDARD_ACTIONS
from metaloom.model.entity import LIST_TYPES

PAGES = ("workbench", "tasks", "chains", "changed_chains", "balances", "access", "rights")  # pages of the engine that a menu may name
_DATES, _INSTANTS = frozenset({FieldType.DATE, FieldType.DATETIME}), frozenset({"created_at", "updated_at"})
_SHAPELESS = frozenset({FieldType.CHILD, FieldType.JSON})


def list_paths_exist(catalog: Catalog, context: Context) -> None:
    """Columns, search, sort and totals name fields that can be shown, searched, sorted and added up."""
    for view in catalog.lists.values():
        entity = catalog.entities[view.entity]
        base = ("list",) if view.name == "main" else ("lists", view.name)
        for path in view.columns:
            field = _at(context, catalog, view, entity, path, (*base, "columns", path))
            _refuse(context, view, field, field is not None and field.type is FieldType.CHILD, path, (*base, "columns", path), "a column")
        for key, paths in (("search", view.search), ("more", view.more)):
            for path in paths:
                field = _at(context, catalog, view, entity, path, (*base, key, path))
                bad = field is not None and (field.type in _SHAPELESS or field.encrypted and field.search not in ("exact", "last4"))
                _refuse(context, view, field, bad, path, (*base, key, path), "searched")
        for sort in view.sort:
            field = _at(context, catalog, view, entity, sort.lstrip("-"), (*base, "sort", sort))
            bad = field is not None and (field.type in _SHAPELESS | LIST_TYPES or field.encrypted)
            _refuse(context, view, field, bad, sort, (*base, "sort", sort), "sorted")
        for path in view.totals:
            field = _at(context, catalog, view, entity, path, (*base, "totals", path))
            _refuse(context, view, field, field is not None and field.type not in NUMBERS, path, (*base, "totals", path), "added up")


def _at(context: Context, catalog: Catalog, view: ListView, entity: Entity, path: str, where: tuple[str, ...]) -> Field | None:
    return check_path(context, catalog, entity, path, spot(context, view.entity, *where), view.address)


def _refuse(context: Context, view: ListView, field: Field | None, bad: bool, path: str, where: tuple[str, ...], what: str) -> None:
    if bad and field is not None:
        kind = "encrypted" if field.encrypted else field.type
        say(context, "ML-SCREEN-001", spot(context, view.entity, *where), view.address, path=path, type=kind, what=what)


def boards_have_columns(catalog: Catalog, context: Context) -> None:
    """A board goes by the entity's own state or choice; its columns are values of it, its cards show fields, its sums are of numbers."""
    for view in catalog.lists.values():
        if view.board is None:
            continue
        entity, base = catalog.entities[view.entity], (*_base(view), "views", "board")
        by = check_path(context, catalog, entity, view.board.by, spot(context, view.entity, *base, "by"), view.address)
        if by is None and follow(catalog, entity, view.board.by)[2]:
            continue                                            # reported by check_path
        if by is None or by.type not in (FieldType.CHOICE, FieldType.STATE):
            say(context, "ML-SCREEN-001", spot(context, view.entity, *base, "by"), view.address, path=view.board.by,
                type=by.type if by is not None else view.board.by, what="the columns of a board")
        else:
            _known_values(catalog, context, view, by, view.board.only, (*base, "only"))
        _shown_and_summed(catalog, context, view, entity, base, view.board.fields, view.board.sums)


def calendars_have_days(catalog: Catalog, context: Context) -> None:
    """A calendar goes by dates or instants; its entries show fields."""
    for view in catalog.lists.values():
        if view.calendar is None:
            continue
        entity, base = catalog.entities[view.entity], (*_base(view), "views", "calendar")
        for key, path in (("date", view.calendar.date), ("until", view.calendar.until)):
            if not path:
                continue
            field = check_path(context, catalog, entity, path, spot(context, view.entity, *base, key), view.address)
            if follow(catalog, entity, path)[2]:
                continue                                        # reported by check_path
            if field is None and path.rpartition(".")[2] not in _INSTANTS or field is not None and (field.type not in _DATES or field.encrypted):
                say(context, "ML-SCREEN-001", spot(context, view.entity, *base, key), view.address, path=path,
                    type=field.type if field is not None else path, what="the days of a calendar")
        _shown_and_summed(catalog, context, view, entity, base, view.calendar.fields, ())


def _base(view: ListView) -> tuple[str, ...]:
    return ("list",) if view.name == "main" else ("lists", view.name)


def _known_values(catalog: Catalog, context: Context, view: ListView, by: Field, only: tuple[str, ...], where: tuple[str, ...]) -> None:
    """``only`` names states, or items of the choices, that there are."""
    lifecycle = catalog.lifecycles.get(view.entity)
    state = by.type is FieldType.STATE
    if state and lifecycle is None or not state and by.choices not in catalog.choices:
        return                                                  # said elsewhere
    known = [*lifecycle.states] if state and lifecycle is not None else [*catalog.choices[by.choices].items]
    for name in only:
        if name not in known:
            say(context, "ML-REF-001", spot(context, view.entity, *where, name), view.address, what="state" if state else "choice", name=name,
                hint=_did_you_mean(name, known))


def _shown_and_summed(catalog: Catalog, context: Context, view: ListView, entity: Entity, base: tuple[str, ...], fields: tuple[str, ...],
                      sums: tuple[str, ...]) -> None:
    for path in fields:
        field = _at(context, catalog, view, entity, path, (*base, "fields", path))
        _refuse(context, view, field, field is not None and field.type in _SHAPELESS, path, (*base, "fields", path), "shown on a card")
    for path in sums:
        field = _at(context, catalog, view, entity, path, (*base, "sums", path))
        bad = field is not None and (field.type not in NUMBERS or field.type is FieldType.RATE or field.encrypted)
        _refuse(context, view, field, bad, path, (*base, "sums", path), "added up")


def list_actions_exist(catalog: Catalog, context: Context) -> None:
    """Row actions of a list are actions or plugin commands of the entity, or standard ones."""
    for view in catalog.lists.values():
        known = action_names(catalog, context, view.entity)
        base = ("list",) if view.name == "main" else ("lists", view.name)
        for name in view.actions:
            if name not in known and context.plugins.complete:
                where = spot(context, view.entity, *base, "actions", name)
                say(context, "ML-REF-001", where, view.address, what="action", name=name, hint=_did_you_mean(name, known))


def action_names(catalog: Catalog, context: Context, entity: str) -> set[str]:
    """What can be done with records of ``entity``: standard actions, its own, plugin commands; and the rights they ask for."""
    own = {n for a in catalog.actions.values() if a.entity == entity for n in (a.name, a.permission)}
    commands = {n for c in context.plugins.commands.values() if c.on == entity for n in (c.name.rpartition(".")[2], c.permission.rpartition(".")[2]) if n}
    return {*STANDARD_ACTIONS, *own, *commands}


def form_fields_fit(catalog: Catalog, context: Context) -> None:
    """A form shows each field once, and everything that must be entered."""
    for form in catalog.forms.values():
        entity = catalog.entities[form.entity]
        placed: dict[str, str] = {}
        for section in form.sections.values():
            for name in section.fields:
                where = spot(context, form.entity, "form", "sections", section.name, "fields", name)
                if name not in entity.fields:
                    say(context, "ML-REF-002", where, form.entity, path=name, entity=form.entity, hint=_did_you_mean(name, entity.fields))
                elif name in placed:
                    say(context, "ML-SCREEN-002", where, form.entity, field=name, section=placed[name])
                elif name == entity.parent_field:
                    say(context, "ML-SCREEN-003", where, form.entity, field=name)
                placed.setdefault(name, section.name)
        if "form" in context.effective.entities[form.entity].kinds and entity.storage == "table":
            _warn_missing(context, entity, placed)


def _warn_missing(context: Context, entity: Entity, placed: dict[str, str]) -> None:
    filled = {name for field in entity.fields.values() for name in field.fill if field.name in placed}
    for field in entity.fields.values():
        free = field.default or field.computed or field.read_only or field.name in filled or field.name == entity.parent_field
        if field.name in placed:
            continue
        if field.required and not free:
            say(context, "ML-SCREEN-004", spot(context, entity.address, "form", "sections"), entity.address, field=field.name)
        elif not field.required and field.type is not FieldType.AUTO_NUMBER and entered(entity, field.name):
            say(context, "ML-SCREEN-007", field.position, entity.address, field=field.name)


def menus_lead_somewhere(catalog: Catalog, context: Context) -> None:
    """A menu item has exactly one goal."""
    for menu in catalog.menus.values():
        pack, _, name = menu.address.partition(".")
        node = context.effective.packs[pack].kinds["menu"].value[name]
        for item, written in (node.get("items").value.items() if node.get("items") else ()):
            goals = [k for k in ("list", "page") if k in written.value]
            if len(goals) != 1:
                say(context, "ML-SCREEN-005", written.key, menu.address, item=item, goals="list, page", found=", ".join(goals) or "none")
            page = written.get("page")
            known = (*PAGES, *sorted(context.plugins.pages))
            if page is not None and page.value not in known and not _left_open(context, page.value):
                hint = _did_you_mean(page.value, known) or f"pages: {', '.join(known)}"
                say(context, "ML-REF-001", page.position, menu.address, what="page", name=page.value, hint=hint)


def _left_open(context: Context, page: str) -> bool:
    """A page of a plugin, where plugins are not loaded."""
    return page.startswith("tool/") and not context.plugins.complete


def quick_links_lead_somewhere(catalog: Catalog, context: Context) -> None:
    """A tile opens a list or creates a record that people may create."""
    for link in catalog.quick_links.values():
        pack, _, name = link.address.partition(".")
        node = context.effective.packs[pack].kinds["quick_links"].value[name]
        goals = [k for k in ("create", "list") if k in node.value]
        if len(goals) != 1:
            say(context, "ML-SCREEN-005", link.position, link.address, item=name, goals="create, list", found=", ".join(goals) or "none")
        entity = catalog.entities.get(link.create)
        if entity is not None and (entity.child_of or entity.storage == "engine" and entity.append_only):
            say(context, "ML-SCREEN-006", node.value["create"].position, link.address, entity=entity.address)
