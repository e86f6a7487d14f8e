"""Fields: attributes that mean something for their type, do not contradict each other, and can be kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from metaloom import expression as ex
from metaloom.compile.checks.look import NUMBERS, TEXTUAL, follow, say
from metaloom.compile.context import Context, expression
from metaloom.compile.node import Node
from metaloom.compile.scope import entity_scope
from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import FILE_TYPES, LINK_TYPES

_T = FieldType
_WORDS = frozenset({_T.TEXT, _T.LONG_TEXT, _T.RICH_TEXT})
LINE_MAX = 4000
_ENCRYPTABLE = TEXTUAL - {_T.AUTO_NUMBER, _T.RICH_TEXT, _T.REGION, _T.COLOUR, _T.URL}
FITTING: Mapping[str, frozenset[FieldType]] = {
    "length": _WORDS | {_T.EMAIL, _T.URL, _T.PHONE},
    "min": NUMBERS, "max": NUMBERS,
    "pattern": TEXTUAL - {_T.AUTO_NUMBER}, "pattern_message": TEXTUAL - {_T.AUTO_NUMBER},
    "precision": frozenset({_T.DECIMAL, _T.MONEY, _T.RATE}), "scale": frozenset({_T.DECIMAL, _T.RATE}),
    "currency": frozenset({_T.MONEY}), "in_capitals": frozenset({_T.MONEY}),
    "choices": frozenset({_T.CHOICE, _T.MULTI_CHOICE}), "choices_in": frozenset({_T.CHOICE, _T.MULTI_CHOICE}),
    "entity": frozenset({_T.LINK, _T.CHILD}), "filter": LINK_TYPES, "parent_field": frozenset({_T.CHILD}),
    "series": frozenset({_T.AUTO_NUMBER}),
    "mask": TEXTUAL, "encrypted": _ENCRYPTABLE, "search": TEXTUAL, "pinyin": _WORDS,
    "multiple": frozenset({_T.ATTACHMENT, _T.IMAGE}), "accept": frozenset({_T.ATTACHMENT, _T.IMAGE}),
    "unique": frozenset(_T) - FILE_TYPES - {_T.CHILD, _T.JSON, _T.MULTI_CHOICE, _T.TAGS, _T.BOOLEAN, _T.LONG_TEXT, _T.RICH_TEXT, _T.STATE},
    "default": frozenset(_T) - {_T.CHILD, _T.STATE, _T.AUTO_NUMBER, _T.JSON},
    "computed": frozenset(_T) - FILE_TYPES - {_T.CHILD, _T.STATE, _T.AUTO_NUMBER, _T.JSON},
    "required": frozenset(_T) - {_T.STATE, _T.AUTO_NUMBER}, "required_when": frozenset(_T) - {_T.STATE, _T.AUTO_NUMBER},
    "fixed": frozenset(_T) - {_T.STATE, _T.AUTO_NUMBER}, "fill": frozenset(_T) - {_T.CHILD, _T.JSON},
}
NEEDED: Mapping[FieldType, tuple[str, ...]] = {
    _T.CHOICE: ("choices",), _T.MULTI_CHOICE: ("choices",), _T.LINK: ("entity",), _T.CHILD: ("entity",), _T.AUTO_NUMBER: ("series",)}
CONTRADICTIONS = (("computed", "default"), ("computed", "required"), ("computed", "fixed"), ("computed", "fill"), ("computed", "read_only_when"),
                  ("read_only", "fixed"), ("read_only", "read_only_when"), ("required", "required_when"), ("encrypted", "computed"))


def all_fields(catalog: Catalog, context: Context) -> Iterator[tuple[Field, Node]]:
    """Every field of an entity and every input of an action with what was written."""
    for entity in catalog.entities.values():
        written = context.effective.entities[entity.address].kinds["entity"].value["fields"]
        for name, field in entity.fields.items():
            yield field, written.value[name]
    for action in catalog.actions.values():
        document = context.effective.entities[action.entity].kinds["actions"].value[action.name]
        for name, field in action.input.fields.items():
            yield field, document.value["input"].value[name]


def attributes_fit_the_type(catalog: Catalog, context: Context) -> None:
    """An attribute that means nothing for the type would be silently inert; one that the type needs must be there."""
    for field, node in all_fields(catalog, context):
        for key, attribute in node.items():
            fitting = FITTING.get(key)
            if fitting is not None and field.type not in fitting and attribute.value is not False:
                say(context, "ML-FIELD-001", attribute.key, field.address, key=key, type=field.type)
        for key in NEEDED.get(field.type, ()):
            if key not in node.value:
                say(context, "ML-FIELD-002", node.key, field.address, key=key, type=field.type)


def attributes_do_not_contradict(catalog: Catalog, context: Context) -> None:
    """Pairs that cannot both be meant, and bounds that leave no value."""
    for field, node in all_fields(catalog, context):
        on = {k for k, n in node.items() if n.value is not False}
        for first, second in CONTRADICTIONS:
            if first in on and second in on:
                say(context, "ML-FIELD-003", node.value[second].key, field.address, first=first, second=second)
        if field.min is not None and field.max is not None and field.min > field.max:
            say(context, "ML-FIELD-004", node.value["min"].position, field.address, low=field.min, high=field.max)
        if field.precision is not None and field.scale is not None and field.scale > field.precision:
            say(context, "ML-FIELD-005", node.value["scale"].position, field.address, scale=field.scale, precision=field.precision)
        if field.type is _T.INTEGER and any(v is not None and v != v.to_integral_value() for v in (field.min, field.max)):
            say(context, "ML-FIELD-009", node.value["min" if "min" in on else "max"].position, field.address)
        if field.length is not None and field.length > LINE_MAX and field.type is not _T.LONG_TEXT:
            say(context, "ML-FIELD-006", node.value["length"].position, field.address, what=f"length: {field.length}", why="is no long_text",
                hint=f"at most {LINE_MAX}, or use long_text")
        if field.pattern_message is not None and not field.pattern:
            say(context, "ML-FIELD-002", node.value["pattern_message"].key, field.address, key="pattern", type="pattern_message")


def search_fits_storage(catalog: Catalog, context: Context) -> None:
    """Cipher text has no order and no parts: only ``exact`` and ``last4`` can search it; a masked name has no pinyin (decision 14)."""
    for field, node in all_fields(catalog, context):
        if field.encrypted and field.search in ("contains", "prefix"):
            say(context, "ML-FIELD-006", node.value["search"].position, field.address, what=f"search: {field.search}", why="is stored encrypted",
                hint="write search: exact or last4")
        if field.pinyin and (field.encrypted or field.mask):
            say(context, "ML-FIELD-006", node.value["pinyin"].key, field.address, what="pinyin", why="is masked or stored encrypted")
        if field.mask and not field.encrypted and field.search in ("contains", "prefix"):
            say(context, "ML-FIELD-006", node.value["search"].position, field.address, what=f"search: {field.search}", why="is masked",
                hint="write search: exact or last4")


_NESTED_REPEAT = re.compile(r"\((?:[^()\\]|\\.)*[+*}](?:[^()\\]|\\.)*\)[+*{]")


def patterns_are_safe(catalog: Catalog, context: Context) -> None:
    """A pattern compiles and holds no repetition of a repetition, which could run for hours on a short text."""
    for field, node in all_fields(catalog, context):
        if not field.pattern:
            continue
        where = node.value["pattern"].position
        try:
            re.compile(field.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            say(context, "ML-FIELD-007", where, field.address, why=str(error))
            continue
        if _NESTED_REPEAT.search(field.pattern) or re.search(r"\\[1-9]|\(\?", field.pattern.replace("(?:", "(")):
            say(context, "ML-FIELD-007", where, field.address, why="repetition of a repetition, look-around and back references are not allowed")


def computed_values_form_no_circle(catalog: Catalog, context: Context) -> None:
    """Computed fields of a record and of its children can be put in an order."""
    graph = {key: tuple(_reads(catalog, context, *key)) for entity in catalog.entities.values()
             for key in ((entity.address, f.name) for f in entity.fields.values() if f.computed)}
    done: set[tuple[str, str]] = set()
    for start in graph:
        if circle := _circle(graph, start, (), done):
            entity, name = circle[0]
            field = catalog.entities[entity].fields[name]
            say(context, "ML-FIELD-008", field.position, field.address, cycle=" → ".join(f"{e.partition('.')[2]}.{n}" for e, n in circle))


def _circle(graph: dict[tuple[str, str], tuple[tuple[str, str], ...]], key: tuple[str, str], path: tuple[tuple[str, str], ...],
            done: set[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    if key in path:
        return (*path[path.index(key):], key)
    if key in done:
        return ()
    done.add(key)
    for other in graph[key]:
        if other in graph and (found := _circle(graph, other, (*path, key), done)):
            return found
    return ()


def _reads(catalog: Catalog, context: Context, address: str, name: str) -> Iterator[tuple[str, str]]:
    """Fields of the same record, its parent or its children that a computed field reads."""
    entity = catalog.entities[address]
    scope = entity_scope(catalog, address)
    node = context.effective.entities[address].kinds["entity"].value["fields"].value[name].value["computed"]
    try:
        checked = ex.compile(expression(node), scope, None, frozenset({ex.PYTHON}))
    except ex.ExpressionError:
        return  # already reported
    for path in checked.paths:
        if len(path) == 1:
            yield address, path[0]
        elif len(path) == 2:
            yield from _one_step(catalog, entity, path)


def _one_step(catalog: Catalog, entity: Entity, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    first = entity.fields.get(path[0])
    if first is not None and first.type is _T.CHILD:
        yield first.entity, path[1]
    elif path[0] == entity.parent_field and entity.child_of:
        holder, _, wrong = follow(catalog, entity, ".".join(path))
        if not wrong:
            yield holder.address, path[1]
