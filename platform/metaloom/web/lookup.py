"""Candidates for a link, and the global search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request

from metaloom.base.errors import MetaloomError
from metaloom.compile import link_filter_scope
from metaloom.expression import BOOL, compile
from metaloom.model import Entity, FieldType
from metaloom.model.entity import EXACT_TYPES
from metaloom.record.paths import target_of
from metaloom.record.values import BadValue, Reading, read
from metaloom.web.action_page import filtered_by
from metaloom.web.current import Current, current, say
from metaloom.web.frame import json_answer, record_url
from metaloom.web.words import whole

blueprint = Blueprint("lookup", __name__)
LOOKUP_MAX = 20
SEARCH_ENTITIES, SEARCH_EACH = 12, 4
TEXT_MAX = 60


@blueprint.get("/lookup/<entity>")
def lookup(entity: str) -> Any:
    """``{items: [{id, title, subtitle}]}`` of the records a link may name; ``for`` and ``field`` apply the field's filter, in the dialog of the
    action ``ask`` on the record ``of``."""
    pinned = current()
    pinned.entity(entity)
    text = request.args.get("q", "").strip()[:TEXT_MAX]
    condition, source, record = _filter(pinned, entity)
    hits = pinned.reader.lookup(entity, text, LOOKUP_MAX, condition, for_entity=source, record=record)
    return json_answer({"items": [{"id": str(hit.id), "title": hit.title, "subtitle": hit.subtitle} for hit in hits]})


def _filter(pinned: Current, target: str) -> tuple[str, str, Mapping[str, Any]]:
    """The filter of the link field that asks, with the values of its form, or of the record that an action is about, as ``record.x``."""
    source, name = request.args.get("for", ""), request.args.get("field", "")
    entity = pinned.catalog.entities.get(source)
    if entity is not None and (action := request.args.get("ask")):
        filter, record = filtered_by(pinned, source, action, name, target, whole(request.args.get("of", "")))
        return (filter, source, {**record, **_linked(pinned, entity, target, filter, record)}) if filter else ("", "", {})
    field = entity.fields.get(name) if entity else None
    if entity is None or field is None or not field.filter or target_of(field) != target:
        return "", "", {}
    record = _record(pinned, entity)
    return field.filter, source, {**record, **_linked(pinned, entity, target, field.filter, record)}


def _linked(pinned: Current, entity: Entity, target: str, filter: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """What the filter reads behind the links of the form (``record.limit.customer``), as far as the person may read it."""
    paths = compile(filter, link_filter_scope(pinned.catalog, entity.address, target), BOOL).paths
    deeper: dict[str, list[str]] = {}
    for path in paths:
        if len(path) > 2 and path[0] == "record" and path[1] in entity.fields and isinstance(record.get(path[1]), int):
            deeper.setdefault(path[1], []).append(".".join(path[2:]))
    found: dict[str, Any] = {}
    for name, behind in deeper.items():
        try:
            row = pinned.reader.get(target_of(entity.fields[name]), record[name], paths=behind, children=False)
        except MetaloomError:
            continue
        found[name] = {"id": record[name], **{path: row.values.get(path) for path in behind}}
    return found


def _record(pinned: Current, entity: Entity) -> dict[str, Any]:
    """The values of the form so far, as far as they can be read; the rest is null."""
    how = Reading(pinned.catalog.choices, pinned.zone, bounds=False)
    found: dict[str, Any] = dict.fromkeys(entity.fields)
    for name, field in entity.fields.items():
        raw = request.args.get(f"r.{name}", "")[:300]
        if not raw or field.type is FieldType.CHILD:
            continue
        try:
            found[name] = read(field, raw.replace(",", "") if field.type in EXACT_TYPES else raw, how)
        except BadValue:
            continue
    return found


@dataclass(frozen=True)
class Hits:
    label: str
    icon: str
    items: tuple[tuple[str, str, str], ...]


@blueprint.get("/search")
def search() -> Any:
    """Records of every list in the menu whose name, number, pinyin or phone tail matches."""
    pinned = current()
    text = request.args.get("q", "").strip()[:TEXT_MAX]
    groups = [hits for entity in _searched(pinned) if (hits := _hits(pinned, entity, text))] if text else []
    return render_template("parts/search_results.html", groups=groups, q=text)


def _searched(pinned: Current) -> list[Entity]:
    """Entities with a list in the menu that the person may read, in menu order."""
    names = [item.list.partition("/")[0] for menu in sorted(pinned.catalog.menus.values(), key=lambda m: m.order) for item in menu.items.values()]
    found = [pinned.catalog.entities[name] for name in dict.fromkeys(names) if name in pinned.catalog.entities]
    return [e for e in found if pinned.plan.may(e.address, "list") and pinned.plan.may(e.address, "read")][:SEARCH_ENTITIES]


def _hits(pinned: Current, entity: Entity, text: str) -> Hits | None:
    try:
        found = pinned.reader.lookup(entity.address, text, SEARCH_EACH)
    except MetaloomError:
        return None
    items = tuple((record_url(entity.address, hit.id), hit.title, hit.subtitle) for hit in found)
    return Hits(say(entity.label), entity.icon or "file-text", items) if items else None


