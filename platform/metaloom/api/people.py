"""People, the roles they hold and closed months have commands of their own; here they answer under the same addresses as every record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metaloom.api.body import refused
from metaloom.base.errors import Stale
from metaloom.base.messages import message
from metaloom.command import assign_role, close_month, revoke_role, save_user
from metaloom.command.close_month import PERIOD
from metaloom.command.context import Context, Saved
from metaloom.record import Reader

USER, ASSIGNMENT = "platform.user", "platform.role_assignment"
PASSWORD = {"type": "string", "minLength": 8, "maxLength": 200, "format": "password", "writeOnly": True}
# what may be done to them, in the words of the rights; nothing of a person is ever deleted
ACTIONS = {USER: ("create", "edit"), ASSIGNMENT: ("create", "delete"), PERIOD: ("create",)}

Read = Callable[[dict[str, Any]], dict[str, Any]]


def create(ctx: Callable[[], Context], entity: str, body: dict[str, Any], read: Read) -> Saved:
    """A new account (``password`` beside its fields), a role given to somebody, or a month closed."""
    if entity == PERIOD:
        values = read(body)
        return close_month(ctx(), values["month"], values.get("company"))
    if entity == ASSIGNMENT:
        values = read(body)
        return assign_role(ctx(), values["user"], values["role"], company=values.get("company"), org_unit=values.get("org_unit"),
                           valid_from=values.get("valid_from"), valid_to=values.get("valid_to"))
    password = body.pop("password", None)
    if password is not None and not isinstance(password, str):
        raise refused("password", message("record.not_text"))
    return save_user(ctx(), None, read(body), password=password)


def change(ctx: Callable[[], Context], id: int, values: dict[str, Any], version: int) -> Saved:
    """A changed account."""
    return save_user(ctx(), id, values, version)


def delete(ctx: Callable[[], Context], source: Reader, id: int, version: int) -> Saved:
    """A role taken away."""
    row = source.get(ASSIGNMENT, id)
    if row.row_version != version:
        raise Stale(row_version=row.row_version)
    return revoke_role(ctx(), id)
