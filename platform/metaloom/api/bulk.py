"""Many records in one request: each in a transaction of its own, each with its own outcome.

An id outside the person's scope refuses the whole request before the first record is touched. A repeated request with the
same idempotency key does nothing twice: every item carries the key with its own number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response

from metaloom.api.answer import answer, titles_are_open, told
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import ID_MAX, context, known_entity, permitted, reason_of, whole
from metaloom.api.speech import locale
from metaloom.base.errors import Invalid, MetaloomError, NotFound, Problem, Stale
from metaloom.base.messages import message
from metaloom.command import bulk_action, change_record, create_record
from metaloom.command.context import Context, Saved
from metaloom.command.run_action import moves_money
from metaloom.command.unit import checked_key
from metaloom.model import Entity

ITEMS_MAX = 200
KEYS = ("operation", "action", "input", "reason", "items")


def bulk(entity: str) -> Response:
    """POST /<entity>/bulk"""
    no_other_parameters()
    found, body = known_entity(entity), json_object()
    only(body, KEYS)
    _check_action(body)
    items = _items(body)
    operation = body.get("operation")
    if operation == "create":
        return _answer(_create(found, items))
    if operation == "change":
        return _answer(_change(found, items))
    if operation == "action":
        return _answer(_act(found, items, body))
    raise refused("operation", message("api.bulk_kind"))


def _check_action(body: dict[str, Any]) -> None:
    """What belongs to an action is what the document says, whatever the operation is."""
    if not isinstance(body.get("action", ""), str):
        raise refused("action", message("record.not_text"))
    if not isinstance(body.get("input", {}), dict):
        raise refused("input", message("api.json_object"))
    reason_of(body)


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    items = body.get("items")
    if not isinstance(items, list) or not 0 < len(items) <= ITEMS_MAX or not all(isinstance(item, dict) for item in items):
        raise refused("items", message("api.bulk_items", limit=ITEMS_MAX))
    return items


def _create(entity: Entity, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    permitted(entity.address, "create")
    ctx = _context()

    def create(own: Context, item: dict[str, Any]) -> Saved:
        return whole(entity, "create", item, lambda values, faults: create_record(own, entity.address, values, faults))

    return [_outcome(index, None, lambda own, item=item: create(own, item), ctx)
            for index, item in enumerate(items)]


def _change(entity: Entity, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    permitted(entity.address, "edit")
    known = [_named(index, item, ("id", "row_version", "values")) for index, item in enumerate(items)]
    _refuse_unseen(entity, [id for id, _ in known])
    ctx = _context()

    def change(own: Context, id: int, version: int, item: dict[str, Any]) -> Saved:
        return whole(entity, "edit", item.get("values") or {},
                     lambda values, faults: change_record(own, entity.address, id, values, version, faults))

    return [_outcome(index, id, lambda own, id=id, version=version, item=item: change(own, id, version, item), ctx)
            for index, ((id, version), item) in enumerate(zip(known, items, strict=True))]


def _act(entity: Entity, items: list[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    name, given = body.get("action"), body.get("input", {})
    if name is None:
        raise refused("action", message("record.not_text"))
    ids = [_named(index, item, ("id",), with_version=False)[0] for index, item in enumerate(items)]
    ctx = _context(money=_moves_money(entity, name))
    open_ = titles_are_open(entity.address)
    outcomes = bulk_action(ctx, entity.address, ids, name, given, reason_of(body))
    return [_failure(index, o.id, o.error) if o.error else _success(index, o.id, None, o.message.say(locale()) if open_ else "")
            for index, o in enumerate(outcomes)]


def _named(index: int, item: dict[str, Any], keys: tuple[str, ...], *, with_version: bool = True) -> tuple[int, int]:
    """(id, row_version) of an item; Invalid when they are missing or something else stands there."""
    unknown = [key for key in item if key not in keys]
    if unknown:
        raise Invalid([Problem(f"items.{index}.{key[:60]}", message("api.unknown_key")) for key in unknown])
    id, version = item.get("id"), item.get("row_version", None if with_version else 1)
    values = item.get("values", {})
    if not _is_number(id) or not _is_number(version) or not isinstance(values, dict):
        raise refused(f"items.{index}", message("api.bulk_version"))
    return id, version  # type: ignore[return-value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= ID_MAX


def _refuse_unseen(entity: Entity, ids: list[int]) -> None:
    if len(pinned().reader.visible(entity.address, ids)) != len(set(ids)):
        raise NotFound


def _moves_money(entity: Entity, name: str) -> bool:
    ctx = context()
    action = ctx.revision.catalog.actions.get(f"{entity.address}/{name}")
    if action is not None:
        return moves_money(ctx, action)
    return any(c.money for c in ctx.plugins.commands_on(entity.address) if c.name == name)


def _context(*, money: bool = False) -> Context:
    """The context, with a key that every item may extend."""
    ctx = context()
    key = checked_key(ctx, money)
    if key is not None and len(key) > 150:
        raise refused("Idempotency-Key", message("command.key_bad"))
    return ctx


def _outcome(index: int, id: int | None, run: Callable[[Context], Saved], ctx: Context) -> dict[str, Any]:
    own = ctx.with_key(f"{ctx.idempotency_key}/{index}") if ctx.idempotency_key else ctx
    try:
        result = run(own)
    except MetaloomError as error:
        return _failure(index, id, error)
    return _success(index, result.id, result.row_version, told(result))


def _success(index: int, id: int | None, row_version: int | None, said: str) -> dict[str, Any]:
    return {"index": index, "status": 200, "id": id, "row_version": row_version, "message": said}


def _failure(index: int, id: int | None, error: MetaloomError) -> dict[str, Any]:
    problems = [{"field": p.field, "message": p.message.say(locale())} for p in getattr(error, "problems", ())]
    return {"index": index, "status": 412 if isinstance(error, Stale) else error.status, "id": id, "row_version": None,
            "code": error.message.code, "message": error.message.say(locale()), **({"problems": problems} if problems else {})}


def _answer(items: list[dict[str, Any]]) -> Response:
    failed = sum(item["status"] != 200 for item in items)
    return answer({"done": len(items) - failed, "failed": failed, "items": items})
