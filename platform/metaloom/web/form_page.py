"""New and edit forms of any entity; a refused form comes back with everything that was typed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, redirect, request

from metaloom.base.errors import Conflict, Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Problem, Stale
from metaloom.base.messages import message
from metaloom.command.findings import DoesNotHold
from metaloom.expression import browser_value
from metaloom.model import Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import FILE_TYPES, LINK_TYPES
from metaloom.record.paths import target_of
from metaloom.record.schema import PartlyRead, input_schema, judged_whole
from metaloom.web.cells import cell, resolve
from metaloom.web.current import Current, current, locale, say
from metaloom.web.drawn import render_page
from metaloom.web.form_model import Source, as_text, raw_values, sections, sent_rows, with_child_markers
from metaloom.web.form_rules import entity_rules, for_page, linked_values
from metaloom.web.form_values import default_values, from_address
from metaloom.web.frame import json_answer, list_crumb, list_url, record_url, toast
from metaloom.web.own import dressed, own_of
from metaloom.web.security import inside
from metaloom.web.words import form_ids, whole

blueprint = Blueprint("form", __name__)
MAX_ID = 2**63 - 1


# ------------------------------------------------------------------------------------------------------------- new


@blueprint.get("/e/<entity>/new")
def new_form(entity: str) -> Any:
    pinned, definition = _creatable(entity)
    values = {**default_values(pinned, definition), **from_address(pinned, definition, request.args)}
    source = Source("create", values, _titles(pinned, definition, values), _levels_anywhere(pinned, definition))
    return _page(pinned, definition, source, None)


@blueprint.post("/e/<entity>/new")
def create(entity: str) -> Any:
    from metaloom import command

    pinned, definition = _creatable(entity)
    try:
        ctx, own = pinned.context().with_key(request.form.get("_key") or None), own_of(entity)
        if own.create is not None:
            saved = own.create(ctx, _input(pinned, definition, "create"), request.form)
        else:
            saved = judged_whole(lambda: _input(pinned, definition, "create"),
                                 lambda values, faults: command.create_record(ctx, entity, values, faults))
    except (Invalid, NotPossible) as refused:
        return _refused(pinned, definition, refused, None)
    return _saved(saved)


def _creatable(entity: str) -> tuple[Current, Entity]:
    pinned = current()
    definition = pinned.entity(entity)
    verdict = pinned.plan.may(entity, "create")
    if not verdict:
        raise NotAllowed(verdict.reason)
    if (definition.storage == "engine" and own_of(entity).create is None) or definition.child_of:
        raise NotFound
    return pinned, definition


def _input(pinned: Current, definition: Entity, purpose: str) -> dict[str, Any]:
    """The values that were sent; PartlyRead names what is wrong with them, and with what an own page asks besides, at once."""
    wrong = list(own_of(definition.address).check(purpose, request.form))
    try:
        values = input_schema(pinned.revision, definition.address, purpose).load(_raw(pinned, definition), zone=pinned.zone)
    except PartlyRead as refused:
        raise PartlyRead([*refused.problems, *wrong], refused.values) from None
    if wrong:
        raise PartlyRead(wrong, values)
    return values


# ------------------------------------------------------------------------------------------------------------ edit


@blueprint.get("/e/<entity>/<int:id>/edit")
def edit_form(entity: str, id: int) -> Any:
    pinned, definition, row = _editable(entity, id)
    _refuse_closed(pinned, definition, row)
    return _page(pinned, definition, _source_of(pinned, definition, row), row)


@blueprint.post("/e/<entity>/<int:id>/edit")
def change(entity: str, id: int) -> Any:
    from metaloom import command

    pinned, definition, row = _editable(entity, id)
    version = request.form.get("_version", "")
    try:
        shown = whole(version)
        ctx, own = pinned.context(), own_of(entity)
        if own.change is not None:
            saved = own.change(ctx, id, _input(pinned, definition, "edit"), shown)
        else:
            saved = judged_whole(lambda: _input(pinned, definition, "edit"),
                                 lambda values, faults: command.change_record(ctx, entity, id, values, shown, faults))
    except Stale as stale:
        return _compare(pinned, definition, id, stale)
    except (Invalid, NotPossible) as refused:
        return _refused(pinned, definition, refused, row)
    return _saved(saved)


def _editable(entity: str, id: int) -> tuple[Current, Entity, Any]:
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    row = pinned.reader.get(entity, id)
    if "edit" not in row.actions:
        verdict = pinned.plan.may(entity, "edit")
        raise NotAllowed(None if verdict else verdict.reason)
    if (definition.storage == "engine" and own_of(entity).change is None) or definition.child_of:
        raise NotFound
    return pinned, definition, row


def _refuse_closed(pinned: Current, definition: Entity, row: Any) -> None:
    """Archived, append-only or in a state that is not editable: said before anybody types."""
    lifecycle = pinned.catalog.lifecycles.get(definition.address)
    state = lifecycle.states.get(row[lifecycle.field]) if lifecycle else None
    if row.archived or definition.append_only or (state is not None and not state.editable):
        raise NotPossible(message("web.not_editable", state=state.label if state else ""))


# ------------------------------------------------------------------------------------------------------ the answers


def _saved(saved: Any) -> Any:
    target = inside(request.form["_next"]) if request.form.get("_next") else record_url(saved.entity, saved.id)
    return toast(redirect(target, 303), saved.message.say(locale()))


def _refused(pinned: Current, definition: Entity, refused: MetaloomError, row: Any) -> Any:
    """The form again: every input as it was typed, every problem at its field and on top."""
    problems = tuple(refused.problems) if isinstance(refused, Invalid) else (Problem("", refused.message),)
    source = _sent_source(pinned, definition, row, problems)
    status = refused.status if not isinstance(refused, Conflict) else 409
    links = [(said.say(locale()), record_url(entity, id)) for entity, id, said in refused.breaches] if isinstance(refused, DoesNotHold) else []
    return _page(pinned, definition, source, row, version=request.form.get("_version", ""), links=links), status


def _compare(pinned: Current, definition: Entity, id: int, stale: Stale) -> Any:
    """Someone else was faster: both versions side by side, nothing of one's own lost; saving again takes this form."""
    pinned.release()
    row = pinned.reader.get(definition.address, id)
    source = _sent_source(pinned, definition, row, ())
    differences = [pair for name in definition.fields if (pair := _difference(pinned, definition, row, name))]
    return _page(pinned, definition, source, row, version=str(row.row_version), stale=stale.message.say(locale()), differences=differences), 409


def _difference(pinned: Current, definition: Entity, row: Any, name: str) -> tuple[str, str, str] | None:
    """(label, mine, theirs) where what was typed differs from what is stored now."""
    one = definition.fields[name]
    if one.type is FieldType.CHILD or name not in request.form or row.levels.get(name, FieldLevel.HIDDEN) < FieldLevel.WRITE:
        return None
    mine = ",".join(v for v in request.form.getlist(name)[-1:] if v)
    value = row.values.get(name)
    theirs = ",".join(map(str, value)) if isinstance(value, tuple) else as_text(one, value, pinned.zone)
    if mine.replace(",", "") == theirs.replace(",", ""):
        return None
    path = resolve(pinned, definition, name)
    return say(one.label), _words(pinned, definition, one, mine), cell(pinned, path, row).text if path else theirs


def _words(pinned: Current, definition: Entity, one: Field, typed: str) -> str:
    choices = pinned.catalog.choices.get(one.choices)
    if choices and typed in choices.items:
        return say(choices.items[typed].label)
    if one.type in LINK_TYPES and (number := whole(typed)) is not None:
        return _titles(pinned, definition, {one.name: number}).get(one.name, typed)
    return typed or "-"


def _page(pinned: Current, definition: Entity, source: Source, row: Any, *, version: str = "", stale: str = "", differences: Any = (), links: Any = ()) -> Any:
    g.menu_here = f"list:{definition.address}/main"
    source = _with_files(pinned, definition, source)
    parts = dressed(pinned, definition.address, sections(pinned, definition, source))
    if more := own_of(definition.address).section(pinned, source.purpose, source.problems):
        parts.append(more)
    known = {one.html for part in parts for one in part.fields}
    problems = [(p.message.say(locale()), _anchor(p.field, known), _label_of(definition, p.field)) for p in source.problems]
    title = row.title if row is not None else ""
    crumbs = [list_crumb(pinned, definition)]
    crumbs += [(title, record_url(definition.address, row.id)), (_words_of("form.edit"), "")] if row is not None else [(_words_of("form.new"), "")]
    rules = for_page(pinned, entity_rules(pinned, definition), _record_for_rules(pinned, definition, source, row), definition.fields)
    return render_page("form/page.html", entity=definition, row=row, sections=parts, problems=problems, links=links, crumbs=crumbs, stale=stale,
                           differences=differences,
                           version=version or (str(row.row_version) if row is not None else ""), key=request.form.get("_key") or secrets.token_hex(16),
                           rules=json.dumps(rules, ensure_ascii=False), next=request.args.get("next", ""),
                           back=record_url(definition.address, row.id) if row is not None else list_url(definition.address))


def _anchor(path: str, known: set[str]) -> str:
    top = path.split(".", 1)[0]
    return "f-" + path.replace(".", "-") if "." in path and top in known else ("f-" + top if top in known else "")


def _label_of(definition: Entity, path: str) -> str:
    one = definition.fields.get(path.split(".", 1)[0])
    return say(one.label) if one else ""


def _words_of(key: str) -> str:
    from metaloom.web.current import site
    from metaloom.web.i18n import translate

    return translate(site().templates, locale(), key)


# --------------------------------------------------------------------------------------------- where values come from


def _raw(pinned: Current, definition: Entity) -> dict[str, Any]:
    children = {f.name: pinned.catalog.entities[f.entity].fields for f in definition.fields.values() if f.type is FieldType.CHILD}
    return with_child_markers(raw_values(definition.fields, request.form, children), request.form, children)


def _levels_anywhere(pinned: Current, definition: Entity) -> dict[str, FieldLevel]:
    return {name: pinned.plan.field_level_anywhere(definition.address, name) for name in definition.fields}


def _source_of(pinned: Current, definition: Entity, row: Any) -> Source:
    return Source("edit", row.values, row.titles, row.levels, row.children)


def _sent_source(pinned: Current, definition: Entity, row: Any, problems: tuple[Problem, ...]) -> Source:
    titles = dict(row.titles) if row is not None else {}
    ids = {n: number for n, f in definition.fields.items() if f.type in LINK_TYPES and (number := whole(request.form.get(n, ""))) is not None}
    titles |= _titles(pinned, definition, ids) | _child_titles(pinned, definition)
    values = row.values if row is not None else default_values(pinned, definition)
    levels = row.levels if row is not None else _levels_anywhere(pinned, definition)
    return Source("edit" if row is not None else "create", values, titles, levels, row.children if row is not None else {}, request.form, problems)


def _titles(pinned: Current, definition: Entity, values: Mapping[str, Any]) -> dict[str, str]:
    """Words for the records that link values name, as far as the person may find them."""
    found = {}
    for name, value in values.items():
        one = definition.fields.get(name)
        if one is None or one.type not in LINK_TYPES or not isinstance(value, int):
            continue
        try:
            hits = pinned.reader.lookup(target_of(one), ids=[value], limit=1)
        except MetaloomError:
            continue
        found.update((name, hit.title) for hit in hits)
    return found


def _child_titles(pinned: Current, definition: Entity) -> dict[str, str]:
    """Words for links inside the rows of child grids that were sent."""
    found: dict[str, str] = {}
    for one in definition.fields.values():
        if one.type is not FieldType.CHILD:
            continue
        child = pinned.catalog.entities[one.entity]
        for index, row in enumerate(sent_rows(request.form, one.name)):
            ids = {n: number for n, f in child.fields.items() if f.type in LINK_TYPES and (number := whole(row.get(n, ""))) is not None}
            found |= {f"{one.name}.{index}.{n}={ids[n]}": title for n, title in _titles(pinned, child, ids).items()}
    return found


def _with_files(pinned: Current, definition: Entity, source: Source) -> Source:
    """Names and sizes of the files that stand in the form."""
    from dataclasses import replace

    from metaloom.web.file_page import file_facts

    ids: list[int] = []
    for one in definition.fields.values():
        if one.type in FILE_TYPES:
            ids += form_ids([part for sent in (source.sent.getlist(one.name) if source.sent else ()) for part in sent.split(",")])
            ids += list(source.values.get(one.name) or ())
    return replace(source, files=file_facts(pinned, ids)) if ids else source


def _record_for_rules(pinned: Current, definition: Entity, source: Source, row: Any) -> dict[str, Any]:
    """Values for the browser's rules: stored ones for what stands in no input, linked ones for what the rules follow."""
    rules = entity_rules(pinned, definition)
    record: dict[str, Any] = dict.fromkeys(
        (*definition.fields, "id", "company", "org_unit", "owner", "created_by", "created_at", "updated_by", "updated_at", "archived_at", "row_version"))
    for name, value in source.values.items():
        if "." not in name:
            record[name] = browser_value(value)
    for one in definition.fields.values():
        if one.type in LINK_TYPES:
            sent = whole(source.sent.get(one.name, "")) if source.sent is not None else None
            record[one.name] = linked_values(pinned, rules, one, sent if sent is not None else source.values.get(one.name))
        elif one.type is FieldType.CHILD:
            record[one.name] = [{n: browser_value(v) for n, v in r.values.items() if "." not in n} for r in source.children.get(one.name, ())]
    return record


# ------------------------------------------------------------------------------------------- asked while typing


@blueprint.get("/e/<entity>/linked/<name>")
def linked(entity: str, name: str) -> Any:
    """Values of the record that a link now names, for the rules of the form."""
    pinned = current()
    definition = pinned.entity(entity)
    one = definition.fields.get(name)
    if one is None or one.type not in LINK_TYPES:
        raise NotFound
    return json_answer(linked_values(pinned, entity_rules(pinned, definition), one, whole(request.args.get("id", ""))))


@blueprint.get("/capitals")
def capitals() -> Any:
    """The amount in Chinese capitals (大写)."""
    from decimal import Decimal, InvalidOperation

    from metaloom.base.money import in_capitals

    try:
        amount = Decimal(request.args.get("amount", "").replace(",", ""))
    except InvalidOperation:
        return json_answer({"words": ""})
    fits = amount.is_finite() and abs(amount) < Decimal("1e16")
    return json_answer({"words": in_capitals(amount) if fits else ""})
