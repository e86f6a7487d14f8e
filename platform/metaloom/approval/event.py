"""Event: what happened in a case. Move: what somebody wants to happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SYSTEM = 0
"""The account of timers, automatic decisions and child cases."""

MOVES = (
    "pass", "reject", "return", "resubmit", "withdraw", "take_back", "transfer", "delegate", "resolve", "add_before", "add_after", "remove",
    "copy", "ask", "answer", "urge", "hold", "claim", "unclaim", "read", "terminate", "jump", "pause", "wake", "expire", "hand_over",
    "sub_done", "chain_changed",
)


@dataclass(frozen=True)
class Event:
    """One line of the log. ``data`` is JSON: ints, text, bool, None, lists, maps; instants are ISO text, decimals are text.

    Kinds and their data:

    * ``started`` initiator at digest chosen · ``finished`` result at why by
    * ``step_entered`` step at round dropped · ``step_left`` step at outcome · ``skipped`` step at why · ``step_cancelled`` step at
    * ``branch_chosen`` step branches · ``branch_done`` step branch · ``branch_reopened`` step branch · ``stuck`` step at why
    * ``task_opened`` task{no step kind seat assignee pool principal weight status waits_for round due why added_by people} at
    * ``task_activated`` task at due · ``task_closed`` task at why · ``replaced`` old new
    * ``decided`` task by on_behalf_of people decision opinion outputs attachments at why
    * ``returned`` step by to then closed at · ``resubmitted`` by at · ``resumed`` from steps at · ``taken_back`` task by at
    * ``claimed`` ``unclaimed`` task by at · ``held`` task opinion outputs · ``read`` task by at · ``urged`` tasks by at · ``reminded`` task to n at
    * ``transferred`` ``delegated`` ``added`` ``removed`` task by to at … · ``resolved`` task by opinion at
    * ``asked`` task by to question at · ``answered`` task by answer at · ``copied`` step by to at
    * ``timer_set`` task n at · ``paused`` ``woken`` task|step by at due
    * ``sub_opened`` ``sub_closed`` ``sub_cancelled`` step task chain record · ``waiting`` step at
    * ``jumped`` by to why at · ``handed_over`` by from to at · ``chain_kept`` ``chain_moved`` ``restarted`` digest mapping at
    """

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Move:
    """``by``: the acting account (``SYSTEM`` for timers and child cases); ``at``: aware instant; ``task``: its number in the case.

    ``data`` by kind: decisions ``opinion outputs attachments on_behalf_of``; return also ``to then``; transfer, delegate ``to`` (id);
    add_before, add_after, copy ``to`` (ids); ask ``to question``; answer, resolve ``opinion``; terminate, jump ``reason`` (and ``to``);
    hand_over ``from to``; expire ``n``; sub_done ``result``; chain_changed ``mode`` (pin | move | restart) ``digest mapping``.
    """

    kind: str
    by: int
    at: datetime
    task: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
