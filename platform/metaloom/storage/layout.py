"""The layout a catalog asks for: tables, columns, indexes and checks, as values that can be compared and written as DDL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom import expression
from metaloom.compile.scope import entity_scope
from metaloom.model import Catalog, Entity, Field, FieldType, UniqueRule
from metaloom.storage import engine
from metaloom.storage.columns import ColumnSpec, columns_of, key_column, sa_column, short_name, table_name

_OWNER_COLUMNS = {"company": "company_id", "org_unit": "org_unit_id", "owner": "owner_id"}
_DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}
_CALL = re.compile(r"\b(?!(?:IN|AND|OR|NOT|WHERE)\b)[a-z_]+\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class IndexSpec:
    """``where`` is SQL of the dialect. ``source`` says what asked for it: ``field:mobile``, ``unique:one_open``, ``natural_key``, ``''``."""

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool = False
    where: str = ""
    method: str = ""                     # '' | text_pattern_ops | gin_trgm | gin_pairs (``companions.doubled``); PostgreSQL
    source: str = ""


@dataclass(frozen=True)
class CheckSpec:
    """``broken`` is the SQL condition of a row that the check refuses; ``{row}`` stands for a prefix such as ``NEW.``."""

    name: str
    table: str
    column: str
    broken: str
    kind: str                            # min | max | length
    limit: str


@dataclass(frozen=True)
class TableSpec:
    name: str
    entity: str
    columns: Mapping[str, ColumnSpec]
    indexes: Mapping[str, IndexSpec]
    checks: Mapping[str, CheckSpec]
    append_only: bool = False            # the database itself refuses to change or delete a row
    often_changed: bool = False          # PostgreSQL: half of each page stays free for the next version of its rows
    in_sets: tuple[tuple[str, str], ...] = ()   # PostgreSQL: columns without a foreign key and their targets, looked up statement by statement
    engine: bool = False                 # the engine made the table; here are only the columns overlays add


def layout_of(catalog: Catalog, dialect: str, *, trigrams: bool = False) -> dict[str, TableSpec]:
    """Every table the catalog needs, by name. ``trigrams``: the server has pg_trgm."""
    made = (_table(catalog, entity, dialect, trigrams) for entity in catalog.entities.values())
    return {table.name: table for table in made}


def table_of(catalog: Catalog, entity: Entity, dialect: str) -> TableSpec:
    """The layout of one entity."""
    return _table(catalog, entity, dialect, False)


def _table(catalog: Catalog, entity: Entity, dialect: str, trigrams: bool) -> TableSpec:
    name = table_name(entity)
    columns = {spec.name: spec for spec in columns_of(catalog, entity)}
    if entity.storage == "engine":
        base = engine.METADATA.tables.get(name)
        present = set() if base is None else set(base.columns.keys())
        extra = {column: spec for column, spec in columns.items() if column not in present}
        return TableSpec(name, entity.address, extra, {}, {c.name: c for c in _checks(entity, name, extra, dialect)}, engine=True)
    indexes: dict[str, IndexSpec] = {}
    covered: set[tuple[object, ...]] = set()
    for index in _indexes(catalog, entity, name, columns, dialect, trigrams):
        key = (index.columns, index.unique, index.where, index.method)
        if key not in covered:
            covered.add(key)
            indexes[index.name] = index
    checks = {check.name: check for check in _checks(entity, name, columns, dialect)}
    in_sets = ((spec.name, spec.references) for spec in columns.values() if spec.references and spec.field in entity.checked_in_sets)
    return TableSpec(name, entity.address, columns, indexes, checks, append_only=entity.append_only, often_changed=entity.often_changed,
                     in_sets=tuple(in_sets) if dialect == "postgresql" else ())


# ---- unique

def unique_indexes(catalog: Catalog, entity: Entity, dialect: str) -> Iterator[IndexSpec]:
    """What the database keeps unique among live rows: unique fields (per company when owned), rules, the natural key."""
    table = table_name(entity)
    live = "archived_at IS NULL" if entity.archivable else ""
    per_company = ("company_id",) if "company" in entity.ownership.owned_by else ()
    singles = set()
    for field in entity.fields.values():
        if field.unique and field.stored:
            singles.add(field.name)
            yield _index(table, field.name, (*per_company, key_column(field)), unique=True, where=live, source=f"field:{field.name}")
    for rule in entity.unique.values():
        where = rule_condition(catalog, entity, rule, dialect)
        if where is not None:
            columns = tuple(column_of(entity, name) for name in rule.fields)
            both = " AND ".join(filter(None, (live, where)))
            yield _index(table, rule.name, columns, unique=True, where=both, source=f"unique:{rule.name}")
    if entity.natural_key and not singles & set(entity.natural_key):
        parent = (column_of(entity, entity.parent_field),) if entity.child_of and entity.parent_field else ()
        columns = (*per_company, *parent, *(column_of(entity, name) for name in entity.natural_key))
        yield _index(table, "natural_key", tuple(dict.fromkeys(columns)), unique=True, where=live, source="natural_key")


def rule_condition(catalog: Catalog, entity: Entity, rule: UniqueRule, dialect: str) -> str | None:
    """The rule's ``when`` as the condition of a partial index; '' without one.

    None: it needs other rows or functions, which an index cannot have; then only commands hold the rule.
    """
    if not rule.when:
        return ""
    columns = {spec.name: spec for spec in columns_of(catalog, entity)}
    table = sa.Table(table_name(entity), sa.MetaData(), *(sa_column(spec) for spec in columns.values()))
    try:
        checked = expression.compile(rule.when, entity_scope(catalog, entity.address), expression.BOOL, {"sql"})
        clause = expression.to_sql(checked, _OwnColumns(entity, table), dialect, expression.Env())
        text = str(clause.compile(dialect=_DIALECTS[dialect], compile_kwargs={"literal_binds": True, "include_table": False}))
    except (expression.ExpressionError, _NotOwn, sa.exc.CompileError, KeyError, AttributeError, TypeError):
        return None
    return None if _CALL.search(_without_literals(text)) else text.replace(f"{table.name}.", "")


def held_by_database(catalog: Catalog, entity: Entity, rule: UniqueRule) -> bool:
    """Whether a partial index holds the rule; otherwise the command must look for another row itself."""
    return rule_condition(catalog, entity, rule, "sqlite") is not None and rule_condition(catalog, entity, rule, "postgresql") is not None


class _NotOwn(Exception):
    pass


class _OwnColumns:
    """Names of one row; anything behind a link is refused."""

    def __init__(self, entity: Entity, table: sa.Table) -> None:
        self._entity, self._table = entity, table

    def column(self, path: tuple[str, ...]) -> sa.ColumnElement[object]:
        field = self._entity.fields.get(path[0])
        if len(path) != 1 or (field is not None and field.encrypted):
            raise _NotOwn(path)
        return self._table.c[column_of(self._entity, path[0])]

    def children(self, path: tuple[str, ...], build: object) -> sa.ColumnElement[object]:
        raise _NotOwn(path)


def _without_literals(text: str) -> str:
    return re.sub(r"'(?:[^']|'')*'", "''", text)


# ---- other indexes

def _indexes(
    catalog: Catalog, entity: Entity, table: str, columns: Mapping[str, ColumnSpec], dialect: str, trigrams: bool
) -> Iterator[IndexSpec]:
    unique = tuple(unique_indexes(catalog, entity, dialect))
    yield from unique
    for index in entity.indexes.values():
        yield _index(table, index.name, tuple(column_of(entity, name) for name in index.fields))
    found_by = {index.columns[0] for index in unique if not index.where}
    for spec in columns.values():
        if spec.field in entity.checked_in_sets and spec.name in found_by:
            continue                     # rows that come in masses pay for each index; this one would begin as another does
        if spec.references:
            yield _index(table, spec.name, (spec.name, "id"))
        elif spec.name.endswith(("__bx", "__l4")):
            yield _index(table, spec.name, (spec.name,))
    for name in _sorted_or_stated(catalog, entity):
        column = column_of(entity, name)
        if column in columns and column != "id":
            yield _index(table, column, (column, "id"))
    for field in entity.fields.values():
        yield from _search_indexes(table, field, dialect, trigrams)


def _sorted_or_stated(catalog: Catalog, entity: Entity) -> Iterator[str]:
    """States, human keys, the date of creation, and what the entity's lists are sorted by. The rows of a journal rise by id as they rise in time."""
    if entity.bulk != "journal":
        yield "created_at"
    for field in entity.fields.values():
        if field.type in (FieldType.STATE, FieldType.AUTO_NUMBER):
            yield field.name
    for view in catalog.lists.values():
        if view.entity == entity.address and view.sort:
            path = view.sort[0].lstrip("-+")
            field_ = entity.fields.get(path)
            if "." not in path and (field_ is None or (field_.stored and not field_.encrypted)):
                yield path


def _search_indexes(table: str, field: Field, dialect: str, trigrams: bool) -> Iterator[IndexSpec]:
    if field.search == "prefix" and not field.encrypted and field.stored:
        method = "text_pattern_ops" if dialect == "postgresql" else ""
        yield _index(table, f"{field.name}__px", (field.column,), method=method)
    if trigrams and dialect == "postgresql":
        if field.search == "contains" and not field.encrypted and field.stored:
            yield _index(table, f"{field.name}__tg", (field.column,), method="gin_pairs")
        if field.pinyin:
            yield _index(table, f"{field.name}__py", (f"{field.name}__py",), method="gin_trgm")


def column_of(entity: Entity, name: str) -> str:
    """The column on which a name of the entity (field, owner, reserved) is compared."""
    field = entity.fields.get(name)
    if field is not None and field.stored:
        return key_column(field)
    if name in _OWNER_COLUMNS and (name if name != "owner" else "user") in entity.ownership.owned_by:
        return _OWNER_COLUMNS[name]
    return name


def _index(
    table: str, name: str, columns: tuple[str, ...], *, unique: bool = False, where: str = "", method: str = "", source: str = ""
) -> IndexSpec:
    """The name carries a fingerprint of the definition: a changed definition is another index."""
    mark = sha256(repr((columns, unique, where, method)).encode()).hexdigest()[:4]
    return IndexSpec(short_name(f"{table}__{name}__{'uq' if unique else 'ix'}_{mark}"), table, columns, unique, where, method, source)


# ---- checks

def _checks(entity: Entity, table: str, columns: Mapping[str, ColumnSpec], dialect: str) -> Iterator[CheckSpec]:
    for field in entity.fields.values():
        spec = columns.get(field.column) if field.stored and not field.encrypted else None
        if spec is None or spec.field != field.name:
            continue
        if spec.kind in ("integer", "exact") and not spec.references:
            for kind, limit, sign in (("min", field.min, "<"), ("max", field.max, ">")):
                if limit is not None:
                    yield _check(table, spec, kind, f'{{row}}"{spec.name}" {sign} {_limit(spec, limit, kind, dialect)}', limit)
    if dialect == "sqlite":
        for spec in columns.values():
            if spec.kind == "text":
                yield _check(table, spec, "length", f'length({{row}}"{spec.name}") > {spec.length}', spec.length)


def _limit(spec: ColumnSpec, limit: Decimal, kind: str, dialect: str) -> str:
    rounding = ROUND_CEILING if kind == "min" else ROUND_FLOOR
    scaled = limit.scaleb(spec.scale).to_integral_value(rounding=rounding)
    if spec.kind == "integer" or dialect == "sqlite":
        return format(scaled, "f")
    return format(scaled.scaleb(-spec.scale), "f")


def _check(table: str, spec: ColumnSpec, kind: str, broken: str, limit: object) -> CheckSpec:
    mark = sha256(broken.encode()).hexdigest()[:4]
    return CheckSpec(short_name(f"{table}__{spec.name}__{kind}_{mark}"), table, spec.name, broken, kind, str(limit))
