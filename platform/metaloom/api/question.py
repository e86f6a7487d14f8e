"""The query string of a list, read strictly: an unknown parameter is refused, a repeated one too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import request

from metaloom.api.body import parse, refused
from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.model import Catalog, Column, Entity, ListView
from metaloom.record import Filter, UnknownPath, implicit_fields, path

LIMIT_MAX, LIMIT = 200, 20
LIST_KEYS = ("list", "tab", "filter", "q", "sort", "cursor", "page", "limit", "fields", "include", "count", "totals", "archived")
RELATED_KEYS = ("list", "filter", "q", "sort", "cursor", "page", "limit", "fields", "include", "archived")
EXPORT_KEYS = ("list", "tab", "filter", "q", "sort", "fields", "include", "archived", "format")
ALIASES = {"gte": "ge", "lte": "le"}
OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "between", "in", "not_in", "contains", "prefix", "empty", "last4")


@dataclass(frozen=True)
class Question:
    """What a list was asked: arguments for the reader, and what shall come beside the rows."""

    asked: Mapping[str, Any]                # view, filters, q, tab, archived: what rows
    columns: Sequence[str] | None           # None: every field of the entity that the reader may see
    sort: tuple[str, ...] = ()
    cursor: str | None = None
    page: int | None = None
    limit: int = LIMIT
    count: bool = False
    totals: tuple[str, ...] = ()


def read_question(revision: Any, entity: Entity, known: Sequence[str] = LIST_KEYS, *, view: ListView | None = None) -> Question:
    """The question of this request. A parameter that is no keyword is a filter: ``status=open``, ``amount__ge=100``."""
    given = single_parameters()
    own = {key: value for key, value in given.items() if key in known}
    filters = _filters(given, own, known)
    view = _with_columns(revision, view or _view(revision.catalog, entity, own.get("list")), entity, _names(own.get("include")))
    if own.get("tab") and (view is None or own["tab"] not in view.tabs):
        raise refused("tab", message("api.unknown_tab", name=own["tab"][:40]))
    if own.get("cursor") and own.get("page"):
        raise refused("page", message("api.page_and_cursor"))
    asked = {"view": view, "filters": filters, "q": own.get("q") or None, "tab": own.get("tab") or None,
             "archived": flag(own, "archived")}
    fields = _names(own.get("fields"))
    return Question(
        asked, (*fields, *_names(own.get("include"))) if fields else None, _names(own.get("sort")), own.get("cursor") or None,
        number(own, "page", 1, 10**6) if own.get("page") else None,
        number(own, "limit", 1, LIMIT_MAX) if own.get("limit") else LIMIT, flag(own, "count"), _names(own.get("totals")),
    )


def single_parameters() -> dict[str, str]:
    """The query string as a map; Invalid for parameters that stand twice or hold what no text may hold."""
    problems, found = [], {}
    for key in request.args:
        values = request.args.getlist(key)
        if len(values) > 1:
            problems.append(Problem(key[:120], message("api.repeated", name=key[:60])))
        elif any("\x00" in part or "\ufffd" in part or any("\ud800" <= c <= "\udfff" for c in part) for part in (key, values[0])):
            problems.append(Problem("", message("record.bad_characters")))
        found[key] = values[0]
    if problems:
        raise Invalid(problems)
    return found


def no_other_parameters(known: Iterable[str] = ()) -> dict[str, str]:
    """The query string where only ``known`` parameters mean anything."""
    given = single_parameters()
    unknown = [key for key in given if key not in frozenset(known)]
    if unknown:
        raise Invalid([Problem(key[:120], message("api.unknown_key")) for key in unknown])
    return given


def number(given: Mapping[str, str], key: str, low: int, high: int) -> int:
    """A whole number between two bounds, in plain ASCII digits."""
    text = given[key]
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise refused(key, message("api.not_number"))
    if not low <= int(text) <= high:
        raise refused(key, message("api.page_size", limit=high))
    return int(text)


def flag(given: Mapping[str, str], key: str) -> bool:
    """``true`` or ``false``; absent is false."""
    text = given.get(key, "false")
    if text not in ("true", "false"):
        raise refused(key, message("api.not_flag"))
    return text == "true"


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip())) if text else ()


def _filters(given: Mapping[str, str], own: Mapping[str, str], known: Sequence[str]) -> list[Filter]:
    filters = [_simple(key, value) for key, value in given.items() if key not in known]
    if "filter" in own and own["filter"]:
        filters += _written(parse(own["filter"]))
    return filters


def _simple(key: str, value: str) -> Filter:
    path, separator, op = key.partition("__")
    op = ALIASES.get(op, op) if separator else "eq"
    return Filter(path, op, value)


def _written(value: Any) -> list[Filter]:
    """The ``filter`` parameter: a JSON list of ``{path, op, value}``."""
    if not isinstance(value, list):
        raise refused("filter", message("api.not_filter"))
    found = []
    for item in value:
        if not isinstance(item, dict) or not set(item) <= {"path", "op", "value"} or not isinstance(item.get("path"), str):
            raise refused("filter", message("api.not_filter"))
        op = item.get("op", "eq")
        if not isinstance(op, str) or isinstance(item.get("value"), dict):
            raise refused("filter", message("api.not_filter"))
        found.append(Filter(item["path"], ALIASES.get(op, op), item.get("value")))
    return found


def _view(catalog: Catalog, entity: Entity, name: str | None) -> ListView | None:
    found = catalog.lists.get(f"{entity.address}/{name or 'main'}")
    if found is None and name and name != "main":
        raise refused("list", message("api.unknown_list", name=name[:40]))
    return found


def _with_columns(revision: Any, view: ListView | None, entity: Entity, included: Sequence[str]) -> ListView:
    """The list with every field of the entity as a column: an interface shows records, not a screen's choice of them."""
    view = view or ListView(f"{entity.address}/list/main", entity.address, "main", None, {})
    for text in included:
        _known(revision, entity, text)
    names = [*(f.name for f in entity.fields.values() if f.stored), *(f.name for f in implicit_fields(entity)), *included]
    columns = {name: Column(name, view.columns[name].label if name in view.columns else None)
               for name in names if name not in ("id", "row_version")}
    return replace(view, columns=columns)


def _known(revision: Any, entity: Entity, text: str) -> None:
    """Refuses a path that the catalog does not know; one that the reader may not see is left out of the answer."""
    try:
        path(revision, entity.address, text)
    except UnknownPath:
        raise refused("include", message("api.unknown_field", name=text[:60])) from None
