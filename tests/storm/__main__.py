"""The long form of the storms: ``make storm``.

    python -m tests.storm [--minutes 10] [--seed 1] [--no-mutants]
    python -m tests.storm --sweep [--only repay day_end] [--on sqlite] [--first 1] [--each 1]

Seed after seed, on SQLite and on PostgreSQL (METALOOM_TEST_DATABASE_URL), every path is killed at every named place at a drawn time, and
fails, is refused and is killed at drawn statements (at every statement with ``--every``), until the minutes are over; then every mutant is held against
its check. ``--sweep``: once through, at every statement of the money paths, however long it takes; a line for each path as it ends.
Prints a table; ends with 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import sqlalchemy as sa

from metaloom.base import heap
from metaloom.command import password
from metaloom.storage import sqlite
from tests.storm import world as worlds
from tests.storm.mutants import MUTANTS, main
from tests.storm.paths import PATHS, fill
from tests.storm.trial import NOT_REACHED, Fault, Run, storm
from tests.storm.world import World

STATEMENTS = ("payout", "debit", "repay", "day_end")
KINDS = ("fail", "refuse", "kill")
DRAWN = 6


DATABASES = ("sqlite", "postgresql")


@contextmanager
def both_worlds(on: Sequence[str] = DATABASES) -> Iterator[dict[str, World]]:
    """One on each database; PostgreSQL is left out, and said to be, where no server is named."""
    heap.calm()
    logging.disable(logging.CRITICAL)         # what is planted is logged by the thousand
    password.COST, sqlite.SYNCHRONOUS = 2**8, "OFF"
    folder, found = Path(tempfile.mkdtemp(prefix="storm")), {}
    try:
        if "sqlite" in on:
            found["sqlite"] = worlds.make(folder / "sqlite", None, fill)
        server = os.environ.get("METALOOM_TEST_DATABASE_URL", "")
        if server and "postgresql" in on:
            url = sa.make_url(server).set(database=f"metaloom_storm_{os.getpid()}").render_as_string(hide_password=False)
            found["postgresql"] = worlds.make(folder / "postgresql", url, fill)
        elif "postgresql" in on:
            print("PostgreSQL is left out: METALOOM_TEST_DATABASE_URL names no server")
        yield found
    finally:
        for world in found.values():
            worlds.drop(world)
        shutil.rmtree(folder, ignore_errors=True)


def occasions(run: Run, name: str, dice: Random, every: bool) -> list[Fault]:
    """Every place at a drawn time; statements drawn, or all of them."""
    faults = [Fault("point", point, dice.randint(1, run.points.count(point))) for point in dict.fromkeys(run.points)]
    if name in STATEMENTS:
        numbers = range(1, run.statements + 1)
        for kind in KINDS:
            faults += [Fault(kind, number) for number in (numbers if every else sorted(dice.sample(numbers, min(DRAWN, len(numbers)))))]
    return faults


def storms(found: dict[str, World], minutes: float, seed: int, every: bool) -> list[str]:
    """Seed after seed until the time is over; the table, and what was not as it must be."""
    until, tried, wrong, number = time.monotonic() + minutes * 60, Counter[tuple[str, str, str]](), list[str](), seed
    while time.monotonic() < until:
        for dialect, world in found.items():
            for name, path in PATHS.items():
                if time.monotonic() > until:
                    break
                dice = Random(f"{number} {dialect} {name}")
                _, came = storm(world, path, lambda run, name=name, dice=dice: occasions(run, name, dice, every))
                for fault, said in came.items():
                    if said == NOT_REACHED:
                        continue
                    tried[dialect, name, fault.partition(" ")[0]] += 1
                    if said:
                        wrong.append(f"seed {number} {dialect} {name} {said}")
                        print(wrong[-1], flush=True)
        number += 1
    print(f"{'path':10} {'database':11} {'at places':>10} {'at statements':>14} {'failed statements':>18} {'refused for good':>17}")
    for name in PATHS:
        for dialect in found:
            counted = [tried[dialect, name, kind] for kind in ("point", "kill", "fail", "refuse")]
            print(f"{name:10} {dialect:11} {counted[0]:>10} {counted[1]:>14} {counted[2]:>18} {counted[3]:>17}")
    print(f"seeds {seed} to {number - 1}: {sum(tried.values())} trials, {len(wrong)} not as they must be")
    return wrong


def sweep(found: dict[str, World], names: Sequence[str], kinds: Sequence[str], first: int, each: int) -> list[str]:
    """Every (or every n-th) statement of each path fails, is refused, and kills; one line for each path, and what was not as it must be."""
    wrong = []
    for dialect, world in found.items():
        for name in names:
            begun = time.monotonic()
            run, came = storm(world, PATHS[name], lambda run: [
                Fault(kind, number) for number in range(first, run.statements + 1, each) for kind in kinds], tell)
            said = [f"{dialect} {name} {one}" for one in came.values() if one not in ("", NOT_REACHED)]
            beyond = list(came.values()).count(NOT_REACHED)
            print(f"{name:10} {dialect:11} {run.statements} statements, {len(came) - beyond} trials, {len(said)} not as they must be, "
                  f"{beyond} not reached, {time.monotonic() - begun:.0f} s", flush=True)
            wrong += said
    return wrong


def tell(fault: Fault, said: str) -> None:
    """What is wrong; and now and then how far it is."""
    if said or fault.kind == KINDS[0] and int(fault.at) % 50 == 0:
        print(f"{fault}: {said}" if said == NOT_REACHED else said or f"   … {fault}", flush=True)


def mutants(names: list[str], found: dict[str, World] | None = None) -> int:
    """All mutants (or those named) against their checks; how many survive."""
    if found is None:
        with both_worlds() as made:
            return mutants(names, made)
    survived = []
    for dialect, world in found.items():
        survived += main(world, [one for one in MUTANTS if one.on == dialect and (not names or one.name in names or one.check in names)])
    print(f"mutants: {len([one for one in MUTANTS if one.on in found])}, {len(survived)} survive {survived or ''}")
    return len(survived)


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", action="store_true", help="fail, refuse and kill at every statement")
    parser.add_argument("--no-mutants", action="store_true")
    parser.add_argument("--sweep", action="store_true", help="once through every statement of the money paths")
    parser.add_argument("--only", nargs="+", choices=STATEMENTS, default=STATEMENTS, help="of a sweep: these paths")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of a sweep: what a statement does")
    parser.add_argument("--each", type=int, default=1, help="of a sweep: every n-th statement")
    parser.add_argument("--first", type=int, default=1, help="of a sweep: from this statement on")
    parser.add_argument("--on", nargs="+", choices=DATABASES, default=DATABASES)
    given = parser.parse_args()
    with both_worlds(given.on) as found:
        if given.sweep:
            return 1 if sweep(found, given.only, given.kinds, given.first, given.each) else 0
        wrong = storms(found, given.minutes, given.seed, given.every)
        return 1 if bool(wrong) + (0 if given.no_mutants else mutants([], found)) else 0


if __name__ == "__main__":
    sys.exit(run())
