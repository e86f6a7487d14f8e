"""The demo_data door: a believable history for a new client, made only by what people can do (decision 39).

A provider gets a :class:`Stage` and no other way in. Everything on the stage goes through the engine's commands, with the
rights of the person named, over simulated days; so what a demonstration shows could have come about in no other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, runtime_checkable

from metaloom.plugin.faults import Promise

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much to make. ``customers``: people or firms that something is done for; ``cases``: pieces of work (contracts,
    orders, …) of the finished kind; unfinished ones come in addition. ``first``: how many of each until ``Stage.ready``."""

    customers: int = 2000
    cases: int = 3000
    first: int = 40
    days: int = 60


class Person(Protocol):
    """One user at work. Rights, four eyes and scopes hold as on the screen; a refusal is raised as it would be shown."""

    def create(self, key: str, entity: str, values: Values) -> int:
        """A new record; its id. ``key`` names this piece of work for ever (ASCII, 50 characters at most): a run that was
        interrupted and starts again gets the id and does nothing."""

    def do(self, key: str, entity: str, id: int, action: str, input: Values | None = None, reason: str = "") -> None:
        """An action or a plugin's command on a record, once per ``key``."""

    def decide(self, key: str, entity: str, id: int, decision: str, opinion: str = "", outputs: Values | None = None, to: str = "") -> None:
        """The approval task that waits for this person on the record: ``decision`` is pass, reject or return (``to`` a step). One that
        waits for a whole group is claimed first. NotAllowed when nothing waits for this person."""

    def move(self, key: str, entity: str, id: int, kind: str, words: str = "") -> None:
        """Another move in the record's newest approval case, such as withdraw or resubmit, with its reason or opinion."""

    def ask(self, entity: str, id: int, action: str, input: Values | None = None) -> Values:
        """The results of a command that changes nothing (a quote). Every run asks anew."""

    def read(self, entity: str, id: int) -> Values:
        """One record as this person sees it (masked where it is masked for them). Links are ids."""

    def find(self, entity: str, where: Values | None = None, limit: int = 200) -> Sequence[Values]:
        """Rows of the person's list whose fields equal ``where``."""


class Stage(Protocol):
    """The company that the history happens in. Keys as with :class:`Person`."""

    @property
    def today(self) -> date:
        """The business date of every company on the stage."""

    @property
    def last_day(self) -> date:
        """The real day. The history must not go beyond it."""

    def company(self, code: str, values: Values) -> int:
        """A company whose books are at ``today``; its id."""

    def org_unit(self, code: str, values: Values) -> int:
        """A department; its id."""

    def user(self, username: str, display_name: str, roles: Sequence[str], company: int | None = None, org_unit: int | None = None,
             **values: Any) -> int:
        """A person with a login (the demonstration's password) and roles; its id."""

    def role(self, username: str, role: str, company: int) -> None:
        """Gives a person of the stage a role in one company, besides or instead of those of :meth:`user`."""

    def as_user(self, username: str) -> Person:
        """The person at work."""

    def drain(self) -> int:
        """Lets the worker do what waits for the outside: questions are asked, payments made, results booked. How many."""

    def next_day(self, day: date) -> None:
        """Moves the business date of all companies to ``day`` and the clock to its morning; nothing if it is past already."""

    def ready(self) -> None:
        """Enough is there to log in and look around; the rest may be made later, in another process."""

    def progress(self, done: int, total: int, text: str) -> None:
        """Tells who is waiting how far it is, in ``text`` what is being made; after an interruption only from where something is made again."""


@runtime_checkable
class DemoData(Protocol):
    """Makes a history. Called once per client by ``metaloom demo``; again, from the start, after an interruption."""

    def packs(self) -> tuple[str, ...]:
        """The packs that a client must have. Called before ``run``; pure."""

    def run(self, stage: Stage, size: Size) -> None:
        """Makes it, in the same order with the same keys every time. Money moves, in the books of a demonstration."""


class CheckedDemoData:
    """A provider behind the engine's checks."""

    def __init__(self, provider: DemoData, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)

    def packs(self) -> tuple[str, ...]:
        names = self._provider.packs()
        self._promise.is_a("packs", names, tuple)
        for name in names:
            self._promise.is_a("packs", name, str)
        return names

    def run(self, stage: Stage, size: Size) -> None:
        self._provider.run(stage, size)
