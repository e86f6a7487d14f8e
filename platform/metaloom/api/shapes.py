"""JSON Schemas of values, rows and inputs, from the same field definitions that read and write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from metaloom.api.speech import locale, say
from metaloom.base.text import Text
from metaloom.expression import Node, parse
from metaloom.model import Catalog, Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES
from metaloom.record import implicit_fields, target_of
from metaloom.record.filters import TEXT_MAX
from metaloom.record.schema import accepts
from metaloom.record.values import EXACT, ID_MAX, INTEGER_MAX, LENGTHS, MULTI_MAX, TAG_LENGTH_MAX

Schema = dict[str, Any]
Level = Callable[[str], FieldLevel]
ID: Schema = {"type": "integer", "minimum": 1, "maximum": ID_MAX}
LINK: Schema = {"type": "object", "properties": {"id": ID, "title": {"type": ["string", "null"]}}, "required": ["id", "title"],
                "additionalProperties": False}
_DATE = {"type": "string", "format": "date", "example": "2026-01-31"}
_FORMATS: Mapping[FieldType, Schema] = {
    FieldType.DATE: _DATE, FieldType.DATETIME: {"type": "string", "format": "date-time", "example": "2026-01-31T01:30:00Z"},
    FieldType.TIME: {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]+)?)?$"}, FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.REGION: {"type": "string", "pattern": "^[1-9][0-9]{5}$"}, FieldType.COLOUR: {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
}


def row_schema(catalog: Catalog, entity: Entity, level: Level) -> Schema:
    """A record as it is shown: only fields that the person may see in some row. Which of them a row holds depends on the row."""
    properties: dict[str, Schema] = {"id": ID, "row_version": {"type": "integer", "minimum": 0}, "title": {"type": "string"}}
    for field in (*entity.fields.values(), *implicit_fields(entity)):
        if field.name not in properties and level(field.name) >= FieldLevel.MASKED:
            properties[field.name] = shown(catalog, field, entity, masked=may_be_masked(field, level(field.name)))
    properties["archived"] = {"type": "boolean"}
    return {"type": "object", "title": say(entity.label), "properties": properties, "required": ["id", "row_version", "title"]}


def may_be_masked(field: Field, best: FieldLevel) -> bool:
    """Whether some row may show the field under its mask."""
    return bool(field.mask) or field.encrypted or best is FieldLevel.MASKED


def shown(catalog: Catalog, field: Field, entity: Entity, *, masked: bool = False) -> Schema:
    """A value of an answer; every value may be null."""
    if field.type is FieldType.CHILD:
        return _child_rows(catalog, field)
    if field.type in LINK_TYPES:
        return _described(field, {"anyOf": [{"$ref": "#/components/schemas/Link"}, {"type": "null"}], "description": _leads_to(catalog, field)})
    if masked or field.type is FieldType.JSON:
        return _described(field, {} if field.type is FieldType.JSON else {"type": ["string", "null"]})
    return _described(field, nullable(_plain_shown(catalog, field, entity)))


def _leads_to(catalog: Catalog, field: Field) -> str:
    """Which entity a link leads to, and the path of the words for it: what ``fields``, ``include`` and conditions take."""
    target = catalog.entities.get(target_of(field))
    return f"→ {target.address} ({field.name}.{target.title})" if target is not None else ""


def _child_rows(catalog: Catalog, field: Field) -> Schema:
    child = catalog.entities[field.entity]
    row = row_schema(catalog, child, lambda _: FieldLevel.READ)
    return _described(field, {"type": "array", "items": row})


def _plain_shown(catalog: Catalog, field: Field, entity: Entity) -> Schema:
    if field.type in EXACT_TYPES:
        return {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    if field.type is FieldType.INTEGER:
        return {"type": "integer"}
    if field.type is FieldType.CHOICE:
        return {"type": "string", "enum": _codes(catalog, field)}
    if field.type is FieldType.STATE:
        lifecycle = catalog.lifecycles.get(entity.address)
        return {"type": "string", "enum": list(lifecycle.states)} if lifecycle else {"type": "string"}
    if field.type is FieldType.MULTI_CHOICE:
        return {"type": "array", "items": {"type": "string", "enum": _codes(catalog, field)}}
    if field.type is FieldType.TAGS:
        return {"type": "array", "items": {"type": "string"}}
    if field.type in FILE_TYPES:
        return {"type": "array", "items": ID}
    return dict(_FORMATS.get(field.type, {"type": "string"}))


def filter_schema(catalog: Catalog, field: Field, entity: Entity, offered: Sequence[str]) -> Schema:
    """The conditions of one field in the query string, one property each: ``amount`` (equals), ``amount__ge``, …"""
    return {"type": "object", "properties": {
        field.name if op == "eq" else f"{field.name}__{op}": _compared(catalog, field, entity, op) for op in offered}}


def _compared(catalog: Catalog, field: Field, entity: Entity, op: str) -> Schema:
    fixed = {"empty": {"type": "boolean"}, "between": {"type": "string", "pattern": "^[^,]*,[^,]*$"}, "in": {"type": "string"},
             "not_in": {"type": "string"}, "last4": {"type": "string", "minLength": 4, "maxLength": 4}}
    if op in fixed:
        return fixed[op]
    if op in ("contains", "prefix"):
        return {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
    if field.type is FieldType.USER:
        return {"type": ["integer", "string"]}
    if field.type is FieldType.INTEGER or field.type in LINK_TYPES:
        return {"type": "integer"}
    if field.type in (FieldType.BOOLEAN, FieldType.CHOICE, FieldType.STATE):
        return _plain_shown(catalog, field, entity)
    return {"type": "string", "format": "date"} if field.type is FieldType.DATE else {"type": "string"}


def input_schema_of(catalog: Catalog, entity: Entity, purpose: str, level: Level) -> Schema:
    """What may be sent to create a record, or to change one (then nothing is required)."""
    fields = [f for f in entity.fields.values() if accepts(entity, f, purpose) and level(f.name) >= FieldLevel.WRITE]
    filled = {target for f in fields for target in f.fill}
    return object_of(catalog, entity, fields, required=[
        f.name for f in fields if purpose == "create" and f.required and not f.default and f.name not in filled])


def action_input(catalog: Catalog, entity: Entity | None, fields: Mapping[str, Field], *, asks_reason: bool) -> Schema:
    """The body of an action: its input, and the reason where it wants one."""
    required = [f.name for f in fields.values() if f.required and not f.default]
    given = object_of(catalog, entity, list(fields.values()), required=required)
    needed = [*(["input"] if required else []), *(["reason"] if asks_reason else [])]
    reason = {"type": "string", "maxLength": 2000, **({"minLength": 1} if asks_reason else {})}
    return {"type": "object", "properties": {"input": given, "reason": reason}, "additionalProperties": False,
            **({"required": needed} if needed else {})}


def object_of(catalog: Catalog, entity: Entity | None, fields: list[Field], *, required: list[str]) -> Schema:
    names = frozenset(f.name for f in fields)
    properties = {f.name: _described(f, taken(catalog, f, optional=f.name not in required), _conditions(f, names)) for f in fields}
    return {"type": "object", "properties": properties, "additionalProperties": False, **({"required": required} if required else {})}


REQUIRED_WHEN, REQUIRED_AT_TIMES = Text("须填，当：{when}", "required when {when}"), Text("在某些条件下须填", "required under conditions")
TAKEN_WHEN, TAKEN_AT_TIMES = Text("仅当此条件成立时可填：{when}", "taken only when {when}"), Text("仅在某些条件下可填", "taken only under conditions")


def _conditions(field: Field, names: frozenset[str]) -> tuple[str, ...]:
    """When the field is required or taken at all. The condition itself is told where it speaks of the other inputs alone: what else it reads
    may be hidden from the person."""
    told = []
    for when, exact, at_times in ((field.required_when, REQUIRED_WHEN, REQUIRED_AT_TIMES), (field.visible_when, TAKEN_WHEN, TAKEN_AT_TIMES)):
        if when:
            told.append(exact.say(locale()).format(when=when) if _read(parse(when)) <= names else at_times.say(locale()))
    return tuple(told)


def _read(node: Node) -> set[str]:
    """The names that an expression reads, each up to its first dot; ``input`` is no name of its own."""
    own = {next((part for part in node.value if part != "input"), "")} if node.kind == "name" else set()
    return own.union(*map(_read, node.args))


def taken(catalog: Catalog, field: Field, *, optional: bool) -> Schema:
    """A value of a request."""
    if field.type is FieldType.CHILD:
        child = catalog.entities[field.entity]
        parent = field.parent_field or child.parent_field
        fields = [f for f in child.fields.values() if f.name != parent and f.type is not FieldType.CHILD and accepts(child, f, "create")]
        row = object_of(catalog, child, fields, required=[f.name for f in fields if f.required and not f.default])
        row["properties"] |= {"id": ID, "row_version": {"type": "integer", "minimum": 1}}
        return {"type": "array", "items": row, "maxItems": 500}
    plain = _plain_taken(catalog, field)
    return nullable(plain) if optional else plain


def _plain_taken(catalog: Catalog, field: Field) -> Schema:
    if field.type in EXACT_TYPES:
        return _exact_taken(field)
    if field.type is FieldType.INTEGER:
        return {"type": "integer", "minimum": _bound(field.min, -INTEGER_MAX), "maximum": _bound(field.max, INTEGER_MAX)}
    if field.type in LINK_TYPES:
        return {**ID, "description": f"id: {target_of(field)}"}
    if field.type is FieldType.CHOICE:
        return {"type": "string", "enum": _codes(catalog, field, offered=True), **_meant(catalog, field)}
    if field.type is FieldType.MULTI_CHOICE:
        return {"type": "array", "items": {"type": "string", "enum": _codes(catalog, field, offered=True)}, "maxItems": MULTI_MAX}
    if field.type is FieldType.TAGS:
        return {"type": ["array", "string"], "items": {"type": "string", "minLength": 1, "maxLength": TAG_LENGTH_MAX}, "maxItems": MULTI_MAX,
                "description": "also one text: a,b,c"}
    if field.type in FILE_TYPES:
        return {"type": "array", "items": ID, "maxItems": 50 if field.multiple else 1}
    if field.type is FieldType.JSON:
        return {}
    return _text_taken(field)


def _text_taken(field: Field) -> Schema:
    found = dict(_FORMATS.get(field.type, {"type": "string", "maxLength": field.length or LENGTHS.get(field.type, 200)}))
    if field.required and found.get("type") == "string" and "pattern" not in found and "format" not in found:
        found["minLength"] = 1
    return found


def _exact_taken(field: Field) -> Schema:
    """An amount is text (or a JSON number); how many places it may have is said by the pattern."""
    precision, scale = EXACT[field.type]
    whole = (field.precision or precision) - (scale if field.scale is None else field.scale)
    places = scale if field.scale is None else field.scale
    text: Schema = {"type": "string", "pattern": rf"^-?[0-9]{{1,{whole}}}(\.[0-9]{{1,{places}}})?$" if places else rf"^-?[0-9]{{1,{whole}}}$"}
    said = [f"≥ {field.min}" if field.min is not None else "", f"≤ {field.max}" if field.max is not None else ""]
    return {**text, **({"description": " ".join(filter(None, said))} if any(said) else {})}


def _bound(limit: Decimal | None, otherwise: int) -> int:
    return otherwise if limit is None else int(limit)


def _codes(catalog: Catalog, field: Field, *, offered: bool = False) -> list[str]:
    choices = catalog.choices.get(field.choices)
    return [c.code for c in choices.items.values() if not (offered and c.hidden)] if choices else []


def _meant(catalog: Catalog, field: Field) -> Schema:
    """What choices mean, where that is said of them."""
    choices = catalog.choices.get(field.choices)
    said = [f"{c.code}: {say(c.help)}" for c in choices.items.values() if c.help and not c.hidden] if choices else []
    return {"description": " · ".join(said)} if said else {}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if "type" not in schema:
        return schema
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return {**schema, "type": [*kinds, "null"], **({"enum": [*schema["enum"], None]} if "enum" in schema else {})}


def _described(field: Field, schema: Schema, conditions: tuple[str, ...] = ()) -> Schema:
    words = [say(field.label), say(field.help), schema.get("description"), *conditions]
    return {**schema, "description": " · ".join(w for w in words if w)}
