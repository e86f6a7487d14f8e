"""Job: work that a schedule begins, as a chain of steps over records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.who import Who


@dataclass(frozen=True)
class JobStep:
    """One step. ``verb`` decides which of the other slots are used.

    ``action``: the action or plugin command ``name`` on every record of ``entity`` for which ``where`` holds, with ``values`` as
    its input (expressions over the record). Each record is a transaction of its own.
    ``mass``: the plugin's mass function ``name`` on the records of ``entity`` for which ``where`` holds, range by range of ids.
    ``run``: a plugin command without a record, ``name`` with ``values``.
    ``evaluate_warnings``: ``names`` of warning rules, none for all of them.
    ``notify``: ``to`` are told the template ``name``, or ``subject`` and ``body``, on ``channels``; only when ``when`` allows
    (always | failed). With ``entity`` of every record for which ``where`` holds, each in a transaction of its own.
    ``hold``: ``names`` of invariants of plugins, and ``trial_balance``; where one does not hold the run ends as failed.
    ``close_months``: months of the company's books that are over are closed where ``where`` holds of the company, else offered to ``to``.
    ``move_business_date``: the company's date moves on to the day it is, by ``most`` days at most; ``to`` are told where it is further behind.
    """

    verb: str
    entity: str = ""
    name: str = ""
    where: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    subject: Text | None = None
    body: Text | None = None
    when: str = "always"
    to: tuple[Who, ...] = ()
    most: int = 0
    channels: tuple[str, ...] = ()
    urgent: bool = False
    position: Position = NOWHERE

    @property
    def over_records(self) -> bool:
        """Whether it is done record by record."""
        return bool(self.entity) and self.verb != "mass"


@dataclass(frozen=True)
class Job:
    """``cron`` in the tenant's zone, or ``business_date`` (each day a company's business date has moved to), or neither: by hand.

    ``per`` tenant | company: one run, or one for each company. ``catch_up``: what became due while nobody looked runs
    one_by_one, only the latest of it, or none of it. ``run_as``: the role whose rights the steps have; empty: the engine's.
    ``paused``: a new one waits until somebody resumes it.
    """

    address: str
    label: Text
    steps: tuple[JobStep, ...]
    cron: str = ""
    business_date: bool = False
    per: str = "tenant"
    catch_up: str = "one_by_one"
    run_as: str = ""
    paused: bool = False
    help: Text | None = None
    position: Position = NOWHERE
