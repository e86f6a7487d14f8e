"""One trial: a path in a copy of the world, a fault on the way, recovery, and what must be there in the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from metaloom.base import crash
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.storm import money
from tests.storm import world as worlds
from tests.storm.child import answer_of, in_child
from tests.storm.paths import Path, prepared, walk
from tests.storm.world import World


@dataclass(frozen=True)
class Run:
    """A path without a fault: what was there in the end, which places it came by in order, how many statements it sent; after which statement
    it first came by a place; what the books held then, and after what comes later (of paths that have such)."""

    left: Mapping[str, list[str]]
    points: tuple[str, ...]
    statements: int
    after: Mapping[str, int]
    books: Mapping[str, list[str]]
    later: Mapping[str, list[str]]


@dataclass(frozen=True)
class Fault:
    """``kind``: point and kill: the process dies; fail: the statement finds the database away; refuse: it is refused for good, and is not when it
    is tried again. ``at``: the name of the place, or the number of the statement; ``turn``: which time it is come by."""

    kind: str
    at: str | int
    turn: int = 1

    def __str__(self) -> str:
        return f"{self.kind} {self.at}" + (f" #{self.turn}" if self.kind == "point" else "")


NOT_REACHED = "not reached"
"""Said of a trial in which the run ended before the statement: how many it sends varies by a few."""
SWAY = 10

SPOILED: list[Callable[[Lender], None]] = []
"""What a mutant does to every database that is opened."""


def opened(world: World) -> Lender:
    shop = world.lender()
    shop.facts = world.facts  # type: ignore[attr-defined]
    for spoil in SPOILED:
        spoil(shop)
    return shop


def plain(world: World, path: Path) -> Run:
    """The path as it goes when nothing happens."""
    worlds.reset(world)

    def work() -> Run:
        points: list[str] = []
        after: dict[str, int] = {}
        shop, counted = opened(world), Statements()
        crash.WATCHERS += [points.append, lambda name: after.setdefault(name, counted.sent)]
        counted.listen()
        walk(shop, path)
        crash.WATCHERS.clear()
        sent = counted.sent
        left = ending(shop, path)
        books = later = {}
        if path.later is not None:
            books = money.moved(shop)
            path.later(shop)
            later = money.moved(shop)
        return Run(left, tuple(points), sent, after, books, later)

    found: Run = answer_of(work)
    return found


def storm(world: World, path: Path, faults: Callable[[Run], Iterable[Fault]],
          tell: Callable[[Fault, str], None] = lambda fault, said: None) -> tuple[Run, dict[str, str]]:
    """The path with each of the faults, one after the other: what came of each, '' when all was as without it, NOT_REACHED. ``tell`` hears of each at once.

    In a child that has walked the path once, so that those it forks find every statement compiled."""
    def work() -> tuple[Run, dict[str, str]]:
        worlds.reset(world)
        shop = opened(world)
        walk(shop, path)
        ending(shop, path)
        worlds.rest(world)
        wanted = plain(world, path)
        came = {}
        for fault in faults(wanted):
            came[str(fault)] = said = tried(world, path, fault, wanted)
            tell(fault, said)
        return wanted, came

    prepared(path.name)
    found: tuple[Run, dict[str, str]] = answer_of(work)
    return found


def ending(shop: Lender, path: Path) -> dict[str, list[str]]:
    """What is there in the end; the books must agree and the gateway must have what we have."""
    left = worlds.dump(shop.tenant)
    books_agree(shop)
    gateway_agrees(shop)
    return left


def gateway_agrees(shop: Lender) -> None:
    """Every payment of ours that succeeded moved there, to the cent and once; nothing moved there that we do not know of."""
    orders = {row["pay_no"]: row for row in shop.rows("payment_order")}
    with worlds.gateway(shop.tenant)._books() as books:
        theirs = {row["order_no"]: row for row in books.execute("SELECT * FROM payout").fetchall()}
    for number, order in orders.items():
        sign = {"collect": -1}.get(order["biz_type"], 1)
        paid = shop.gateway.paid_cents(number)
        if order["status"] == "succeeded":
            assert paid == sign * int(order["amount"] * 100), (number, paid, order["amount"])
        elif order["status"] in ("failed", "cancelled"):
            assert paid == 0, (number, paid, order["status"])
    assert not set(theirs) - set(orders), "paid there and unknown here"


class Statements:
    """Counts what is sent to the database, commits included; at one of them something happens."""

    def __init__(self, at: int = 0, what: Callable[[], None] | None = None) -> None:
        self.at, self.what, self.sent = at, what, 0

    def listen(self) -> None:
        sa.event.listen(sa.Engine, "before_cursor_execute", self._before)
        sa.event.listen(sa.Engine, "commit", self._before)

    def _before(self, *given: Any) -> None:
        self.sent += 1
        if self.sent == self.at and self.what is not None:
            self.what()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


GONE = sa.exc.OperationalError("(planted)", {}, Exception("the connection is gone"))
REFUSED = sa.exc.DatabaseError("(planted)", {}, Exception("refused"))


def fail(shop: Lender, error: Exception = GONE) -> None:
    """The statement fails. Numbers that it took on PostgreSQL are given again before the next transaction, which may be the same unit once more."""
    left = [worlds.rewind] if shop.tenant.dialect == "postgresql" else []

    def again(conn: sa.Connection) -> None:
        if left:
            left.pop()(shop.tenant)

    sa.event.listen(sa.Engine, "begin", again)
    raise error


def tried(world: World, path: Path, fault: Fault, wanted: Run) -> str:
    """'' when the path came to the same end in spite of the fault, NOT_REACHED when it did not meet it; else what is different."""
    worlds.reset(world)

    def first() -> int:
        shop = opened(world)
        seen, counted = 0, Statements()

        def at_point(name: str) -> None:
            nonlocal seen
            seen += name == fault.at
            if name == fault.at and seen == fault.turn:
                die()

        if fault.kind == "point":
            crash.WATCHERS.append(at_point)
        else:
            what = {"kill": die, "fail": partial(fail, shop), "refuse": partial(fail, shop, REFUSED)}[fault.kind]
            counted = Statements(int(fault.at), what)
            counted.listen()
        walk(shop, path)
        return counted.sent

    ended = in_child(first)
    if ended.fault:
        return f"{fault}: the process did not go on: {ended.fault[-1500:]}"
    if not ended.killed and (fault.kind in ("point", "kill") or ended.answer < int(fault.at)):
        return missed(fault, ended.answer, wanted)

    def second() -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
        shop = opened(world)
        worlds.expire(shop.tenant)
        walk(shop, path)
        left = ending(shop, path)
        return brought_up(shop, path, wanted) if fault.kind == "refuse" and path.later is not None else (wanted.left, left)

    ended = in_child(second)
    if ended.fault or ended.killed:
        return f"{fault}: {ended.fault[-1500:] or 'killed'}"
    said = worlds.difference(*ended.answer)
    return f"{fault}:\n{said}" if said else ""


def missed(fault: Fault, sent: int, wanted: Run) -> str:
    """What is said of a fault that its run did not come by: no failure where the run sent a few statements less than the one that was counted."""
    if fault.kind != "point" and sent < int(fault.at) and wanted.statements - sent <= SWAY:
        return NOT_REACHED
    return f"{fault}: was not come by"


def brought_up(shop: Lender, path: Path, wanted: Run) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    """What the books must hold, and do, where something was refused for good: the same as without it at once; or, where a run says that it did not go
    well, after what comes later. How often a range was tried, and in which parts, may differ."""
    assert path.later is not None
    money.told(shop)
    ill = money.ended_ill(shop)
    if not ill:
        return wanted.books, money.moved(shop)
    path.later(shop)
    money.followed(shop, ill)
    return wanted.later, money.moved(shop)
