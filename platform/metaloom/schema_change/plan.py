"""The plan: from the tables that are there to the tables a catalog asks for, as steps with their SQL and their impact.

Nothing is dropped because metadata stopped naming it: the column is kept and remembered, and found again when a later
(or earlier) revision names it. What would lose data needs an explicit word: ``drop:…``, ``narrow:…``, ``retype:…``
followed by ``<entity>/<field>``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.model import Catalog, Entity, FieldType
from metaloom.schema_change import ddl
from metaloom.schema_change.ddl import q
from metaloom.schema_change.impact import Impact, count_impacts, filled_rows
from metaloom.schema_change.physical import Physical, look
from metaloom.storage.columns import ColumnSpec, short_name, table_name
from metaloom.storage.engine import run_statement
from metaloom.storage.layout import IndexSpec, TableSpec, layout_of

PHASES = ("expand", "index", "backfill", "validate", "swap", "tidy")

register({
    "plan.refused": ("变更计划有 {count} 处不能执行：{first}", "The plan cannot be carried out in {count} places: {first}"),
    "plan.words": ("需要明确许可：{words}", "This needs an explicit word: {words}"),
})


@dataclass(frozen=True)
class Step:
    """One step. ``phase``: see ``publish``. ``kind``: safe | narrowing | destructive. ``word``: what must be allowed for it.

    ``action``: create_table | add_column | add_key | create_index | drop_index | rename_table | rename_column | retype |
    rename_key | drop_key | look_up | set_aside | drop_column | checks | append_only | room | initial_state | companions | values | validate.
    """

    phase: str
    action: str
    table: str
    column: str = ""
    former: str = ""
    kind: str = "safe"
    word: str = ""
    rows: int = 0
    sql: tuple[str, ...] = ()
    spec: Mapping[str, object] | None = None
    detail: str = ""

    def say(self) -> str:
        """One line for people."""
        place = f"{self.table}.{self.column}" if self.column else self.table
        was = f" (was {self.former})" if self.former else ""
        note = f", {self.rows} rows" if self.rows else ""
        return f"[{self.phase}] {self.action} {place}{was}{f' {self.detail}' if self.detail else ''} ({self.kind}{note})"


@dataclass(frozen=True)
class Plan:
    """``steps`` in the order of their phases; ``impacts``: rows that stand in the way or will need attention."""

    dialect: str
    steps: tuple[Step, ...]
    impacts: tuple[Impact, ...] = ()
    kept: tuple[str, ...] = ()          # columns with data that no field names any more; they stay

    @property
    def empty(self) -> bool:
        return not self.steps

    def of(self, phase: str) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.phase == phase)

    def words_missing(self, allow: Collection[str]) -> tuple[str, ...]:
        """The explicit words that this plan still needs."""
        return tuple(sorted({step.word for step in self.steps if step.word} - set(allow)))

    def require(self, allow: Collection[str] = ()) -> None:
        """NotPossible (:class:`PlanRefused`) when rows stand in the way or a word is missing."""
        blocking = tuple(impact for impact in self.impacts if impact.blocking)
        if blocking:
            raise PlanRefused(self, message("plan.refused", count=len(blocking), first=blocking[0].say()))
        missing = self.words_missing(allow)
        if missing:
            raise PlanRefused(self, message("plan.words", words=", ".join(missing)))

    def sql(self) -> tuple[str, ...]:
        """Every statement, in order."""
        return tuple(statement for step in self.steps for statement in step.sql)


class PlanRefused(NotPossible):
    """The plan may not be carried out; ``plan`` says why, with counts and ids."""

    def __init__(self, plan: Plan, text: object) -> None:
        super().__init__(text)  # type: ignore[arg-type]
        self.plan = plan


def plan(conn: sa.Connection, before: Catalog | None, after: Catalog, *, allow: Collection[str] = ()) -> Plan:
    """What must change so that ``after`` can be served. Reads only; ``before`` is the catalog published now."""
    return _Planner(conn, before, after, allow).plan()


@dataclass
class _Planner:
    conn: sa.Connection
    before: Catalog | None
    after: Catalog
    allow: Collection[str]
    steps: list[Step] = field(default_factory=list)
    impacts: list[Impact] = field(default_factory=list)
    renamed: dict[tuple[str, str], str] = field(default_factory=dict)   # (table, new column) -> column that is there now
    table_now: dict[str, str] = field(default_factory=dict)             # new table name -> name that is there now
    moved: set[tuple[str, str]] = field(default_factory=set)            # (table, column) that is there only after the swap

    def plan(self) -> Plan:
        self.dialect = self.conn.dialect.name
        self.there: Physical = look(self.conn)
        wanted = layout_of(self.after, self.dialect, trigrams=self.there.trigrams)
        for table in wanted.values():
            self._place(table, wanted)
        for table in wanted.values():
            self._columns(table)
            self._keys(table)
            self._fill(table)
        for table in wanted.values():
            self._indexes(table)
            self._checks(table)
        self._drops(wanted)
        for table in wanted.values():
            self._append_only(table)
            self._look_up(table)
            self._room(table)
        self.impacts += count_impacts(self.conn, self.before, self.after, wanted, self.there, self.renamed, self.table_now)
        order = {phase: place for place, phase in enumerate(PHASES)}
        steps = tuple(sorted(self.steps, key=lambda step: order[step.phase]))
        return Plan(self.dialect, steps, tuple(self.impacts), self._kept(wanted))

    # ---- tables and columns

    def _place(self, table: TableSpec, wanted: Mapping[str, TableSpec]) -> None:
        """Where the table is now: under its name, under a former one, or nowhere."""
        self.table_now[table.name] = table.name
        former = None if table.name in self.there.columns else self._former_table(table, wanted)
        if former is not None:
            self.table_now[table.name] = former
            self._add("swap", "rename_table", table.name, former=former,
                      sql=(f"ALTER TABLE {q(former)} RENAME TO {q(table.name)}",))

    def _columns(self, table: TableSpec) -> None:
        if self.table_now[table.name] not in self.there.columns:
            self._create(table)
            return
        entity = self.after.entities[table.entity]
        for spec in table.columns.values():
            self._column(table, entity, spec)

    def _create(self, table: TableSpec) -> None:
        if table.engine:
            return
        self._add("expand", "create_table", table.name, sql=(ddl.create_table(table, self.dialect),))
        for spec in table.columns.values():
            self._add("expand", "remember", table.name, spec.name, spec=_json(spec))
            if self._keyed(table, spec):
                self._later_in_expand(table.name, spec, checked=True)
            elif spec.references and self.dialect == "postgresql":
                self._add("expand", "add_key", table.name, spec.name, sql=ddl.look_over(table.name, spec))

    def _keyed(self, table: TableSpec, spec: ColumnSpec) -> bool:
        """Whether a foreign key of its own holds the column (on SQLite it stands inside the table)."""
        return bool(spec.references) and self.dialect == "postgresql" and (spec.name, spec.references) not in table.in_sets

    def _later_in_expand(self, table: str, spec: ColumnSpec, *, checked: bool) -> None:
        self._add("expand", "add_key", table, spec.name, sql=(ddl.add_foreign_key(table, spec, checked=checked),))
        if not checked:
            self._add("validate", "validate", table, spec.name, sql=(ddl.validate(table, ddl.foreign_key_name(table, spec.name)),))

    def _column(self, table: TableSpec, entity: Entity, spec: ColumnSpec) -> None:
        now = self.table_now[table.name]
        present = self.there.columns[now]
        if spec.name in present:
            known = self.there.known.get((now, spec.name))
            if known is not None:
                self._retype(table, spec, known, spec.name)
            return
        former = self._former_column(table, entity, spec)
        if former is None:
            self._add_column(table, now, entity, spec)
            return
        self.renamed[(table.name, spec.name)] = former
        self.moved.add((table.name, spec.name))
        self._add("swap", "rename_column", table.name, spec.name, former=former,
                  sql=(f"ALTER TABLE {q(table.name)} RENAME COLUMN {q(former)} TO {q(spec.name)}",))
        known = self.there.known.get((now, former))
        if known is not None:
            self._retype(table, spec, replace(known, name=spec.name), former)

    def _add_column(self, table: TableSpec, now: str, entity: Entity, spec: ColumnSpec) -> None:
        self._add("expand", "add_column", now, spec.name, sql=(ddl.add_column(now, spec, self.dialect),), spec=_json(spec))
        if self._keyed(table, spec):
            self._add_key(table, now, spec, spec.name)
        state = self._initial_state(entity, spec)
        if state:
            update = f"UPDATE {{table}} SET {q(spec.name)} = '{state}' WHERE {q(spec.name)} IS NULL"
            self._add("backfill", "initial_state", now, spec.name, sql=(update.format(table=q(now)),), detail=state)
            self._add("swap", "initial_state", table.name, spec.name, sql=(update.format(table=q(table.name)),), detail=state)
        if spec.name.endswith(("__bx", "__l4", "__py")):
            self._add("backfill", "companions", now, spec.name, detail=f"{entity.address}/{spec.field}")

    def _add_key(self, table: TableSpec, now: str, spec: ColumnSpec, column: str) -> None:
        """A key for a column of a table that is there, under the names of now; it takes the new ones with the swap."""
        self._later_in_expand(now, replace(spec, name=column), checked=False)
        made, name = ddl.foreign_key_name(now, column), ddl.foreign_key_name(table.name, spec.name)
        if made != name:
            self._add("swap", "rename_key", table.name, spec.name, former=made, sql=(ddl.rename_constraint(table.name, made, name),))

    def _keys(self, table: TableSpec) -> None:
        """A foreign key is called after its table and column, also after either was renamed (PostgreSQL): else the next column of
        the former name could have none. It goes when the trigger looks in its place, and comes back before the trigger goes."""
        now = self.table_now[table.name]
        if table.engine or now not in self.there.columns:
            return
        for spec in table.columns.values():
            column = self.renamed.get((table.name, spec.name), spec.name)
            found, name = self.there.keys.get((now, column)), ddl.foreign_key_name(table.name, spec.name)
            if found is not None and not self._keyed(table, spec):
                if spec.references:
                    self._add("tidy", "drop_key", table.name, spec.name, sql=(ddl.drop_foreign_key(table.name, found),))
                continue
            if found is None and self._keyed(table, spec) and column in self.there.columns[now] and ddl.look_up_name(now) in self.there.triggers:
                self._add_key(table, now, spec, column)
            if found is None or found == name or not spec.references:
                continue
            waits = now != table.name or column != spec.name
            self._add("swap" if waits else "expand", "rename_key", table.name, spec.name, former=found,
                      sql=(ddl.rename_constraint(table.name, found, name),))

    def _fill(self, table: TableSpec) -> None:
        """Rows that are there get the value of a field that is new and computed, or has a default: range by range before the swap,
        and once more after it for what was written meanwhile. Where names change in the same publish, after it only."""
        entity, now = self.after.entities[table.entity], self.table_now[table.name]
        known = self._known(entity)
        if table.engine or known is None or now not in self.there.columns:
            return
        for found in entity.fields.values():
            spec = table.columns.get(found.column)
            if spec is None or not (found.computed or found.default) or entity.renamed_fields.get(found.name, found.name) in known.fields:
                continue
            place = f"{entity.address}/{found.name}"
            if not self.renamed and all(name == was for name, was in self.table_now.items()):
                self._add("backfill", "values", table.name, spec.name, detail=place)
            self._add("tidy", "values", table.name, spec.name, detail=place)

    def _known(self, entity: Entity) -> Entity | None:
        """The entity in the catalog that is served now."""
        before = self.before.entities if self.before else {}
        return before.get(entity.address) or next(
            (one for one in before.values() if entity.renamed_from and one.pack == entity.pack and one.name == entity.renamed_from.rpartition(".")[2]), None)

    def _append_only(self, table: TableSpec) -> None:
        """The triggers of a table whose rows never change; put aside while the swap itself must touch its rows."""
        now = self.table_now[table.name]
        if table.engine:
            return
        wanted = ddl.append_only_triggers(table.name, self.dialect) if table.append_only else {}
        if now not in self.there.columns:
            if wanted:
                self._add("expand", "append_only", table.name, sql=tuple(wanted.values()))
            return
        there = [name for name in ddl.append_only_names(now, self.dialect) if name in self.there.triggers]
        touched = any(sql.startswith("UPDATE") for step in self.steps if step.phase == "swap" and step.table == table.name for sql in step.sql)
        if sorted(there) == sorted(wanted) and not touched:
            return
        if there:
            self._add("swap", "append_only_off", now, sql=tuple(ddl.drop_trigger(name, now, self.dialect) for name in there))
        if wanted:
            self._add("swap", "append_only", table.name, sql=tuple(wanted.values()))

    def _look_up(self, table: TableSpec) -> None:
        """PostgreSQL: the trigger in place of foreign keys. It knows its targets by name, so it changes with the swap."""
        now = self.table_now[table.name]
        made, what = ddl.look_up_trigger(table.name, table.in_sets)
        if now not in self.there.columns:
            if made:
                self._add("expand", "look_up", table.name, sql=(made,))
            return
        there = self.there.triggers.get(ddl.look_up_name(now), "")
        if self.dialect != "postgresql" or table.engine or (now == table.name and bool(there) == bool(made) and what in there):
            return
        if there:
            self._add("swap", "look_up_off", now, sql=(ddl.drop_trigger(ddl.look_up_name(now), now, self.dialect),))
        if made:
            self._add("swap", "look_up", table.name, sql=(made,))

    def _room(self, table: TableSpec) -> None:
        """PostgreSQL: pages of a table whose rows change often are filled by half, from now on; a new version then stands beside the old one."""
        now = self.table_now[table.name]
        if self.dialect == "postgresql" and not table.engine and table.often_changed != (now in self.there.roomy):
            self._add("expand", "room", now if now in self.there.columns else table.name, sql=(ddl.room(now, table.often_changed),))

    def _initial_state(self, entity: Entity, spec: ColumnSpec) -> str:
        found = entity.fields.get(spec.field)
        lifecycle = self.after.lifecycles.get(entity.address)
        return lifecycle.initial if found is not None and found.type is FieldType.STATE and lifecycle is not None else ""

    # ---- renames

    def _former_table(self, table: TableSpec, wanted: Mapping[str, TableSpec]) -> str | None:
        """The table that becomes this one: declared by ``renamed_from``, or known to have had this name before."""
        entity = self.after.entities[table.entity]
        declared = entity.renamed_from and short_name(f"{entity.pack}__{entity.renamed_from.rpartition('.')[2]}")
        earlier = [now for (now, column), names in self.there.former.items() if not column and table.name in names]
        for name in filter(None, (declared, *earlier, *self._renamed_back(table))):
            if name in self.there.columns and name not in wanted:
                return name
        return None

    def _renamed_back(self, table: TableSpec) -> Iterator[str]:
        """The published catalog calls it by a new name, and says that this one was the former."""
        for entity in self.before.entities.values() if self.before else ():
            if entity.renamed_from and short_name(f"{entity.pack}__{entity.renamed_from.rpartition('.')[2]}") == table.name:
                yield table_name(entity)

    def _former_column(self, table: TableSpec, entity: Entity, spec: ColumnSpec) -> str | None:
        now = self.table_now[table.name]
        candidates = []
        if spec.field and spec.field in entity.renamed_fields:
            candidates.append(entity.renamed_fields[spec.field] + spec.name.removeprefix(spec.field))
        candidates += [column for (owner, column), names in self.there.former.items() if owner == now and spec.name in names]
        for name in candidates:
            if name in self.there.columns[now] and name not in table.columns:
                return name
        return None

    # ---- types

    def _retype(self, table: TableSpec, new: ColumnSpec, old: ColumnSpec, now_column: str) -> None:
        """Change what the column holds, the mildest way there is."""
        table_now = self.table_now[table.name]
        remembered = old
        if new.references and self.table_now.get(new.references) == old.references:
            old = replace(old, references=new.references)        # the target was renamed; the key follows by itself
        if _same_storage(old, new):
            if remembered != new:
                self._add("swap", "remember", table.name, new.name, spec=_json(new))
            return
        rows = filled_rows(self.conn, table_now, now_column)
        place = f"{table.entity}/{new.field or new.name}"
        if _only_key_differs(old, new):
            self._change_target(table, new, rows, place)
        elif rows == 0:
            self._replace_empty(table, new, old)
        elif _widens(old, new, self.dialect):
            phase = "expand" if new.name == now_column and table_now == table.name else "swap"
            self._alter_type(phase, table, new, "safe", "", rows)
        elif _narrows_text(old, new):
            self._narrow_text(table, new, now_column, place)
        elif old.kind in ("integer", "exact") and new.kind == "exact" and not old.references and not new.references:
            self._rescale(table, new, old, now_column, rows, place)
        else:
            self.impacts.append(Impact("type", place, rows, (), True, f"holds {old.kind} and would hold {new.kind}: "
                                       f"add a field of another name and move the values"))

    def _alter_type(self, phase: str, table: TableSpec, new: ColumnSpec, kind: str, word: str, rows: int, first: tuple[str, ...] = ()) -> None:
        sql = first
        if self.dialect == "postgresql":
            kind_now = ddl.column_type(new, self.dialect)
            sql = (*first, f"ALTER TABLE {q(table.name)} ALTER COLUMN {q(new.name)} TYPE {kind_now}")
        self._add(phase, "retype", table.name, new.name, sql=sql, spec=_json(new), kind=kind, word=word, rows=rows,
                  detail=f"→ {new.kind}{f'({new.length})' if new.kind == 'text' else ''}")

    def _narrow_text(self, table: TableSpec, new: ColumnSpec, now_column: str, place: str) -> None:
        table_now = self.table_now[table.name]
        counted = f"SELECT count(*) FROM {q(table_now)} WHERE length({q(now_column)}) > {new.length}"
        too_long = int(run_statement(self.conn, counted).scalar() or 0)
        cut = f"UPDATE {q(table.name)} SET {q(new.name)} = substr({q(new.name)}, 1, {new.length}) WHERE length({q(new.name)}) > {new.length}"
        if too_long:
            self._alter_type("swap", table, new, "narrowing", f"narrow:{place}", too_long, (cut,))
        else:
            self._alter_type("swap", table, new, "safe", "", 0)

    def _rescale(self, table: TableSpec, new: ColumnSpec, old: ColumnSpec, now_column: str, rows: int, place: str) -> None:
        """Other places or digits. Values that would lose digits or not fit are counted and stand in the way."""
        lossy = self._lossy(self.table_now[table.name], now_column, old, new)
        if lossy:
            self.impacts.append(Impact("type", place, lossy, (), True, "values would lose places or do not fit: correct them first"))
            return
        first: tuple[str, ...] = ()
        word, kind = "", "safe"
        if self.dialect == "sqlite" and new.scale != old.scale:
            # A process that still serves the former revision would read the new integers with the old scale.
            word, kind = f"retype:{place}", "narrowing"
            up, down = max(new.scale - old.scale, 0), max(old.scale - new.scale, 0)
            first = (f"UPDATE {q(table.name)} SET {q(new.name)} = {q(new.name)} * {10**up} / {10**down}",)
        self._alter_type("swap", table, new, kind, word, rows, first)

    def _lossy(self, table: str, column: str, old: ColumnSpec, new: ColumnSpec) -> int:
        name = q(column)
        top = 10 ** (new.precision - new.scale)
        if self.dialect == "sqlite":
            limit = top * 10**old.scale
            broken = f"abs({name}) >= {limit}" if limit < 2**63 else "0"
            if old.scale > new.scale:
                broken += f" OR {name} % {10 ** (old.scale - new.scale)} <> 0"
        else:
            broken = f"abs({name}) >= {top} OR {name} <> round({name}::numeric, {new.scale})"
        return int(run_statement(self.conn, f"SELECT count(*) FROM {q(table)} WHERE {broken}").scalar() or 0)

    def _change_target(self, table: TableSpec, new: ColumnSpec, rows: int, place: str) -> None:
        if rows and new.references:
            self.impacts.append(Impact("type", place, rows, (), True, "rows point to the former target: add a field of another name"))
            return
        if self.dialect == "postgresql":
            name = ddl.foreign_key_name(table.name, new.name)
            sql = [ddl.drop_foreign_key(table.name, name)]
            if self._keyed(table, new):
                sql.append(ddl.add_foreign_key(table.name, new, checked=True))
            self._add("swap", "retype", table.name, new.name, sql=tuple(sql), spec=_json(new), detail=f"→ {new.references or 'no target'}")
        elif rows == 0:
            self._replace_empty(table, new, new)

    def _replace_empty(self, table: TableSpec, new: ColumnSpec, old: ColumnSpec) -> None:
        """The column holds nothing: set it aside under another name and make it anew."""
        aside = self._free_name(table, new.name)
        self.moved.add((table.name, new.name))
        keys = [ddl.add_foreign_key(table.name, new, checked=True)] if self._keyed(table, new) else []
        drop_key = (ddl.drop_foreign_key(table.name, ddl.foreign_key_name(table.name, new.name)),)
        self._add("swap", "set_aside", table.name, new.name, former=aside, spec=_json(new), sql=(
            *(drop_key if self.dialect == "postgresql" else ()),
            f"ALTER TABLE {q(table.name)} RENAME COLUMN {q(new.name)} TO {q(aside)}",
            ddl.add_column(table.name, new, self.dialect), *keys,
        ), detail=f"→ {new.kind}")  # fmt: skip

    def _free_name(self, table: TableSpec, column: str) -> str:
        taken = self.there.columns[self.table_now[table.name]]
        return next(name for n in range(1, 1000) if (name := short_name(f"{column}__was{n}")) not in taken)

    # ---- indexes and checks

    def _indexes(self, table: TableSpec) -> None:
        now = self.table_now[table.name]
        is_new = now not in self.there.columns
        if table.engine:
            return
        for index in table.indexes.values():
            found = self.there.indexes.get(index.name)
            if found is not None and not found[1]:
                self._add("index", "drop_index", table.name, detail=index.name, sql=(ddl.drop_index(index.name, concurrently=True),))
                found = None
            if found is None:
                self._create_index(table, index, is_new)
        for name, (owner, _) in self.there.indexes.items():
            ours = owner == now and "__" in name and ("__ix" in name or "__uq" in name) and not owner.startswith(("ml_", "ab_"))
            if ours and name not in table.indexes:
                self._add("tidy", "drop_index", table.name, detail=name, sql=(self._drop_index(name),))

    def _drop_index(self, name: str) -> str:
        return ddl.drop_index(name, concurrently=self.dialect == "postgresql")

    def _create_index(self, table: TableSpec, index: IndexSpec, is_new: bool) -> None:
        waits = self.table_now[table.name] != table.name or any((table.name, column) in self.moved for column in index.columns)
        if is_new:
            phase = "expand"
        elif waits:
            phase = "tidy"
        else:
            phase = "validate" if index.unique else "index"
        concurrently = self.dialect == "postgresql" and not is_new
        self._add(phase, "create_index", table.name, detail=index.name, sql=(ddl.create_index(index, concurrently=concurrently),))

    def _checks(self, table: TableSpec) -> None:
        now = self.table_now[table.name]
        if self.dialect == "sqlite":
            self._check_triggers(table, now)
            return
        is_new = now not in self.there.columns
        for check in table.checks.values():
            if check.name not in self.there.checks and is_new:
                self._add("expand", "checks", table.name, check.column, detail=check.name, sql=(ddl.add_check(check, checked=True),))
            elif check.name not in self.there.checks:
                self._add("swap", "checks", table.name, check.column, detail=check.name, sql=(ddl.add_check(check),))
                self._add("tidy", "validate", table.name, check.column, detail=check.name, sql=(ddl.validate(table.name, check.name),))
        for name, owner in self.there.checks.items():
            if owner == now and _is_our_check(name) and name not in table.checks and not owner.startswith(("ml_", "ab_")):
                self._add("swap", "checks", table.name, detail=f"no {name}", sql=(ddl.drop_check(table.name, name),))

    def _check_triggers(self, table: TableSpec, now: str) -> None:
        wanted = ddl.check_triggers(table.name, table.checks.values())
        there = {name for name in self.there.triggers if name in (short_name(f"{now}__checks_ins"), short_name(f"{now}__checks_upd"))}
        if there == set(wanted) and all(self.there.triggers[name] == sql for name, sql in wanted.items()):
            return
        drops = tuple(f"DROP TRIGGER IF EXISTS {q(name)}" for name in sorted(there | set(wanted)))
        if drops:
            self._add("swap", "checks", table.name, detail=f"{len(table.checks)} checks", sql=(*drops, *wanted.values()))

    # ---- what is no longer named

    def _drops(self, wanted: Mapping[str, TableSpec]) -> None:
        """Columns that someone explicitly wants gone, with everything in them."""
        by_entity = {table.entity: table for table in wanted.values()}
        for word in sorted(self.allow):
            verb, _, place = word.partition(":")
            address, _, name = place.partition("/")
            table = by_entity.get(address)
            if verb != "drop" or table is None:
                continue
            for (owner, column), spec in self.there.known.items():
                if owner == table.name and spec.field == name and column not in table.columns and column in self.there.columns[owner]:
                    self._drop_column(owner, column, word)

    def _drop_column(self, table: str, column: str, word: str) -> None:
        indexes = tuple(
            ddl.drop_index(name) for name, (owner, _) in self.there.indexes.items()
            if owner == table and column in name and not table.startswith(("ml_", "ab_"))
        )  # fmt: skip
        self._add("tidy", "drop_column", table, column, kind="destructive", word=word, rows=filled_rows(self.conn, table, column),
                  sql=(*indexes, f"ALTER TABLE {q(table)} DROP COLUMN {q(column)}"))

    def _kept(self, wanted: Mapping[str, TableSpec]) -> tuple[str, ...]:
        dropped = {(step.table, step.column) for step in self.steps if step.action == "drop_column"}
        moved = {(self.table_now[table], column) for (table, _), column in self.renamed.items()}
        renamed_tables = {now for name, now in self.table_now.items() if now != name}
        return tuple(sorted(
            f"{table}.{column}" for (table, column) in self.there.known
            if table not in renamed_tables and (table, column) not in dropped | moved
            and column in self.there.columns.get(table, ()) and (table not in wanted or column not in wanted[table].columns)
        ))  # fmt: skip

    def _add(self, phase: str, action: str, table: str, column: str = "", **more: object) -> None:
        self.steps.append(Step(phase, action, table, column, **more))  # type: ignore[arg-type]


def _json(spec: ColumnSpec) -> dict[str, object]:
    return dict(vars(spec))


_STORAGE = ("kind", "length", "precision", "scale", "references", "cascade")


def _same_storage(old: ColumnSpec, new: ColumnSpec) -> bool:
    """Equal as far as the database goes; also plain text must not pass for ciphertext or the other way round."""
    return all(getattr(old, name) == getattr(new, name) for name in _STORAGE) and bool(old.origin) == bool(new.origin)


def _only_key_differs(old: ColumnSpec, new: ColumnSpec) -> bool:
    return old.kind == new.kind == "integer" and (old.references, old.cascade) != (new.references, new.cascade)


def _widens(old: ColumnSpec, new: ColumnSpec, dialect: str) -> bool:
    if bool(old.origin) != bool(new.origin):
        return False
    if old.kind == "text" and (new.kind == "long_text" or new.kind == "text" and new.length >= old.length):
        return True
    return old.kind == new.kind == "exact" and old.scale == new.scale and new.precision >= old.precision


def _narrows_text(old: ColumnSpec, new: ColumnSpec) -> bool:
    return old.kind in ("text", "long_text") and new.kind == "text" and not old.origin and not new.origin


def _is_our_check(name: str) -> bool:
    return any(f"__{kind}_" in name for kind in ("min", "max", "length"))
