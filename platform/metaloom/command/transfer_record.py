"""Handing a record over: the only way its company, unit and owner change (decision 4)."""

from __future__ import annotations

from typing import Any

from metaloom.base.errors import Invalid, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.store import check_version, locked_for, title_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.record.alert_rows import follow_owners
from metaloom.record.paths import OWNERS


def transfer_record(ctx: Context, entity: str, id: int, *, company: int | None = None, org_unit: int | None = None,
                    user: int | None = None, row_version: int | None = None, reason: str = "") -> Saved:
    """Gives the record another company, unit or owner (None: stays). ``row_version`` is compared when it is given.

    Invalid when the entity has no such owner, the target does not exist or is archived, or the unit is of another company.
    """
    wanted = {name: value for name, value in (("company", company), ("org_unit", org_unit), ("owner", user)) if value is not None}
    return perform(ctx, "transfer", [entity, id, wanted, row_version, reason],
                   lambda unit: transfer_in(unit, entity, id, wanted, row_version), reason=reason)


def transfer_in(unit: Unit, address: str, record_id: int, wanted: dict[str, int], row_version: int | None) -> Saved:
    """The same inside a running unit."""
    entity = unit.entity(address)
    if entity.storage != "table":
        raise NotPossible(message("command.engine_storage", entity=entity.label))
    permit(unit, address, "transfer")
    before = locked_for(unit, address, record_id, "transfer")
    if row_version is not None:
        check_version(unit, address, before, row_version)
    problems: list[Problem] = []
    owned = {"owner" if part == "user" else part for part in entity.ownership.owned_by}
    for name, value in wanted.items():
        if name not in owned:
            problems.append(Problem(name, message("field.unknown")))
        elif not _alive(rows.fetch(unit, rows.target(OWNERS[name]), value)):
            problems.append(Problem(name, message("field.link")))
    _check_unit(unit, {**before, **wanted}, problems)
    if problems:
        raise Invalid(problems)
    changed = {name: value for name, value in wanted.items() if before[name] != value}
    version = before["row_version"]
    if changed:
        version = rows.update(unit, entity, record_id, changed, version)
        unit.log(entity, record_id, {name: before[name] for name in changed}, changed)
        follow_owners(unit.conn, unit.revision, address, record_id, now=unit.now)
    title = title_of(unit, entity, before)
    return Saved(address, record_id, version, title, message("command.transferred", entity=entity.label, title=title))


def _alive(row: Any) -> bool:
    return row is not None and row.get("archived_at") is None and row.get("active", True) is not False


def _check_unit(unit: Unit, owners: dict[str, Any], problems: list[Problem]) -> None:
    """A unit belongs to the record's company."""
    if owners.get("org_unit") is None or owners.get("company") is None or problems:
        return
    row = rows.fetch(unit, "platform.org_unit", owners["org_unit"])
    if row is not None and row.get("company") not in (None, owners["company"]):
        problems.append(Problem("org_unit", message("field.link")))
