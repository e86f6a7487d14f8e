"""The form of a decision: what the step asks for, first values, what was sent, and what of it is wrong."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict

from metaloom import command
from metaloom.approval import Task
from metaloom.base.errors import Invalid, Problem
from metaloom.base.text import Text
from metaloom.command import CaseShown
from metaloom.command.drawing import FIELD, PREFIX, TEXT_MAX
from metaloom.model import Decide, Entity, Field, FieldLevel, FieldType
from metaloom.record.schema import schema_of
from metaloom.web.case_facts import names_of, step_of
from metaloom.web.current import Current, current, locale, say
from metaloom.web.file_page import file_facts
from metaloom.web.form_model import FormField, Source, make_field, raw_values
from metaloom.web.words import form_ids, moment, whole

OUT, OWN = "out.", "own."       # prefixes of the inputs of a decision: what the step asks for, fields of the record
ASKED_FILES = "ask-attachments"      # the same in a dialog, beside the page's own
FILES = Field("attachments", FieldType.ATTACHMENT, Text("\u9644\u4ef6", "Attachments"), multiple=True)


def decision_form(pinned: Current, shown: CaseShown, mine: Task | None, sent: MultiDict[str, str] | None, problems: Sequence[Problem]) -> dict[str, Any]:
    """What may be decided here, and what the step asks for with it."""
    offers = {o.kind: o for o in shown.offers if mine is not None and o.task == mine.no}
    decisions = [kind for kind in ("pass", "resolve", "reject", "return") if kind in offers]
    step = step_of(shown, mine)
    signs = step is not None and decisions != ["resolve"]       # a delegate answers; whoever delegated the task signs
    return {
        "mine": mine, "mine_id": shown.tasks.get(mine.no) if mine is not None else None, "step": step, "decisions": decisions,
        "step_label": say(step.label) if step is not None else "", "opinion_rule": step.opinion if step is not None else "optional",
        "sign": signs and step.sign, "draw": signs and step.signature == "drawn", "drawn": sent_drawing(sent),
        "can_hold": "hold" in offers,
        "record_version": shown.record_version, "key": (sent or {}).get("_key") or secrets.token_hex(16), "due": _due(pinned, mine),
        "behalf": _behalf(pinned, shown, mine), "question": _question(shown, mine),
        "problems": [p.message.say(locale()) for p in problems if not p.field.startswith(("outputs.", "fields."))],
        **_asked(pinned, shown, mine if decisions else None, step, sent, problems),
    }


def _asked(pinned: Current, shown: CaseShown, mine: Task | None, step: Decide | None, sent: MultiDict[str, str] | None,
           problems: Sequence[Problem]) -> dict[str, Any]:
    """The inputs of the decision; none where nothing is decided."""
    if mine is None:
        return {"opinion": "", "outputs": [], "own_fields": [], "files": None}
    said = (sent or {}).get("opinion", "") or str(mine.draft.get("opinion", ""))
    left, own_left = command.choices_left(pinned.looking(), shown, step, pinned.conn) if step is not None else ({}, {})
    return {"opinion": said,
            "outputs": [_narrowed(one, left) for one in _outputs(pinned, shown, step, mine.draft, sent, problems)],
            "own_fields": [_narrowed(one, own_left) for one in _own_fields(pinned, shown, step, sent, problems)],
            "files": files_field(pinned, step, (sent or {}).get("attachments", ""), problems)}


def _narrowed(one: FormField, left: Mapping[str, frozenset[str]]) -> FormField:
    """The field with the choices that are left; what is chosen stays in sight: the command says why it will not do."""
    if one.name not in left:
        return one
    return replace(one, options=tuple(option for option in one.options if option[0] in {*left[one.name], one.value, *one.values}))


def _behalf(pinned: Current, shown: CaseShown, mine: Task | None) -> str:
    principal = mine.principal if mine is not None else None
    return names_of(pinned, shown, [principal]).get(principal, "") if principal else ""


def _question(shown: CaseShown, mine: Task | None) -> str:
    return mine.why if mine is not None and mine.kind == "answer" else ""


def _due(pinned: Current, mine: Task | None) -> tuple[str, bool] | None:
    if mine is None or not mine.due:
        return None
    at = datetime.fromisoformat(mine.due)
    return moment(pinned, at), at < pinned.clock.now()


def _outputs(pinned: Current, shown: CaseShown, step: Decide | None, draft: Mapping[str, Any], sent: MultiDict[str, str] | None,
             problems: Sequence[Problem]) -> list[FormField]:
    """What the step asks for when it passes; the record's own field of the same name gives the first value."""
    if step is None or not step.outputs:
        return []
    entity = pinned.catalog.entities[shown.chain.entity]
    values = {**command.output_defaults(pinned.looking(), shown, step, pinned.conn), **_drafted(step, draft)}
    inner = _without(sent, OUT)
    wrong = tuple(replace(p, field=OUT + p.field.removeprefix("outputs.")) for p in problems if p.field.startswith("outputs."))
    source = Source("action", values, {}, dict.fromkeys(step.outputs, FieldLevel.WRITE), sent=inner, problems=wrong)
    return [_sent_as(make_field(pinned, entity, one, source, one.name, False), OUT, wrong) for one in step.outputs.values()]


def _drafted(step: Decide, draft: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in (draft.get("outputs") or {}).items() if name in step.outputs and value not in (None, "")}
    try:
        return schema_values(kept, {name: step.outputs[name] for name in kept})
    except Invalid:
        return {}


def schema_values(given: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """JSON values in the types of their fields."""
    pinned = current()
    return schema_of(pinned.revision, {name: replace(one, required=False) for name, one in fields.items()}).load(given, zone=pinned.zone)


def _sent_as(one: FormField, prefix: str, problems: Sequence[Problem]) -> FormField:
    """The field under its prefixed name."""
    found = tuple(p.message.say(locale()) for p in problems if p.field == prefix + one.name)
    return replace(one, html=prefix + one.html, problems=found or one.problems)


def _own_fields(pinned: Current, shown: CaseShown, step: Decide | None, sent: MultiDict[str, str] | None, problems: Sequence[Problem]) -> list[FormField]:
    """Fields of the record that may be changed while deciding."""
    names = [name for name, level in step.fields.items() if level in ("write", "required")] if step is not None else []
    if not names or not shown.readable:
        return []
    entity = pinned.catalog.entities[shown.chain.entity]
    row = pinned.reader.get(entity.address, shown.row["record_id"])
    titles = {name: row.titles[name] for name in names if name in row.titles}
    wrong = tuple(replace(p, field=OWN + p.field.removeprefix("fields.")) for p in problems if p.field.startswith("fields."))
    source = Source("edit", row.values, titles, dict.fromkeys(names, FieldLevel.WRITE), sent=_without(sent, OWN), problems=wrong)
    found = []
    for name in names:
        if name in entity.fields and row.levels.get(name, FieldLevel.HIDDEN) >= FieldLevel.READ:
            one = make_field(pinned, entity, entity.fields[name], source, name, False)
            found.append(_sent_as(replace(one, starred=one.starred or (step is not None and step.fields[name] == "required")), OWN, wrong))
    return found


def files_field(pinned: Current, step: Decide | None, sent: str, problems: Sequence[Problem]) -> FormField | None:
    """Where files are added to words, with those that were sent already; None where the step takes none."""
    if step is None or step.attachments == "none":
        return None
    ids = form_ids(sent.split(","))
    source = Source("action", {"attachments": tuple(ids)}, files=file_facts(pinned, ids), problems=tuple(p for p in problems if p.field == "attachments"))
    one = make_field(pinned, pinned.catalog.entities["platform.approval_task"], FILES, source, FILES.name, False)
    return replace(one, starred=step.attachments == "required")


def _without(sent: MultiDict[str, str] | None, prefix: str) -> MultiDict[str, str] | None:
    """What was sent under the prefix, without it."""
    if sent is None:
        return None
    return MultiDict([(key.removeprefix(prefix), value) for key, value in sent.items(multi=True) if key.startswith(prefix)])


def sent_outputs(pinned: Current, step: Decide | None) -> dict[str, Any]:
    """What the step asked for, as it was typed; Invalid with every finding."""
    return _loaded(pinned, step.outputs if step is not None else {}, OUT, "outputs.")


def _loaded(pinned: Current, fields: Mapping[str, Field], prefix: str, at: str) -> dict[str, Any]:
    sent = _without(request.form, prefix)
    assert sent is not None
    try:
        return schema_of(pinned.revision, dict(fields), source="form").load(raw_values(fields, sent, {}), zone=pinned.zone)
    except Invalid as wrong:
        raise Invalid([replace(p, field=at + p.field) for p in wrong.problems]) from None


def sent_own_values(pinned: Current, shown: CaseShown, step: Decide | None) -> dict[str, Any]:
    """The record's fields that were changed here; what was left as it was is not sent along."""
    entity: Entity = pinned.catalog.entities[shown.chain.entity]
    names = [n for n, level in step.fields.items() if level in ("write", "required") and OWN + n in request.form] if step is not None else []
    if not names:
        return {}
    values = _loaded(pinned, {n: replace(entity.fields[n], required=False) for n in names}, OWN, "fields.")
    stored = pinned.reader.get(entity.address, shown.row["record_id"]).values
    return {name: value for name, value in values.items() if stored.get(name) != value}


def sent_files() -> list[int]:
    """The files that came with the form."""
    return form_ids((request.form.get(ASKED_FILES) or request.form.get(FILES.name, "")).split(","))


def sent_drawing(sent: Mapping[str, str] | None) -> str:
    """The drawing that came with the form, to be shown on its pad again; '' for what is none."""
    text = (sent or {}).get(FIELD, "")
    return text if text.startswith(PREFIX) and len(text) <= TEXT_MAX else ""


def shown_version() -> int | None:
    """The version of the record that the form was made for."""
    return whole(request.form.get("_version", ""))
