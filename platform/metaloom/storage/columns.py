"""From an entity of the catalog to the columns of its table: the one place that knows which field has which columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import EXACT_TYPES, LINK_TYPES, LIST_TYPES
from metaloom.storage.types import BigInt, ExactDecimal, Flag, IsoDate, JsonText, LongText, ShortText, Time, UtcDateTime

NAME_BYTES_MAX = 60
COMPANY, ORG_UNIT, USER = "platform.company", "platform.org_unit", "platform.user"
USER_TABLE = "ab_user"

_LENGTHS = {
    FieldType.TEXT: 200, FieldType.CHOICE: 60, FieldType.STATE: 60, FieldType.AUTO_NUMBER: 60, FieldType.REGION: 12,
    FieldType.PHONE: 30, FieldType.EMAIL: 200, FieldType.ID_CARD: 20, FieldType.BANK_CARD: 30, FieldType.CREDIT_CODE: 20,
    FieldType.COLOUR: 20, FieldType.URL: 500,
}  # fmt: skip
_EXACT = {FieldType.DECIMAL: (18, 4), FieldType.MONEY: (18, 2), FieldType.RATE: (18, 8)}
_PLAIN = {
    FieldType.LONG_TEXT: "long_text", FieldType.RICH_TEXT: "long_text", FieldType.INTEGER: "integer", FieldType.DATE: "date",
    FieldType.DATETIME: "datetime", FieldType.TIME: "time", FieldType.BOOLEAN: "boolean", FieldType.JSON: "json",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnSpec:
    """What a column holds. ``kind``: text | long_text | integer | exact | date | datetime | time | boolean | json.

    ``references``: table whose ``id`` it points to; ``cascade``: the row goes with the row it points to.
    ``field``: the field it belongs to ('' for reserved columns); ``origin``: address under which secrets were encrypted.
    """

    name: str
    kind: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    references: str = ""
    cascade: bool = False
    field: str = ""
    origin: str = ""

    def sa_type(self) -> TypeEngine[Any]:
        """The SQLAlchemy type."""
        if self.kind == "text":
            return ShortText(self.length)
        if self.kind == "exact":
            return ExactDecimal(self.precision, self.scale)
        return _TYPES[self.kind]()


_TYPES = {
    "long_text": LongText, "integer": BigInt, "date": IsoDate, "datetime": UtcDateTime, "time": Time, "boolean": Flag,
    "json": JsonText,
}  # fmt: skip


def table_name(entity: Entity) -> str:
    """The entity's table; at most 60 bytes."""
    return entity.table or short_name(f"{entity.pack}__{entity.name}")


def short_name(name: str) -> str:
    """``name``, or for one that is too long its beginning and a fingerprint of the whole."""
    if len(name.encode()) <= NAME_BYTES_MAX:
        return name
    return f"{name[: NAME_BYTES_MAX - 9]}_{sha256(name.encode()).hexdigest()[:8]}"


def columns_of(catalog: Catalog, entity: Entity) -> tuple[ColumnSpec, ...]:
    """Every column of the entity's table in the order of creation; for engine storage only the fields' columns."""
    reserved = () if entity.storage == "engine" else (
        *RESERVED, *_owner_columns(catalog, entity), *((ColumnSpec("archived_at", "datetime"),) if entity.archivable else ()),
    )  # fmt: skip
    of_fields = (spec for field in entity.fields.values() for spec in field_columns(catalog, entity, field))
    by_name: dict[str, ColumnSpec] = {}
    for spec in (*reserved, *of_fields):
        by_name.setdefault(spec.name, spec)
    return tuple(by_name.values())


RESERVED = (
    ColumnSpec("id", "integer", required=True),
    ColumnSpec("row_version", "integer", required=True),
    ColumnSpec("created_at", "datetime", required=True),
    ColumnSpec("created_by", "integer"),
    ColumnSpec("updated_at", "datetime", required=True),
    ColumnSpec("updated_by", "integer"),
)


def _owner_columns(catalog: Catalog, entity: Entity) -> Iterator[ColumnSpec]:
    owned = entity.ownership.owned_by
    if "company" in owned:
        yield ColumnSpec("company_id", "integer", references=target_table(catalog, COMPANY))
    if "org_unit" in owned:
        yield ColumnSpec("org_unit_id", "integer", references=target_table(catalog, ORG_UNIT))
    if "user" in owned:
        yield ColumnSpec("owner_id", "integer", references=USER_TABLE)


def target_table(catalog: Catalog, address: str) -> str:
    """The table of another entity; '' when the catalog has none (then there is no foreign key)."""
    if address == USER:
        return USER_TABLE
    found = catalog.entities.get(address)
    return table_name(found) if found is not None else ""


def field_columns(catalog: Catalog, entity: Entity, field: Field) -> Iterator[ColumnSpec]:
    """The field's own column and its companions (blind indexes, pinyin)."""
    if not field.stored:
        return
    if not field.encrypted:
        yield _plain_column(catalog, entity, field)
    else:
        yield ColumnSpec(field.name, "long_text", field=field.name, origin=field.address or f"{entity.address}/field/{field.name}")
        if has_blind_index(entity, field):
            yield ColumnSpec(f"{field.name}__bx", "text", length=64, field=field.name)
        if field.search == "last4":
            yield ColumnSpec(f"{field.name}__l4", "text", length=64, field=field.name)
    if field.pinyin:
        yield ColumnSpec(f"{field.name}__py", "text", length=500, field=field.name)


def has_blind_index(entity: Entity, field: Field) -> bool:
    """Whether equality must be answered without decrypting."""
    in_rule = any(field.name in rule.fields for rule in entity.unique.values()) or field.name in entity.natural_key
    return field.encrypted and (field.unique or in_rule or field.search in ("exact", "last4"))


def _plain_column(catalog: Catalog, entity: Entity, field: Field) -> ColumnSpec:
    if field.type in LINK_TYPES:
        target = {FieldType.USER: USER, FieldType.ORG_UNIT: ORG_UNIT, FieldType.COMPANY: COMPANY}.get(field.type, field.entity)
        return ColumnSpec(
            field.column, "integer", references=target_table(catalog, target), field=field.name,
            cascade=bool(entity.child_of) and field.name == entity.parent_field,
        )  # fmt: skip
    if field.type in LIST_TYPES:
        return ColumnSpec(field.column, "json", field=field.name)
    if field.type in EXACT_TYPES:
        precision, scale = _EXACT[field.type]
        return ColumnSpec(
            field.column, "exact", precision=field.precision or precision,
            scale=scale if field.scale is None else field.scale, field=field.name,
        )  # fmt: skip
    if field.type in _LENGTHS:
        return ColumnSpec(field.column, "text", length=field.length or _LENGTHS[field.type], field=field.name)
    return ColumnSpec(field.column, _PLAIN[field.type], field=field.name)


def key_column(field: Field) -> str:
    """The column on which equality of the field is decided."""
    return f"{field.name}__bx" if field.encrypted else field.column


def sa_column(spec: ColumnSpec) -> sa.Column[object]:
    """The column as queries see it (foreign keys are in the database, not here: queries name their joins)."""
    if spec.name == "id":
        return sa.Column("id", BigInt(), sa.Identity(), primary_key=True)
    return sa.Column(spec.name, spec.sa_type(), nullable=not spec.required)
