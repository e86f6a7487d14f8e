# ruff: noqa: E501 (SQL reads better in long lines)
"""The day end of a lender on PostgreSQL, beside one set-based statement and beside an ORM loop over the same loans in the same run.

    .venv/bin/python bench/day_end.py [--loans 20000] [--workers 2] [--database URL]

Makes a database of its own (metaloom_bench_day_end) and drops it at the end. Ten loans are made by the lender's own commands, one of them
late, and copied as rows; then business dates pass. ``set``: what the day stores of loans that pay as agreed, as one UPDATE and one INSERT …
SELECT written for this schema, rolled back. ``orm``: the same by SQLAlchemy objects with a commit for each loan, over some hundred loans.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from metaloom.command import handle_part, handle_run, schedule_jobs  # noqa: E402
from metaloom.job import run_due  # noqa: E402
from tests.plugins.lender import Lender, open_lender  # noqa: E402

SERVER = os.environ.get("METALOOM_TEST_DATABASE_URL", "postgresql+psycopg://root@127.0.0.1:5432/postgres")
STEP, TEMPLATES, ORM_LOANS = 100, 10, 300
OWN = ("drawdown", "term_snapshot", "loan", "repayment_plan", "instalment")
"""What every copied loan has of its own; customer, limit and product are those of its template."""


class Undone(Exception):  # noqa: N818 - leaves a transaction that is not kept
    pass


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--loans", type=int, default=20_000)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--database", default=SERVER)
    given = ask.parse_args()
    name = "metaloom_bench_day_end"
    admin = sa.create_engine(given.database, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as conn:
        conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        with open_lender(Path(mkdtemp()), "bench", sa.make_url(given.database).set(database=name).render_as_string(hide_password=False)) as lender:
            measure(lender, given.loans, given.workers)
    finally:
        with admin.connect() as conn:
            conn.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def measure(lender: Lender, loans: int, workers: int) -> None:
    made = templates(lender)
    copy(lender, made, loans // len(made))
    for count in dict.fromkeys((1, workers)):
        for _ in range(2):
            tell(f"day end, {count} worker{'s'[:count - 1]}", loans, day(lender, count))
    lender.day(lender.stage.today + timedelta(days=1))
    tell("set-based statement (as agreed only)", loans, min(in_sets(lender) for _ in range(3)))
    tell(f"ORM loop, {ORM_LOANS} loans", ORM_LOANS, row_by_row(lender))


def tell(what: str, loans: int, seconds: float) -> None:
    print(f"{what:<40} {seconds:8.2f} s {loans / seconds:>12,.0f} loans/s", flush=True)


def templates(lender: Lender) -> list[int]:
    """Nine loans that pay as agreed and one that never did, two weeks late."""
    schedule_jobs(lender.tenant, plugins=lender.plugins, clock=lender.real)
    product = lender.product()
    late = lender.loan(product)
    day(lender, 1, 45)
    made = [late, *(lender.loan(product) for _ in range(TEMPLATES - 1))]
    day(lender, 1, 2)
    return made


def copy(lender: Lender, made: list[int], times: int) -> None:
    tables = {name: lender.tenant.revision().tables.of(f"lending.{name}") for name in OWN}
    drawdowns = [row["drawdown_id"] for row in lender.rows("loan") if row["id"] in made]
    of_loan = {"drawdown": ("id", drawdowns), "term_snapshot": ("drawdown_id", drawdowns), "loan": ("id", made), "repayment_plan": ("loan_id", made),
               "instalment": ("loan_id", made)}
    own = {f"{name}_id": name for name in OWN} | {"snapshot_id": "term_snapshot", "plan_id": "repayment_plan"}
    with lender.tenant.write() as conn:
        for name, table in tables.items():
            said = []
            for column in table.c:
                if column.name == "id" or (column.name in own and name != "drawdown"):
                    said.append(f"t.{column.name} + k * {STEP * 10}")
                elif name == "drawdown" and column.name in ("loan_id", "snapshot_id", "contract_id"):
                    said.append("NULL")
                elif column.name in ("loan_no", "draw_no", "plan_name", "snapshot_name"):
                    said.append(f"left(t.{column.name}, 24) || '-' || k")
                else:
                    said.append(f"t.{column.name}")
            link, ids = of_loan[name]
            names = ", ".join(column.name for column in table.c)
            conn.exec_driver_sql(f"INSERT INTO {table.name} ({names}) SELECT {', '.join(said)} FROM {table.name} t, generate_series(1, {times - 1}) k "  # noqa: S608
                                 f"WHERE t.{link} IN ({', '.join(map(str, ids))})")
    with lender.tenant.write() as conn:
        conn.exec_driver_sql("ANALYZE")


def day(lender: Lender, workers: int, days: int = 1) -> float:
    """The business date moves and its day end runs, without the warnings of the same job; seconds of the mass step."""
    lender.day(lender.stage.today + timedelta(days=days))
    schedule_jobs(lender.tenant, plugins=lender.plugins, clock=lender.real)
    handlers = {"job.run": lambda tenant, row: handle_run(tenant, row, plugins=lender.plugins, clock=lender.real),
                "job.part": lambda tenant, row: handle_part(tenant, row, plugins=lender.plugins, clock=lender.real)}
    part, run = (getattr(lender.tenant.revision().tables.engine, name) for name in ("run_part", "scheduled_run"))

    def work() -> None:
        while open_runs(lender, run):
            run_due(lender.tenant, handlers) or time.sleep(0.02)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with lender.tenant.read() as conn:
        last = conn.scalar(sa.select(sa.func.max(part.c.run_id)))
        began, ended, failed = conn.execute(sa.select(sa.func.min(part.c.started_at), sa.func.max(part.c.finished_at), sa.func.sum(part.c.failed)).where(
            part.c.run_id == last)).one()
    assert not failed, f"{failed} loans were held back"
    return float((ended - began).total_seconds())


def open_runs(lender: Lender, run: Any) -> bool:
    with lender.tenant.read() as conn:
        return bool(conn.scalar(sa.select(sa.func.count()).where(run.c.status.in_(("waiting", "running")))))


def in_sets(lender: Lender) -> float:
    """Accrual, books and the day's row of every loan that pays as agreed, in two statements; rolled back."""
    loan, bill, days = (lender.tenant.revision().tables.of(f"lending.{name}").name for name in ("loan", "instalment", "loan_day"))
    today = lender.stage.today
    begun = time.perf_counter()
    with suppress(Undone), lender.tenant.write() as conn:
        conn.exec_driver_sql(f"""CREATE TEMP TABLE due ON COMMIT DROP AS SELECT l.id, b.owed, b.owed - l.book_interest AS moved FROM {loan} l JOIN LATERAL (
            SELECT sum(CASE WHEN due_date <= '{today}' THEN interest ELSE least(round((principal + balance) * l.annual_rate * ('{today}'::date - start_date) / 360, 2), interest) END - paid_interest) AS owed
            FROM {bill} WHERE loan_id = l.id AND start_date < '{today}' AND due_date >= l.accrued_through) b ON true WHERE l.status = 'normal' AND l.dpd = 0 AND l.next_due_on >= '{today}'""")  # noqa: S608
        conn.exec_driver_sql(f"UPDATE {loan} l SET accrued_interest = owed, accrued_through = '{today}', book_interest = owed, book_income_interest = book_income_interest + moved, row_version = row_version + 1 FROM due WHERE due.id = l.id")  # noqa: S608
        conn.exec_driver_sql(f"""INSERT INTO {days} (loan_id, business_date, principal_balance, accrued_interest, penalty_balance, dpd, dpd_bucket, risk_class, moved_interest, moved_income_interest, row_version, created_at, updated_at)
            SELECT l.id, '{today}', l.principal_balance, owed, 0, 0, 'current', l.risk_class, moved, moved, 1, now(), now() FROM {loan} l JOIN due ON due.id = l.id""")  # noqa: S608
        raise Undone
    return time.perf_counter() - begun


def row_by_row(lender: Lender) -> float:
    """The same by objects, a commit for each loan."""
    tables = lender.tenant.revision().tables
    mapped = orm.registry()
    loan_, bill_, day_ = (type(name, (), {}) for name in ("Loan", "Bill", "Day"))
    for kind, name in ((loan_, "loan"), (bill_, "instalment"), (day_, "loan_day")):
        mapped.map_imperatively(kind, tables.of(f"lending.{name}"))
    today = lender.stage.today
    with lender.tenant.read() as conn:
        table = tables.of("lending.loan")
        ids = list(conn.scalars(sa.select(table.c.id).where(table.c.dpd == 0, table.c.status == "normal").order_by(table.c.id.desc()).limit(ORM_LOANS)))
    begun = time.perf_counter()
    for one in ids:
        with lender.tenant.write() as conn, orm.Session(bind=conn, join_transaction_mode="create_savepoint") as session:
            loan: Any = session.get(loan_, one)
            bill: Any = session.scalars(sa.select(bill_).where(bill_.loan_id == one, bill_.start_date < today, bill_.due_date >= today)).first()
            owed = min((Decimal(bill.principal + bill.balance) * loan.annual_rate * (today - bill.start_date).days / 360).quantize(Decimal("0.01")), bill.interest)
            moved = owed - loan.book_interest
            loan.accrued_interest, loan.book_interest, loan.accrued_through = owed, owed, today
            loan.book_income_interest += moved
            session.add(_new(day_, loan_id=one, business_date=today, principal_balance=loan.principal_balance, accrued_interest=owed, penalty_balance=Decimal("0.00"), dpd=0,
                             dpd_bucket="current", risk_class=loan.risk_class, moved_interest=moved, moved_income_interest=moved, row_version=1,
                             created_at=lender.real.at, updated_at=lender.real.at))
            session.commit()
    return time.perf_counter() - begun


def _new(kind: Any, **values: Any) -> Any:
    made = kind()
    for name, value in values.items():
        setattr(made, name, value)
    return made


if __name__ == "__main__":
    main()
