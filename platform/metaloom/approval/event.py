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

    Kinds and their data; every event has ``at``:

    * ``started`` initiator digest chain chosen (makers) · ``finished`` result why by
    * ``step_entered`` step round · ``step_left`` step outcome why · ``skipped`` step why · ``step_cancelled`` ``step_reopened`` step
    * ``branch_chosen`` step branches done · ``branch_done`` ``branch_reopened`` step branch · ``stuck`` step why · ``waiting`` step
    * ``people_found`` step ids dropped (pairs of account and reason)
    * ``task_opened`` no step kind round, as in ``Task``, and replaces · ``task_activated`` task · ``task_waits`` task for ·
      ``task_closed`` task why · ``pool_reduced`` task pool assignee
    * ``decided`` task by on_behalf_of people decision opinion outputs attachments why · ``resolved`` task by people opinion
    * ``returned`` step by to then closed reset · ``resubmitted`` task by opinion (makers) · ``resumed`` from steps · ``taken_back`` task by people reset
    * ``transferred`` ``delegated`` task by to why · ``added`` task by to where why · ``removed`` task by to · ``claimed`` ``unclaimed`` task by
    * ``asked`` task by to question · ``answered`` task by opinion · ``copied`` step by to dropped · ``read`` task by · ``held`` task by draft
    * ``decided`` where it was signed: ``signed`` (the password was given), ``signature`` (``file``: its id, ``digest``: SHA-256 of the drawing)
    * files that came with words: ``attachments`` (ids) in every event that holds words; absent without files, but for ``decided``
    * ``urged`` by tasks · ``timer_set`` task due at_each · ``expired`` task n do · ``reminded`` task to · ``paused`` task by why ·
      ``woken`` task by (step where a step was woken)
    * ``sub_opened`` step chain record wait · ``sub_closed`` step result · ``sub_cancelled`` step
    * ``jumped`` by to why closed · ``handed_over`` by from to tasks · ``chain_kept`` by digest · ``chain_moved`` by digest names ·
      ``restarted`` by digest
    """

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Move:
    """``by``: the acting account (``SYSTEM`` for timers and child cases); ``at``: aware instant; ``task``: its number in the case.

    ``data`` by kind: decisions ``opinion outputs attachments on_behalf_of``; return also ``to then``; transfer, delegate ``to`` (id);
    add_before, add_after, copy ``to`` (ids); ask ``to question``; answer, resolve ``opinion``; all with words ``attachments``;
    terminate, jump ``reason`` (and ``to``); hand_over ``from to``; expire ``n``;
    sub_done ``step result``; chain_changed ``mode`` (pin | move | restart) ``digest mapping``.
    """

    kind: str
    by: int
    at: datetime
    task: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
