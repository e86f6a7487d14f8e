# ruff: noqa: E501 (SQL reads better in long lines)
"""What the widgets of a dashboard cost at a million rows: the scoped summary beside the same SQL written by hand, in the same run.

    .venv/bin/python bench/dashboards.py [--rows 1000000] [--rounds 15] [--database URL]

Needs PostgreSQL; shares its database with list_detail.py (made once, kept). The person sees one company's rows of three. The reference is one
statement on an open autocommit connection with that company in its WHERE; it checks no rights, decodes nothing and knows no words.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parent))
import list_detail as data

from metaloom.model import Measure
from metaloom.record import Bucket, Filter, Reader, Summing

YEAR = (date(2025, 1, 1), date(2025, 12, 31))
DAYS = Filter("starts_on", "between", [day.isoformat() for day in YEAR])
WHO = "office"

Scenario = tuple[Callable[[Reader], Any], str]


def scenarios(ticket: str, client: str) -> dict[str, Scenario]:
    """Name → (the summary, the bare statement)."""
    live = f"FROM {ticket} t WHERE t.company_id = 1 AND t.archived_at IS NULL"
    ask = "bench.ticket"
    return {
        "number: sum of a state": (lambda r: r.summary(ask, Summing(Measure("sum", "open_amount")), filters=[Filter("status", "eq", "late")]),
                                   f"SELECT count(*), count(open_amount), sum(open_amount) {live} AND status = 'late'"),
        "share: late of all": (lambda r: r.summary(ask, Summing(Measure("sum", "amount"), part="late_days > 0")),
                               f"SELECT count(*), sum(amount), sum(CASE WHEN late_days > 0 THEN amount END) {live}"),
        "pie: count by state": (lambda r: r.summary(ask, Summing(Measure(), "status")), f"SELECT status, count(*) {live} GROUP BY 1 ORDER BY 2 DESC"),
        "bar: sum by kind": (lambda r: r.summary(ask, Summing(Measure("sum", "amount"), "kind")), f"SELECT kind, count(*), sum(amount) {live} GROUP BY 1 ORDER BY 3 DESC"),
        "ranking: ten people by sum": (lambda r: r.summary(ask, Summing(Measure("sum", "amount"), "owner", limit=10)),
                                       f"SELECT u.display_name, count(*), sum(amount) FROM {ticket} t LEFT JOIN ab_user u ON u.id = t.owner_id WHERE t.company_id = 1 AND t.archived_at IS NULL GROUP BY u.id, 1 ORDER BY 3 DESC LIMIT 10"),
        "ranking: ten of many clients": (lambda r: r.summary(ask, Summing(Measure("sum", "amount"), "client", limit=10)),
                                         f"SELECT c.name, count(*), sum(amount) FROM {ticket} t LEFT JOIN {client} c ON c.id = t.client_id WHERE t.company_id = 1 AND t.archived_at IS NULL GROUP BY c.id, 1 ORDER BY 3 DESC LIMIT 10"),
        "trend: sum by month of a year": (lambda r: r.summary(ask, Summing(Measure("sum", "amount"), bucket=Bucket("starts_on", "month", *YEAR)), filters=[DAYS]),
                                          f"SELECT date_trunc('month', starts_on)::date, count(*), sum(amount) {live} AND starts_on BETWEEN '2025-01-01' AND '2025-12-31' GROUP BY 1 ORDER BY 1"),
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--rounds", type=int, default=15)
    words.add_argument("--database", default=data.SERVER)
    given = words.parse_args()
    tenancy, tenant = data.open_tenant(given.database, given.rows, False)
    bench = data.Bench(tenant, given.rows)
    tables = bench.revision.tables
    try:
        print(f"{given.rows:,} rows, one company of three; milliseconds, median (p95)\n")
        print("| widget | bare SQL | scoped summary | ratio |\n|---|---|---|---|")
        for name, (ours, theirs) in scenarios(tables.of("bench.ticket").name, tables.of("bench.client").name).items():
            mine, bare = measure(bench, ours, theirs, given.rounds)
            ratio = statistics.median(mine) / statistics.median(bare)
            print(f"| {name} | {statistics.median(bare):.0f} ({data.p95(bare):.0f}) | {statistics.median(mine):.0f} ({data.p95(mine):.0f}) | {ratio:.2f} × |", flush=True)
    finally:
        tenancy.close()


def measure(bench: Any, ours: Callable[[Reader], Any], theirs: str, rounds: int) -> tuple[list[float], list[float]]:
    """Both in random order; the first rounds warm caches and do not count. The two must speak of the same rows."""
    conn: psycopg.Connection[Any] = bench.bare.conn
    mine, bare = [], []
    dice = random.Random(4)
    for _ in range(rounds + 2):
        for who in dice.sample(("ours", "theirs"), 2):
            before = time.perf_counter()
            if who == "ours":
                with bench.reader(WHO) as reader:
                    found = ours(reader)
            else:
                rows = conn.execute(theirs).fetchall()
            (mine if who == "ours" else bare).append((time.perf_counter() - before) * 1000)
    assert found.rows == sum(next(cell for cell in row if isinstance(cell, int)) for row in rows) or len(rows) == 10, "the two reckoned other rows"
    return mine[2:], bare[2:]


if __name__ == "__main__":
    main()
