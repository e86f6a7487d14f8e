# ruff: noqa: E501 (SQL and data read better in long lines)
"""Six warning rules over a million loans on PostgreSQL, beside six bare SELECT count(*) with the same WHERE in the same run.

    .venv/bin/python bench/warnings.py [--rows 1000000] [--database URL]

Makes a database of its own (…_bench_warnings) and drops it at the end. The first run raises every alert, the second one (the same
day) finds nothing to do, the third (the next day) refreshes the days of every alert: the daily run. The reference counts, and keeps nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sqlalchemy as sa

from metaloom.base.clock import FixedClock
from metaloom.command import create_record, evaluate_warnings, move_business_date, system_context
from metaloom.compile import Source, read_sources
from metaloom.plugin.registry import Registry
from metaloom.record.alert_query import RuleQuery
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.databases import own_database  # noqa: E402

SERVER = os.environ.get("METALOOM_TEST_DATABASE_URL", "postgresql+psycopg://root@127.0.0.1:5432/postgres")
TODAY = date(2026, 3, 2)
WORDS = "label: {zh: 甲, en: A}, subject: {zh: \"{code} {due_on}\", en: \"{code} {due_on}\"}, set: {loan: id}, receivers: [{field: owner}]"
LATE = "level: [{red: \"due_on < add_days(business_date(), -90)\"}, {orange: \"due_on < add_days(business_date(), -30)\"}, {yellow: \"due_on < add_days(business_date(), -3)\"}]"
RULES = {
    "overdue": f"when: \"status == 'open' and due_on < business_date() and unpaid > 0\", due: due_on, {LATE}",
    "due_soon": "when: \"status == 'open' and due_on >= business_date() and due_on <= add_days(business_date(), 7)\", due: due_on",
    "matures": "when: \"status == 'open' and matures_on <= add_days(business_date(), 30)\", due: matures_on",
    "big": "when: \"status == 'open' and amount > 990000 and grade != 'a'\"",
    "uninspected": "when: \"status == 'open' and amount > 900000\", missing: {entity: visit, field: loan, where: \"state == 'done'\", at: done_on, since: \"add_days(business_date(), -90)\"}",
    "client": "when: \"status == 'open' and client.blocked\"",
}
FILES = {
    "bench/pack.yaml": """
pack: {version: 1.0.0, format: 1, label: {zh: 测量, en: Bench}}
roles: {all: {label: {zh: 全部, en: All}}}
choices:
  grade: {label: {zh: 级, en: Grade}, items: {a: {label: {zh: 甲, en: A}}, b: {label: {zh: 乙, en: B}}}}
  status: {label: {zh: 状态, en: Status}, items: {open: {label: {zh: 进行中, en: Open}}, done: {label: {zh: 完成, en: Done}}}}
overlay:
  - {add: platform.alert/entity/fields/loan, value: {type: link, entity: bench.loan, read_only: true, label: {zh: 贷款, en: Loan}}}
  - {add: platform.alert/access/bench.all, value: {scope: all, actions: [list, read, handle]}}
""",
    "bench/desk/module.yaml": "module: {label: {zh: 测量, en: Bench}}\n",
    "bench/desk/client/entity.yaml": """
entity:
  label: {zh: 客户, en: Client}
  title: name
  shared: true
  fields: {name: {type: text, label: {zh: 名称, en: Name}}, blocked: {type: boolean, label: {zh: 冻结, en: Blocked}}}
access: {all: {scope: all, actions: [list, read]}}
""",
    "bench/desk/visit/entity.yaml": """
entity:
  label: {zh: 检查, en: Visit}
  title: state
  scope_from: loan
  indexes: {by_loan: [loan, state, done_on]}
  fields:
    loan: {type: link, entity: loan, label: {zh: 贷款, en: Loan}}
    state: {type: choice, choices: status, label: {zh: 状态, en: State}}
    done_on: {type: date, label: {zh: 日期, en: Done on}}
access: {all: {scope: all, actions: [list, read]}}
""",
    "bench/desk/loan/entity.yaml": """
entity:
  label: {zh: 贷款, en: Loan}
  title: code
  owned_by: [company, org_unit, user]
  indexes: {by_due: [status, due_on], by_end: [status, matures_on]}
  fields:
    code: {type: text, label: {zh: 编号, en: Code}}
    client: {type: link, entity: client, label: {zh: 客户, en: Client}}
    status: {type: choice, choices: status, label: {zh: 状态, en: Status}}
    grade: {type: choice, choices: grade, label: {zh: 级, en: Grade}}
    amount: {type: money, label: {zh: 金额, en: Amount}}
    unpaid: {type: money, label: {zh: 未还, en: Unpaid}}
    due_on: {type: date, label: {zh: 应还, en: Due}}
    matures_on: {type: date, label: {zh: 到期, en: Matures}}
access: {all: {scope: all, actions: [list, read]}}
warnings:
""" + "".join(f"  {name}: {{{WORDS}, {text}, on: [job]}}\n" for name, text in RULES.items()),
}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--database", default=SERVER)
    given = ask.parse_args()
    os.nice(5)
    with own_database(given.database, "bench_warnings", durable=True) as url:
        tenancy = Tenancy(Settings.from_env({"METALOOM_HOME": mkdtemp(), "METALOOM_DATABASE_URL": url}))
        try:
            measure(tenancy, given.rows)
        finally:
            tenancy.drop("bench")
            tenancy.close()


def measure(tenancy: Tenancy, rows: int) -> None:
    tenant = tenancy.create("bench", "测量")
    publish(tenant, (*read_sources({"engine": ROOT / "metadata"}, ("platform",)), *(Source("pack", path, text) for path, text in FILES.items())))
    ctx = system_context(tenant, plugins=Registry(), clock=FixedClock(datetime(2026, 3, 2, 1, tzinfo=UTC)))
    company = create_record(ctx, "platform.company", {"code": "C", "name": "甲", "business_date": TODAY}).id
    fill(tenant, rows, company)
    bare = [counted(tenant, ctx, rule) for rule in ctx.revision.catalog.warning_rules.values()]
    again = [counted(tenant, ctx, rule) for rule in ctx.revision.catalog.warning_rules.values()]
    counting = sum(min(a[0], b[0]) for a, b in zip(bare, again, strict=True))
    print(f"{rows:,} loans x {len(bare)} rules; bare SELECT count(*) of the six: {counting:.2f} s, {rows * len(bare) / counting:,.0f} rows/s; they hold for {sum(n for _, n in bare):,}")
    for what, day in (("every alert is new", TODAY), ("again, the same day", TODAY), ("the next day", TODAY + timedelta(days=1))):
        move_business_date(ctx, company, day)
        begun = time.perf_counter()
        total = evaluate_warnings(ctx).total
        took = time.perf_counter() - begun
        print(f"{what:<22} {took:7.2f} s  {rows * len(bare) / took:>12,.0f} rows/s  {took / counting:5.1f} x bare   {total.counts()}", flush=True)
        with tenant.write() as conn:
            conn.exec_driver_sql("ANALYZE")


def fill(tenant: Any, rows: int, company: int) -> None:
    """Loans as a lender has them: one in ten open ones late, one in fifty blocked; half of the big ones were inspected."""
    loan, client, visit = (tenant.revision().tables.of(f"bench.{name}").name for name in ("loan", "client", "visit"))
    base = "row_version, created_at, updated_at"
    with tenant.write() as conn:
        conn.exec_driver_sql(f"INSERT INTO {client} ({base}, name, blocked) SELECT 1, now(), now(), 'c' || i, i %% 50 = 0 FROM generate_series(1, {rows // 10}) i")
        conn.exec_driver_sql(f"""INSERT INTO {loan} ({base}, company_id, code, client_id, status, grade, amount, unpaid, due_on, matures_on)
            SELECT 1, now(), now(), {company}, 'L' || i, 1 + i %% {rows // 10}, CASE WHEN i %% 3 = 0 THEN 'done' ELSE 'open' END, CASE WHEN i %% 4 = 0 THEN 'a' ELSE 'b' END,
                   (i * 7919::bigint) %% 1000000 + 0.5, CASE WHEN i %% 20 = 0 THEN 0 ELSE 1234.56 END, DATE '{TODAY}' + (i %% 300)::int - 20, DATE '{TODAY}' + (i %% 1500)::int - 10
            FROM generate_series(1, {rows}) i""")
        conn.exec_driver_sql(f"""INSERT INTO {visit} ({base}, loan_id, state, done_on) SELECT 1, now(), now(), id, 'done', DATE '{TODAY}' - (id %% 200)::int FROM {loan} WHERE amount > 900000""")
        conn.exec_driver_sql("ANALYZE")


def counted(tenant: Any, ctx: Any, rule: Any) -> tuple[float, int]:
    """Seconds and rows of one bare count with the rule's own WHERE."""
    from metaloom.expression import Env

    ask = RuleQuery(ctx.revision, rule, Env(business_date=TODAY, now=ctx.clock.now()))
    query = sa.select(sa.func.count()).select_from(ask.table).where(*ask.holds())
    with tenant.read() as conn:
        begun = time.perf_counter()
        found = conn.scalar(query)
        return time.perf_counter() - begun, found or 0


if __name__ == "__main__":
    main()
