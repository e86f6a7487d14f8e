"""Doing something with a record: its actions, plugin commands, archive, restore, delete, transfer. POST only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, make_response, redirect, render_template, request

from metaloom import command
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Problem, Stale
from metaloom.base.messages import Message, message
from metaloom.base.text import Text
from metaloom.command.input_asked import InputAsked, defaults_asked, input_asked
from metaloom.command.look_before import Seen, look_before
from metaloom.expression import browser_value
from metaloom.model import Entity, Field, FieldLevel
from metaloom.model.entity import LINK_TYPES
from metaloom.plugin.registry import installed
from metaloom.record.encode import display
from metaloom.record.paths import OWNERS, target_of
from metaloom.record.schema import schema_of
from metaloom.web.cells import titled, unit_of
from metaloom.web.current import Current, current, locale, site, url
from metaloom.web.errors import wants_fragment
from metaloom.web.form_model import Source, make_field, raw_values
from metaloom.web.form_page import MAX_ID
from metaloom.web.form_rules import action_rules, for_page, input_rules, linked_values
from metaloom.web.frame import json_answer, list_url, record_url, toast
from metaloom.web.frame import refused as say_refused
from metaloom.web.own import Verb, may, own_of
from metaloom.web.security import inside
from metaloom.web.words import whole

blueprint = Blueprint("action", __name__)
REASON_MAX = 2000


def _asked(pinned: Current, entity: str, name: str) -> tuple[InputAsked, Verb | None]:
    """What the action, the plugin command or the page's own verb of this name asks for."""
    verb = own_of(entity).verbs.get(name) if f"{entity}/{name}" not in pinned.catalog.actions else None
    if verb is None:
        return input_asked(pinned.looking(), entity, name), None
    return InputAsked(name, verb.label, verb.fields(pinned.catalog), False, verb.confirm, verb.style, "read", verb.help), verb


# --------------------------------------------------------------------------------------------------------- asking


@blueprint.get("/e/<entity>/<int:id>/ask/<name>")
@blueprint.get("/e/<entity>/ask/<name>")
def ask(entity: str, name: str, id: int | None = None) -> Any:
    """The dialog of an action: its input, its reason, its consequences."""
    pinned = current()
    definition = pinned.entity(entity)
    asked, verb = _asked(pinned, entity, name)
    row = _row_of(pinned, entity, id, asked, verb)
    return _dialog(pinned, definition, asked, row, None, (), verb=verb)


def ask_about(pinned: Current, definition: Entity, name: str, row: Any, back: str) -> Any:
    """The dialog of an action on ``row``, as ``ask`` gives it; afterwards on to ``back``."""
    asked = input_asked(pinned.looking(), definition.address, name)
    return _dialog(pinned, definition, asked, row, None, (), back=back)


def _row_of(pinned: Current, entity: str, id: int | None, asked: InputAsked, verb: Verb | None) -> Any:
    """The record for the dialog; a verb of its own may ask for a right on another entity."""
    if verb is None:
        row = _row_for(pinned, entity, id, asked.permission)
        if row is None and (asked.action is None or asked.action.on != "list"):
            raise NotFound  # an action of records, asked for without one
        return row
    if id is None:
        raise NotFound
    row = _row_for(pinned, entity, id, "read")
    if not may(pinned, entity, row, verb):
        raise NotAllowed(pinned.plan.may(*verb.right).reason)
    return titled(pinned, pinned.entity(entity), row)


def _row_for(pinned: Current, entity: str, id: int | None, permission: str) -> Any:
    if id is None:
        verdict = pinned.plan.may(entity, permission)
        if not verdict:
            raise NotAllowed(verdict.reason)
        return None
    if id > MAX_ID:
        raise NotFound
    row = pinned.reader.get(entity, id)
    if permission not in row.actions:
        verdict = pinned.plan.may(entity, permission)
        raise NotAllowed(None if verdict else verdict.reason)
    return row


def _dialog(pinned: Current, definition: Entity, asked: InputAsked, row: Any, sent: Any, problems: tuple[Problem, ...], status: int = 200, *,
            verb: Verb | None = None, back: str = "") -> Any:
    levels = dict.fromkeys(asked.fields, FieldLevel.WRITE)
    seen = look_before(pinned.looking(), definition.address, asked.name, row.id, pinned.conn) if row is not None and verb is None else Seen()
    values = {} if sent is not None or verb is not None else defaults_asked(pinned.looking(), definition.address, asked, row, pinned.conn)
    if seen.fillings and sent is None:
        values |= _typed(asked.fields, seen.fillings[0].values)
    titles = _titles(pinned, asked.fields, sent, values)
    source = Source("action", values, titles, levels, sent=sent, problems=problems)
    fields = [make_field(pinned, definition, one, source, one.name, False) for one in asked.fields.values() if not one.computed]
    rules: Mapping[str, Any] = {}
    if verb is not None:
        fields = [verb.dress(pinned, one) for one in fields]
    else:
        trees = _rules(pinned, definition, asked)
        rules = for_page(pinned, trees, _record(pinned, definition, trees, asked, row, values, sent), asked.fields)
        asks = "?" + urlencode({"ask": asked.name, **({"of": row.id} if row is not None else {})})
        fields = [replace(one, asks=asks) if one.filtered else one for one in fields]
    where = record_url(definition.address, row.id) if row is not None else url(f"/e/{definition.address}")
    return make_response(render_template(
        "detail/ask.html", asked=asked, fields=fields, row=row, post=f"{where}/do/{asked.name}", rules=json.dumps(rules, ensure_ascii=False),
        linked=url(f"/e/{definition.address}/ask/{asked.name}/linked/") if verb is None else "",
        version=request.form.get("_version") or (str(row.row_version) if row is not None else ""), key=request.form.get("_key") or secrets.token_hex(16),
        reason=request.form.get("_reason", ""), next=back or request.form.get("_next") or request.args.get("next", ""), **_seen_words(pinned, seen),
        problems=[p.message.say(locale()) for p in problems if p.field not in asked.fields]), status)


def _rules(pinned: Current, definition: Entity, asked: InputAsked) -> Mapping[str, Any]:
    """What is shown and asked for, depending on the other answers: of an action of the metadata or of a plugin's command."""
    if asked.action is not None:
        return action_rules(pinned, asked.action)
    return input_rules(pinned, definition, asked.name, asked.fields)


def _typed(fields: Mapping[str, Field], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in fields}


def _seen_words(pinned: Current, seen: Seen) -> dict[str, Any]:
    """The figures of a look in words, and its buttons with what they fill in."""
    figures = [(one.label.say(locale()) + unit_of(one), display(pinned.catalog, one, seen.values[name], locale(), zone=pinned.zone))
               for name, one in seen.fields.items() if seen.values[name] is not None]
    fillings = [(one.label.say(locale()), json.dumps({name: str(value) for name, value in one.values.items()})) for one in seen.fillings]
    return {"figures": figures, "fillings": fillings}


def _titles(pinned: Current, fields: Mapping[str, Field], sent: Any, values: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for one in fields.values():
        if one.type not in LINK_TYPES:
            continue
        if (id := _named(one, values, sent)) is not None:
            try:
                found.update((one.name, hit.title) for hit in pinned.reader.lookup(target_of(one), ids=[id], limit=1))
            except MetaloomError:
                continue
    return found


def _record(pinned: Current, definition: Entity, rules: Mapping[str, Any], asked: InputAsked, row: Any, values: Mapping[str, Any],
            sent: Any) -> dict[str, Any]:
    """What the browser's rules read: the record, before it the answers, each also behind its prefix (``input`` is added by the browser)."""
    own: dict[str, Any] = {}
    for name, value in (row.values if row is not None else {}).items():
        link = definition.fields.get(name)
        if link is not None and link.type in LINK_TYPES:
            own[name] = linked_values(pinned, rules, link, value, "record") if isinstance(value, int) else None
        elif "." not in name:
            own[name] = browser_value(value)
    # Of the answers only the records that they name already: everything else the browser reads from its inputs.
    chosen = {one.name: linked_values(pinned, rules, one, _named(one, values, sent), "input") for one in asked.fields.values()}
    return {**own, **chosen, "record": own or None}


def _named(field: Field, values: Mapping[str, Any], sent: Any) -> int | None:
    """The id that the answer to a link holds."""
    return whole(str((sent.get(field.name) if sent is not None else values.get(field.name)) or ""))


def filtered_by(pinned: Current, entity: str, name: str, field: str, target: str, id: int | None) -> tuple[str, Mapping[str, Any]]:
    """The filter of a link to ``target`` that the dialog of an action asks for, and the record that it speaks of."""
    asked, verb = _asked(pinned, entity, name)
    one = asked.fields.get(field)
    row = _row_of(pinned, entity, id, asked, verb)
    if verb is not None or one is None or one.type not in LINK_TYPES or target_of(one) != target:
        return "", {}
    return one.filter, row.values if row is not None else {}


@blueprint.get("/e/<entity>/ask/<name>/linked/<field>")
def linked(entity: str, name: str, field: str) -> Any:
    """Values of the record that an answer of the dialog now names, for its rules."""
    pinned = current()
    definition = pinned.entity(entity)
    asked, verb = _asked(pinned, entity, name)
    _row_for(pinned, entity, None, asked.permission)
    one = asked.fields.get(field)
    if verb is not None or one is None or one.type not in LINK_TYPES:
        raise NotFound
    return json_answer(linked_values(pinned, _rules(pinned, definition, asked), one, whole(request.args.get("id", "")), "input"))


# ---------------------------------------------------------------------------------------------------------- doing


@blueprint.post("/e/<entity>/<int:id>/do/<name>")
@blueprint.post("/e/<entity>/do/<name>")
def do(entity: str, name: str, id: int | None = None) -> Any:
    """Run the action on the version that was shown."""
    pinned = current()
    definition = pinned.entity(entity)
    asked, verb = _asked(pinned, entity, name)
    if id is not None and id > MAX_ID:
        raise NotFound
    if verb is not None:
        _row_of(pinned, entity, id, asked, verb)
    try:
        values = schema_of(pinned.revision, asked.fields, source="form").load(raw_values(asked.fields, request.form, {}), zone=pinned.zone)
        ctx = pinned.context().with_key(request.form.get("_key") or None)
        if verb is not None and id is not None:
            return _after(pinned, entity, id, verb.run(ctx, id, values, _version()).message.say(locale()))
        done = command.run_action(ctx, entity, id, name, values, _version(), request.form.get("_reason", "")[:REASON_MAX])
    except Invalid as refused:
        if not wants_fragment():
            return _refused(pinned, definition, id, refused)
        return _dialog(pinned, definition, asked, _row_of(pinned, entity, id, asked, verb), request.form, refused.problems, 400, verb=verb)
    except Stale:
        return _refused(pinned, definition, id, Stale(_moved_on(pinned, entity, id, name)))
    except NotPossible as refused:
        if id is None or not wants_fragment() or request.headers.get("HX-Target") != "dialog":
            return _refused(pinned, definition, id, refused)
        pinned.release()
        return _dialog(pinned, definition, asked, _row_of(pinned, entity, id, asked, verb), request.form, (Problem("", refused.message),), 409, verb=verb)
    shown = _results(pinned, entity, name, done.results)
    if shown and wants_fragment():
        return render_template("detail/done.html", said=done.message.say(locale()), results=shown,
                               back=_landing(pinned, entity, id), label=asked.label.say(locale()))
    return _after(pinned, entity, id, done.message.say(locale()), _opened(pinned, asked, done.results))


def _opened(pinned: Current, asked: InputAsked, results: Mapping[str, Any]) -> str:
    """The page of the record that the action wants to be opened, where the person may read it."""
    entity, id = (asked.action.opened, results.get(asked.action.opens)) if asked.action is not None else (None, None)
    if entity is None or not isinstance(id, int):
        return ""
    pinned.release()
    try:
        pinned.reader.require(entity, id)
    except MetaloomError:
        return ""
    return record_url(entity, id)


def _moved_on(pinned: Current, entity: str, id: int | None, name: str) -> Message:
    """Why nothing was done to a record that is no longer as it was shown: what forbids it now (a second click after the first has
    worked), or that somebody else changed it."""
    pinned.release()
    try:
        row = pinned.reader.get(entity, id or 0, children=False)
        offered = command.available_actions(pinned.looking(), entity, row, pinned.conn)
    except MetaloomError:
        offered = ()
    why = next((one.reason for one in offered if one.name == name and not one.enabled), None)
    return message("web.already", why=why) if why is not None else message("web.moved_on")


def _results(pinned: Current, entity: str, name: str, results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a plugin command answered, in the words of its output fields; ids of the engine stay out."""
    declared = next((c for c in (site().registry or installed()).commands_on(entity) if c.name == name), None)
    if declared is None:
        return []
    return [(one.label.say(locale()), display(pinned.catalog, one, results[key], locale(), zone=pinned.zone)) for key, one in declared.output.items()
            if one.type not in LINK_TYPES and results.get(key) is not None]


def _version() -> int | None:
    return whole(request.form.get("_version", ""))


def _refused(pinned: Current, definition: Entity, id: int | None, refused: MetaloomError) -> Any:
    """Not now: on to the record as it stands, which says why on top, so that a reload sends nothing again; inside a dialog a message
    that leaves it open. A stale dialog goes on to the record, too: what was decided there was decided on what is no longer so."""
    if id is None or wants_fragment() and not isinstance(refused, Stale):
        raise refused
    pinned.release()
    pinned.reader.require(definition.address, id)      # a record that is none for this person has no page to go to
    words = [refused.message.say(locale()), *(p.message.say(locale()) for p in getattr(refused, "problems", ()))]
    target = _landing(pinned, definition.address, id)
    if not wants_fragment():
        return say_refused(redirect(target, 303), " ".join(words))
    answer = make_response("", 409)
    answer.headers["HX-Redirect"] = target
    return say_refused(answer, " ".join(words))


def _after(pinned: Current, entity: str, id: int | None, sentence: str, opened: str = "") -> Any:
    """To the record that the action opens, the page the person came from, or the record; to the list when the record left the
    person's scope."""
    target = opened or (inside(request.form["_next"]) if request.form.get("_next") else _landing(pinned, entity, id))
    if wants_fragment():
        answer = make_response("", 204)
        answer.headers["HX-Redirect"] = target
        return toast(answer, sentence)
    return toast(redirect(target, 303), sentence)


def _landing(pinned: Current, entity: str, id: int | None) -> str:
    if id is None:
        return list_url(entity)
    pinned.release()
    try:
        pinned.reader.require(entity, id)
    except MetaloomError:
        return list_url(entity)
    return record_url(entity, id)


# ------------------------------------------------------------------------------------------ the record as a thing


def _keep(entity: str, id: int, verb: str) -> Any:
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    run = {"archive": command.archive_record, "restore": command.restore_record, "delete": command.delete_record}[verb]
    try:
        saved = run(pinned.context(), entity, id, _version(), request.form.get("_reason", "")[:REASON_MAX])
    except (Invalid, NotPossible) as refused:
        return _refused(pinned, definition, id, refused)
    return _after(pinned, entity, id, saved.message.say(locale()))


@blueprint.post("/e/<entity>/<int:id>/archive")
def archive(entity: str, id: int) -> Any:
    return _keep(entity, id, "archive")


@blueprint.post("/e/<entity>/<int:id>/restore")
def restore(entity: str, id: int) -> Any:
    return _keep(entity, id, "restore")


@blueprint.post("/e/<entity>/<int:id>/delete")
def delete(entity: str, id: int) -> Any:
    return _keep(entity, id, "delete")


@blueprint.get("/e/<entity>/<int:id>/transfer")
def ask_transfer(entity: str, id: int) -> Any:
    """The dialog for a new owner."""
    pinned = current()
    definition = pinned.entity(entity)
    row = _row_for(pinned, entity, id, "transfer")
    source = Source("action", {}, {}, dict.fromkeys(OWNERS, FieldLevel.WRITE))
    fields = [make_field(pinned, definition, OWNERS[n], source, n, False) for n in _owner_names(definition)]
    label = Text("移交", "Transfer")
    asked = InputAsked("transfer", label, asks_reason=True, style="primary", permission="transfer")
    return render_template("detail/ask.html", asked=asked, fields=fields, row=row, post=record_url(entity, id, "/transfer"), rules="{}",
                           version=row.row_version,
                           key="", reason="", next="", problems=())


def _owner_names(definition: Entity) -> list[str]:
    return ["owner" if name == "user" else name for name in definition.ownership.owned_by]


@blueprint.post("/e/<entity>/<int:id>/transfer")
def transfer(entity: str, id: int) -> Any:
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    chosen = {name: number for name in _owner_names(definition) if (number := whole(request.form.get(name, ""))) is not None}
    try:
        saved = command.transfer_record(pinned.context(), entity, id, company=chosen.get("company"), org_unit=chosen.get("org_unit"), user=chosen.get("owner"),
                                        row_version=_version(), reason=request.form.get("_reason", "")[:REASON_MAX])
    except (Invalid, NotPossible) as refused:
        return _refused(pinned, definition, id, refused)
    return _after(pinned, entity, id, saved.message.say(locale()))
