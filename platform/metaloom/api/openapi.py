"""The OpenAPI document of this tenant for this person: only entities, fields and actions that the person's rights reach.

Made from the catalog, so that it cannot differ from what the endpoints do; kept per revision, rights and language.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request

import metaloom
from metaloom.access import AccessPlan
from metaloom.api import jobs, people
from metaloom.api.approval import BOXES
from metaloom.api.bulk import ITEMS_MAX as BULK_MAX
from metaloom.api.chains import REASON_MAX as CHANGE_REASON_MAX
from metaloom.api.chains import SOURCES, WHERE_MAX
from metaloom.api.door import pinned
from metaloom.api.question import LIMIT_MAX, OPERATORS, no_other_parameters
from metaloom.api.records import plugins
from metaloom.api.saved import SHARED
from metaloom.api.shapes import ID, LINK, Schema, action_input, filter_schema, input_schema_of, row_schema
from metaloom.api.speech import locale, say
from metaloom.base.text import Text
from metaloom.command.approval_words import KINDS
from metaloom.command.ask_tool import offered
from metaloom.command.bulk_edit import MANY_MAX, VERBS
from metaloom.command.chains_open import SHOWN as CASES_MAX
from metaloom.command.change_case_chain import MODES
from metaloom.command.comment import FILES_MAX as COMMENT_FILES_MAX
from metaloom.command.comment import MENTIONS_MAX
from metaloom.command.comment import TEXT_MAX as COMMENT_MAX
from metaloom.command.decide_task import DECISIONS, OPINION_MAX
from metaloom.command.draft_chain import TEXT_MAX
from metaloom.command.drawing import TEXT_MAX as DRAWING_MAX
from metaloom.command.import_records import MODES as MODES_OF_IMPORT
from metaloom.command.import_sheet import FAILED_AT_ONCE
from metaloom.command.limits import limit
from metaloom.command.move_case import CASE_MOVES, DATA, PEOPLE_MAX, WHOLE
from metaloom.command.opinion_files import FILES_MAX
from metaloom.command.print_records import may_print_some
from metaloom.command.run_action import moves_money
from metaloom.command.run_command import ADMIN
from metaloom.command.saved_lists import COLUMNS_MAX, KEYS_MAX, NAME_MAX
from metaloom.command.simulate_chain import LIMIT, ONLINE_MAX
from metaloom.model import Entity, Field, FieldLevel
from metaloom.model.dashboard import PERIODS
from metaloom.model.printing import MAIN
from metaloom.plugin.registry import Registry
from metaloom.record import implicit_fields, operators
from metaloom.record.filters import masked_operators
from metaloom.record.sheet import XLSX, import_fields

KEPT = 200
PAPER: dict[str, Any] = {"description": "OK", "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}
_DOCUMENTS: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
_LOCK = threading.Lock()


def document() -> Response:
    """GET /openapi.json"""
    no_other_parameters()
    here = pinned()
    key = (here.tenant.name, here.revision.digest, _rights(here.plan), locale(), request.script_root)
    with _LOCK:
        found = _DOCUMENTS.get(key)
    if found is None:
        book = Book(here.plan, here.tenant.label, request.script_root, plugins())
        found = json.dumps(book.document(), ensure_ascii=False, default=str).encode()
        with _LOCK:
            _DOCUMENTS[key] = found
            while len(_DOCUMENTS) > KEPT:
                _DOCUMENTS.popitem(last=False)
    return Response(found, mimetype="application/json")


def _rights(plan: AccessPlan) -> str:
    """A digest of what the person may do with which entity and field; people with equal rights share a document."""
    known = plan.__dict__.get("_rights_digest")
    if known is None:
        digest = hashlib.sha256(b"admin" if plan.actor.holds_everywhere(ADMIN) else b"")
        for address, entity in plan.catalog.entities.items():
            actions = plan.actions(address)
            if actions:
                levels = [int(plan.field_level_anywhere(address, name)) for name in entity.fields]
                digest.update(repr((address, sorted(actions), levels)).encode())
        known = plan.__dict__["_rights_digest"] = digest.hexdigest()
    return str(known)


@dataclass(frozen=True)
class Operation:
    """What an endpoint says about itself."""

    id: str
    summary: str
    answers: Mapping[str, Schema]
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    body_required: bool = True


class Book:
    """Collects the document."""

    def __init__(self, plan: AccessPlan, label: Text | str, root: str, registry: Registry) -> None:
        self.plan, self.catalog, self.root = plan, plan.catalog, root
        self.label = label
        self.registry = registry
        self.schemas: dict[str, Schema] = dict(COMMON_SCHEMAS)
        self.parameters: dict[str, Schema] = dict(PARAMETERS)
        self._filters: dict[str, tuple[Schema, ...]] = {}
        self.paths: dict[str, dict[str, Any]] = {}

    def document(self) -> dict[str, Any]:
        self._general()
        self._saved()
        self._approval()
        self._processes()
        self._tools()
        for address, entity in self.catalog.entities.items():
            if self.plan.actions(address):
                self._entity(entity)
        title = say(self.label) if isinstance(self.label, Text) else str(self.label)
        return {
            "openapi": "3.1.0",
            "info": {"title": f"{title} · REST", "version": metaloom.__version__, "description": INTRODUCTION[locale()]},
            "servers": [{"url": f"{self.root}/api/v1"}],
            "security": [{"bearer": []}],
            "tags": [{"name": a, "description": say(e.label)} for a, e in self.catalog.entities.items() if self.plan.actions(a)],
            "paths": self.paths,
            "components": {"schemas": self.schemas, "responses": RESPONSES, "parameters": self.parameters, "headers": HEADERS, "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "JWT (POST /auth/login) / API key (mlk_…)"}}},
        }

    # -- endpoints without an entity

    def _general(self) -> None:
        self._add("/auth/login", "post", Operation(
            "login", "Log in", {"200": _json(_ref("Tokens")), **_refusals("400", "401", "415", "429")}, body=_ref("Login")), open_=True)
        self._add("/auth/refresh", "post", Operation(
            "refresh", "Renew the token", {"200": _json(_ref("Tokens")), **_refusals("400", "401", "415")}, body=_ref("Refresh")), open_=True)
        self._add("/me", "get", Operation("me", "Who am I", {"200": _json({"type": "object"}), **_refusals("400", "401")}))
        self._add("/menu", "get", Operation("menu", "My menu", {"200": _json(_items({"type": "object"})), **_refusals("400", "401")}))
        self._add("/dashboards", "get", Operation("dashboards", "My dashboards", {"200": _json(_items(_ref("Dashboard"))), **_refusals("400", "401")}))
        self._add("/dashboards/{board}/{name}", "get", Operation(
            "widget", "What a widget says", {"200": _json(_ref("Figures")), **_refusals("400", "401", "403", "404", "503")}, (
                _in_path("board"), _in_path("name"), _query("period", {"type": "string", "enum": list(PERIODS)}))))
        self._add("/books/balances", "get", Operation(
            "balances", "Balances of accounts", {"200": _json(_ref("Balances")), **_refusals("400", "401", "403", "503")}, (
                _query("since", {"type": "string", "format": "date"}), _query("until", {"type": "string", "format": "date"}), _query("company", _INT))))
        self._add("/openapi.json", "get", Operation("openapi", "This document", {"200": _json({"type": "object"}), **_refusals("400", "401")}))
        upload = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}
        self._add("/files", "post", Operation(
            "upload", "Upload a file", {"201": _json(_ref("File"), headers=("Location",)), **_refusals("400", "401", "413")},
            body={"content": {"multipart/form-data": {"schema": upload}}}))
        binary = {"description": "OK", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
        self._add("/files/{id}", "get", Operation("download", "Download a file", {"200": binary, **_refusals("400", "401", "404")}, (_p("id"),)))

        self._exports()

    def _exports(self) -> None:
        looked, done = _refusals("400", "401", "404"), _refusals("400", "401", "403", "404", "409", "415", "422")
        one, file = {"200": _json(_ref("Export"))}, {"description": "OK", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
        self._add("/exports", "get", Operation("exports", "My exports", {"200": _json(_items(_ref("Export"))), **_refusals("400", "401")}))
        self._add("/exports/{id}", "get", Operation("export_run", "How far an export is", {**one, **looked}, (_p("id"),)))
        self._add("/exports/{id}/file", "get", Operation(
            "export_file", "The file of a finished export", {"200": file, **looked, **_refusals("403", "409")}, (_p("id"),)))
        self._add("/exports/{id}/cancel", "post", Operation("cancel_export", "Cancel an export", {**one, **done}, (_p("id"), _p("idempotency_key"))))
        self._add("/exports/{id}", "delete", Operation("delete_export", "Delete the file", {**one, **done}, (_p("id"), _p("idempotency_key"))))

    # -- lists that people keep

    def _saved(self) -> None:
        self._add("/many/{id}/undo", "post", Operation("undo_many", "Undo a change of many records", {
            "200": _json(_ref("ManyDone")), **_refusals("400", "401", "403", "404", "409", "415", "422")}, (_p("id"), _p("idempotency_key"))))
        looked, done = _refusals("400", "401", "403", "404"), _refusals("400", "401", "403", "404", "409", "415", "422")
        key, id_ = _p("idempotency_key"), _p("id")
        asked = (_query("entity", _TEXT, "address of the entity"), _query("list", {"type": "string", "default": "main"}))
        self._add("/saved", "get", Operation("saved_lists", "Kept searches of a list", {"200": _json(_items(_ref("KeptList"))), **looked}, asked))
        self._add("/saved", "post", Operation("save_list", "Keep a search", {"201": _json(_ref("KeptDone")), **done}, (key,), _ref("KeepList")))
        self._add("/saved/{id}", "get", Operation("saved_list", "A kept search", {"200": _json(_ref("KeptList")), **looked}, (id_,)))
        self._add("/saved/{id}", "patch", Operation("change_saved_list", "Change it", {"200": _json(_ref("KeptDone")), **done}, (id_, key),
                                                    _ref("ChangeKeptList")))
        self._add("/saved/{id}", "delete", Operation("forget_saved_list", "Forget it", {"200": _json(_ref("KeptDone")), **done}, (id_, key)))

    # -- tools of plugins

    def _tools(self) -> None:
        """One question in, one answer out; a list answers with a list."""
        for group, tool in offered(self.registry, self.plan):
            names = [f"{group}.{tool.name}.{part}" for part in ("input", "output")]
            for name, schema in zip(names, (tool.input, tool.output), strict=True):
                self.schemas[name] = _own_references(schema, name)
            question, reply = (_ref(name) for name in names)
            one = {"oneOf": [question, _items_of(question)]}
            many = {"oneOf": [reply, _items_of({"anyOf": [reply, _ref("RefusedQuestion")]})]}
            self._add(f"/{group}/{tool.name}", "post", Operation(
                f"{group}.{tool.name}", say(tool.label) or "", {"200": _json(many), **_refusals("400", "401", "403", "404", "413", "415", "422")}, body=one))

    # -- processes

    def _processes(self) -> None:
        """Runs, what people do with them; starting one where the person reads records whose process is started by hand."""
        refusals = ("400", "401", "403", "404", "409", "415", "422")
        moved = {"200": _json(_ref("Done"), headers=("ETag", "Idempotency-Replayed")), **_refusals(*refusals)}
        looked, id_, key = _refusals("400", "401", "404"), _p("id"), _p("idempotency_key")
        self._add("/process/{id}", "get", Operation("process", "A run of a process", {"200": _json({"type": "object"}), **looked}, (id_,)))
        self._add("/process/{id}/events", "get", Operation("process_events", "Its log", {"200": _json(_items({"type": "object"})), **looked}, (id_,)))
        seq, reason = {"seq": {"type": "integer", "minimum": 0}}, {"reason": {"type": "string", "maxLength": 500}}
        for verb, more in (("retry", {}), ("submit", {"result": {"type": "object"}, **reason}), ("give_up", reason)):
            body = {"type": "object", "properties": {**more, **seq}, "additionalProperties": False}
            self._add(f"/process/{{id}}/{verb}", "post", Operation(f"process.{verb}", f"{verb} · process", moved, (id_, key), body, False))
        for one in self.catalog.processes.values():
            if one.by_hand is not None and self.plan.may(one.entity, "read"):
                self._add(f"/{one.entity}/{{id}}/process/{one.name}", "post", Operation(
                    f"{one.entity}.process.{one.name}", f"{say(one.label)} · {say(self.catalog.entities[one.entity].label)}",
                    {"200": moved["200"], **_refusals(*sorted({*refusals, "412", "428"}))}, (id_, _p("if_match"), key),
                    {"type": "object", "additionalProperties": False}, False), tag=one.entity)

    # -- approval

    def _chains(self) -> None:
        """What administrators do with chains."""
        seen, done = _refusals("400", "401", "403"), _refusals("400", "401", "403", "404", "409", "415")
        self._add("/approval/chains", "get", Operation("chains", "Approval chains", {"200": _json(_items({"type": "object"})), **seen}))
        self._add("/approval/simulate", "post", Operation("simulate", "Try a chain on past records", {"200": _json(_ref("Simulated")), **done}, (),
                                                          _ref("Simulate")))
        self._add("/approval/changed", "get", Operation("changed", "Cases under an older text", {"200": _json(_items({"type": "object"})), **seen}))
        self._add("/approval/changed", "post", Operation("change_chain", "Pin, move or restart cases", {"200": _json(_items({"type": "object"})), **done}, (),
                                                         _ref("ChangeChain")))

    def _approval(self) -> None:
        """The inbox, cases, decisions; starting a case where the person reads records that have a chain."""
        refusals = ("400", "401", "403", "404", "409", "415", "422")
        moved = {"200": _json(_ref("Done"), headers=("ETag", "Idempotency-Replayed")), **_refusals(*refusals)}
        looked = _refusals("400", "401", "404")
        id_, key = _p("id"), _p("idempotency_key")
        box = _query("box", {"type": "string", "enum": list(BOXES), "default": "todo"}, "what waits for me, what I did, started, got a copy of")
        asked = (box, *(_p(name) for name in ("q", "sort", "fields", "include", "filter", "cursor", "page", "limit", "count")))
        self._add("/task", "get", Operation("tasks", "Inbox", {"200": _json(_page(_ref("InboxItem"))), **_refusals("400", "401", "403", "404")}, asked))
        self._add("/task/decide", "post", Operation("decide_many", "Decide several tasks", {
            "200": _json(_ref("DecidedMany")), **_refusals(*refusals)}, (key,), _ref("DecideMany")))
        self._add("/task/{id}/decide", "post", Operation("decide", "Decide a task", moved, (id_, key), _ref("Decide")))
        for where, verbs in (("task", [verb for verb in DATA if verb not in WHOLE]), ("case", sorted(CASE_MOVES))):
            for verb in verbs:
                self._add(f"/{where}/{{id}}/{verb}", "post", Operation(
                    f"{where}.{verb}", f"{Text(*KINDS[verb]).say(locale())} · {where}", moved, (id_, key), _move(verb), any(
                        shape in ("person", "people", "step") for shape in DATA[verb].values())))
        self._add("/case/{id}", "get", Operation("case", "A case", {"200": _json(_ref("Case")), **looked}, (id_,)))
        self._add("/case/{id}/events", "get", Operation("case_events", "Its log", {"200": _json(_items({"type": "object"})), **looked}, (id_,)))
        self._add("/case/{id}/path", "get", Operation("case_path", "Its way", {"200": _json(_items({"type": "object"})), **looked}, (id_,)))
        if self.plan.actor.holds_everywhere(ADMIN):
            self._chains()
        for chain in self.catalog.chains.values():
            if chain.start is not None and self.plan.may(chain.entity, "read"):
                answers = {"200": moved["200"], **_refusals(*sorted({*refusals, "412", "428"}))}
                self._add(f"/{chain.entity}/{{id}}/approval/{chain.name}", "post", Operation(
                    f"{chain.entity}.approval.{chain.name}", f"{say(chain.label)} · {say(self.catalog.entities[chain.entity].label)}", answers,
                    (id_, _p("if_match"), key), _ref("StartApproval"), False), tag=chain.entity)

    # -- endpoints of one entity

    def _entity(self, entity: Entity) -> None:
        address, may = entity.address, lambda action: bool(self.plan.may(entity.address, action))
        self.schemas[address] = row_schema(self.catalog, entity, self._level(entity))
        if may("list"):
            self._lists(entity)
        if may("list") or may("read"):
            self._add(f"/{address}/lookup", "get", Operation(
                f"{address}.lookup", f"Find · {say(entity.label)}", {"200": _json(_items(_ref("Found"))), **_refusals("400", "401", "403", "404")},
                (_p("q"), _p("lookup_limit"))), tag=address)
        if may("read"):
            self._record(entity, may("history"))
            self._jobs(entity)
            if entity.comments:
                self._comments(entity, may("comment"))
        if not entity.child_of and (entity.storage == "table" or address in people.ACTIONS):
            self._writes(entity)
        if not entity.child_of and entity.storage != "engine":
            self._imports(entity)
            self._many(entity)
        for operation, on_record in self._actions(entity):
            where = f"/{address}/{{id}}/" if on_record else f"/{address}/"
            self._add(where + operation.id.rpartition(".")[2], "post", operation, tag=address)

    def _lists(self, entity: Entity) -> None:
        address = entity.address
        asked = (*self._list_parameters(entity), *(_p(n) for n in ("cursor", "page", "limit", "count", "totals")))
        self._add(f"/{address}", "get", Operation(
            f"{address}.list", f"List · {say(entity.label)}", {"200": _json(_page(_ref(address))), **_refusals("400", "401", "403", "404")}, asked),
            tag=address)
        if self.plan.may(address, "export"):
            file = {"description": "OK", "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in (
                "text/csv", XLSX)}}
            self._add(f"/{address}/export", "get", Operation(
                f"{address}.export", f"Export · {say(entity.label)}", {"200": file, **_refusals("400", "401", "403", "404", "409")},
                (*self._list_parameters(entity), _p("format"))), tag=address)
            self._add(f"/{address}/exports", "post", Operation(
                f"{address}.begin_export", f"Export in the background · {say(entity.label)}",
                {"202": _json(_ref("Export"), headers=("Location",)), **_refusals("400", "401", "403", "404", "409", "415", "422")},
                (*self._list_parameters(entity), _p("format"), _p("idempotency_key")), _ref("BeginExport"), False), tag=address)
            self._add(f"/{address}/print", "get", Operation(
                f"{address}.print_list", f"Print the list · {say(entity.label)}", {"200": PAPER, **_refusals("400", "401", "403", "404", "409", "429")},
                self._list_parameters(entity)), tag=address)

    def _list_parameters(self, entity: Entity) -> tuple[Schema, ...]:
        lists = [view.name for view in self.catalog.lists.values() if view.entity == entity.address]
        view = self.catalog.lists.get(f"{entity.address}/main")
        own = [_query("list", {"type": "string", "enum": lists})] if lists else []
        if view is not None and view.tabs:
            own.append(_query("tab", {"type": "string", "enum": list(view.tabs)}))
        return (*own, *(_p(n) for n in ("q", "sort", "fields", "include", "archived", "filter")), *self._field_filters(entity))

    def _field_filters(self, entity: Entity) -> tuple[Schema, ...]:
        """A parameter for every field that can be asked for, with its operators: written once, and referred to wherever rows are asked for."""
        known = self._filters.get(entity.address)
        if known is None:
            level, names = self._level(entity), []
            for field in (*entity.fields.values(), *implicit_fields(entity)):
                offered = _askable(field, level(field.name)) if field.stored else ()
                if offered:
                    names.append(f"{entity.address}.{field.name}")
                    self.parameters[names[-1]] = {"name": field.name, "in": "query", "description": say(field.label) or field.name, "style": "form",
                                                  "explode": True, "schema": filter_schema(self.catalog, field, entity, offered)}
            known = self._filters[entity.address] = tuple(_p(name) for name in names)
        return known

    def _comments(self, entity: Entity, may_say: bool) -> None:
        """What people say about a record."""
        where, about, one = f"/{entity.address}/{{id}}/comments", say(entity.label), _in_path("comment")
        self._add(where, "get", Operation(
            f"{entity.address}.comments", f"Comments · {about}", {"200": _json(_items(_ref("Comment"))), **_refusals("400", "401", "404")},
            (_p("id"), _p("history_limit"), _p("before"))), tag=entity.address)
        if not may_say:
            return
        done, key = _refusals("400", "401", "403", "404", "409", "415", "422"), _p("idempotency_key")
        self._add(where, "post", Operation(
            f"{entity.address}.add_comment", f"Comment on · {about}", {"201": _json(_ref("CommentDone"), headers=("ETag",)), **done}, (_p("id"), key),
            _ref("SayComment")), tag=entity.address)
        self._add(f"{where}/{{comment}}", "patch", Operation(
            f"{entity.address}.change_comment", f"Change a comment · {about}",
            {"200": _json(_ref("CommentDone"), headers=("ETag",)), **done, **_refusals("412", "428")}, (_p("id"), one, _p("if_match"), key),
            _ref("SayComment")), tag=entity.address)
        self._add(f"{where}/{{comment}}", "delete", Operation(
            f"{entity.address}.remove_comment", f"Take a comment back · {about}", {"200": _json(_ref("CommentDone")), **done}, (_p("id"), one, key)),
            tag=entity.address)

    def _record(self, entity: Entity, with_history: bool) -> None:
        address = entity.address
        self._add(f"/{address}/{{id}}", "get", Operation(
            f"{address}.read", f"Read · {say(entity.label)}",
            {"200": _json(_ref(address), headers=("ETag",)), **_refusals("400", "401", "403", "404")}, (_p("id"), _p("fields"))), tag=address)
        self._add(f"/{address}/{{id}}/actions", "get", Operation(
            f"{address}.actions", f"What is possible now · {say(entity.label)}",
            {"200": _json(_items(_ref("Offered"))), **_refusals("400", "401", "403", "404")}, (_p("id"),)), tag=address)
        if may_print_some(self.plan, entity):
            self._papers(entity)
        if with_history:
            self._add(f"/{address}/{{id}}/history", "get", Operation(
                f"{address}.history", f"History · {say(entity.label)}",
                {"200": _json(_items(_ref("HistoryEntry"))), **_refusals("400", "401", "403", "404")},
                (_p("id"), _p("history_limit"), _p("before"))), tag=address)
            self._versions(entity)
        for tab, target in entity.related.items():
            other = target.rpartition(".")[0]
            if self.plan.may(other, "list"):
                self._add(f"/{address}/{{id}}/related/{tab}", "get", Operation(
                    f"{address}.related.{tab}", f"{say(entity.related_labels.get(tab)) or tab} · {say(entity.label)}",
                    {"200": _json(_page(_ref(other))), **_refusals("400", "401", "403", "404")},
                    (_p("id"), *(_p(n) for n in ("q", "sort", "fields", "include", "filter", "cursor", "page", "limit", "archived")),
                     *self._field_filters(self.catalog.entities[other]))), tag=address)

    def _papers(self, entity: Entity) -> None:
        names = list(dict.fromkeys((*(one.name for one in self.catalog.prints_of(entity.address)), MAIN)))
        self._add(f"/{entity.address}/{{id}}/print/{{template}}", "get", Operation(
            f"{entity.address}.print", f"Print · {say(entity.label)}", {"200": PAPER, **_refusals("400", "401", "403", "404", "409", "429")},
            (_p("id"), {"name": "template", "in": "path", "required": True, "schema": {"type": "string", "enum": names}})), tag=entity.address)

    def _versions(self, entity: Entity) -> None:
        entries = {"type": "integer", "minimum": 1, "maximum": 10**12}
        self._add(f"/{entity.address}/{{id}}/versions", "get", Operation(
            f"{entity.address}.versions", f"Versions · {say(entity.label)}", {"200": _json(_ref("Versions")), **_refusals("400", "401", "403", "404")},
            (_p("id"), _query("a", entries), _query("b", entries))), tag=entity.address)
        if self.plan.may(entity.address, "edit") and entity.storage == "table" and not entity.append_only and not entity.child_of:
            self._add(f"/{entity.address}/{{id}}/versions/{{entry}}/restore", "post", Operation(
                f"{entity.address}.restore_version", f"Restore a version · {say(entity.label)}",
                {"200": _json(_ref("VersionRestored"), headers=("ETag",)),
                 **_refusals("400", "401", "403", "404", "409", "412", "415", "422", "428")},
                (_p("id"), {"name": "entry", "in": "path", "required": True, "schema": ID}, _p("if_match"), _p("idempotency_key"))), tag=entity.address)

    def _jobs(self, entity: Entity) -> None:
        """What is done with jobs and their runs."""
        for (address, verb), (label, names, _) in jobs.VERBS.items():
            if address == entity.address and self.plan.may(address, "edit"):
                given = {"type": "object", "properties": {name: jobs.INPUT[name] for name in names}, "additionalProperties": False}
                self.schemas[f"{address}.{verb}.input"] = {"type": "object", "properties": {"input": given}, "additionalProperties": False}
                self._add(f"/{address}/{{id}}/{verb}", "post", Operation(
                    f"{address}.{verb}", f"{say(label)} · {say(entity.label)}", {
                        "200": _json(_ref("Saved"), headers=("ETag", "Idempotency-Replayed")), **_refusals("400", "401", "403", "404", "409", "415", "422")},
                    (_p("id"), _p("idempotency_key")), _ref(f"{address}.{verb}.input")), tag=address)

    def _writes(self, entity: Entity) -> None:
        address, label = entity.address, say(entity.label)
        known = people.ACTIONS.get(address)
        may = lambda action: bool(self.plan.may(address, action)) and (known is None or action in known)  # noqa: E731
        key = _p("idempotency_key")
        stored = {"200": _json(_ref("Saved"), headers=("ETag", "Idempotency-Replayed"))}
        changing = _refusals("400", "401", "403", "404", "409", "412", "415", "422", "428")
        if may("create"):
            self.schemas[f"{address}.create"] = input_schema_of(self.catalog, entity, "create", self._level(entity))
            if address == people.USER:
                self.schemas[f"{address}.create"]["properties"]["password"] = people.PASSWORD
            self._add(f"/{address}", "post", Operation(
                f"{address}.create", f"Create · {label}",
                {"201": _json(_ref("Saved"), headers=("ETag", "Location", "Idempotency-Replayed")),
                 **_refusals("400", "401", "403", "404", "409", "415", "422")}, (key,), _ref(f"{address}.create")), tag=address)
        if may("edit") and not entity.append_only:
            self.schemas[f"{address}.change"] = input_schema_of(self.catalog, entity, "edit", self._level(entity))
            self._add(f"/{address}/{{id}}", "patch", Operation(
                f"{address}.change", f"Change · {label}", {**stored, **changing}, (_p("id"), _p("if_match"), key), _ref(f"{address}.change")),
                tag=address)
        if may("delete") and (entity.delete != "never" or known):
            self._add(f"/{address}/{{id}}", "delete", Operation(
                f"{address}.delete", f"Delete · {label}", {**stored, **changing}, (_p("id"), _p("if_match"), key), _ref("Reason"), False), tag=address)
        if may("restore") and entity.archivable:
            self._add(f"/{address}/{{id}}/restore", "post", Operation(
                f"{address}.restore", f"Restore · {label}", {**stored, **changing}, (_p("id"), _p("if_match"), key), _ref("Reason"), False),
                tag=address)
        if may("transfer") and entity.ownership.owned_by:
            self._add(f"/{address}/{{id}}/transfer", "post", Operation(
                f"{address}.transfer", f"Transfer · {label}", {**stored, **changing}, (_p("id"), _p("if_match"), key), _ref("Transfer")), tag=address)
        kinds = list(self._bulk(entity)) if known is None else []
        if kinds:
            self.schemas[f"{address}.bulk"] = {"type": "object", "oneOf": kinds}
            answers = {"200": _json(_ref("BulkDone")), **_refusals("400", "401", "403", "404", "409", "415", "422")}
            self._add(f"/{address}/bulk", "post", Operation(f"{address}.bulk", f"Many at once · {label}", answers, (key,), _ref(f"{address}.bulk")),
                      tag=address)

    def _bulk(self, entity: Entity) -> Iterator[Schema]:
        """What may be done with many at once: new records, changes, and each action that takes many."""
        address = entity.address
        for name, items in (("create", _ref(f"{address}.create")), ("change", {
                "type": "object", "required": ["id", "row_version", "values"], "additionalProperties": False, "properties": {
                    "id": ID, "row_version": ID, "values": _ref(f"{address}.change")}})):
            if f"{address}.{name}" in self.schemas:
                yield _bulk_of(name, items, {}, [])
        for action in self.catalog.actions_of(address):
            if action.bulk and action.on == "record" and self.plan.may(address, action.permission or action.name):
                given = action_input(self.catalog, entity, action.input.fields, asks_reason=action.asks_reason)
                yield _bulk_of("action", {"type": "object", "required": ["id"], "additionalProperties": False, "properties": {"id": ID}},
                               {"action": {"type": "string", "enum": [action.name]}, **given["properties"]}, ["action", *given.get("required", ())])

    def _many(self, entity: Entity) -> None:
        may = [verb for verb, right in VERBS.items() if self.plan.may(entity.address, right)]
        if may and not entity.append_only:
            body = {"type": "object", "required": ["verb", "items"], "additionalProperties": False, "properties": {
                "verb": {"type": "string", "enum": may}, "values": {"type": "object"}, "trial": _FLAG, "reason": {"type": "string", "maxLength": 2000},
                "items": {"type": "array", "minItems": 1, "maxItems": MANY_MAX, "items": {
                    "type": "object", "required": ["id", "row_version"], "additionalProperties": False, "properties": {"id": ID, "row_version": ID}}}}}
            self._add(f"/{entity.address}/many", "post", Operation(
                f"{entity.address}.many", f"Change many alike · {say(entity.label)}",
                {"200": _json(_ref("ManyDone")), **_refusals("400", "401", "403", "404", "409", "415", "422")}, (_p("idempotency_key"),), body),
                tag=entity.address)

    def _imports(self, entity: Entity) -> None:
        address, label = entity.address, say(entity.label)
        if not (self.plan.may(address, "import") and self.plan.may(address, "create")):
            return
        done, key = _refusals("400", "401", "403", "404", "409", "413", "415", "422"), _p("idempotency_key")
        mode = {"type": "string", "enum": list(MODES_OF_IMPORT), "default": "dry_run"}
        body = {"type": "object", "additionalProperties": False, "oneOf": [{"required": ["rows"]}, {"required": ["file"]}], "properties": {
            "rows": {"type": "array", "minItems": 1, "maxItems": limit(self.catalog, "import_rows_max"), "items": _ref(f"{address}.create")},
            "file": {**ID, "description": "id: POST /files (xlsx, csv)"}, "name": {"type": "string", "maxLength": 255}, "mode": mode}}
        self._add(f"/{address}/import", "post", Operation(
            f"{address}.import", f"Import · {label}",
            {"200": _json(_ref("Imported")), "202": _json(_ref("ImportRun"), headers=("Location",)), **done}, (key,),
            {"content": {**_plain(body), **self._sheet(entity, {"mode": mode})}}), tag=address)
        book = {"description": "OK", "content": {XLSX: {"schema": {"type": "string", "format": "binary"}}}}
        looked = _refusals("400", "401", "403", "404")
        self._add(f"/{address}/import/template", "get", Operation(
            f"{address}.import_template", f"Workbook to fill in · {label}", {"200": book, **looked}), tag=address)
        self._add(f"/{address}/imports/{{id}}/failed", "get", Operation(
            f"{address}.failed_import", f"The rows that are not in: {FAILED_AT_ONCE:,} of them as a workbook, all as CSV · {label}",
            {"200": {**book, "content": {**book["content"], "text/csv": book["content"][XLSX]}}, **looked},
            (_p("id"), _query("format", {"type": "string", "enum": ["xlsx", "csv"], "default": "xlsx"}))), tag=address)
        kept = {"type": "object", "additionalProperties": False, "required": ["file"], "properties": {"file": ID}}
        self._add(f"/{address}/imports/{{id}}/corrected", "post", Operation(
            f"{address}.correct_import", f"Send those rows again, corrected · {label}", {"200": _json(_ref("ImportRun")), **done}, (_p("id"), key),
            {"content": {**_plain(kept), **self._sheet(entity, {})}}), tag=address)
        one = {"200": _json(_ref("ImportRun"))}
        self._add(f"/{address}/imports/{{id}}", "get", Operation(
            f"{address}.import_run", f"How far an import is · {label}", {**one, **_refusals("400", "401", "403", "404")}, (_p("id"),)), tag=address)
        for verb, said in (("start", "Go on with an import"), ("cancel", "Stop an import")):
            self._add(f"/{address}/imports/{{id}}/{verb}", "post", Operation(
                f"{address}.{verb}_import", f"{said} · {label}", {**one, **done}, (_p("id"), key)), tag=address)
        self._add(f"/{address}/imports", "get", Operation(
            f"{address}.imports", f"Imports · {label}", {"200": _json(_items({"type": "object"})), **_refusals("400", "401", "403", "404")}), tag=address)
        self._add(f"/{address}/imports/{{id}}/undo", "post", Operation(
            f"{address}.undo_import", f"Undo an import · {label}", {"200": _json(_ref("ImportUndone")), **done}, (_p("id"), key)), tag=address)

    def _sheet(self, entity: Entity, beside: Mapping[str, Schema]) -> Schema:
        """A form with a workbook or CSV file whose header names fields, by name or by label."""
        level = self._level(entity)
        columns = [f"{one.name} ({say(one.label)})" if say(one.label) else one.name
                   for one in import_fields(entity, lambda name: level(name) >= FieldLevel.WRITE)]
        file = {"type": "string", "format": "binary", "description": f".xlsx, .csv: {', '.join(columns)}"}
        return {"multipart/form-data": {"schema": {
            "type": "object", "required": ["file"], "additionalProperties": False, "properties": {"file": file, **beside}}}}

    def _actions(self, entity: Entity) -> Iterator[tuple[Operation, bool]]:
        """Actions and plugin commands that the person holds the right for."""
        for action in self.catalog.actions_of(entity.address):
            if self.plan.may(entity.address, action.permission or action.name):
                yield self._action(entity, action.name, action.label, action.input.fields, action.on == "record",
                                   asks_reason=action.asks_reason, money=moves_money(self, action)), action.on == "record"  # type: ignore[arg-type]
        named = {action.name for action in self.catalog.actions_of(entity.address)}
        for command in self.registry.commands_on(entity.address):
            if command.name not in named and self.plan.may(entity.address, command.permission):
                yield self._action(entity, command.name, command.label, command.input, True, asks_reason=command.asks_reason,
                                   money=command.money), True

    def _action(self, entity: Entity, name: str, label: Text, fields: Mapping[str, Field], on_record: bool, *, asks_reason: bool,
                money: bool) -> Operation:
        schema = f"{entity.address}.{name}.input"
        self.schemas[schema] = action_input(self.catalog, entity, fields, asks_reason=asks_reason)
        key = _p("idempotency_key_required" if money else "idempotency_key")
        parameters = (_p("id"), _p("if_match"), key) if on_record else (key,)
        refusals = ("400", "401", "403", "404", "409", "415", "422", *(("412", "428") if on_record else ()))
        answers = {"200": _json(_ref("Done"), headers=("ETag", "Idempotency-Replayed")), **_refusals(*sorted(refusals))}
        return Operation(f"{entity.address}.{name}", f"{say(label)} · {say(entity.label)}", answers, parameters, _ref(schema),
                         "required" in self.schemas[schema])

    @property
    def plugins(self) -> Registry:
        return self.registry

    # -- helpers

    def _level(self, entity: Entity) -> Any:
        levels = self.plan.rights(entity.address).levels(frozenset(range(len(self.plan.rights(entity.address).scopes))))
        creating = {name for held in self.plan.rights(entity.address).held if "create" in held.grant.actions for name in entity.fields
                    if self.plan.rights(entity.address).grant_level(held, name) >= FieldLevel.WRITE}
        return lambda name: FieldLevel.WRITE if name in creating else levels.get(name, FieldLevel.HIDDEN)

    def _add(self, path: str, method: str, operation: Operation, *, tag: str = "", open_: bool = False) -> None:
        always = ("503",) if method == "get" else ("429", "503")  # whoever tries what others have, value by value, is stopped at whatever is written
        entry: dict[str, Any] = {"operationId": operation.id, "summary": operation.summary, "responses": {**operation.answers, **_refusals(*always)}}
        if tag:
            entry["tags"] = [tag]
        if operation.parameters:
            entry["parameters"] = list(operation.parameters)
        if operation.body is not None:
            content = operation.body.get("content") or _plain(operation.body)
            entry["requestBody"] = {"required": operation.body_required, "content": content}
        if open_:
            entry["security"] = []
        self.paths.setdefault(path, {})[method] = entry


# -- pieces that every document shares


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _askable(field: Field, level: FieldLevel) -> tuple[str, ...]:
    """The operators that the person may use on the field in some row; one that is masked everywhere is searched for by its exact value."""
    if level >= FieldLevel.READ:
        return operators(field)
    return masked_operators(field) if level is FieldLevel.MASKED else ()


def _p(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}


def _query(name: str, schema: Schema, description: str = "") -> Schema:
    return {"name": name, "in": "query", "schema": schema, **({"description": description} if description else {})}


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _json(schema: Schema, headers: tuple[str, ...] = ()) -> Schema:
    named = {name: {"$ref": f"#/components/headers/{name}"} for name in (*headers, "X-Request-Id")}
    return {"description": "OK", "headers": named, "content": {"application/json": {"schema": schema}}}


def _plain(schema: Schema) -> Schema:
    """The content of a body that is JSON alone."""
    return {"application/json": {"schema": schema}}


def _refusals(*codes: str) -> dict[str, Schema]:
    return {code: {"$ref": f"#/components/responses/{code}"} for code in codes}


def _items_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _bulk_of(operation: str, item: Schema, more: Mapping[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": ["operation", "items", *required], "properties": {
        "operation": {"type": "string", "enum": [operation]}, **more,
        "items": {"type": "array", "minItems": 1, "maxItems": BULK_MAX, "items": item}}}


def _own_references(schema: Any, name: str) -> Any:
    """A schema of a plugin inside the document: its ``#/$defs`` lie below its own name there."""
    if isinstance(schema, list):
        return [_own_references(one, name) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: f"#/components/schemas/{name}{value[1:]}" if key == "$ref" and str(value).startswith("#/") else _own_references(value, name)
            for key, value in schema.items() if key != "$schema"}


def _items(schema: Schema) -> Schema:
    return {"type": "object", "properties": {"items": {"type": "array", "items": schema}}, "required": ["items"]}


def _page(schema: Schema) -> Schema:
    cursor = {"type": ["string", "null"]}
    return {"type": "object", "required": ["items", "next_cursor", "prev_cursor", "has_more", "narrowed"], "properties": {
        "items": {"type": "array", "items": schema}, "next_cursor": cursor, "prev_cursor": cursor, "has_more": {"type": "boolean"},
        "narrowed": {"type": "boolean"},
        "count": {"type": "object", "properties": {"number": {"type": "integer"}, "exact": {"type": "boolean"}}},
        "totals": {"type": "object", "additionalProperties": {"type": ["string", "null"]}}}}


def _move(verb: str) -> Schema:
    """The body of a move: what its data holds."""
    shapes = {"text": {"type": "string", "maxLength": OPINION_MAX}, "person": ID, "step": {"type": "string"}, "json": {"type": "object"},
              "people": {"type": "array", "items": ID, "minItems": 1, "maxItems": PEOPLE_MAX},
              "files": {"type": "array", "items": ID, "maxItems": FILES_MAX}}
    needed = [name for name, shape in DATA[verb].items() if shape in ("person", "people", "step")]
    body: Schema = {"type": "object", "additionalProperties": False, "properties": {name: shapes[shape] for name, shape in DATA[verb].items()}}
    return {**body, "required": needed} if needed else body


_TEXT, _INT = {"type": "string"}, {"type": "integer"}
_NULL_TEXT, _NULL_INT = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_IN_ROW = {"row": {**_INT, "description": "of rows from 1; of a file as the workbook counts them, its header being 1"}, "field": _TEXT,
           "column": {**_TEXT, "description": "of a file: the field as the header calls it"}, "message": _TEXT}
_KEY_AT_FAULT: Schema = {"type": "object", "required": ["key", "zh", "en"], "additionalProperties": False,
                         "properties": {"key": _TEXT, "zh": _TEXT, "en": _TEXT}}
_KEPT: dict[str, Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": NAME_MAX}, "query": {"type": "object", "maxProperties": KEYS_MAX, "additionalProperties": _TEXTS},
    "columns": {"type": "array", "items": _TEXT, "maxItems": COLUMNS_MAX}, "shared": {"type": "string", "enum": list(SHARED), "default": "nobody"},
    "roles": _TEXTS}
COMMON_SCHEMAS: dict[str, Schema] = {
    "KeepList": {"type": "object", "required": ["entity", "name"], "additionalProperties": False, "properties": {
        "entity": _TEXT, "list": {"type": "string", "default": "main"}, **_KEPT}},
    "ChangeKeptList": {"type": "object", "additionalProperties": False, "properties": _KEPT},
    "Imported": {"type": "object", "required": ["created", "good", "run", "problems"], "properties": {
        "created": {"type": "array", "items": ID}, "good": _INT, "run": _NULL_INT, "problems": {"type": "array", "items": {
            "type": "object", "required": ["row", "field", "message"], "properties": _IN_ROW}}}},
    "ImportRun": {"type": "object", "required": ["id", "name", "status", "mode", "rows", "total", "done", "good", "kept", "failed", "left", "asked_at"],
                  "properties": {
        "id": ID, "name": _TEXT, "mode": _TEXT, "rows": _INT, "total": _INT, "done": _INT, "good": _INT, "kept": _INT, "failed": _INT, "left": _INT,
        "status": {"type": "string", "enum": ["waiting", "running", "checked", "done", "failed", "cancelled", "gone"]}, "taken_back": _INT,
        "asked_at": _TEXT, "finished_at": _NULL_TEXT, "expires_at": _NULL_TEXT, "message": _TEXT, "problems": {"type": "array", "items": {
            "type": "object", "required": ["row", "field", "message"], "properties": _IN_ROW}}}},
    "BeginExport": {"type": "object", "additionalProperties": False, "description": "Rows and fields are those of the query, as in the list", "properties": {
        "format": {"type": "string", "enum": ["csv", "xlsx"], "default": "csv", "description": "Here or in the query"}}},
    "Export": {"type": "object", "required": ["id", "entity", "name", "format", "status", "rows", "total", "size", "asked_at", "file"], "properties": {
        "id": ID, "entity": _TEXT, "name": _TEXT, "format": _TEXT, "rows": _INT, "size": _INT, "asked_at": _TEXT, "finished_at": _NULL_TEXT,
        "status": {"type": "string", "enum": ["waiting", "running", "done", "failed", "cancelled", "gone"]},
        "total": {"type": "object", "properties": {"number": _INT, "exact": {"type": "boolean"}}}, "expires_at": _NULL_TEXT, "message": _TEXT,
        "file": _NULL_TEXT}},
    "Versions": {"type": "object", "required": ["items", "differences"], "properties": {
        "items": {"type": "array", "items": {"type": "object", "required": ["entry", "at"], "properties": {"entry": ID, "at": _TEXT}}},
        "differences": {"type": "array", "items": {"type": "object", "required": ["field", "a", "b"], "properties": {"field": _TEXT, "a": {}, "b": {}}}}}},
    "VersionRestored": {"type": "object", "required": ["id", "row_version", "message", "left"], "properties": {
        "id": ID, "row_version": _INT, "message": _TEXT, "left": {"type": "array", "items": _TEXT}}},
    "ManyDone": {"type": "object", "required": ["done", "unchanged", "refused", "run", "message", "items"], "properties": {
        "done": _INT, "unchanged": _INT, "refused": _INT, "run": _NULL_INT, "message": _TEXT, "items": {"type": "array", "items": {
            "type": "object", "required": ["id", "outcome"], "properties": {"id": ID, "outcome": _TEXT, "message": _TEXT}}}}},
    "ImportUndone": {"type": "object", "required": ["taken_back", "kept", "message"], "properties": {
        "taken_back": _INT, "message": _TEXT, "kept": {"type": "array", "items": {"type": "object", "properties": {"id": ID, "message": _TEXT}}}}},
    "CommentDone": {"type": "object", "required": ["id", "row_version", "message"], "properties": {"id": ID, "row_version": _INT, "message": _TEXT}},
    "Comment": {"type": "object", "required": ["id", "row_version", "author", "at", "text", "mentions", "files"], "properties": {
        "id": ID, "row_version": _INT, "author": {"type": "object", "properties": {"id": {"type": ["integer", "null"]}, "name": _TEXT}}, "at": _TEXT,
        "edited_at": _NULL_TEXT, "removed_at": _NULL_TEXT, "text": _TEXT,
        "mentions": {"type": "array", "items": {"type": "object", "properties": {"id": ID, "name": _TEXT}}},
        "files": {"type": "array", "items": {"type": "object", "properties": {"id": ID, "name": _TEXT, "size": _INT, "media_type": _TEXT}}}}},
    "SayComment": {"type": "object", "additionalProperties": False, "required": ["text"], "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": COMMENT_MAX}, "mentions": {"type": "array", "items": ID, "maxItems": MENTIONS_MAX},
        "files": {"type": "array", "items": ID, "maxItems": COMMENT_FILES_MAX}}},
    "RefusedQuestion": {
        "type": "object", "required": ["error", "errors"], "additionalProperties": False,
        "description": "In the place of a refused question of a list. One that stands alone is refused by a Problem, with the same keys in `problems`.",
        "properties": {"error": {**_KEY_AT_FAULT, "description": "The first of `errors`."}, "errors": {
            "type": "array", "minItems": 1, "description": "All that is wrong with the question, both languages.", "items": _KEY_AT_FAULT}}},
    "KeptDone": {"type": "object", "required": ["id", "message"], "properties": {"id": ID, "message": _TEXT}},
    "KeptList": {"type": "object", "required": ["id", "entity", "list", "name", "own", "shared", "query", "columns"], "properties": {
        "id": ID, "entity": _TEXT, "list": _TEXT, "own": {"type": "boolean"}, "left_out": {"type": "boolean"}, "may_change": {"type": "boolean"},
        **_KEPT}},
    "Link": LINK,
    "Problem": {"type": "object", "required": ["type", "title", "status", "code", "message"], "properties": {
        "type": _TEXT, "title": _TEXT, "status": _INT, "code": _TEXT, "message": _TEXT, "row_version": _INT, "request_id": _TEXT,
        "login": {"type": "object", "description": "401: where to get a token, and how to send it", "properties": {
            "method": _TEXT, "path": _TEXT, "header": _TEXT}},
        "problems": {"type": "array", "description": "All that is wrong with the request, in the language of Accept-Language", "items": {
            "type": "object", "required": ["field", "message"], "properties": {"field": _TEXT, "message": _TEXT}}}}},
    "Saved": {"type": "object", "required": ["id", "row_version", "title", "message"], "properties": {
        "id": ID, "row_version": _INT, "title": _TEXT, "message": _TEXT}},
    "Done": {"type": "object", "required": ["id", "row_version", "message", "results"], "properties": {
        "id": _NULL_INT, "row_version": _NULL_INT, "message": _TEXT, "results": {"type": "object"}}},
    "BulkDone": {"type": "object", "required": ["done", "failed", "items"], "properties": {
        "done": _INT, "failed": _INT, "items": {"type": "array", "items": {"type": "object", "required": ["index", "status", "message"],
        "properties": {"index": _INT, "status": _INT, "id": _NULL_INT, "row_version": _NULL_INT, "code": _TEXT, "message": _TEXT,
                       "problems": {"type": "array", "items": {"type": "object"}}}}}}},
    "Decide": {"type": "object", "required": ["decision", "record_version"], "additionalProperties": False, "properties": {
        "decision": {"type": "string", "enum": list(DECISIONS)}, "opinion": {"type": "string", "maxLength": OPINION_MAX},
        "outputs": {"type": "object", "description": "As `asks.outputs` of the task in `GET /case/{id}`; `{}` takes `asks.defaults`"},
        "fields": {"type": "object", "description": "As `asks.fields` there"},
        "attachments": {"type": "array", "items": ID, "description": "Uploads of `POST /files`"},
        "record_version": {**_INT, "description": "That of the case: the version that was looked at; 412 where the record moved on"},
        "to": {**_TEXT, "description": "Of a return: one of the offer's `targets`, the first without it"},
        "then": {"type": "string", "enum": ["rerun", "resume"],
                 "description": "Of a return: the steps between are gone through again, or not; as the chain says without it"},
        "password": {"type": "string", "maxLength": 256, "format": "password"},
        "signature": {"type": "string", "maxLength": DRAWING_MAX, "description": "A drawn signature: PNG in base64."}}},
    "Simulate": {"type": "object", "required": ["chain"], "additionalProperties": False, "properties": {
        "chain": {"type": "string", "minLength": 1, "maxLength": 200}, "source": {"type": "string", "enum": list(SOURCES), "default": "published"},
        "draft": {"type": "string", "maxLength": TEXT_MAX}, "where": {"type": "string", "maxLength": WHERE_MAX},
        "limit": {"type": "integer", "minimum": 1, "maximum": ONLINE_MAX, "default": LIMIT}}},
    "Simulated": {"type": "object", "required": ["chain", "records", "summary"], "properties": {
        "chain": _TEXT, "records": {"type": "array", "items": {"type": "object"}}, "summary": {"type": "object"}}},
    "ChangeChain": {"type": "object", "required": ["chain", "mode", "cases"], "additionalProperties": False, "properties": {
        "chain": {"type": "string", "minLength": 1, "maxLength": 200}, "mode": {"type": "string", "enum": list(MODES)},
        "cases": {"type": "array", "minItems": 1, "maxItems": CASES_MAX, "items": ID}, "mapping": {"type": "object", "additionalProperties": _TEXT},
        "reason": {"type": "string", "maxLength": CHANGE_REASON_MAX}, "dry_run": {"type": "boolean", "default": False}}},
    "DecideMany": {"type": "object", "required": ["decision", "items"], "additionalProperties": False, "properties": {
        "decision": {"type": "string", "enum": list(DECISIONS)}, "opinion": {"type": "string", "maxLength": OPINION_MAX},
        "items": {"type": "array", "minItems": 1, "maxItems": 200, "description": "Each has its own outcome; a task that asks for outputs is not passed here",
                  "items": {"type": "object", "required": ["task", "record_version"],
                  "additionalProperties": False, "properties": {"task": ID, "record_version": _INT}}}}},
    "DecidedMany": {"type": "object", "required": ["done", "failed", "items"], "properties": {
        "done": _INT, "failed": _INT, "items": {"type": "array", "items": {"type": "object", "required": ["task", "status", "message"], "properties": {
            "task": _INT, "status": _INT, "code": _TEXT, "message": _TEXT}}}}},
    "StartApproval": {"type": "object", "additionalProperties": False, "properties": {"chosen": {
        "type": "object", "additionalProperties": {"type": "array", "items": ID}}}},
    "InboxItem": {
        "type": "object", "required": ["id", "row_version", "title"],
        "description": "A task (box todo, done), a case (mine, all) or a copy (copied). Whose task it is, which record it is about, in which version, "
                       "and what may be done with it now: `GET /case/{id}` of its case.",
        "properties": {
            "id": ID, "row_version": _INT,
            "title": {"type": ["string", "null"], "description": "What the step (of a case: the chain) is called, in the reader's language"},
            "case": {"anyOf": [_ref("Link"), {"type": "null"}], "description": "Of a task or copy"},
            "step": _NULL_TEXT, "step_label": {"type": ["string", "null"], "description": "In the reader's language"},
            "subject": {"type": ["string", "null"], "description": "Of a case, in the reader's language"},
            "entity": _NULL_TEXT, "record_id": _NULL_INT, "chain": _NULL_TEXT, "status": _NULL_TEXT,
            "assignee": {"anyOf": [_ref("Link"), {"type": "null"}], "description": "null: it waits in a pool for whoever claims it"},
            "opened_at": _NULL_TEXT, "due_at": _NULL_TEXT, "closed_at": _NULL_TEXT, "decision": _NULL_TEXT}},
    "Case": {"type": "object", "required": ["id", "entity", "record_id", "chain", "status", "tasks", "offers"], "properties": {
        "id": ID, "entity": _TEXT, "record_id": ID, "chain": _TEXT, "chain_label": _TEXT, "status": _TEXT, "subject": _NULL_TEXT,
        "initiator": _NULL_INT, "started_at": _TEXT, "finished_at": _NULL_TEXT, "record_readable": {"type": "boolean"},
        "record_version": {**_NULL_INT, "description": "The version to decide about: send it back with the decision"},
        "tasks": {"type": "array", "items": _ref("Task")}, "offers": {
            "type": "array", "description": "What this person may do now. pass, reject, return, resolve are decisions (`POST /task/{id}/decide`); "
                                            "every other kind is a path: `POST /task/{id}/<kind>`, of an offer without a task `POST /case/{id}/<kind>`.",
            "items": {"type": "object", "properties": {"kind": _TEXT, "task": _NULL_INT, "targets": {
                "type": "array", "items": _TEXT, "description": "The steps that `to` may name; `initiator` is whoever started the case"}}}}}},
    "Task": {"type": "object", "required": ["id", "step", "status", "asks"], "properties": {
        "id": _NULL_INT, "number": _INT, "step": _TEXT, "kind": _TEXT, "status": _TEXT, "assignee": _NULL_INT, "decision": _NULL_TEXT,
        "opinion": _NULL_TEXT, "asks": {
            "type": ["object", "null"], "description": "What a decision takes, for those who may decide now; null before a task of a pool is claimed",
            "properties": {
                "outputs": {"type": "object", "description": "JSON schema of `outputs`"},
                "defaults": {"type": "object", "description": "What `outputs` holds where it leaves a key out; `{}` takes them all"},
                "fields": {"type": "object", "description": "JSON schema of `fields`: of the record, to be changed with the decision"},
                "opinion": {**_TEXT, "description": "required, optional, or on_reject (every decision but pass): whether `opinion` must say something"},
                "attachments": {**_TEXT, "description": "Whether `attachments` must, may or may not name uploads"},
                "password": {"type": "boolean"}, "signature": {"type": "boolean"}}}}},
    "Tokens": {"type": "object", "required": ["access_token", "token_type", "expires_in"], "properties": {
        "access_token": _TEXT, "refresh_token": _TEXT, "token_type": _TEXT, "expires_in": _INT}},
    "Login": {"type": "object", "required": ["username", "password"], "additionalProperties": False, "properties": {
        "username": {"type": "string", "minLength": 1}, "password": {"type": "string", "minLength": 1, "format": "password"}}},
    "Refresh": {"type": "object", "required": ["refresh_token"], "additionalProperties": False, "properties": {"refresh_token": _TEXT}},
    "Reason": {"type": "object", "additionalProperties": False, "properties": {"reason": {"type": "string", "maxLength": 2000}}},
    "Transfer": {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": {
        "company": ID, "org_unit": ID, "user": ID, "reason": {"type": "string", "maxLength": 2000}}},
    "Balances": {"type": "object", "required": ["since", "until", "balanced", "narrowed", "items", "totals"], "properties": {
        "since": _TEXT, "until": _TEXT, "balanced": {"type": "boolean"}, "narrowed": {"type": "boolean"}, "totals": {"type": "object"},
        "items": {"type": "array", "items": {"type": "object", "required": ["code", "label", "opening", "debit", "credit", "closing"], "properties": {
            "code": _TEXT, "label": _TEXT, "leaf": {"type": "boolean"}, "off_book": {"type": "boolean"}, "opening": _TEXT, "debit": _TEXT,
            "credit": _TEXT, "closing": _TEXT}}}}},
    "Dashboard": {"type": "object", "required": ["name", "label", "widgets"], "properties": {"name": _TEXT, "label": _TEXT, "widgets": {
        "type": "array", "items": {"type": "object", "required": ["name", "type", "periods"], "properties": {
            "name": _TEXT, "type": _TEXT, "label": _NULL_TEXT, "period": _NULL_TEXT, "periods": {"type": "array", "items": _TEXT}}}}}},
    "Figures": {"type": "object", "required": ["name", "type", "narrowed"], "properties": {
        "name": _TEXT, "type": _TEXT, "label": _NULL_TEXT, "period": _NULL_TEXT, "since": _NULL_TEXT, "until": _NULL_TEXT, "value": {}, "part": {},
        "share": _NULL_TEXT, "narrowed": {"type": "boolean"}, "compared": {"type": "object"}, "bucket": _TEXT, "groups": {"type": "array", "items": {
            "type": "object", "required": ["key", "value"], "properties": {"key": {}, "label": _NULL_TEXT, "value": {}, "rest": {"type": "boolean"}}}},
        "series": {"type": "array", "items": {"type": "object", "required": ["points"], "properties": {
            "name": _NULL_TEXT, "label": _NULL_TEXT, "points": {"type": "array", "items": {"type": "object", "required": ["at", "value"], "properties": {
                "at": _TEXT, "value": {}}}}}}}, "rows": {"type": "array", "items": {"type": "object"}}}},
    "Found": {"type": "object", "required": ["id", "title"], "properties": {"id": ID, "title": _TEXT, "subtitle": _TEXT}},
    "File": {"type": "object", "required": ["id", "name", "size", "media_type"], "properties": {
        "id": ID, "name": _TEXT, "size": _INT, "media_type": _TEXT}},
    "Offered": {"type": "object", "required": ["name", "label", "enabled"], "properties": {
        "name": _TEXT, "label": _TEXT, "enabled": {"type": "boolean"}, "reason": _NULL_TEXT, "asks": {"type": "boolean"},
        "money": {"type": "boolean"}, "confirm": _NULL_TEXT}},
    "HistoryEntry": {"type": "object", "required": ["id", "at", "command", "changes"], "properties": {
        "id": _INT, "at": {"type": "string", "format": "date-time"}, "channel": _TEXT, "command": _TEXT, "reason": _NULL_TEXT,
        "revision": _NULL_INT, "actor": {"type": "object", "properties": {"id": _NULL_INT, "name": _NULL_TEXT}},
        "changes": {"type": "array", "items": {"type": "object", "required": ["field", "before", "after"], "properties": {
            "field": _TEXT, "before": {}, "after": {}}}}}},
}
_FILTER = {"type": "array", "maxItems": 30, "items": {"type": "object", "required": ["path"], "additionalProperties": False, "properties": {
    "path": _TEXT, "op": {"type": "string", "enum": list(OPERATORS)}, "value": {}}}}
_FLAG = {"type": "boolean", "default": False}
PARAMETERS: dict[str, Schema] = {
    "id": {"name": "id", "in": "path", "required": True, "schema": ID},
    "q": _query("q", {"type": "string", "maxLength": 100}, "words in title, subtitle or number"),
    "sort": _query("sort", _TEXT, "fields, comma-separated; - in front: descending"),
    "fields": _query("fields", _TEXT, "only these fields, comma-separated; paths along links too (customer.name)"),
    "include": _query("include", _TEXT, "these paths along links besides the entity's own fields"),
    "archived": _query("archived", _FLAG, "the archived records instead of the live ones"),
    "filter": {"name": "filter", "in": "query", "content": {"application/json": {"schema": _FILTER}}},
    "cursor": _query("cursor", _TEXT, "next_cursor or prev_cursor of a page"),
    "page": _query("page", {"type": "integer", "minimum": 1, "maximum": 400}),
    "limit": _query("limit", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 20}),
    "lookup_limit": _query("limit", {"type": "integer", "minimum": 1, "maximum": 50, "default": 20}),
    "history_limit": _query("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 200}),
    "before": _query("before", {"type": "integer", "minimum": 1, "maximum": 10**12}, "entries before this one"),
    "count": _query("count", _FLAG, "also how many there are"),
    "totals": _query("totals", _TEXT, "sums of these fields over all pages"),
    "format": _query("format", {"type": "string", "enum": ["csv", "xlsx"], "default": "csv"}),
    "if_match": {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
                 "description": "the ETag that was read"},
    "idempotency_key": {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"}},
    "idempotency_key_required": {"name": "Idempotency-Key", "in": "header", "required": True,
                                 "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"}},
}
HEADERS: dict[str, Schema] = {
    "ETag": {"schema": _TEXT, "description": "the record's version"}, "Location": {"schema": _TEXT},
    "WWW-Authenticate": {"schema": _TEXT, "required": True, "description": "Bearer, and where to log in"},
    "X-Request-Id": {"schema": _TEXT}, "Idempotency-Replayed": {"schema": {"type": "string", "enum": ["true"]}},
}
_WORDS = {
    "400": "the request is not acceptable; `problems` says what to correct", "401": "no valid token, key or session",
    "403": "you may not; `message` names the missing right", "404": "no such record, or not yours to see",
    "409": "not possible now; `message` says why", "412": "the record changed since that ETag", "413": "the file is too large",
    "415": "send application/json", "422": "the idempotency key was used for another request", "428": "If-Match is missing",
    "429": "too many tries within the hour; see Retry-After", "503": "busy; nothing was changed; see Retry-After",
}
RESPONSES: dict[str, Schema] = {
    code: {"description": words, "content": {"application/problem+json": {"schema": _ref("Problem")}}} for code, words in _WORDS.items()}
RESPONSES["401"]["headers"] = {"WWW-Authenticate": {"$ref": "#/components/headers/WWW-Authenticate"}}
INTRODUCTION = {
    "zh": "本文档按您的权限生成。向 POST /auth/login 发送用户名与密码取得令牌（或使用 API 密钥），每个请求带 Authorization: Bearer。"
          "修改须带 If-Match；涉及资金的操作须带 Idempotency-Key。金额为字符串。"
          "列表的条件：字段=值，或 字段__运算符=值（in、not_in 以逗号分隔，between 为“低,高”，任一端可留空）；"
          "沿关联的条件同样书写（buyer.name__contains=…）。fields、include 也可沿关联：owner.display_name。",
    "en": "Made for your rights. Get a token from POST /auth/login (or use an API key) and send Authorization: Bearer with every request. Changes need "
          "If-Match; operations that move money need Idempotency-Key. Amounts are text. Conditions of lists: field=value, or field__operator=value "
          "(in, not_in: separated by commas; between: low,high, either may be empty); along links alike (buyer.name__contains=…). fields and include "
          "go along links too: owner.display_name.",
}
