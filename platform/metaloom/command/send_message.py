"""Sending words to somebody outside, by the outbox: the address comes from a record or from metadata, the words from a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.eyes import words_outside
from metaloom.command.outgoing import Letter, post_letters
from metaloom.command.unit import Unit
from metaloom.message import fill
from metaloom.model import Entity, FieldType, MessageTemplate

register({
    "message.no_words": ("模板“{template}”没有渠道“{channel}”的内容。", "The template “{template}” has no words for the channel “{channel}”."),
})


def send_message(unit: Unit, template: MessageTemplate, channel: str, to: Any, entity: Entity, record: Mapping[str, Any] | None) -> int:
    """Queues the template for the address ``to`` (text, or a record with one) and gives the id of the message.

    Only the paths that the template lists under ``outside`` are told. An address that cannot be used, or that opted out, is
    logged as not sent with the reason: the action goes on.
    """
    words_there = template.channels.get(channel)
    if words_there is None:
        raise NotPossible(message("message.no_words", template=template.label, channel=channel))
    locale = str(unit.catalog.settings.get("locale") or "zh")
    known = words_outside(unit, entity, record, template.outside, locale) if record is not None and template.outside else {}
    letter = Letter(
        channel=channel, address=_address(unit, channel, to), kind=template.address, template=template.address,
        subject=fill(words_there.subject or template.label, known, locale), body=fill(words_there.body, known, locale),
        entity=entity.address if record is not None else "", record_id=record["id"] if record is not None else None,
        important=template.important, template_code=words_there.template_code,
        fields={name: fill(text, known, locale) for name, text in words_there.fields.items()})
    return post_letters(unit, [letter])[0]


def _address(unit: Unit, channel: str, to: Any) -> str:
    """The address itself, or the first field of a record that holds one for this channel."""
    if not isinstance(to, Mapping):
        return str(to or "")
    address = getattr(to, "entity", "")
    found = rows.fetch(unit, address, to["id"]) if address else None
    if found is None:
        return ""
    wanted = FieldType.EMAIL if channel == "email" else FieldType.PHONE
    fields = unit.entity(address).fields.values()
    own = [f.name for f in fields if f.type is wanted] or (["mobile"] if wanted is FieldType.PHONE and address == "platform.user" else [])
    return next((str(found[name]) for name in own if found.get(name)), "")
