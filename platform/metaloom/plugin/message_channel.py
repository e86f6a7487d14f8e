"""The message_channel door: short messages, WeChat and whatever else carries words to somebody.

Called by a worker only, outside every transaction. A message costs money and annoys: it is sent once. The reference is
chosen and stored before the first call; a repeated call carries the same reference and is the same message. An accident is
``unknown``, and an unknown message is asked for with ``query``, never sent again blindly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from metaloom.plugin.faults import PluginFault, Promise

OUTCOMES = frozenset({"accepted", "delivered", "refused", "unknown", "never_seen"})
COLLECTED_MAX = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """``text`` is plain and within ``length_max``. ``template_code`` and ``fields`` are for providers that keep templates."""

    reference: str
    address: str
    text: str
    subject: str = ""
    template_code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelReply:
    """``accepted``: the provider has it. ``refused``: it will never arrive. ``unknown``: nobody can say. ``never_seen`` (``query``
    only): the provider definitely has no such reference, so it may be sent."""

    outcome: str
    reference: str = ""
    provider_no: str = ""
    code: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """Something that came back. A receipt has a ``reference`` and an outcome; an answer of a person has an ``address`` and its
    ``text``. ``number`` tells two of them apart: the same one may be given again."""

    number: str
    reference: str = ""
    outcome: str = ""
    address: str = ""
    text: str = ""


def perform(channel: MessageChannel, method: str, payload: Mapping[str, Any]) -> dict[str, object]:
    """One call out of the outbox: ``send`` (fields of :class:`Outgoing`) or ``query`` (``reference``)."""
    if method == "send":
        return asdict(channel.send(Outgoing(**payload)))
    if method == "query":
        return asdict(channel.query(payload["reference"]))
    raise ValueError(f"message_channel has no method {method!r} to send to; known are send, query")


def accident(payload: Mapping[str, Any], error: Exception) -> dict[str, object]:
    """The reply when nothing came back in time: nobody can say."""
    return asdict(_unknown(str(payload.get("reference", "")), error))


@runtime_checkable
class MessageChannel(Protocol):
    """Carries words; decides nothing. No money of the client moves."""

    def length_max(self) -> int:
        """How many characters one message may have. Pure."""

    def send(self, request: Outgoing) -> ChannelReply:
        """Send once. The same reference again is the same message. A time-out, a 5xx or a page of HTML raises or returns
        ``unknown``; ``refused`` only on the provider's definite word."""

    def query(self, reference: str) -> ChannelReply:
        """What became of a message. ``never_seen`` only on the provider's definite word."""

    def collect(self) -> tuple[Incoming, ...]:
        """Receipts and answers that came in and were not acknowledged yet, oldest first. May give the same again."""

    def acknowledge(self, numbers: tuple[str, ...]) -> None:
        """These were stored; ``collect`` need not give them again. Called after commit; may be repeated."""


class CheckedMessageChannel:
    """A provider behind the engine's checks: whatever it raises or misspells becomes ``unknown``."""

    def __init__(self, channel: MessageChannel, name: str) -> None:
        self._channel, self._promise = channel, Promise(name)

    def length_max(self) -> int:
        return self._promise.whole("length_max", self._channel.length_max(), least=1)

    def send(self, request: Outgoing) -> ChannelReply:
        return self._asked(request.reference, lambda: self._channel.send(request), OUTCOMES - {"never_seen"})

    def query(self, reference: str) -> ChannelReply:
        return self._asked(reference, lambda: self._channel.query(reference), OUTCOMES)

    def collect(self) -> tuple[Incoming, ...]:
        found = self._channel.collect()
        self._promise.is_a("collect", found, tuple)
        self._promise.that(len(found) <= COLLECTED_MAX, f"collect: more than {COLLECTED_MAX}")
        for item in found:
            self._promise.is_a("collect", item, Incoming)
            self._promise.text("number", item.number, longest=200)
            if item.reference:
                self._promise.one_of("outcome", item.outcome, OUTCOMES - {"never_seen"})
            else:
                self._promise.text("address", item.address, longest=320)
                self._promise.text("text", item.text, longest=10_000)
        return found

    def acknowledge(self, numbers: tuple[str, ...]) -> None:
        self._channel.acknowledge(numbers)

    def _asked(self, reference: str, call: Any, allowed: frozenset[str]) -> ChannelReply:
        try:
            reply = call()
            self._promise.is_a("reply", reply, ChannelReply)
            self._promise.one_of("outcome", reply.outcome, allowed)
            self._promise.that(reply.reference in ("", reference), "the reply is about another reference")
            self._promise.text("provider_no", reply.provider_no, longest=100)
        except Exception as error:  # an accident must not look like an answer
            return _unknown(reference, error)
        checked: ChannelReply = reply
        return checked


def _unknown(reference: str, error: Exception) -> ChannelReply:
    fault = error.fault if isinstance(error, PluginFault) else f"{type(error).__name__}: {error}"
    return ChannelReply(outcome="unknown", reference=reference, code=type(error).__name__, text=fault[:500])
