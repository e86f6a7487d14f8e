"""Storing a new or changed record: read, complete, check, write, audit. Every command that writes a record ends here.

``trusted``: values come from metadata or a plugin command whose own right was checked, so field rights, read-only flags
and link visibility are not asked; types, required fields, rules, links and the lifecycle are, always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaloom import audit
from metaloom.base.crash import crash_point
from metaloom.base.errors import Invalid, NotAllowed, NotPossible, Problem, Stale
from metaloom.base.messages import message
from metaloom.command import check, child_rights, rows
from metaloom.command.evaluate import compute, computed_of, fitted, holds, value
from metaloom.command.live import Live, parent_field
from metaloom.command.numbers import next_number
from metaloom.command.unit import Unit
from metaloom.expression import Env
from metaloom.lifecycle import initial_state
from metaloom.model import Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import FILE_TYPES
from metaloom.record.paths import OWNERS

OWNER_FIELDS = ("company", "org_unit", "owner")
CHILD_ROWS_MAX = 1_000
ROW_KEYS = frozenset({"id", "row_version"})


def new_record(unit: Unit, address: str, given: Mapping[str, Any], *, trusted: bool = False, path: str = "",
               parent: tuple[str, Live] | None = None, faults: Sequence[Problem] = ()) -> Mapping[str, Any]:
    """Stores a record with its child rows and returns its values. Invalid names every field at fault, before anything is
    written; ``faults`` were found when the input was read. ``parent``: the link field to the record it lives in, and that record."""
    entity, values, drafts = _prepared(unit, address, given, trusted, path, parent, faults)
    return _insert_all(unit, entity, values, drafts)


def new_records(unit: Unit, address: str, given: Sequence[Mapping[str, Any]]) -> list[int]:
    """Many trusted records of one entity in one statement; ids in the order given. One audit row for all when the entity is
    written in bulk, else one each."""
    prepared = [_prepared(unit, address, row, True, "", None) for row in given]
    if any(drafts for _, _, drafts in prepared):
        return [_insert_all(unit, entity, values, drafts)["id"] for entity, values, drafts in prepared]
    entity, all_values = unit.entity(address), [values for _, values, _ in prepared]
    for values in all_values:
        _number(unit, entity, values)
    ids = rows.insert_many(unit, entity, all_values)
    for record_id, values in zip(ids, all_values, strict=True):
        values.update(id=record_id, row_version=1)
        _take_files(unit, entity, values, None)
        if not entity.bulk:
            unit.log(entity, record_id, None, _logged(entity, values))
    if entity.bulk and ids:
        unit.log(entity, None, None, {"rows": len(ids), "first": ids[0], "last": ids[-1]})
    return ids


def _prepared(unit: Unit, address: str, given: Mapping[str, Any], trusted: bool, path: str,
              parent: tuple[str, Live] | None,
              faults: Sequence[Problem] = ()) -> tuple[Entity, dict[str, Any], dict[str, list[_Draft]]]:
    """A new record, completed and checked, with its child rows; nothing is written yet."""
    entity = unit.entity(address)
    if entity.storage != "table":
        raise NotPossible(message("command.engine_storage", entity=entity.label))
    problems = list(faults)
    values, children = _read_new(unit, entity, given, problems, trusted, path)
    values.update(_owners(unit, entity, given, problems, trusted))
    if parent is not None:
        values[parent[0]] = parent[1].raw.get("id")
    live = Live(unit, entity, values, {}, parent)
    env = unit.env(_company(live, values))
    _set_defaults(unit, entity, values, given, live, env)
    _fill(unit, entity, values, set(given), live, env, only_empty=True)
    drafts = {name: [_draft(unit, entity, name, row, problems, trusted, live, f"{path}{name}.{i}.") for i, row in enumerate(given_rows)]
              for name, given_rows in children.items()}
    live = Live(unit, entity, values, {name: [d.live for d in rows_] for name, rows_ in drafts.items()}, parent)
    compute(unit, entity, computed_of(entity), values, live, env)
    present = [name for name in entity.fields if values.get(name) not in check.EMPTY]
    check.check_record(unit, entity, live, None, [n for n in present if parent is None or n != parent[0]], env, problems,
                       prefix=path, trusted=trusted)
    if problems:
        raise Invalid(problems)
    return entity, values, drafts


class _Draft:
    """A child row that is completed and not yet stored."""

    def __init__(self, entity: Entity, values: dict[str, Any], live: Live, record_id: int | None, row_version: int | None,
                 before: Mapping[str, Any] | None = None) -> None:
        self.entity, self.values, self.live = entity, values, live
        self.id, self.row_version, self.before = record_id, row_version, before
        self.judged: tuple[str, ...] | None = None


def _draft(unit: Unit, parent_entity: Entity, name: str, given: Any, problems: list[Problem], trusted: bool, parent: Live,
           path: str, stored: Mapping[int, Mapping[str, Any]] | None = None) -> _Draft:
    """One row of a child field, completed and checked; a row with an id changes the stored one."""
    child = unit.entity(parent_entity.fields[name].entity)
    link = parent_field(parent_entity, name, child)
    row = dict(given) if isinstance(given, Mapping) else {}
    if not isinstance(given, Mapping):
        problems.append(Problem(path.rstrip("."), message("field.type")))
    record_id, version = row.pop("id", None), row.pop("row_version", None)
    before = (stored or {}).get(record_id) if record_id is not None else None
    judged = not trusted and child_rights.judged(unit, child)
    if before is not None and judged:
        child_rights.remember(unit, child, before["id"])
    if record_id is not None and before is None:
        problems.append(Problem(path + "id", message("field.link")))
    row.pop(link, None) if trusted else None
    values = dict(before) if before is not None else rows.nothing(child)
    found, _ = _accepted(unit, child, row, problems, trusted, path, before)
    values.update(found)
    values[link] = parent.raw.get("id")
    live = Live(unit, child, values, {}, (link, parent))
    env = unit.env(parent.raw.get("company"))
    if before is None:
        values.update(_started(unit, child))
        _set_defaults(unit, child, values, row, live, env)
    _fill(unit, child, values, set(row), live, env, only_empty=True)
    compute(unit, child, computed_of(child), values, live, env)
    changed = [n for n in child.fields if n != link and values.get(n) not in check.EMPTY
               and (before is None or values[n] != before[n])]
    check.check_record(unit, child, live, before, changed, env, problems, prefix=path, trusted=trusted)
    made = _Draft(child, values, live, record_id, version, before)
    made.judged = tuple(found) if judged else None
    return made


def _read_new(unit: Unit, entity: Entity, given: Mapping[str, Any], problems: list[Problem], trusted: bool,
              path: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    values = rows.nothing(entity)
    found, children = _accepted(unit, entity, given, problems, trusted, path, None)
    values.update(found)
    values.update(_started(unit, entity))
    values.update({"created_at": unit.now, "updated_at": unit.now, "created_by": unit.ctx.actor.user_id,
                   "updated_by": unit.ctx.actor.user_id})
    return values, children


def _started(unit: Unit, entity: Entity) -> dict[str, Any]:
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    return {lifecycle.field: initial_state(lifecycle)} if lifecycle else {}


def _accepted(unit: Unit, entity: Entity, given: Mapping[str, Any], problems: list[Problem], trusted: bool, path: str,
              before: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The values that may be given, read into their types; a problem for each that may not (mass assignment)."""
    values: dict[str, Any] = {}
    children: dict[str, list[Any]] = {}
    for name, raw in given.items():
        if name in OWNER_FIELDS and name not in entity.fields and before is None:
            continue  # ownership has its own way
        field = entity.fields.get(name)
        if field is None:
            problems.append(Problem(path + name, message("field.unknown")))
            continue
        if before is not None and field.type is not FieldType.CHILD and name in before and raw == before[name] and (
                trusted or may_know(unit, entity, name, before)):
            continue  # sent back as it was; a right guess at what one may not see is refused like a wrong one
        refusal = None if field.type is FieldType.CHILD and trusted else _refusal(unit, entity, field, trusted, before)
        if refusal is not None:
            if raw not in check.EMPTY or before is not None:
                problems.append(Problem(path + name, refusal))
            continue
        if field.type is FieldType.CHILD:
            children[name] = _child_rows(raw, path + name, problems)
        else:
            values[name] = check.read_value(unit, field, raw, problems, path + name, offered_only=not trusted)
    return values, children


def _child_rows(raw: Any, path: str, problems: list[Problem]) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, (list, tuple)) or len(raw) > CHILD_ROWS_MAX:
        problems.append(Problem(path, message("field.type")))
        return []
    return list(raw)


def _refusal(unit: Unit, entity: Entity, field: Field, trusted: bool, before: Mapping[str, Any] | None) -> Any:
    """Why this field takes no value here, or None."""
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    if field.type is FieldType.STATE or (lifecycle is not None and lifecycle.field == field.name):
        return message("field.state")
    if field.computed or field.type is FieldType.AUTO_NUMBER:
        return message("field.read_only")
    if trusted:
        return None
    if field.read_only or (entity.child_of and field.name == entity.parent_field):
        return message("field.read_only")
    if field.fixed and before is not None and before.get(field.name) not in check.EMPTY:
        return message("field.fixed")
    if not unit.ctx.system and not may_write(unit, entity, field.name, before):
        return message("field.not_yours")
    return None


def may_write(unit: Unit, entity: Entity, name: str, before: Mapping[str, Any] | None) -> bool:
    """Whether the person may write the field: of this row, or of a new one by a grant to create."""
    plan = unit.ctx.plan
    address = entity.address
    known: Mapping[str, FieldLevel] | None = unit.memory.get(("levels", address, before["id"])) if before is not None else None
    if before is None or (entity.child_of and known is None):
        rights = plan.rights(address)
        return any(rights.grant_level(held, name) >= FieldLevel.WRITE for held in rights.held
                   if {"create", "edit"} & held.grant.actions)
    return (known or {}).get(name, FieldLevel.HIDDEN) >= FieldLevel.WRITE


def may_know(unit: Unit, entity: Entity, name: str, values: Mapping[str, Any]) -> bool:
    """Whether the person reads the field in the clear: in this row, or (where the row's levels are not known) in every row."""
    if unit.ctx.system:
        return True
    here: Mapping[str, FieldLevel] | None = unit.memory.get(("levels", entity.address, values.get("id")))
    if here is not None:
        return here.get(name, FieldLevel.HIDDEN) >= FieldLevel.READ
    rights = unit.ctx.plan.rights(entity.address)
    return all(rights.levels(frozenset({index})).get(name, FieldLevel.HIDDEN) >= FieldLevel.READ for index in range(len(rights.scopes)))


def _owners(unit: Unit, entity: Entity, given: Mapping[str, Any], problems: list[Problem], trusted: bool) -> dict[str, Any]:
    """Company, unit and owner of a new record: the actor's; others only with the right to hand over."""
    actor = unit.ctx.actor
    own = {"company": actor.company_id, "org_unit": actor.org_unit_id, "owner": actor.user_id}
    owned = {"owner" if part == "user" else part for part in entity.ownership.owned_by}
    found = {}
    for name in OWNER_FIELDS:
        if name in entity.fields:
            continue
        wanted = given.get(name)
        if name in given and name not in owned:
            problems.append(Problem(name, message("field.unknown")))
        elif name in owned:
            found[name] = own[name]
            if wanted is not None and wanted != own[name]:
                found[name] = _handed(unit, entity, name, wanted, problems, trusted)
    return found


def _handed(unit: Unit, entity: Entity, name: str, wanted: Any, problems: list[Problem], trusted: bool) -> Any:
    if not (trusted or unit.ctx.system or unit.ctx.plan.may(entity.address, "transfer")):
        problems.append(Problem(name, message("field.not_yours")))
        return None
    value = check.read_value(unit, OWNERS[name], wanted, problems, name)
    if value is not None and rows.fetch(unit, rows.target(OWNERS[name]), value) is None:
        problems.append(Problem(name, message("field.link")))
    return value


def _company(live: Live, values: Mapping[str, Any]) -> int | None:
    """The company whose business date holds for the record: its own, else that of the record it follows."""
    own = values.get("company")
    if isinstance(own, int):
        return own
    try:
        above = live["company"] if "company" in live else None
    except KeyError:
        return None
    return above["id"] if isinstance(above, Mapping) else None


def _set_defaults(unit: Unit, entity: Entity, values: dict[str, Any], given: Mapping[str, Any], live: Live, env: Env) -> None:
    for field in entity.fields.values():
        if field.default and given.get(field.name) in check.EMPTY and values.get(field.name) in check.EMPTY:
            values[field.name] = fitted(field, value(unit, entity, field.default, live, env))


def _fill(unit: Unit, entity: Entity, values: dict[str, Any], entered: set[str], live: Live, env: Env, *, only_empty: bool) -> None:
    """A value that was entered brings others along, where those are empty."""
    for name in entered:
        field = entity.fields.get(name)
        if field is None or not field.fill or values.get(name) in check.EMPTY:
            continue
        for target, text in field.fill.items():
            if target in entity.fields and (not only_empty or values.get(target) in check.EMPTY):
                values[target] = fitted(entity.fields[target], value(unit, entity, text, live, env))


def _insert_all(unit: Unit, entity: Entity, values: dict[str, Any], drafts: Mapping[str, list[_Draft]]) -> Mapping[str, Any]:
    _number(unit, entity, values)
    values["id"] = rows.insert(unit, entity, values)
    values["row_version"] = 1
    _take_files(unit, entity, values, None)
    unit.log(entity, values["id"], None, _logged(entity, values))
    crash_point("record.stored")
    for name, children in drafts.items():
        for draft in children:
            _insert_child(unit, entity, name, draft, values["id"])
    return values


def _insert_child(unit: Unit, entity: Entity, name: str, draft: _Draft, parent_id: int) -> None:
    draft.values[parent_field(entity, name, draft.entity)] = parent_id
    draft.values.update({"created_at": unit.now, "updated_at": unit.now, "created_by": unit.ctx.actor.user_id,
                         "updated_by": unit.ctx.actor.user_id})
    _insert_all(unit, draft.entity, draft.values, {})
    if draft.judged is not None:
        child_rights.refuse_new(unit, draft.entity, draft.values["id"], draft.judged)


def _number(unit: Unit, entity: Entity, values: dict[str, Any]) -> None:
    """Numbers come last, when everything else is checked: a gapless counter stays locked until commit."""
    for field in entity.fields.values():
        if field.type is FieldType.AUTO_NUMBER and values.get(field.name) is None and field.series:
            values[field.name] = next_number(unit, field.series, values.get("company"))


def _logged(entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _audited(entity, values).items() if value not in check.EMPTY}


def _audited(entity: Entity, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record the audit keeps: its fields with ``history``, and whom it belongs to."""
    names = [f.name for f in entity.fields.values() if f.stored and f.history]
    owned = ["owner" if part == "user" else part for part in entity.ownership.owned_by]
    return {name: values[name] for name in (*names, *owned, "archived_at") if name in values}


def _take_files(unit: Unit, entity: Entity, values: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    """Uploads that the record took belong to it from now on."""
    for field in entity.fields.values():
        if field.type in FILE_TYPES:
            new = set(values.get(field.name) or ()) - set((before or {}).get(field.name) or ())
            for file_id in sorted(new):
                rows.attach(unit, file_id, entity.address, values["id"], field.name)


# -- changing ----------------------------------------------------------------------------------------------------------


def change_stored(unit: Unit, address: str, before: Mapping[str, Any], given: Mapping[str, Any], *, trusted: bool = False,
                  state: str | None = None, faults: Sequence[Problem] = ()) -> Mapping[str, Any]:
    """Changes a locked record and returns its new values; what is equal is not written. ``state`` is the new state of a
    transition: the only way in for the state field."""
    entity = unit.entity(address)
    if entity.storage != "table":
        raise NotPossible(message("command.engine_storage", entity=entity.label))
    if entity.append_only:
        raise NotPossible(message("command.append_only", entity=entity.label))
    problems = list(faults)
    found, children = _accepted(unit, entity, given, problems, trusted, "", before)
    values = {**before, **found}
    lifecycle = unit.catalog.lifecycles.get(address)
    if state is not None and lifecycle is not None:
        values[lifecycle.field] = state
    live = Live(unit, entity, values)
    env = unit.env(_company(live, values))
    _refuse_locked_fields(unit, entity, before, found, env, problems, trusted)
    _fill(unit, entity, values, set(found), live, env, only_empty=True)
    drafts, removed = _changed_children(unit, entity, children, problems, trusted, live)
    live = Live(unit, entity, values, {name: [d.live for d in rows_] for name, rows_ in drafts.items()})
    compute(unit, entity, computed_of(entity), values, live, env)
    changed = [n for n in entity.fields if n in values and values[n] != before.get(n)]
    check.check_record(unit, entity, live, before, changed, env, problems, trusted=trusted)
    if problems:
        raise Invalid(problems)
    return _update_all(unit, entity, before, values, changed, drafts, removed)


def _refuse_locked_fields(unit: Unit, entity: Entity, before: Mapping[str, Any], found: Mapping[str, Any], env: Env,
                          problems: list[Problem], trusted: bool) -> None:
    if trusted:
        return
    stored = Live(unit, entity, before)
    for name in found:
        field = entity.fields[name]
        if field.read_only_when and holds(unit, entity, field.read_only_when, stored, env):
            problems.append(Problem(name, message("field.read_only")))


def _changed_children(unit: Unit, entity: Entity, children: Mapping[str, list[Any]], problems: list[Problem], trusted: bool,
                      live: Live) -> tuple[dict[str, list[_Draft]], list[tuple[Entity, Mapping[str, Any]]]]:
    """Child fields that were given are the whole truth: rows with an id are changed, without one added, others removed."""
    drafts: dict[str, list[_Draft]] = {}
    removed: list[tuple[Entity, Mapping[str, Any]]] = []
    for name, given_rows in children.items():
        child = unit.entity(entity.fields[name].entity)
        found = rows.find(unit, child.address, {parent_field(entity, name, child): live.raw["id"]}, live_only=True, lock=True)
        stored = {row["id"]: row for row in found}
        drafts[name] = [_draft(unit, entity, name, row, problems, trusted, live, f"{name}.{i}.", stored)
                        for i, row in enumerate(given_rows)]
        _refuse_stale_rows(drafts[name], stored)
        kept = {draft.id for draft in drafts[name]}
        if len([d for d in drafts[name] if d.id is not None]) != len(kept - {None}):
            problems.append(Problem(name, message("field.type")))
        gone = [row for record_id, row in stored.items() if record_id not in kept]
        if not trusted and child_rights.judged(unit, child):
            gone = [row for row in gone if child_rights.seen(unit, child, row["id"])]  # what one does not see one does not leave out
            for row in gone:
                child_rights.refuse_without(unit, child, row["id"], "delete")
        removed += [(child, row) for row in gone]
    return drafts, removed


def _refuse_stale_rows(drafts: list[_Draft], stored: Mapping[int, Mapping[str, Any]]) -> None:
    for draft in drafts:
        if draft.before is not None and draft.row_version is not None and draft.row_version != stored[draft.id or 0]["row_version"]:
            raise Stale(current=draft.before, row_version=draft.before["row_version"])


def _update_all(unit: Unit, entity: Entity, before: Mapping[str, Any], values: dict[str, Any], changed: list[str],
                drafts: Mapping[str, list[_Draft]], removed: list[tuple[Entity, Mapping[str, Any]]]) -> Mapping[str, Any]:
    touched = bool(changed) or bool(removed)
    for child, row in removed:
        rows.remove(unit, child, row["id"], row["row_version"])
        unit.log(child, row["id"], _audited(child, row), None)
    for name, children in drafts.items():
        for draft in children:
            touched = _store_child(unit, entity, name, draft, before["id"]) or touched
    if not touched:
        return before
    written = {name: values[name] for name in changed}
    values["row_version"] = rows.update(unit, entity, before["id"], written, before["row_version"])
    values["updated_at"], values["updated_by"] = unit.now, unit.ctx.actor.user_id
    _take_files(unit, entity, values, before)
    kept = _audited(entity, values)
    names = [name for name in changed if name in kept]
    unit.log(entity, before["id"], {n: before[n] for n in names}, {n: values[n] for n in names})
    return values


def _store_child(unit: Unit, entity: Entity, name: str, draft: _Draft, parent_id: int) -> bool:
    """Adds or changes one child row; whether anything was written."""
    if draft.before is None:
        _insert_child(unit, entity, name, draft, parent_id)
        return True
    changed = [n for n in draft.entity.fields if n in draft.values and draft.values[n] != draft.before[n]]
    if changed:
        if draft.judged is not None:
            child_rights.refuse_without(unit, draft.entity, draft.before["id"], "edit")
        _update_all(unit, draft.entity, draft.before, draft.values, changed, {}, [])
    return bool(changed)


# -- what every command on one record begins with -------------------------------------------------------------------------


def locked_for(unit: Unit, address: str, record_id: int, action: str, *, archived: bool = False) -> Mapping[str, Any]:
    """The record, locked, when the person may do ``action`` to it: NotFound outside what may be seen, NotAllowed when this
    row is not among the rows the right covers, NotPossible when it is archived (unless asked for)."""
    unit.entity(address)
    found = rows.fetch(unit, address, record_id, lock=True)
    if not unit.ctx.system:
        actions, levels = rows.standing(unit, address, record_id)
        unit.memory["levels", address, record_id] = levels
        if action not in actions:
            raise NotAllowed(message("command.row_denied", action=unit.ctx.plan.action_label(address, action)))
    if found is None:
        rows.missing()
    if found.get("archived_at") is not None and not archived:
        raise NotPossible(message("command.is_archived"))
    return found


def check_version(unit: Unit, address: str, found: Mapping[str, Any], row_version: int | None) -> None:
    """Stale, with the present values as far as the person may see them, when the record moved on."""
    if row_version is None or row_version != found["row_version"]:
        current = rows.reader(unit).get(address, found["id"]) if not unit.ctx.system else None
        raise Stale(current=current, row_version=found["row_version"])


def title_of(unit: Unit, entity: Entity, values: Mapping[str, Any]) -> str:
    """What names the record in a message; never a secret, nor a name that this person does not read in the clear."""
    field = entity.fields.get(entity.title)
    if field is not None and not may_know(unit, entity, entity.title, values):
        return f"#{values.get('id')}"
    found = values.get(entity.title)
    shown = audit.masked_values(entity, {entity.title: found})[entity.title] if field is not None else found
    return str(shown if shown not in (None, "") else values.get("id") or "")
