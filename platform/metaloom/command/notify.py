"""Telling people inside the running transaction: each receiver gets the words that this receiver may read.

A message in the application is there with the commit. What leaves the house (e-mail, short messages) is queued in the same
transaction and sent by a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metaloom.base.messages import Message
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.eyes import readings_as, words_for
from metaloom.command.outgoing import About, Letter, post_letters
from metaloom.command.unit import Unit
from metaloom.message import Box, Reach, fill, one_line, plain, slots_in
from metaloom.message.box import IN_APP
from metaloom.model import ChannelText, MessageTemplate

EMAIL, USER = "email", "platform.user"
Said = Message | Text | str


@dataclass(frozen=True, kw_only=True)
class Telling(About):
    """What is told, to whomever. ``by_channel``: words of a template where a channel has its own. ``channels``: on which it goes
    to those who did not choose; () = in the application, and by e-mail where the template has words for it."""

    subject: Said
    body: Said | None = None
    by_channel: Mapping[str, ChannelText] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    def texts(self) -> tuple[Text, ...]:
        own = [part for part in (self.subject, self.body) if isinstance(part, Text)]
        for words in self.by_channel.values():
            own += filter(None, (words.subject, words.body, *words.fields.values()))
        return tuple(own)

    def by_itself(self, channel: str) -> bool:
        """Whether it goes on this channel to somebody who did not choose."""
        return channel in (self.channels or (IN_APP, *({EMAIL} & self.by_channel.keys())))


def notify(unit: Unit, to: Iterable[int], *, kind: str, subject: Said, body: Said | None = None, entity: str = "",
           record_id: int | None = None, link: str = "", urgent: bool = False) -> int:
    """Stores a message for each person in ``to`` (ids of users; doubles and accounts that are switched off are left out) and
    says how many people were told. It is seen when the transaction commits, and never otherwise.

    ``subject`` and ``body``: a :class:`Text` with slots such as ``{customer.name}`` is filled from the record for each receiver
    with what this receiver may read, ``-`` for the rest; a :class:`Message` or plain words are said as they stand, so they hold
    only what every receiver may know. ``kind`` is what preferences speak of (``approval.task``, ``alert``, a template's address).
    ``link`` is a path inside the tenant (``/task/42``); without one the message leads to the record. ``urgent`` messages pass
    quiet hours.
    """
    return tell(unit, to, Telling(kind=kind, subject=subject, body=body, entity=entity, record_id=record_id, link=link, urgent=urgent))


def notify_template(unit: Unit, to: Iterable[int], template: MessageTemplate, *, entity: str = "", record_id: int | None = None,
                    link: str = "", urgent: bool = False) -> int:
    """The same with the words of a template, each channel its own."""
    return tell(unit, to, replace(of_template(template), entity=entity, record_id=record_id, link=link, urgent=urgent))


def of_template(template: MessageTemplate) -> Telling:
    """The words of a template, about nothing yet."""
    first = template.channels.get(IN_APP) or next(iter(template.channels.values()))
    return Telling(kind=template.address, subject=first.subject or template.label, body=first.body, important=template.important,
                   template=template.address, by_channel=template.channels)


def tell(unit: Unit, to: Iterable[int], what: Telling) -> int:
    """How many people were told: those whose account is on."""
    return tell_all(unit, [(to, what)])


def tell_all(unit: Unit, tellings: Iterable[tuple[Iterable[int], Telling]]) -> int:
    """Several things at once, each to people of its own; as many statements as for one."""
    asked = [(list(dict.fromkeys(to)), what) for to, what in tellings]
    everybody = list(dict.fromkeys(user_id for people, _ in asked for user_id in people))
    if not everybody:
        return 0
    box, kinds = Box(unit.conn, unit.tables), {what.kind for _, what in asked}
    wanted = box.preferences(everybody, next(iter(kinds)) if len(kinds) == 1 else None)
    readings = readings_as(unit, everybody)
    messages: list[dict[str, Any]] = []
    letters: list[Letter] = []
    told = 0
    for people, what in asked:
        slots = slots_in(*what.texts())
        for user_id in people:
            reading = readings[user_id]
            if reading is None:
                continue
            words = words_for(reading, what.entity, what.record_id, slots)
            prefers = {channel: wants for (kind, channel), wants in wanted.get(user_id, {}).items() if kind == what.kind}
            told += 1
            if what.by_itself(IN_APP) or prefers.get(IN_APP):
                messages.append(_in_app(unit, reading, what, words, prefers.get(IN_APP, True)))
            letters += _letters(unit, reading, what, words, prefers)
    box.keep(messages)
    post_letters(unit, letters)
    return told


def _in_app(unit: Unit, reading: Unit, what: Telling, words: Mapping[str, str], wanted: bool) -> dict[str, Any]:
    said = what.by_channel.get(IN_APP)
    subject, body = (said.subject or what.subject, said.body) if said else (what.subject, what.body)
    locale = reading.ctx.locale
    held_back = not wanted and not what.important
    return what.columns(unit) | {
        "receiver_id": reading.ctx.actor.user_id, "channel": IN_APP, "subject": one_line(_said(subject, words, locale)),
        "body": plain(_said(body, words, locale)) if body is not None else None, "status": "suppressed" if held_back else "delivered",
        "why": "preference" if held_back else None, "delivered_at": None if held_back else unit.now,
    }


def _letters(unit: Unit, reading: Unit, what: Telling, words: Mapping[str, str], prefers: Mapping[str, bool]) -> list[Letter]:
    """What goes to this person outside the application: where it goes by itself or the person asked for it. Other channels than
    e-mail need words of the template."""
    reach = Reach.of(unit.catalog.settings)
    locale, found = reading.ctx.locale, []
    for channel in dict.fromkeys((EMAIL, *reach.channels)):
        said = what.by_channel.get(channel)
        asked = prefers.get(channel)
        by_itself = what.by_itself(channel)
        if channel != EMAIL and said is None:
            continue
        if not (asked or (asked is None and by_itself) or (what.important and by_itself)):
            if by_itself:
                found.append(_letter(unit, reading, what, channel, said, words, locale, why="preference"))
            continue
        found.append(_letter(unit, reading, what, channel, said, words, locale))
    return found


def _letter(unit: Unit, reading: Unit, what: Telling, channel: str, said: ChannelText | None, words: Mapping[str, str], locale: str,
            why: str = "") -> Letter:
    subject, body = (said.subject or what.subject, said.body) if said else (what.subject, what.body)
    return Letter(
        **what.about, channel=channel, address=address_of(unit, reading.ctx.actor.user_id, channel),
        subject=_said(subject, words, locale), body=_said(body if body is not None else subject, words, locale),
        receiver=reading.ctx.actor.user_id, template_code=said.template_code if said else "",
        fields={name: fill(text, words, locale) for name, text in said.fields.items()} if said else {}, why=why)


def address_of(unit: Unit, user_id: int | None, channel: str) -> str:
    """The person's own address on a channel; empty where there is none."""
    person = rows.fetch(unit, USER, user_id) if user_id is not None else None
    return str((person or {}).get({EMAIL: "email"}.get(channel, "mobile")) or "")


def _said(part: Said, words: Mapping[str, str], locale: str) -> str:
    if isinstance(part, Text):
        return fill(part, words, locale)
    return part.say(locale) if isinstance(part, Message) else part
