"""Messages and webhooks: what is said to people and to other systems, and what other systems may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.entity import Field

BUILT_IN_CHANNELS = ("in_app", "email")


@dataclass(frozen=True)
class ChannelText:
    """The words of a template on one channel. ``template_code``: the number under which the provider approved the text.
    ``fields``: named values for providers that fill a template of their own (slots of the provider → our words)."""

    body: Text
    subject: Text | None = None
    template_code: str = ""
    fields: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True)
class MessageTemplate:
    """Words with slots ``{path}`` over ``entity``, per channel.

    ``important``: no preference, opt-out or quiet hour holds it back (money and security). ``outside``: the paths that people
    without an account may be told; every slot of a text sent outside is one of them.
    """

    address: str
    label: Text
    channels: Mapping[str, ChannelText]
    entity: str = ""
    important: bool = False
    outside: tuple[str, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True)
class HookOut:
    """Events of ``entity`` that are told to ``url``. ``on``: created | changed | archived | transition:<name> | action:<name>.

    ``when`` is asked of the record after the event. The payload holds ``fields`` (paths) as far as ``role`` may read them.
    """

    url: str
    secret_ref: str
    entity: str
    on: tuple[str, ...]
    role: str
    fields: tuple[str, ...]
    when: str = ""


@dataclass(frozen=True)
class HookIn:
    """A signed call that runs ``action`` of ``entity`` with the rights of ``role``.

    ``body``: what the call must hold. ``find``: field of the entity → name of the body's value that identifies the record (empty
    for an action without record). ``input``: input of the action → name of the body's value. ``window``: how many seconds old a
    signature may be. ``per_minute``: so many calls at most. ``signed_by``: the provider of the door ``signed_notice`` that reads the call
    instead, where it carries that provider's own signature (then there is no ``secret_ref``).
    """

    secret_ref: str
    entity: str
    action: str
    role: str
    body: Mapping[str, Field]
    find: Mapping[str, str] = field(default_factory=dict)
    input: Mapping[str, str] = field(default_factory=dict)
    window: int = 300
    per_minute: int = 60
    signed_by: str = ""


@dataclass(frozen=True)
class Webhook:
    """Exactly one of ``out`` and ``into``."""

    address: str
    name: str
    label: Text
    enabled: bool = True
    out: HookOut | None = None
    into: HookIn | None = None
    position: Position = NOWHERE
