"""People: accounts of the login library, with company, unit and post."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.check import EMPTY
from metaloom.command.context import Context, Saved
from metaloom.command.create_record import refuse_outside_own_rows
from metaloom.command.inputs import read_fields
from metaloom.command.password import hashed, refuse_weak
from metaloom.command.reach import account_within_reach, refuse_beyond
from metaloom.command.store import check_version, may_know, may_write
from metaloom.command.unit import Unit, perform, permit
from metaloom.compile import entity_scope
from metaloom.model import Field

USER = "platform.user"

register({"user.own_switch": ("不能停用自己的账号。", "You cannot switch off your own account.")})


def save_user(ctx: Context, id: int | None, values: Mapping[str, Any], row_version: int | None = None, *,
              password: str | None = None, initial: bool | None = None) -> Saved:
    """Creates (``id`` None) or changes an account. The right is create or edit on ``platform.user``.

    ``initial``: the password must be changed at the first login. Always so when a person sets it; None leaves it to who acts.

    Switching an account off, or changing where its person works, ends its sessions at once (``auth_stamp``).
    """
    body = [id, values, row_version, bool(password)]
    return perform(ctx, "create" if id is None else "change", [USER, *body], lambda unit: save_user_in(unit, id, values, row_version, password, initial))


def save_user_in(unit: Unit, user_id: int | None, values: Mapping[str, Any], row_version: int | None, password: str | None,
                 initial: bool | None = None) -> Saved:
    """The same inside a running unit."""
    if user_id is None:
        permit(unit, USER, "create")
        return _create(unit, values, password, initial)
    before = account_within_reach(unit, user_id)
    if row_version is not None or not unit.ctx.system:
        check_version(unit, USER, before, row_version)
    return _change(unit, before, values)


def _fields(unit: Unit, *, changing: bool) -> dict[str, Field]:
    return {name: field for name, field in unit.entity(USER).fields.items()
            if field.stored and not field.read_only and not (changing and field.fixed)}


def _create(unit: Unit, values: Mapping[str, Any], password: str | None, initial: bool | None) -> Saved:
    entity = unit.entity(USER)
    _refuse_unwritable(unit, values, None)
    found = read_fields(unit, _fields(unit, changing=False), values, entity=entity, record=None,
                        scope=entity_scope(unit.catalog, USER), trusted=unit.ctx.system)
    if password is not None:
        refuse_weak(password, found["username"])
    extra = {"must_renew": password is not None and (not unit.ctx.system or bool(initial)),
             "password": hashed(password) if password is not None else None, "first_name": "", "last_name": found["display_name"][:64],
             "created_on": unit.now.replace(tzinfo=None) if unit.revision.dialect == "postgresql" else unit.now.isoformat()}
    refuse_beyond(unit, USER, "create", found.get("company"), found.get("org_unit"))
    user_id = rows.engine_insert(unit, USER, found, extra)
    refuse_outside_own_rows(unit, USER, user_id)
    unit.log(entity, user_id, None, {name: value for name, value in found.items() if value not in EMPTY})
    title = found["display_name"]
    return Saved(USER, user_id, 1, title, message("command.created", entity=entity.label, title=title))


def _change(unit: Unit, before: Mapping[str, Any], values: Mapping[str, Any]) -> Saved:
    entity = unit.entity(USER)
    fields = _fields(unit, changing=True)
    _refuse_unwritable(unit, values, before)
    sent = {name: value for name, value in values.items() if name in fields or value != before.get(name)}
    whole = {**{name: before[name] for name in fields}, **sent}
    found = read_fields(unit, fields, whole, entity=entity, record=before, scope=entity_scope(unit.catalog, USER), trusted=unit.ctx.system)
    changed = {name: value for name, value in found.items() if value != before[name]}
    version, title = before["row_version"], found["display_name"]
    if changed.get("active") is False and before["id"] == unit.ctx.actor.user_id:
        raise NotPossible(message("user.own_switch"))
    if changed:
        extra = {"last_name": title[:64]}
        if {"active", "company", "org_unit"} & changed.keys():
            extra["auth_stamp"] = rows.engine_column(unit, USER, before["id"], "auth_stamp") + 1
        refuse_beyond(unit, USER, "edit", found.get("company"), found.get("org_unit"))
        version = rows.engine_update(unit, USER, before["id"], changed, extra, version)
        _refuse_moved_away(unit, before["id"])
        unit.log(entity, before["id"], {name: before[name] for name in changed}, changed)
    return Saved(USER, before["id"], version, title, message("command.changed", entity=entity.label, title=title))


def _refuse_unwritable(unit: Unit, values: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    """Fields that the person may not write; what is readable may be sent back as it was."""
    if unit.ctx.system:
        return
    entity = unit.entity(USER)
    wrong = [name for name, value in values.items() if name in entity.fields and not may_write(unit, entity, name, before)
             and not (before is not None and value == before.get(name) and may_know(unit, entity, name, before))]
    if wrong:
        raise Invalid([Problem(name, message("field.not_yours")) for name in wrong])


def _refuse_moved_away(unit: Unit, user_id: int) -> None:
    """An account is not moved to where the person could not have edited it."""
    if not unit.ctx.system and "edit" not in rows.standing_or_none(unit, USER, user_id):
        raise NotAllowed(message("command.outside_own_rows"))


def must_exist(unit: Unit, user_id: int) -> dict[str, Any]:
    """The account, locked."""
    found = rows.fetch(unit, USER, user_id, lock=True)
    if found is None:
        raise NotFound()
    return found
