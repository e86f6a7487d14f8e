"""From the last word of an approval to a loan whose plan stands, on PostgreSQL: decision, payout order, sandbox in process, result, loan, plan, entry.

    .venv/bin/python bench/decision_to_plan.py [--cases 40] [--database URL]

Makes a database of its own (…_bench_plan) and drops it at the end. The clock runs from the last decision on; people and third parties take no time,
so this is what the platform itself takes. ``worker``: the outbox row is sent, the sandbox answers, the answer is booked and the plan written; the
worker first sends what the decision told people, as that came first. ``decision to plan``: all up to the commit of the plan. ``all told``: until
nothing waits any more, the messages about the payout among it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.databases import own_database  # noqa: E402
from tests.plugins.lender import Lender, open_lender, signers  # noqa: E402

SERVER = os.environ.get("METALOOM_TEST_DATABASE_URL", "postgresql+psycopg://root@127.0.0.1:5432/postgres")
WARM = 5
STEPS = ("last decision", "payout order", "worker", "decision to plan", "all told")
PLAN = "INSERT INTO lending__instalment "


@dataclass
class Watch:
    """When the transaction that wrote a plan was committed."""

    written: bool = False
    at: float = 0.0

    def begin(self) -> None:
        event.listen(sa.Engine, "after_cursor_execute", self._statement)
        event.listen(sa.Engine, "commit", self._commit)

    def _statement(self, conn: sa.Connection, cursor: Any, statement: str, *rest: Any) -> None:
        self.written = self.written or statement.startswith(PLAN)

    def _commit(self, conn: sa.Connection) -> None:
        if self.written:
            conn.connection.commit()      # SQLAlchemy tells before it commits: the second time there is nothing to do
            self.written, self.at = False, time.perf_counter()


WATCH = Watch()


def main() -> None:
    WATCH.begin()
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--cases", type=int, default=40)
    ask.add_argument("--database", default=SERVER)
    given = ask.parse_args()
    with own_database(given.database, "bench_plan", durable=True) as url, open_lender(Path(mkdtemp()), "bench", url) as lender:
        measure(lender, given.cases)


def measure(lender: Lender, cases: int) -> None:
    product = lender.product()
    found = [one(lender, product) for _ in range(WARM + cases)][WARM:]
    print(f"{cases} cases, load {os.getloadavg()[0]:.1f}; milliseconds, median (p95)")
    for step, times in zip(STEPS, zip(*found, strict=True), strict=True):
        print(f"{step:<17} {statistics.median(times) * 1000:8.0f} ({statistics.quantiles(times, n=20)[-1] * 1000:.0f})", flush=True)


def one(lender: Lender, product: int) -> tuple[float, ...]:
    """Seconds of the three steps, of the way to the plan, and of all."""
    _, account, limit = lender.limit(product)
    drawdown = lender.drawdown(limit, account)
    lender.do("officer", "drawdown", drawdown, "submit")
    *others, last = signers(lender.row("drawdown", drawdown)["amount"])
    for who in others:
        lender.decide(who, "drawdown", drawdown)
    lender.settle_outside()
    begun = time.perf_counter()
    lender.decide(last, "drawdown", drawdown)
    decided = time.perf_counter()
    lender.do("finance", "drawdown", drawdown, "payout")
    ordered = time.perf_counter()
    WATCH.written = False
    lender.settle_outside()
    done = time.perf_counter()
    assert ordered < WATCH.at <= done
    assert len(lender.plan(lender.row("drawdown", drawdown)["loan_id"])) == 12
    return decided - begun, ordered - decided, WATCH.at - ordered, WATCH.at - begun, done - begun


if __name__ == "__main__":
    main()
