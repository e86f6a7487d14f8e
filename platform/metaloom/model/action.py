"""Action: a named thing to do with a record, as steps in one transaction (decision 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.entity import Field
from metaloom.model.who import Who

APPROVAL = "approval"
"""Among the makers of an action: everybody who started or decided an approval case about the record."""


@dataclass(frozen=True)
class Input:
    """What an action asks for: fields as in an entity (no computed, child or auto_number)."""

    fields: Mapping[str, Field] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step. ``verb`` decides which of the other slots are used.

    ``check``: expression must be true, else NotPossible(message).
    ``set``: values {field: expression} on the record.
    ``transition``: name of a transition of the record's lifecycle (or of ``target``, an expression naming a let or link).
    ``create``: entity + values; ``let`` names the new row.
    ``update``: entity + where + values (where: bare names are the target's fields; `record.x`, `input.x`, lets); ``expect`` rows hit (`one` | `any`).
    ``get``: entity + where → ``let`` (null when none).
    ``for_each``: ``over`` a child field of the record (or a let), ``let`` names the row, ``steps``.
    ``run``: plugin command ``plugin.command`` with values as input; ``let`` names its result mapping.
    ``start_approval``, ``start_process``: ``name`` of the record's entity, or of the one that ``target`` names.
    ``notify``: ``to`` are told the template ``name``, or ``subject`` and ``body``; ``urgent`` passes quiet hours.
    ``send``: the template ``name`` on ``channel`` to the address (or the record with one) that ``target`` gives.
    ``if``: ``when`` + ``steps`` [+ ``otherwise``].
    ``when`` on any step: skipped unless true.
    """

    verb: str
    expression: str = ""
    message: Text | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    entity: str = ""
    where: str = ""
    expect: str = ""
    over: str = ""
    target: str = ""
    name: str = ""               # transition, plugin command or message template
    let: str = ""
    when: str = ""
    steps: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()
    to: tuple[Who, ...] = ()
    subject: Text | None = None
    body: Text | None = None
    channel: str = ""
    urgent: bool = False
    position: Position = NOWHERE


@dataclass(frozen=True)
class Action:
    """``on``: record | list (no record) . ``permission`` is the right that allows it (default: its own name)."""

    address: str
    entity: str
    name: str
    label: Text
    on: str = "record"
    icon: str = ""
    style: str = ""                    # '' | primary | danger
    permission: str = ""
    when: str = ""                     # offered and possible only when true; bare names are the record's fields
    message: Text | None = None        # said when ``when`` is not true
    confirm: Text | None = None
    asks_reason: bool = False
    done: Text | None = None           # said afterwards
    opens: str = ""                    # a let: the page of that record is opened afterwards
    input: Input = field(default_factory=Input)
    steps: tuple[Step, ...] = ()
    bulk: bool = False                 # offered for a selection in lists
    maker_is_not: str = ""             # who must be another person than the actor (four eyes): paths of users, APPROVAL; comma separated
    help: Text | None = None
    position: Position = NOWHERE

    @property
    def opened(self) -> str | None:
        """The entity of the record that ``opens`` names; None where no step of its own makes or gets one."""
        return next((step.entity for step in self.steps if self.opens and step.let == self.opens and step.entity), None)
