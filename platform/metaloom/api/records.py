"""Records of every entity: list, read, create, change, delete, restore, transfer, history, related, lookup, export."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flask import Response, current_app, request

from metaloom.api import people
from metaloom.api.answer import answer, etag, saved, sent_file
from metaloom.api.body import json_object, only, refused
from metaloom.api.door import pinned
from metaloom.api.question import EXPORT_KEYS, LIMIT, RELATED_KEYS, Question, no_other_parameters, number, read_question
from metaloom.api.speech import locale
from metaloom.audit import untyped
from metaloom.base.errors import Invalid, NotAllowed, NotFound, Problem, VersionMissing
from metaloom.base.messages import Message, message
from metaloom.command import (
    archive_record,
    change_record,
    create_record,
    delete_record,
    restore_record,
    transfer_record,
)
from metaloom.command.context import Context, Saved
from metaloom.command.export_records import export_records, note_read
from metaloom.model import Entity, FieldLevel
from metaloom.plugin.registry import Registry, installed
from metaloom.record import HistoryEntry, Page, Reader, Row, UnknownPath, encode_json, path
from metaloom.record.encode import json_value
from metaloom.record.paths import field_of
from metaloom.record.schema import input_schema, judged_whole
from metaloom.record.sheet import XLSX

ID_MAX = 2**63 - 1
LOOKUP_MAX, HISTORY_MAX = 50, 200
TRANSFER_KEYS = ("company", "org_unit", "user", "reason")
EXPORT_TYPES = {
    "csv": "text/csv",
    "xlsx": XLSX,
}


# -- reading


def list_records(entity: str) -> Response:
    """GET /<entity>"""
    found = known_entity(entity)
    asked = read_question(pinned().revision, found)
    page = list_page(reader(), found, asked)
    _note(found, asked, page)
    return answer(page)


def _note(entity: Entity, asked: Question, page: dict[str, Any]) -> None:
    """Whoever goes through a list page by page, or in large pages, takes it with them."""
    if page["items"] and (asked.limit > LIMIT or asked.cursor or asked.page):
        note_read(pinned(), entity.address, len(page["items"]), asked.asked)


def list_page(source: Reader, entity: Entity, asked: Question) -> dict[str, Any]:
    """The answer to a question about a list."""
    try:
        page = source.list(entity.address, sort=asked.sort, cursor=asked.cursor, page=asked.page, limit=asked.limit,
                           paths=asked.columns, **asked.asked)
        out = page_out(page)
        if asked.count:
            count = source.count(entity.address, **asked.asked)
            out["count"] = {"number": count.number, "exact": count.exact}
        if asked.totals:
            _refuse_hidden_totals(source, entity, asked.totals)
            totals = source.totals(entity.address, asked.totals, **asked.asked)
            out["totals"] = {name: None if value is None else str(value) for name, value in totals.items()}
    except Invalid as wrong:
        raise renamed(wrong) from None
    return out


def _refuse_hidden_totals(source: Reader, entity: Entity, names: tuple[str, ...]) -> None:
    """A field that is readable nowhere is as unknown as one that does not exist."""
    for name in names:
        try:
            found = path(source.revision, entity.address, name)
        except UnknownPath:
            continue
        if source.plan.field_level_anywhere(found.entity, found.field.name) < FieldLevel.READ:
            raise Invalid([Problem("totals", message("api.unknown_field", name=name[:60]))])


def page_out(page: Page) -> dict[str, Any]:
    """A page of rows as JSON."""
    revision = pinned().revision
    return {"items": [encode_json(revision, row) for row in page], "next_cursor": page.next_cursor, "prev_cursor": page.prev_cursor,
            "has_more": page.has_more, "narrowed": page.narrowed}


def renamed(wrong: Invalid) -> Invalid:
    """The reader calls them columns; here they are fields, and a parameter of the query that is no keyword names one."""
    return Invalid([Problem("fields" if p.field == "columns" else p.field, _renamed(p)) for p in wrong.problems])


def _renamed(problem: Problem) -> Message:
    if problem.message.code != "record.unknown_column":
        return problem.message
    name = str(problem.message.slots["path"])
    alone = problem.field[:60] == name and any(key.partition("__")[0] == problem.field for key in request.args)
    return message("api.unknown_parameter" if alone else "api.unknown_field", name=name)


def read_record(entity: str, id: str) -> Response:
    """GET /<entity>/<id>"""
    given = no_other_parameters(("fields",))
    found, key = known_entity(entity), record_id(id)
    row = one(found, key)
    names = [name.strip() for name in given.get("fields", "").split(",") if name.strip()]
    row = _with_linked(found, row, [name for name in names if "." in name])
    pinned().opened(found, key)
    body = encode_json(pinned().revision, row)
    if names:
        body = _only_fields(found, row, body, names)
    return answer(body, ETag=etag(row.row_version))


def one(entity: Entity, key: int) -> Row:
    """The record; NotFound outside the reader's scope."""
    return reader().get(entity.address, key)


def _with_linked(entity: Entity, row: Row, paths: list[str]) -> Row:
    """The record with values of the rows it links to, as far as the person sees those rows and fields; the others are left out."""
    if not paths:
        return row
    source = reader()
    try:
        source.columns(entity.address, None, paths)
    except Invalid as wrong:
        raise renamed(wrong) from None
    linked = source.get(entity.address, row.id, paths=paths, children=False)
    return replace(row, values={**row.values, **linked.values}, titles={**row.titles, **linked.titles}, levels={**row.levels, **linked.levels})


def _only_fields(entity: Entity, row: Row, body: dict[str, Any], names: list[str]) -> dict[str, Any]:
    unknown = [name for name in names if "." not in name and name not in row.values and name not in row.children and name not in body]
    if unknown:
        raise Invalid([Problem("fields", message("api.unknown_field", name=name[:60])) for name in unknown])
    return {name: value for name, value in body.items() if name in names or name in ("id", "row_version", "title")}


def history(entity: str, id: str) -> Response:
    """GET /<entity>/<id>/history"""
    given = no_other_parameters(("limit", "before"))
    found, key = known_entity(entity), record_id(id)
    limit = number(given, "limit", 1, HISTORY_MAX) if "limit" in given else HISTORY_MAX
    before = number(given, "before", 1, 10**12) if "before" in given else None
    entries = reader().history(found.address, key, limit=limit, before=before)
    return answer({"items": [_entry(found, entry) for entry in entries]})


def _entry(entity: Entity, entry: HistoryEntry) -> dict[str, Any]:
    changes = [{"field": c.field, "before": _value(entity, c.field, c.before), "after": _value(entity, c.field, c.after)}
               for c in entry.changes]
    return {"id": entry.id, "at": entry.at, "actor": {"id": entry.actor_id, "name": entry.actor_name}, "channel": entry.channel,
            "command": entry.command, "reason": entry.reason, "revision": entry.revision_number, "changes": changes}


def _value(entity: Entity, name: str, value: Any) -> Any:
    """A value of the audit, which keeps the kind of exact values, in the form that records show it."""
    try:
        return json_value(field_of(entity, name))(untyped(value))
    except UnknownPath:
        return value


def related(entity: str, id: str, tab: str) -> Response:
    """GET /<entity>/<id>/related/<tab>"""
    found, key = known_entity(entity), record_id(id)
    target = found.related.get(tab)
    if target is None:
        raise NotFound
    other = known_entity(target.rpartition(".")[0])
    asked = read_question(pinned().revision, other, RELATED_KEYS)
    rows = {name: value for name, value in asked.asked.items() if name != "tab"}
    try:
        page = reader().related(found.address, key, tab, sort=asked.sort, cursor=asked.cursor, page=asked.page, limit=asked.limit,
                                paths=asked.columns, **rows)
    except Invalid as wrong:
        raise renamed(wrong) from None
    body = page_out(page)
    _note(other, asked, body)
    return answer(body)


def lookup(entity: str) -> Response:
    """GET /<entity>/lookup"""
    given = no_other_parameters(("q", "limit"))
    found = known_entity(entity)
    limit = number(given, "limit", 1, LOOKUP_MAX) if "limit" in given else 20
    hits = reader().lookup(found.address, given.get("q", ""), limit)
    return answer({"items": [{"id": hit.id, "title": hit.title, "subtitle": hit.subtitle} for hit in hits]})


def export(entity: str) -> Response:
    """GET /<entity>/export: the rows of the list, all of them, as a file."""
    found = known_entity(entity)
    asked = read_question(pinned().revision, found, EXPORT_KEYS)
    format = request.args.get("format", "csv")
    if format not in EXPORT_TYPES:
        raise refused("format", message("record.bad_format", format=format[:20]))
    file = tempfile.SpooledTemporaryFile(max_size=4 * 1024 * 1024)  # noqa: SIM115 - closed by the answer
    try:
        export_records(pinned(), found.address, format=format, file=file, sort=asked.sort, paths=asked.columns, locale=locale(), **asked.asked)
    except Invalid as wrong:
        raise renamed(wrong) from None
    file.seek(0)
    return sent_file(file, EXPORT_TYPES[format], f"{found.address}.{format}", found.address)


# -- writing


def create(entity: str) -> Response:
    """POST /<entity>"""
    no_other_parameters()
    found, body = permitted(entity, "create"), json_object()
    if found.address in people.ACTIONS:
        return saved(people.create(context, found.address, body, lambda given: read_input(found, "create", given)), 201)
    ctx = context()
    return saved(whole(found, "create", body, lambda values, faults: create_record(ctx, found.address, values, faults)), 201)


def change(entity: str, id: str) -> Response:
    """PATCH /<entity>/<id>"""
    no_other_parameters()
    found, key, version = permitted(entity, "edit"), record_id(id), wanted_version()
    body = json_object()
    if found.address == people.USER:
        return saved(people.change(context, key, read_input(found, "edit", body), version))
    ctx = context()
    return saved(whole(found, "edit", body, lambda values, faults: change_record(ctx, found.address, key, values, version, faults)))


def read_input(entity: Entity, purpose: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body as typed values; Invalid lists every problem of reading them."""
    return input_schema(pinned().revision, entity.address, purpose, source="json").load(body, zone=pinned().zone)


def whole(entity: Entity, purpose: str, body: dict[str, Any], store: Callable[[dict[str, Any], Sequence[Problem]], Saved]) -> Saved:
    """Stores the body, or tells every problem of it at once."""
    return judged_whole(lambda: read_input(entity, purpose, body), store)


def delete(entity: str, id: str) -> Response:
    """DELETE /<entity>/<id>: archived or destroyed, as the entity says."""
    no_other_parameters()
    found, key, version = permitted(entity, "delete"), record_id(id), wanted_version()
    body = json_object(empty=True)
    only(body, ("reason",))
    if found.address == people.ASSIGNMENT:
        return saved(people.delete(context, reader(), key, version))
    command = delete_record if found.delete == "physical" else archive_record
    return saved(command(context(), found.address, key, version, reason=reason_of(body)))


def restore(entity: str, id: str) -> Response:
    """POST /<entity>/<id>/restore"""
    no_other_parameters()
    found, key, version = permitted(entity, "restore"), record_id(id), wanted_version()
    body = json_object(empty=True)
    only(body, ("reason",))
    return saved(restore_record(context(), found.address, key, version, reason=reason_of(body)))


def transfer(entity: str, id: str) -> Response:
    """POST /<entity>/<id>/transfer"""
    no_other_parameters()
    found, key, version, body = permitted(entity, "transfer"), record_id(id), wanted_version(), json_object()
    only(body, TRANSFER_KEYS)
    owners = {name: _owner(body, name) for name in ("company", "org_unit", "user") if body.get(name) is not None}
    if not owners:
        raise refused("", message("record.required", label="company, org_unit, user"))
    return saved(transfer_record(context(), found.address, key, row_version=version, reason=reason_of(body), **owners))


def _owner(body: dict[str, Any], name: str) -> int:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= ID_MAX:
        raise refused(name, message("api.id"))
    return value


# -- shared by every endpoint


def reader() -> Reader:
    """The scoped reader of this request, speaking the language of the answer."""
    found = pinned().reader
    found.locale = locale()
    return found


def context() -> Context:
    """The context of a command of this request, with its idempotency key."""
    return pinned().context(locale=locale(), idempotency_key=request.headers.get("Idempotency-Key"), plugins=plugins(),
                            address=request.remote_addr or "")


def plugins() -> Registry:
    """The plugins that the application was wired with."""
    return current_app.extensions["metaloom"].registry or installed()


def known_entity(address: str) -> Entity:
    """The entity; NotFound for one that does not exist or on which the person has no right at all."""
    return pinned().entity(address)


def permitted(address: str, action: str) -> Entity:
    """The entity, for someone who may do this to some of its records: the missing right is told before anything else."""
    found = known_entity(address)
    verdict = pinned().plan.may(found.address, action)
    if not verdict:
        raise NotAllowed(verdict.reason)
    return found


def record_id(text: str) -> int:
    """The id in the address; NotFound for what can be no id."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII) or int(text) > ID_MAX:
        raise NotFound
    return int(text)


def wanted_version() -> int:
    """The version in ``If-Match``; 428 without it, 400 when it is no ETag of ours."""
    given = request.headers.get("If-Match")
    if given is None:
        raise VersionMissing
    match = re.fullmatch(r'"([0-9]{1,18})"', given.strip(), re.ASCII)
    if match is None:
        raise refused("If-Match", message("api.bad_version"))
    return int(match[1])


def reason_of(body: dict[str, Any]) -> str:
    """The reason in a body: words for the history."""
    reason = body.get("reason", "")
    if not isinstance(reason, str):
        raise refused("reason", message("record.not_text"))
    if len(reason) > 2000:
        raise refused("reason", message("record.too_long", limit=2000, found=len(reason)))
    return reason


