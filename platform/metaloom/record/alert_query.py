"""What a warning rule says, as clauses over the rows of its entity: does it hold, how bad, since when, for whom, in which words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, reduce
from string import Formatter
from typing import Any

import sqlalchemy as sa

from metaloom.access import aliased
from metaloom.access.condition import TableResolver
from metaloom.compile.scope import entity_scope, field_type
from metaloom.expression import BOOL, DATE, PYTHON, SQL, Checked, Env, Type, compile, to_sql
from metaloom.model import Catalog, Entity, Field, FieldType, WarningRule
from metaloom.model.entity import EXACT_TYPES
from metaloom.model.warning import LEVELS
from metaloom.record.paths import Path, target_of
from metaloom.record.paths import path as path_of
from metaloom.storage.types import ExactDecimal, IsoDate

ALERT = "platform.alert"
COMPANY = "platform.company"
UNSAID = "-"
_TARGETS = frozenset({PYTHON, SQL})
Clause = sa.ColumnElement[Any]


def checked(catalog: Catalog, entity: str, text: str, expect: Type | None) -> Checked:
    """The checked expression of a rule, for the database and for Python alike."""
    return compile(text, entity_scope(catalog, entity), expect, _TARGETS)


def owner_path(catalog: Catalog, entity: Entity, owner: str) -> tuple[str, ...]:
    """The path from a record to its company, org_unit or owner, along the links that its scope follows; () for shared records. A company is its own."""
    path: list[str] = []
    seen: set[str] = set()
    part = {"owner": "user"}.get(owner, owner)
    while entity.address not in seen:
        seen.add(entity.address)
        if part in entity.ownership.owned_by:
            return (*path, owner)
        if owner == "company" and entity.address == COMPANY:
            return (*path, "id")
        link = entity.fields.get(entity.ownership.scope_from)
        if link is None or target_of(link) not in catalog.entities:
            return ()
        path.append(link.name)
        entity = catalog.entities[target_of(link)]
    return ()


class RuleQuery:
    """The clauses of one rule on one business date (that of ``env``), over the table ``t`` of the rule's entity."""

    def __init__(self, revision: Any, rule: WarningRule, env: Env) -> None:
        self.revision, self.rule, self.env = revision, rule, env
        self.catalog: Catalog = revision.catalog
        self.dialect: str = revision.dialect
        self.entity = self.catalog.entities[rule.entity]
        self.table = aliased(revision.tables.of(rule.entity), "t")
        self._names = TableResolver(revision, rule.entity, self.table)

    def clause(self, text: str, expect: Type | None = BOOL) -> Clause:
        return to_sql(checked(self.catalog, self.rule.entity, text, expect), self._names, self.dialect, self.env)

    @property
    def today(self) -> Clause:
        return sa.literal(self.env.business_date, IsoDate())

    # -- verdict -------------------------------------------------------------------------------------------------------

    def holds(self) -> list[Clause]:
        """The live rows for which the rule holds."""
        live = [self.table.c.archived_at.is_(None)] if "archived_at" in self.table.c else []
        gone = [~self._present()] if self.rule.missing is not None else []
        return [*live, self.clause(self.rule.when), *gone]

    def _present(self) -> Clause:
        """There is a row of the other entity that makes the warning needless."""
        absence = self.rule.missing
        assert absence is not None
        other = aliased(self.revision.tables.of(absence.entity), "m")
        names = TableResolver(self.revision, absence.entity, other)
        conditions = [names.column((absence.field,)) == self.table.c.id]
        if "archived_at" in other.c:
            conditions.append(other.c.archived_at.is_(None))
        if absence.where:
            conditions.append(to_sql(checked(self.catalog, absence.entity, absence.where, BOOL), names, self.dialect, self.env))
        if absence.at:
            kind = entity_scope(self.catalog, absence.entity).fields[absence.at]
            conditions.append(names.column((absence.at,)) >= self.clause(absence.since, kind))
        return sa.exists(sa.select(sa.literal(1)).select_from(other).where(*conditions).correlate_except(other))

    @cached_property
    def severity(self) -> Clause:
        found = [(self.clause(level.when), sa.literal(LEVELS.index(level.level), sa.Integer())) for level in self.rule.levels]
        return sa.case(*found, else_=sa.literal(0, sa.Integer())) if found else sa.literal(0, sa.Integer())

    @cached_property
    def due(self) -> Clause:
        return self.clause(self.rule.due, DATE) if self.rule.due else sa.cast(sa.null(), IsoDate())

    @cached_property
    def days(self) -> Clause:
        if not self.rule.due:
            return sa.cast(sa.null(), sa.Integer())
        if self.dialect == "postgresql":
            return sa.cast(sa.cast(self.due, sa.Date()) - self.today, sa.Integer())
        return sa.cast(sa.func.julianday(self.due) - sa.func.julianday(self.today), sa.Integer())

    @cached_property
    def cause(self) -> Clause:
        """The cause as text; '' where the record has no more than one."""
        text = self.rule.told_apart_by
        if not text:
            return sa.literal("", sa.Text())
        found = checked(self.catalog, self.rule.entity, text, None)
        return sa.func.coalesce(self._as_text(self.clause(text, None), found.type.kind), "", type_=sa.Text())

    def _as_text(self, clause: Clause, kind: str) -> Clause:
        if kind == "date":
            return sa.func.to_char(clause, "YYYY-MM-DD") if self.dialect == "postgresql" else sa.type_coerce(clause, sa.Text())
        return clause if kind in ("text", "choice") else sa.cast(clause, sa.Text())

    # -- whose it is ---------------------------------------------------------------------------------------------------

    def owner(self, name: str) -> Clause:
        """Id of the record's company, org_unit or owner; null for shared records."""
        path = owner_path(self.catalog, self.entity, name)
        return self._names.column(path) if path else sa.cast(sa.null(), sa.BigInteger())

    def at(self, path: tuple[str, ...]) -> Clause:
        """The column behind a path of the record."""
        return self._names.column(path)

    def person(self, field: str) -> Clause:
        """Id of the person at a path of the record."""
        return self.owner("owner") if field == "owner" else self._names.column(tuple(field.split(".")))

    # -- what is told --------------------------------------------------------------------------------------------------

    def values(self) -> Iterator[tuple[str, Clause]]:
        """(column, value) of the fields that packs added to alerts."""
        alert = self.catalog.entities[ALERT]
        for name, text in self.rule.values.items():
            field = alert.fields[name]
            yield field.column, self._stored(field, self.clause(text, field_type(self.catalog, alert, field)), text)

    def _stored(self, field: Field, clause: Clause, text: str) -> Clause:
        """A computed value as the column keeps it: SQLite keeps exact numbers as whole numbers of the last place."""
        if field.type not in EXACT_TYPES:
            return clause
        kind = self.revision.tables.of(ALERT).c[field.column].type
        assert isinstance(kind, ExactDecimal)
        if self.dialect == "postgresql":
            return sa.cast(clause, sa.NUMERIC(kind.precision, kind.scale))
        rounded = sa.func.ml_round(sa.type_coerce(clause, sa.Text()), kind.scale, type_=sa.Text())
        whole = sa.func.ml_mul(rounded, str(10**kind.scale), type_=sa.Text())
        return sa.type_coerce(sa.cast(whole, sa.BigInteger()), kind)

    def subject(self) -> Clause:
        """The sentence in both languages, as JSON text."""
        parts = [part for language in ("zh", "en") for part in (sa.literal(language, sa.Text()), self._sentence(language))]
        if self.dialect == "sqlite":
            return sa.func.json_object(*parts, type_=sa.Text())
        return sa.cast(sa.func.json_build_object(*parts), sa.Text())

    def _sentence(self, language: str) -> Clause:
        pieces: list[Clause] = []
        for literal, slot, _, _ in Formatter().parse(getattr(self.rule.subject, language)):
            if literal:
                pieces.append(sa.literal(literal, sa.Text()))
            if slot:
                pieces.append(sa.func.coalesce(self._word(slot, language), UNSAID, type_=sa.Text()))
        return reduce(lambda left, right: left.op("||")(right), pieces) if pieces else sa.literal("", sa.Text())

    def _word(self, slot: str, language: str) -> Clause:
        found = path_of(self.revision, self.rule.entity, slot)
        column = self.table.c[found.column]
        return _WORDS.get(found.field.type, _plain)(self, found, column, language)

    def _labels(self, found: Path, column: Clause, language: str) -> Clause:
        return _coded(column, _codes(self.catalog, found, language))

    def _number(self, found: Path, column: Clause, language: str) -> Clause:
        """An exact number with its places, on SQLite out of whole numbers of the last place."""
        places = getattr(column.type, "scale", 0) or 0
        if self.dialect == "postgresql" or not places:
            return sa.cast(column, sa.Text())
        raw, unit = sa.type_coerce(column, sa.BigInteger()), 10**places
        sign = sa.case((raw < 0, "-"), else_="")
        whole = sa.cast(sa.func.abs(raw).op("/")(sa.literal(unit, sa.BigInteger())), sa.Text())
        rest = sa.func.printf(f"%0{places}d", sa.func.abs(raw).op("%")(sa.literal(unit, sa.BigInteger())), type_=sa.Text())
        text = sign.op("||")(whole).op("||")(".").op("||")(rest)
        return sa.case((raw.is_(None), sa.null()), else_=text)

    def _day(self, found: Path, column: Clause, language: str) -> Clause:
        return self._as_text(column, "date")


def _plain(query: RuleQuery, found: Path, column: Clause, language: str) -> Clause:
    return sa.cast(column, sa.Text())


def _coded(column: Clause, labels: dict[str, str]) -> Clause:
    raw = sa.type_coerce(column, sa.Text())
    return sa.case(*((raw == code, sa.literal(label, sa.Text())) for code, label in labels.items()), else_=raw) if labels else raw


def _codes(catalog: Catalog, found: Path, language: str) -> dict[str, str]:
    if found.field.type is FieldType.STATE and found.entity in catalog.lifecycles:
        return {name: getattr(state.label, language) for name, state in catalog.lifecycles[found.entity].states.items()}
    choices = catalog.choices.get(found.field.choices)
    return {code: getattr(item.label, language) for code, item in choices.items.items()} if choices is not None else {}


_Word = Callable[[RuleQuery, Path, Clause, str], Clause]
_WORDS: dict[FieldType, _Word] = {
    FieldType.DATE: RuleQuery._day, FieldType.CHOICE: RuleQuery._labels, FieldType.STATE: RuleQuery._labels,
    FieldType.MONEY: RuleQuery._number, FieldType.DECIMAL: RuleQuery._number,
}


def some_of(column: Clause, ids: Sequence[int] | range) -> Clause:
    """Rows of an id range, or of a handful of ids."""
    if isinstance(ids, range):
        return sa.and_(column >= ids.start, column < ids.stop)
    return column.in_([int(i) for i in ids])
