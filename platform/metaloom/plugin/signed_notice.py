"""The signed_notice door: another system tells us something, unasked, and signs it.

The engine owns the address (``POST /<tenant>/notice/<provider>``), its limits and the promise that one notice has one effect.
The provider alone knows how the other side signs, what its words mean and which words it wants to hear back. No login, no
cookie: the signature says who it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from metaloom.plugin.faults import Promise

BODY_MAX = 65_536


class NoticeRefused(Exception):
    """The call is not genuine, too old, or not readable: nothing of it may be believed. The sender learns no reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedCall:
    """What came in: header names in small letters, at most ``BODY_MAX`` bytes of body, as they were sent."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A genuine notice. ``event_no`` tells two of them apart and is the same at every repetition. ``topic`` says who hears it: every
    plugin command that declares ``hears: <topic>`` is given ``values`` as its input, and so is every webhook that is ``signed_by`` the
    provider; ``provider`` and ``event_no`` are added."""

    event_no: str
    topic: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeAnswer:
    """What the other side wants to hear."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@runtime_checkable
class SignedNotice(Protocol):
    """Reads and answers; nothing is stored and no money moves here."""

    def read(self, call: SignedCall) -> Notice:
        """The notice, if signature, time and form hold. Called for everybody who finds the address: raise :class:`NoticeRefused`
        (or anything else) for all that is not proven. May be called again with the same bytes."""

    def answer(self, taken: bool) -> NoticeAnswer:
        """``taken``: the notice has had its effect, now or before, and need not come again. Otherwise: please say it again."""


class CheckedSignedNotice:
    """A provider behind the engine's checks: what it cannot read properly was never said."""

    def __init__(self, provider: SignedNotice, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)

    def read(self, call: SignedCall) -> Notice:
        notice = self._provider.read(call)
        self._promise.is_a("notice", notice, Notice)
        self._promise.is_a("values", notice.values, Mapping)
        self._promise.text("event_no", notice.event_no, longest=200)
        self._promise.that(bool(notice.event_no.strip()) and bool(notice.topic), "a notice has a number and a topic")
        return notice

    def answer(self, taken: bool) -> NoticeAnswer:
        said = self._provider.answer(taken)
        self._promise.is_a("answer", said, NoticeAnswer)
        self._promise.is_a("answer", said.body, bytes)
        self._promise.that(100 <= self._promise.whole("status", said.status) <= 599, "the status is no HTTP status")
        self._promise.that(len(said.body) <= 4096, "the answer is too long")
        return said
