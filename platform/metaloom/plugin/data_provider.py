"""The data_provider door: facts about somebody or something, asked from an outside service.

Called by a worker only, outside every transaction. No money moves, but a question may cost a fee and is logged by the
other side: it is repeated only with the same ``reference``. Nothing here ever decides: an accident is ``unavailable``,
and ``unavailable`` is never read as a good answer (reliability 105).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from metaloom.plugin.faults import PluginFault, Promise

OUTCOMES = frozenset({"found", "not_found", "unavailable"})
LARGEST_REPLY = 500
LARGEST_RAW = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRequest:
    """``method`` is one of the provider's own; ``subject`` says who is asked about (names of values are the method's)."""

    reference: str
    method: str
    subject: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataReply:
    """``values``: flat facts (str, int, Decimal, date, bool or None). ``provider_no`` is the service's own number. ``raw``: the
    whole answer as text, for those who keep it (encrypted); empty where the service has no more to say than ``values``."""

    outcome: str
    values: Mapping[str, object] = field(default_factory=dict)
    provider_no: str = ""
    code: str = ""
    text: str = ""
    reference: str = ""
    raw: str = ""


def perform(provider: DataProvider, method: str, payload: Mapping[str, Any]) -> dict[str, object]:
    """One call out of the outbox. Method ``fetch`` (fields of :class:`DataRequest`); anything else raises ValueError."""
    if method != "fetch":
        raise ValueError(f"data_provider has no method {method!r} to send to; known is fetch")
    return asdict(provider.fetch(DataRequest(**payload)))


def accident(payload: Mapping[str, Any], error: Exception) -> dict[str, object]:
    """The reply when nothing came back: not an answer."""
    return asdict(_unavailable(str(payload.get("reference", "")), error))


@runtime_checkable
class DataProvider(Protocol):
    """Answers questions; changes nothing."""

    def methods(self) -> tuple[str, ...]:
        """The questions it can answer. Called when metadata is checked; pure."""

    def fetch(self, request: DataRequest) -> DataReply:
        """Ask once. May be repeated with the same reference. No money moves. A time-out, a 5xx or a page of HTML raises or
        returns ``unavailable``; ``not_found`` only on the service's definite word."""


class CheckedDataProvider:
    """A provider behind the engine's checks: whatever it raises or misspells becomes ``unavailable``."""

    def __init__(self, provider: DataProvider, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)

    def methods(self) -> tuple[str, ...]:
        names = self._provider.methods()
        self._promise.is_a("methods", names, tuple)
        return names

    def fetch(self, request: DataRequest) -> DataReply:
        try:
            reply = self._provider.fetch(request)
            self._check(reply, request)
        except Exception as error:  # an accident must not look like an answer
            return _unavailable(request.reference, error)
        return reply

    def _check(self, reply: DataReply, request: DataRequest) -> None:
        self._promise.is_a("reply", reply, DataReply)
        self._promise.one_of("outcome", reply.outcome, OUTCOMES)
        self._promise.that(reply.reference in ("", request.reference), "the reply is about another reference")
        self._promise.text("raw", reply.raw, longest=LARGEST_RAW)
        self._promise.is_a("values", reply.values, Mapping)
        self._promise.that(len(reply.values) <= LARGEST_REPLY, f"values: more than {LARGEST_REPLY}")
        for key, value in reply.values.items():
            self._promise.text("values", key)
            self._promise.is_a(f"values.{key}", value, (str, int, Decimal, date, type(None)))


def _unavailable(reference: str, error: Exception) -> DataReply:
    fault = error.fault if isinstance(error, PluginFault) else f"{type(error).__name__}: {error}"
    return DataReply(outcome="unavailable", reference=reference, code=type(error).__name__, text=fault[:500])
