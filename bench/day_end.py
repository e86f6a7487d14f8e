# ruff: noqa: E501 (SQL reads better in long lines)
"""The day end of a lender on PostgreSQL, beside one set-based statement (the limit) and an ORM loop over the same loans in the same run.

    .venv/bin/python bench/day_end.py [--loans 20000] [--late 0.0] [--workers 2] [--history 0] [--vat] [--database URL]

Makes a database of its own (…_bench_day_end) and drops it at the end. Ten loans are made by the lender's own commands, one of them
never paid, and copied as rows; then business dates pass: two with one worker and one with more; with ``--due`` another on which
every loan that pays as agreed has a bill due (and the job beside it sends as many reminders, one by one: minutes for 10,000). ``--late``: share of the loans that are late. ``--vat``: the
company is a general taxpayer, so every interest holds tax. ``--history``: so many earlier days are written for each loan, and a day is timed
again. ``limit``: the same arithmetic in one INSERT … SELECT into a narrow table of its own with the columns that a day stores, and nothing else,
committed. ``orm``: the same by SQLAlchemy objects with a commit for each loan, over some hundred loans. At the end the books are held to the rows.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
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
from tests.databases import own_database  # noqa: E402
from tests.plugins.lender import Lender, open_lender  # noqa: E402

SERVER = os.environ.get("METALOOM_TEST_DATABASE_URL", "postgresql+psycopg://root@127.0.0.1:5432/postgres")
STEP, TEMPLATES, ORM_LOANS, DAYS = 100, 10, 300, 26
OWN = ("drawdown", "term_snapshot", "loan", "repayment_plan", "instalment", "loan_provision")
"""What every copied loan has of its own; customer, limit and product are those of its template."""


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--loans", type=int, default=20_000)
    ask.add_argument("--late", type=float, default=0.0)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--due", action="store_true")
    ask.add_argument("--vat", action="store_true")
    ask.add_argument("--history", type=int, default=0)
    ask.add_argument("--database", default=SERVER)
    given = ask.parse_args()
    with own_database(given.database, "bench_day_end", durable=True) as url, open_lender(Path(mkdtemp()), "bench", url) as lender:
        measure(lender, given)


def measure(lender: Lender, given: argparse.Namespace) -> None:
    begun = time.perf_counter()
    if given.vat:
        company = lender.tenant.revision().tables.of("platform.company")
        with lender.tenant.write() as conn:
            conn.execute(company.update().where(company.c.id == lender.company).values(taxpayer="general"))
    made, loans = templates(lender, 4 if given.due else DAYS), given.loans
    late = round(loans * given.late)
    copy(lender, made[1:], (loans - late) // (TEMPLATES - 1))
    if late:
        copy(lender, made[:1], late)
    with lender.tenant.autocommit_ddl() as conn:  # the role that writes rows owns no table, and would analyze none
        conn.exec_driver_sql("ANALYZE")
    with lender.tenant.read() as conn:
        loan = lender.tenant.revision().tables.of("lending.loan")
        loans, behind = conn.execute(sa.select(sa.func.count(), sa.func.count().filter(loan.c.dpd > 0))).one()
    print(f"{loans:,} loans, {behind:,} of them late, after {time.perf_counter() - begun:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)
    tell("day end, 1 worker, first day", loans, day(lender, 1))
    ours = day(lender, 1)
    tell("day end, 1 worker", loans, ours)
    beside = day(lender, given.workers) if given.workers > 1 else 0.0
    if beside:
        tell(f"day end, {given.workers} workers", loans, beside)
    if given.due:
        tell("day end, 1 worker, every bill falls due", loans, day(lender, 1))
    if given.history:
        remember(lender, given.history)
        later = [day(lender, 1) for _ in range(2)][-1]
        tell(f"the same after {given.history} days more", loans, later)
        print(f"  {ours / later:.2f} of the loans/s of before")
    check(lender)
    lender.day(lender.stage.today + timedelta(days=1))
    agreed, seconds = min((limit(lender) for _ in range(3)), key=lambda one: one[1])
    tell("limit: one statement, narrow table", agreed, seconds)
    each = row_by_row(lender)
    tell(f"ORM loop, {ORM_LOANS} loans", ORM_LOANS, each)
    if beside:
        print(f"day end, {given.workers} workers: {loans / beside / (agreed / seconds):.2f} of the limit")
    print(f"day end, 1 worker: {loans / ours / (agreed / seconds):.2f} of the limit, {loans / ours / (ORM_LOANS / each):.0f} times the ORM loop; load {os.getloadavg()[0]:.1f}")


def tell(what: str, loans: int, seconds: float) -> None:
    print(f"{what:<40} {seconds:8.2f} s {loans / seconds:>12,.0f} loans/s", flush=True)


def templates(lender: Lender, before: int) -> list[int]:
    """One loan that never paid and nine that pay as agreed, some days before their first bill."""
    schedule_jobs(lender.tenant, plugins=lender.plugins, clock=lender.real)
    product = lender.product()
    late = lender.loan(product)
    day(lender, 1, 45)
    made = [late, *(lender.loan(product) for _ in range(TEMPLATES - 1))]
    due = lender.row("loan", made[-1])["next_due_on"]
    day(lender, 1, (due - lender.stage.today).days - before)
    return made


def copy(lender: Lender, made: list[int], times: int) -> None:
    tables = {name: lender.tenant.revision().tables.of(f"lending.{name}") for name in OWN}
    drawdowns = [row["drawdown_id"] for row in lender.rows("loan") if row["id"] in made]
    of_loan = {"drawdown": ("id", drawdowns), "term_snapshot": ("drawdown_id", drawdowns), "loan": ("id", made), "repayment_plan": ("loan_id", made),
               "instalment": ("loan_id", made), "loan_provision": ("loan_id", made)}
    own = {f"{name}_id": name for name in OWN} | {"snapshot_id": "term_snapshot", "plan_id": "repayment_plan"}
    with lender.tenant.ddl() as conn:
        conn.exec_driver_sql("RESET ROLE; SET LOCAL session_replication_role = replica")  # rows that are copies need no look at their links
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


def remember(lender: Lender, days: int) -> None:
    """So many earlier days of every loan, as rows like the first one it has."""
    table = lender.tenant.revision().tables.of("lending.loan_day")
    columns = [column.name for column in table.columns if column.name != "id"]
    said, names = ", ".join(f"{name} - k" if name == "business_date" else name for name in columns), ", ".join(columns)
    begun = time.perf_counter()
    with lender.tenant.ddl() as conn:
        conn.exec_driver_sql("RESET ROLE; SET LOCAL session_replication_role = replica")
        conn.exec_driver_sql(f"INSERT INTO {table.name} ({names}) SELECT {said} FROM (SELECT DISTINCT ON (loan_id) * FROM {table.name} ORDER BY loan_id, business_date) t, "  # noqa: S608
                             f"generate_series({days}, 1, -1) k ORDER BY business_date - k, loan_id")
    with lender.tenant.autocommit_ddl() as conn:
        conn.exec_driver_sql(f"ANALYZE {table.name}")
    print(f"{days} days of history after {time.perf_counter() - begun:.0f} s", flush=True)


def check(lender: Lender) -> None:
    """Every entry of the runs is even, what they booked is what the rows say, and every loan has its day."""
    days, loan = (lender.tenant.revision().tables.of(f"lending.{name}") for name in ("loan_day", "loan"))
    leg = lender.tenant.revision().tables.engine.ledger_leg
    side = {name: sa.func.coalesce(sa.func.sum(leg.c.amount).filter(leg.c.side == name), 0) for name in ("debit", "credit")}
    with lender.tenant.read() as conn:
        uneven = conn.execute(sa.select(leg.c.entry_id).group_by(leg.c.entry_id).having(side["debit"] != side["credit"])).all()
        last = conn.scalar(sa.select(sa.func.max(days.c.run_id)))
        told = conn.scalar(sa.select(sa.func.sum(sa.func.coalesce(days.c.moved_interest, 0) + sa.func.coalesce(days.c.moved_interest_overdue, 0))).where(days.c.run_id == last))
        booked = conn.scalar(sa.select(side["debit"] - side["credit"]).where(
            leg.c.entity == "platform.scheduled_run", leg.c.record_id == last, leg.c.account.in_(("1132.01", "1132.02"))))
        tax, taxed = (conn.scalar(one) for one in (
            sa.select(sa.func.coalesce(sa.func.sum(sum((sa.func.coalesce(days.c[f"moved_vat_{name}"], 0) for name in ("interest", "penalty", "compound")), sa.literal(0))), 0)).where(days.c.run_id == last),
            sa.select(side["credit"] - side["debit"]).where(leg.c.entity == "platform.scheduled_run", leg.c.record_id == last, leg.c.account == "2221")))
        behind = conn.scalar(sa.select(sa.func.count()).select_from(loan).where(sa.or_(
            loan.c.accrued_through != lender.stage.today, loan.c.accrued_interest != loan.c.book_interest + sa.case((loan.c.dpd > 0, loan.c.accrued_interest - loan.c.book_interest), else_=0))))
        rows = conn.scalar(sa.select(sa.func.count()).where(days.c.business_date == lender.stage.today))
        loans = conn.scalar(sa.select(sa.func.count()).select_from(loan))
    assert not uneven and told == booked and tax == taxed and not behind and rows == loans, (uneven[:3], told, booked, tax, taxed, behind, rows, loans)
    print(f"entries even; {booked:,} of interest and {taxed:,} of tax booked by the last run and told by its rows; {rows:,} rows for {loans:,} loans", flush=True)


def limit(lender: Lender) -> tuple[int, float]:
    """Accrual of every loan that pays as agreed, in one statement, into a table with the columns of its day; how many loans, seconds."""
    loan, bill = (lender.tenant.revision().tables.of(f"lending.{name}").name for name in ("loan", "instalment"))
    today = lender.stage.today
    with lender.tenant.ddl() as conn:
        conn.exec_driver_sql("CREATE TABLE bench_day (loan_id bigint, business_date date, principal_balance numeric(18,2), accrued_interest numeric(18,2), penalty_balance numeric(18,2), "
                             "dpd bigint, dpd_bucket varchar(60), risk_class varchar(60), moved_interest numeric(18,2), moved_income_interest numeric(18,2), PRIMARY KEY (loan_id, business_date))")
    begun = time.perf_counter()
    with lender.tenant.ddl() as conn:
        found = conn.exec_driver_sql(f"""INSERT INTO bench_day SELECT l.id, '{today}', l.principal_balance, owed, 0, 0, 'current', l.risk_class, owed - l.book_interest, owed - l.book_interest FROM {loan} l JOIN (
            SELECT l.id, sum(CASE WHEN due_date <= '{today}' THEN i.interest ELSE least(round((i.principal + i.balance) * l.annual_rate * ('{today}'::date - start_date) / 360, 2), i.interest) END - paid_interest) AS owed
            FROM {bill} i JOIN {loan} l ON l.id = i.loan_id WHERE start_date < '{today}' AND due_date >= l.accrued_through GROUP BY l.id) b ON b.id = l.id WHERE l.status = 'normal' AND l.dpd = 0""").rowcount  # noqa: S608
    seconds = time.perf_counter() - begun
    with lender.tenant.ddl() as conn:
        conn.exec_driver_sql("DROP TABLE bench_day")
    return found, seconds


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
