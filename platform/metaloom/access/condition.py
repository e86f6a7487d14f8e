"""Conditions written in metadata, as SQL over a table: scope conditions, list and tab filters, link filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from metaloom.access.scope import aliased
from metaloom.compile.scope import entity_scope, implicit_links, link_filter_scope, target_of
from metaloom.expression import BOOL, Checked, Env, Scope, compile, to_sql
from metaloom.model import Catalog, Entity

_NO_ENV = Env()
_LONGEST = 60                        # PostgreSQL cuts a name after 63 bytes
_OWNER_COLUMNS = {"company": "company_id", "org_unit": "org_unit_id", "owner": "owner_id"}


def condition_clause(revision: Any, entity: str, text: str, table: Any, env: Env | None = None) -> sa.ColumnElement[bool]:
    """The rows of ``table`` for which the expression ``text`` over ``entity`` is true (null is not true)."""
    scope = entity_scope(revision.catalog, entity)
    return to_sql(_checked(scope, text), TableResolver(revision, entity, table), revision.dialect, env or _NO_ENV)


def link_filter_clause(
    revision: Any, entity: str, target: str, text: str, table: Any, record: Mapping[str, Any], env: Env | None = None
) -> sa.ColumnElement[bool]:
    """A link field's ``filter`` over its target's ``table``; ``record`` holds what is known of the record being edited."""
    scope = link_filter_scope(revision.catalog, entity, target)
    return to_sql(_checked(scope, text), TableResolver(revision, target, table, record), revision.dialect, env or _NO_ENV)


def _checked(scope: Scope, text: str) -> Checked:
    found = scope.compiled.get((text, BOOL))
    if found is None:
        found = scope.compiled[text, BOOL] = compile(text, scope, expect=BOOL)
    return found  # type: ignore[no-any-return]


class TableResolver:
    """Names of an entity's expressions as columns: of the table itself, of linked rows by scalar sub-selects,
    of ``record.x`` as the values given."""

    def __init__(self, revision: Any, entity: str, table: Any, record: Mapping[str, Any] | None = None) -> None:
        self._revision, self._table, self._record = revision, table, record
        self._entity: Entity = revision.catalog.entities[entity]

    def column(self, path: tuple[str, ...]) -> sa.ColumnElement[Any]:
        if self._record is not None and path[0] == "record":
            return sa.literal(_inside(self._record, path[1:]))
        column, target = column_of(self._revision.catalog, self._entity, path[0])
        if len(path) == 1:
            return self._table.c[column]
        linked = self._alias(target, path[0])
        inner = TableResolver(self._revision, target, linked).column(path[1:])
        return self._linked(inner, linked, column)

    def children(self, path: tuple[str, ...], build: Callable[[Any], Any]) -> sa.ColumnElement[Any]:
        if len(path) > 1:
            column, target = column_of(self._revision.catalog, self._entity, path[0])
            linked = self._alias(target, path[0])
            return self._linked(TableResolver(self._revision, target, linked).children(path[1:], build), linked, column)
        field = self._entity.fields[path[0]]
        child = self._revision.catalog.entities[field.entity]
        rows = self._alias(child.address, path[0])
        parent = child.fields[field.parent_field or child.parent_field].column
        live = [rows.c.archived_at.is_(None)] if "archived_at" in rows.c else []
        value = build(TableResolver(self._revision, child.address, rows))
        return (sa.select(value).select_from(rows).where(rows.c[parent] == self._table.c.id, *live)
                .correlate_except(rows).scalar_subquery())

    def _alias(self, address: str, name: str) -> Any:
        """The rows behind a name: an alias that tells the way to them, so that none inside another has the name of the outer one."""
        table, way = self._revision.tables.of(address), f"{getattr(self._table, 'name', '%')}_{name}"
        return table.alias() if "%" in way or len(way) > _LONGEST else aliased(table, way)

    def _linked(self, inner: Any, linked: Any, column: str) -> sa.ColumnElement[Any]:
        return (sa.select(inner).select_from(linked).where(linked.c.id == self._table.c[column])
                .correlate_except(linked).scalar_subquery())


def _inside(record: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = record
    for name in path:
        if not isinstance(value, Mapping):
            return value if name == "id" else None
        value = value.get(name)
    return value


def column_of(catalog: Catalog, entity: Entity, name: str) -> tuple[str, str]:
    """(column, address of the entity it points to or '') of a field, an owner or an author name."""
    field = entity.fields.get(name)
    if field is not None:
        return field.column, target_of(field)
    return _OWNER_COLUMNS.get(name, name), implicit_links(entity).get(name, "")
