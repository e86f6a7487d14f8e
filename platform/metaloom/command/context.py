"""Who asks, through which door, under which revision; and what a command answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from metaloom.base.clock import Clock, SystemClock
from metaloom.base.messages import Message, message
from metaloom.base.text import Text
from metaloom.plugin.registry import Registry, installed

if TYPE_CHECKING:
    from metaloom.access import AccessPlan, Actor
    from metaloom.storage import Revision, Tenant

CHANNELS = ("screen", "api", "import", "job", "cli")


@dataclass(frozen=True)
class Context:
    """One request. ``plan`` was made for ``actor`` under ``revision``; both stay the same for the whole request.

    ``idempotency_key``: the same key with the same body answers again without doing it again. ``reason`` is stored with
    every audit row of the request. ``system``: the engine itself acts (results that arrive, the command line, demo set-up
    of people); rights are then not asked, everything else is checked and audited all the same.
    """

    tenant: Tenant
    revision: Revision
    actor: Actor
    plan: AccessPlan
    channel: str = "screen"
    locale: str = "zh"
    clock: Clock = field(default_factory=SystemClock)
    request_id: str = ""
    idempotency_key: str | None = None
    plugins: Registry = field(default_factory=installed)
    system: bool = False
    address: str = ""            # the network address of whoever asks

    def with_key(self, key: str | None) -> Context:
        return replace(self, idempotency_key=key)


@dataclass(frozen=True)
class Saved:
    """A record was stored. ``row_version`` is the one to send with the next change."""

    entity: str
    id: int
    row_version: int
    title: str
    message: Message
    replayed: bool = False


@dataclass(frozen=True)
class ActionDone:
    """An action ran. ``results`` holds its named results (``let``) that are plain values, and a command's output.

    ``id`` and ``row_version`` are None for actions without a record.
    """

    entity: str
    id: int | None
    row_version: int | None
    message: Message
    results: Mapping[str, Any] = field(default_factory=dict)
    replayed: bool = False


@dataclass(frozen=True)
class Offered:
    """A button: an action or plugin command on a record. Not ``enabled``: shown grey, ``reason`` says why."""

    name: str
    label: Text
    style: str
    icon: str
    enabled: bool
    reason: Message | None = None
    asks: bool = False           # has input or wants a reason: open its form instead of posting at once
    confirm: Text | None = None
    money: bool = False
    bulk: bool = False
    on: str = "record"


def message_out(said: Message) -> dict[str, Any]:
    """A message as JSON, for the reply kept under an idempotency key."""
    slots = {key: _slot_out(value) for key, value in said.slots.items()}
    return {"code": said.code, "slots": slots, "text": [said.text.zh, said.text.en] if said.text else None}


def message_in(stored: Mapping[str, Any]) -> Message:
    slots = {key: Text(*value["text"]) if isinstance(value, dict) and "text" in value else value
             for key, value in stored["slots"].items()}
    text = Text(*stored["text"]) if stored["text"] else None
    return Message(stored["code"], slots, text) if text else message(stored["code"], **slots)


def _slot_out(value: object) -> object:
    if isinstance(value, Text):
        return {"text": [value.zh, value.en]}
    return value if isinstance(value, (str, int)) else str(value)
