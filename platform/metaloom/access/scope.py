"""Row scopes: the rows a grant speaks of, as a value and as SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metaloom.base.messages import Message, message
from metaloom.model import Entity
from metaloom.model.entity import LIST_TYPES


@dataclass(frozen=True, slots=True)
class RowScope:
    """A row set that does not depend on the row: two grants with equal scopes share one SQL condition.

    ``kind``: all | company | units | self | assigned | expression | none. ``entity`` is the entity whose columns the
    scope speaks of; for a child row that inherits its parent's rights it is the parent. ``limit_company`` and
    ``limit_units`` come from the assignment and narrow every kind.
    """

    kind: str
    entity: str
    company_id: int | None = None
    unit_ids: tuple[int, ...] = ()
    user_id: int | None = None
    field: str = ""
    condition: str = ""
    limit_company: int | None = None
    limit_units: tuple[int, ...] | None = None

    @property
    def covers_all(self) -> bool:
        return self.kind == "all" and self.limit_company is None and self.limit_units is None

    def words(self) -> Message:
        """How the scope is told to people."""
        kind = {"units": "dept_tree"}.get(self.kind, self.kind)
        return message(f"access.scope.{kind}", condition=self.condition, units=", ".join(map(str, self.unit_ids)))


Condition = Callable[[str, str, Any], sa.ColumnElement[bool]]  # (entity, expression text, table) → clause


def scope_clause(revision: Any, scope: RowScope, entity: Entity, table: Any, condition: Condition) -> sa.ColumnElement[bool]:
    """The rows of ``table`` (a table or alias of ``entity``) inside ``scope``; fails closed where a column is missing."""
    if scope.kind == "none":
        return sa.false()
    if scope.covers_all:
        return sa.true()
    if scope.entity != entity.address:
        return _through(revision, entity, entity.parent_field, entity.child_of, table,
                        lambda parent, above: scope_clause(revision, scope, parent, above, condition))
    return sa.and_(_own_rows(revision, scope, entity, table, condition), *_limits(revision, scope, entity, table))


def _own_rows(revision: Any, scope: RowScope, entity: Entity, table: Any, condition: Condition) -> sa.ColumnElement[bool]:
    if scope.kind == "all":
        return sa.true()
    if scope.kind == "assigned":
        column = _link_column(entity, scope.field)
        return table.c[column] == scope.user_id if column in table.c else sa.false()
    if scope.kind == "expression":
        return condition(entity.address, scope.condition, table)
    if scope.kind == "self":
        return _owner_clause(revision, entity, table, "owner_id", lambda column: column == scope.user_id)
    if scope.kind == "company":
        return _owner_clause(revision, entity, table, "company_id", lambda column: column == scope.company_id)
    return _owner_clause(revision, entity, table, "org_unit_id", lambda column: column.in_(scope.unit_ids))


def _limits(revision: Any, scope: RowScope, entity: Entity, table: Any) -> list[sa.ColumnElement[bool]]:
    clauses = []
    if scope.limit_company is not None and scope.kind != "company":
        clauses.append(_owner_clause(revision, entity, table, "company_id", lambda column: column == scope.limit_company))
    if scope.limit_units is not None and scope.kind != "units":
        units = scope.limit_units
        clauses.append(_owner_clause(revision, entity, table, "org_unit_id", lambda column: column.in_(units)))
    return clauses


def _owner_clause(
    revision: Any, entity: Entity, table: Any, column: str, test: Callable[[Any], sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    """``test`` of an owner column, looked up where the entity's ownership says: here, or along the link it follows."""
    ownership = entity.ownership
    if ownership.shared:
        return sa.true()
    if ownership.scope_from:
        field = entity.fields[ownership.scope_from]
        return _through(revision, entity, field.name, field.entity, table,
                        lambda target, above: _owner_clause(revision, target, above, column, test))
    if entity.child_of:
        return _through(revision, entity, entity.parent_field, entity.child_of, table,
                        lambda parent, above: _owner_clause(revision, parent, above, column, test))
    return test(table.c[column]) if column in table.c else sa.false()


def scope_holds(revision: Any, scope: RowScope, entity: Entity, values: Mapping[str, Any]) -> bool | None:
    """Whether a row of ``entity`` with these values (by field name) lies inside ``scope``; None where only the database knows.

    The same verdict as ``scope_clause`` over the row, without a statement: where the scope compares columns of the row itself.
    """
    if scope.kind == "none":
        return False
    if scope.covers_all:
        return True
    if scope.entity != entity.address or scope.kind == "expression":
        return None
    wanted: list[tuple[str, tuple[int | None, ...]]] = []
    if scope.kind == "assigned":
        wanted.append((_link_column(entity, scope.field), (scope.user_id,)))
    elif scope.kind != "all":
        wanted.append({"self": ("owner_id", (scope.user_id,)), "company": ("company_id", (scope.company_id,))}.get(
            scope.kind, ("org_unit_id", scope.unit_ids)))
    if scope.limit_company is not None and scope.kind != "company":
        wanted.append(("company_id", (scope.limit_company,)))
    if scope.limit_units is not None and scope.kind != "units":
        wanted.append(("org_unit_id", scope.limit_units))
    return _all_hold([_compared(revision, entity, values, column, among, owner=scope.kind != "assigned" or n > 0)
                      for n, (column, among) in enumerate(wanted)])


def _all_hold(verdicts: list[bool | None]) -> bool | None:
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _compared(revision: Any, entity: Entity, values: Mapping[str, Any], column: str, among: tuple[int | None, ...], *,
              owner: bool) -> bool | None:
    """Whether the row's ``column`` is one of ``among``; ``owner``: the entity may say that the owner stands elsewhere."""
    if owner and entity.ownership.shared:
        return True
    if None in among or (owner and (entity.ownership.scope_from or entity.child_of)):
        return None
    if column not in revision.tables.of(entity.address).c:
        return False
    field = next((f for f in entity.fields.values() if f.column == column), None)
    name = field.name if field is not None else column.removesuffix("_id")
    if name not in values or (field is not None and (field.encrypted or field.type in LIST_TYPES)):
        return None
    return values[name] is not None and values[name] in among


def _through(
    revision: Any, entity: Entity, link: str, target: str, table: Any,
    test: Callable[[Entity, Any], sa.ColumnElement[bool]],
) -> sa.ColumnElement[bool]:
    """EXISTS over the linked row; the condition follows the link in SQL, so it is as fresh as the target."""
    above = aliased(revision.tables.of(target), f"{getattr(table, 'name', 't')}_{link}")
    return sa.exists(
        sa.select(sa.literal(1)).select_from(above)
        .where(above.c.id == table.c[_link_column(entity, link)], test(revision.catalog.entities[target], above))
        .correlate_except(above)
    )


def aliased(table: Any, name: str) -> Any:
    """The alias ``name`` of ``table``, made once: an alias copies every column, which costs more than the query's own text."""
    made = table.info.setdefault("aliases", {})
    found = made.get(name)
    if found is None:
        found = made[name] = table.alias(name)
    return found


def _link_column(entity: Entity, name: str) -> str:
    """Column of a link field, or of an implicit owner or author field."""
    if name in entity.fields:
        return entity.fields[name].column
    return {"owner": "owner_id", "company": "company_id", "org_unit": "org_unit_id"}.get(name, name)
