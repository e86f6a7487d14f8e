"""Message templates and webhooks: what they name exists, and what leaves the house was meant to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import Formatter
from typing import Any

from metaloom.base.position import Position
from metaloom.base.text import Text
from metaloom.compile.checks.look import check_path, follow, say, spot
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.model import Catalog, ChannelText, Entity, FieldType, MessageTemplate, Webhook
from metaloom.model.entity import LINK_TYPES
from metaloom.model.message import BUILT_IN_CHANNELS

_UNSPEAKABLE = frozenset({FieldType.CHILD, FieldType.JSON, FieldType.RICH_TEXT, FieldType.ATTACHMENT, FieldType.IMAGE, FieldType.SIGNATURE})


def templates_speak_of_known_fields(catalog: Catalog, context: Context) -> None:
    """Every slot is a path of the template's entity (or ``title``) whose value can be said; a subject stands where one is shown."""
    for template in catalog.messages.values():
        entity = catalog.entities.get(template.entity)
        for channel, words in template.channels.items():
            where = _spot(context, template.address, "messages", "channels", channel)
            if channel in BUILT_IN_CHANNELS and words.subject is None:
                say(context, "ML-MSG-002", where, template.address, channel=channel)
            for slot in _slots(words, context, where, template.address):
                _check_slot(catalog, context, template, entity, channel, slot, where)
        for path in template.outside:
            at = _spot(context, template.address, "messages", "outside")
            if entity is not None:
                check_path(context, catalog, entity, path, at, template.address)


def _check_slot(catalog: Catalog, context: Context, template: MessageTemplate, entity: Entity | None, channel: str, slot: str,
                where: Position) -> None:
    if entity is None:
        say(context, "ML-MSG-001", where, template.address, slot=slot)
        return
    if slot == "title" and "title" not in entity.fields:
        slot = entity.title
    field = check_path(context, catalog, entity, slot, where, template.address)
    if field is not None and field.type in _UNSPEAKABLE:
        say(context, "ML-MSG-003", where, template.address, slot=slot, type=field.type)
    if template.outside and channel != "in_app" and slot not in template.outside:
        say(context, "ML-MSG-004", where, template.address, slot=slot)


def _slots(words: ChannelText, context: Context, where: Position, address: str) -> Iterator[str]:
    for text in filter(None, (words.subject, words.body, *words.fields.values())):
        for said in (text.zh, text.en):
            yield from _slots_of(said, context, where, address)


def _slots_of(said: str, context: Context, where: Position, address: str) -> Iterator[str]:
    try:
        slots = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(said) if name is not None]
    except ValueError:
        slots = [("", "", "")]
    for name, form, conversion in slots:
        if not name or form or conversion:
            say(context, "ML-TEXT-001", where, address)
        else:
            yield name


def steps_tell_what_they_can(catalog: Catalog, context: Context) -> None:
    """Steps ``notify`` and ``send``: the template has the channel, speaks of the same entity, and a text outside is declared so."""
    for action in catalog.actions.values():
        for step in _all(action.steps):
            if step.verb in ("notify", "send") and step.name in catalog.messages:
                template = catalog.messages[step.name]
                if template.entity and (template.entity != action.entity or action.on == "list"):
                    say(context, "ML-MSG-005", step.position, action.address, template=template.address, entity=template.entity)
                if step.verb == "send":
                    _check_sent(catalog, context, template, step.channel, step.position, action.address)


def _check_sent(catalog: Catalog, context: Context, template: MessageTemplate, channel: str, where: Position, address: str) -> None:
    words = template.channels.get(channel)
    if words is None:
        say(context, "ML-MSG-006", where, address, template=template.address, channel=channel,
            hint=_did_you_mean(channel, template.channels))
        return
    for slot in _slots(words, context, where, address):
        if slot not in template.outside:
            say(context, "ML-MSG-004", where, address, slot=slot)


def _all(steps: Iterable[Any]) -> Iterator[Any]:
    for step in steps:
        yield step
        yield from _all(step.steps)
        yield from _all(step.otherwise)


def texts_of_steps_speak_of_known_fields(catalog: Catalog, context: Context) -> None:
    """The words of a ``notify`` without template: slots are paths of the action's record."""
    for action in catalog.actions.values():
        entity = catalog.entities[action.entity]
        for step in _all(action.steps):
            for text in (step.subject, step.body) if step.verb == "notify" else ():
                for slot in slot_names(text, context, step.position, action.address):
                    if action.on == "list":
                        say(context, "ML-MSG-001", step.position, action.address, slot=slot)
                    else:
                        check_path(context, catalog, entity, slot, step.position, action.address)


def slot_names(text: Text | None, context: Context, where: Position, address: str) -> Iterator[str]:
    for said in (text.zh, text.en) if text is not None else ():
        yield from _slots_of(said, context, where, address)


def webhooks_name_what_there_is(catalog: Catalog, context: Context) -> None:
    """Events, paths, rights and inputs of webhooks exist; one of ``out`` and ``in``."""
    for hook in catalog.webhooks.values():
        if (hook.out is None) == (hook.into is None):
            say(context, "ML-HOOK-001", hook.position, hook.address)
        if hook.out is not None and hook.out.entity in catalog.entities:
            _check_out(catalog, context, hook)
        if hook.into is not None:
            _check_in(catalog, context, hook)


def _check_out(catalog: Catalog, context: Context, hook: Webhook) -> None:
    out = hook.out
    assert out is not None
    entity, where = catalog.entities[out.entity], _spot(context, hook.address, "webhooks", "out")
    lifecycle = catalog.lifecycles.get(out.entity)
    for event in out.on:
        kind, _, name = event.partition(":")
        known = {"transition": lifecycle.transitions if lifecycle else {}, "action": [a.name for a in catalog.actions_of(out.entity)]}.get(kind)
        if known is not None and name not in known:
            say(context, "ML-HOOK-002", where, hook.address, event=event, entity=out.entity, hint=_did_you_mean(name, known))
    for path in out.fields:
        field = check_path(context, catalog, entity, path, where, hook.address)
        if field is not None and field.type is FieldType.CHILD:
            say(context, "ML-MSG-003", where, hook.address, slot=path, type=field.type)
    if out.role and not any(g.role == out.role and "read" in g.actions for g in catalog.grants.get(out.entity, ())):
        say(context, "ML-HOOK-003", where, hook.address, role=out.role, entity=out.entity)


def _check_in(catalog: Catalog, context: Context, hook: Webhook) -> None:
    into = hook.into
    assert into is not None
    where = _spot(context, hook.address, "webhooks", "in")
    if bool(into.secret_ref) == bool(into.signed_by):
        say(context, "ML-HOOK-009", where, hook.address)
    if into.signed_by and context.plugins.complete and into.signed_by not in context.plugins.readers:
        say(context, "ML-REF-001", where, hook.address, what="provider of signed_notice", name=into.signed_by,
            hint=_did_you_mean(into.signed_by, context.plugins.readers))
    action, entity = catalog.actions.get(f"{into.entity}/{into.action}"), catalog.entities.get(into.entity)
    if action is None or entity is None:
        say(context, "ML-REF-001", where, hook.address, what="action", name=f"{into.entity}/{into.action}",
            hint=_did_you_mean(f"{into.entity}/{into.action}", catalog.actions))
        return
    if (action.on == "record") != bool(into.find):
        say(context, "ML-HOOK-004", where, hook.address, action=action.name, on=action.on)
    for name in (*into.find.values(), *into.input.values()):
        if name not in into.body:
            say(context, "ML-HOOK-005", where, hook.address, name=name, hint=_did_you_mean(name, into.body))
    for path in into.find:
        holder, field, wrong = follow(catalog, entity, path)
        if wrong or field is None or field.type in _UNSPEAKABLE or "." in path:
            say(context, "ML-REF-002", where, hook.address, path=path, entity=holder.address)
    for name in into.input:
        if name not in action.input.fields:
            say(context, "ML-HOOK-006", where, hook.address, name=name, action=action.name, hint=_did_you_mean(name, action.input.fields))
    if any(field.type in LINK_TYPES or field.type in _UNSPEAKABLE for field in into.body.values()):
        say(context, "ML-HOOK-007", where, hook.address)
    if action.asks_reason:
        say(context, "ML-HOOK-008", where, hook.address, action=action.name)


def _spot(context: Context, address: str, kind: str, *path: str) -> Position:
    pack, _, name = address.partition(".")
    return spot(context, pack, kind, name, *path)
