"""Each invariant holds after a lender's ordinary work, and each sees the fault that was planted for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from metaloom import audit, ledger
from metaloom.app.invariants import examine
from metaloom.app.login_tables import make_login_tables
from metaloom.cli import main
from metaloom.schema_change import plan, restore
from metaloom.storage import Settings, Tenancy, archive
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import broken

CENT = D("0.01")


@pytest.fixture(scope="module")
def worked(both_lenders: Lender) -> Lender:
    """One loan in repayment, one settled early, one whose repayment was reversed, a payout that failed, a frozen limit."""
    lender = both_lenders
    product = lender.product()
    first, early, back = (lender.loan(product, amount=D(12000), term=3, method="EQUAL_PRINCIPAL") for _ in range(3))
    _, account, limit = lender.limit(product)
    failed = lender.to_pay(lender.drawdown(limit, account, amount=D(5000), term=3))
    lender.gateway.inject("reject")
    lender.do("finance", "drawdown", failed, "payout")
    lender.settle_outside()
    lender.do("review", "credit_limit", limit, "freeze", {"amount": D(700)}, "test")
    lender.settle(early, D(13000))
    lender.day(lender.row("loan", first)["next_due_on"])
    lender.repay(first, lender.row("loan", first)["next_due_amount"] + 5)
    taken = lender.repay(back, D(100))
    lender.do("fincheck", "repayment", taken["id"], "reverse", {}, "test")
    assert [lender.row("loan", loan)["status"] for loan in (first, early, back)] == ["normal", "settled", "normal"]
    return lender


def test_all_of_them_hold_after_ordinary_work_and_say_what_they_looked_at(worked: Lender) -> None:
    looked = examine(worked.tenant, worked.plugins)
    print("\n".join(f"{one.code:4} {one.name:32} {one.rows}" for one in looked))
    assert not broken(worked)
    idle = {one.name for one in looked if not one.rows and one.name.startswith(("ledger.", "loan_servicing."))}
    assert len(looked) >= 15 and idle == {"ledger.chain"}, "no worker sealed anything here; tests/ledger/test_ledger_chain.py does"
    assert {one.code for one in looked} >= {"I1", "I2", "I4", "I5", "I6", "I7", "I8", "I9", "I12", "I15", "I16", "I18", "I22"}


# What is stored beneath every command, and which invariants must see it.
PLANTED: tuple[tuple[str, str, str, Any, set[str]], ...] = (
    ("a loan's balance", "loan", "principal_balance", CENT, {"loan_servicing.sub_ledger", "loan_servicing.lent", "loan_servicing.balances"}),
    ("an overpayment", "loan", "suspense", CENT, {"loan_servicing.sub_ledger"}),
    ("interest owed", "loan", "interest_balance", CENT, {"loan_servicing.balances"}),
    ("a plan's line", "instalment", "principal", CENT, {"loan_servicing.plans", "loan_servicing.balances"}),
    ("a line's payment", "instalment", "paid_interest", CENT, {"loan_servicing.allocations", "loan_servicing.balances"}),
    ("a plan's total", "repayment_plan", "total_interest", CENT, {"loan_servicing.plans"}),
    ("a receipt", "repayment", "amount", CENT, {"loan_servicing.allocations"}),
    ("an allocation", "repayment_allocation", "amount", CENT, {"loan_servicing.allocations"}),
    ("a limit's use", "credit_limit", "used", CENT, {"loan_servicing.limits"}),
    ("a movement", "limit_txn", "amount", CENT, {"loan_servicing.limits"}),
    ("a drawdown's amount", "drawdown", "amount", CENT, {"loan_servicing.payouts"}),
)


def test_a_receipt_whose_money_stands_elsewhere_than_it_came_is_found(worked: Lender) -> None:
    table = worked.tenant.revision().tables.of("lending.repayment")
    last = worked.repay(worked.rows("loan")[0]["id"], D(7), source="wechat")
    assert not broken(worked)
    with changed(worked, table, last["id"], {"source": "transfer"}):
        assert set(broken(worked)) == {"loan_servicing.money_in"}


def test_a_limit_whose_movements_agree_and_whose_loans_owe_otherwise_is_found(worked: Lender) -> None:
    """As earlier versions left it, which gave back what was sold: a movement too many, and the limit as the movements say."""
    tables = worked.tenant.revision().tables
    limits, moves = tables.of("lending.credit_limit"), tables.of("lending.limit_txn")
    loan = worked.rows("loan", status="normal")[0]
    limit, move = worked.row("credit_limit", loan["limit_id"]), worked.rows("limit_txn", limit_id=loan["limit_id"], type="use")[0]
    assert limit["mode"] == "revolving"
    less = D(300)
    with changed(worked, moves, move["id"], {"amount": move["amount"] - less}), \
            changed(worked, limits, limit["id"], {"used": limit["used"] - less, "reserved": limit["reserved"] + less}):
        found = broken(worked)
        assert set(found) == {"loan_servicing.limits"} and found["loan_servicing.limits"].breaches == 1
        assert any(f"{limit['used'] - less} is used, its loans say {limit['used']}" in text for text in found["loan_servicing.limits"].first)
    assert not broken(worked)


@pytest.mark.parametrize(("what", "entity", "column", "more", "seen"), PLANTED, ids=[row[0] for row in PLANTED])
def test_a_cent_too_many_is_found_wherever_it_lies(worked: Lender, what: str, entity: str, column: str, more: D, seen: set[str]) -> None:
    table = worked.tenant.revision().tables.of(f"lending.{entity}")
    with worked.tenant.read() as conn:
        first = conn.scalar(sa.select(sa.func.min(table.c.id)))
    with changed(worked, table, first, {column: table.c[column] + more}):
        found = broken(worked)
        assert seen <= set(found), (what, set(found))
        assert any(f"lending.{entity} {first}: " in text or "lending." in text for name in seen for text in found[name].first)
    assert not broken(worked)


STATES = (
    ("a settled loan that owes", "loan", {"status": "normal"}, {"status": "settled"}, "loan_servicing.balances"),
    ("a drawdown called paid", "drawdown", {"status": "pay_failed"}, {"status": "paid"}, "loan_servicing.payouts"),
    ("an order called successful", "payment_order", {"status": "failed"}, {"status": "succeeded"}, "loan_servicing.payouts"),
    ("a repayment called reversed", "repayment", {"status": "posted"}, {"status": "reversed"}, "loan_servicing.reversals"),
    ("a repayment without an entry", "repayment", {"status": "posted"}, {"voucher_id": None}, "loan_servicing.reversals"),
    ("a line called paid", "instalment", {"status": "not_due"}, {"status": "paid"}, "loan_servicing.balances"),
)


@pytest.mark.parametrize(("what", "entity", "where", "to", "seen"), STATES, ids=[row[0] for row in STATES])
def test_a_state_that_is_not_so_is_found(worked: Lender, what: str, entity: str, where: dict[str, str], to: dict[str, Any], seen: str) -> None:
    table = worked.tenant.revision().tables.of(f"lending.{entity}")
    row = worked.rows(entity, **where)[0]
    with changed(worked, table, row["id"], to):
        assert seen in broken(worked), what
    assert not broken(worked)


def test_one_person_in_two_parts_is_found(worked: Lender) -> None:
    drawdown = worked.rows("drawdown", status="paid")[0]
    table, orders = (worked.tenant.revision().tables.of(f"lending.{name}") for name in ("drawdown", "payment_order"))
    with changed(worked, table, drawdown["id"], {"approved_by_id": drawdown["created_by"]}):
        assert set(broken(worked)) == {"loan_servicing.four_eyes"}
    order = worked.rows("payment_order", drawdown_id=drawdown["id"])[0]
    with changed(worked, orders, order["id"], {"created_by": drawdown["approved_by_id"]}):
        assert set(broken(worked)) == {"loan_servicing.four_eyes"}
    case = worked.rows("platform.approval_case", entity="lending.drawdown", record_id=drawdown["id"])[0]
    finance = order["created_by"]
    cases, tasks = worked.tenant.revision().tables.engine.approval_case, worked.tenant.revision().tables.engine.approval_task
    decided = [task for task in worked.rows("platform.approval_task", case_id=case["id"]) if task["decision"] == "pass"][0]
    with changed(worked, tasks, decided["id"], {"closed_by_id": finance}):
        assert set(broken(worked)) >= {"loan_servicing.four_eyes"}
    with changed(worked, cases, case["id"], {"initiator_id": finance}):
        assert set(broken(worked)) >= {"loan_servicing.four_eyes"}


def test_the_engines_own_see_their_faults_too(worked: Lender) -> None:
    engine = worked.tenant.revision().tables.engine
    entry, leg, outbox = engine.ledger_entry, engine.ledger_leg, engine.outbox
    with worked.tenant.read() as conn:
        one = conn.scalar(sa.select(sa.func.min(leg.c.id)))
        reversal = conn.execute(sa.select(entry).where(entry.c.reversal_of.is_not(None))).first()
    with changed(worked, leg, one, {"amount": leg.c.amount + CENT}):
        assert set(broken(worked)) == {"ledger.entries", "ledger.trial_balance", "loan_servicing.sub_ledger", "loan_servicing.totals"}
    with changed(worked, entry, reversal.id, {"command": None}):
        assert set(broken(worked)) == {"ledger.causes"}
    with changed(worked, entry, reversal.id, {"reversal_of": 1 if reversal.reversal_of != 1 else 2}):
        assert set(broken(worked)) == {"ledger.reversals", "loan_servicing.reversals"}
    with changed(worked, entry, reversal.id, {"state": "draft"}):
        assert "ledger.entries" in broken(worked)
    with worked.tenant.read() as conn:
        waiting = conn.scalar(sa.select(sa.func.min(outbox.c.id)))
    with changed(worked, outbox, waiting, {"state": "dead"}):
        assert set(broken(worked)) == {"outbox"}
    assert not broken(worked)


def test_doctor_prints_them_and_leaves_with_1_when_one_is_broken(worked: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = worked.tenant.settings
    monkeypatch.setenv("METALOOM_HOME", str(settings.home))
    if settings.database_url:
        monkeypatch.setenv("METALOOM_DATABASE_URL", settings.database_url)
    asked = ["doctor", "--invariants", "--tenant", worked.tenant.name]
    whole = CliRunner().invoke(main, asked)
    assert whole.exit_code == 0, whole.output
    assert "I5   loan_servicing.sub_ledger" in whole.output and "invariants hold" in whole.output
    loan, table = worked.rows("loan")[0], worked.tenant.revision().tables.of("lending.loan")
    with changed(worked, table, loan["id"], {"suspense": table.c.suspense + CENT}):
        torn = CliRunner().invoke(main, asked)
    assert torn.exit_code == 1
    assert "BROKEN" in torn.output and f"lending.loan {loan['id']}: {loan['suspense'] + CENT} by the loan" in torn.output


@contextmanager
def changed(lender: Lender, table: sa.Table, id: int, values: dict[str, Any]) -> Iterator[None]:
    """A row stored beneath every command and trigger, and put back."""
    columns = [table.c[name] for name in values]
    with lender.tenant.read() as conn:
        before = dict(zip(values, conn.execute(sa.select(*columns).where(table.c.id == id)).one(), strict=True))
    with _off(lender, table) as conn:
        conn.execute(table.update().where(table.c.id == id).values(**values))
    try:
        yield
    finally:
        with _off(lender, table) as conn:
            conn.execute(table.update().where(table.c.id == id).values(**before))


@contextmanager
def _off(lender: Lender, table: sa.Table) -> Iterator[sa.Connection]:
    """A transaction in which the table's triggers are silent."""
    with lender.tenant.ddl() as conn:
        if lender.tenant.dialect == "postgresql":
            conn.exec_driver_sql(f'ALTER TABLE "{table.name}" DISABLE TRIGGER USER')
            yield conn
            conn.exec_driver_sql(f'ALTER TABLE "{table.name}" ENABLE TRIGGER USER')
            return
        kept = conn.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name"), {"name": table.name}).all()
        for name, _ in kept:
            conn.exec_driver_sql(f'DROP TRIGGER "{name}"')
        yield conn
        for _, sql in kept:
            conn.exec_driver_sql(sql)


# Last: it seals the books, and from then on a changed row is found by the chains as well.
def test_the_drill_a_lender_comes_back_from_its_archive_on_the_other_database(
    worked: Lender, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Backup, restore under another name on the other kind of database, every invariant, the whole content."""
    tenant = worked.tenant
    with tenant.write() as conn:
        audit.seal(conn, tenant.revision().tables)
        ledger.seal(conn, tenant.revision().tables)
    manifest = archive.write(tenant, tmp_path / "lender.archive", worked.real.now())
    url = request.getfixturevalue("pg_url") if tenant.dialect == "sqlite" else ""
    key = (tenant.settings.home / "master.key").read_text().strip()
    other = Tenancy(Settings.from_env({"METALOOM_HOME": str(tmp_path / "other"), "METALOOM_DATABASE_URL": url, "METALOOM_MASTER_KEY": key}),
                    manifest=worked.plugins.manifest())
    try:
        with archive.opened(tmp_path / "lender.archive", (tenant.settings.master_key,)) as found:
            copy = restore(other, found, "drill", after_create=(make_login_tables,))
        assert copy.dialect != tenant.dialect
        looked = {one.name: one for one in examine(copy, worked.plugins)}
        assert [name for name, one in looked.items() if not one.holds] == []
        assert looked["ledger.chain"].rows > 0 and looked["audit.chain"].rows > 0 and looked["loan_servicing.sub_ledger"].rows > 0
        again = archive.write(copy, tmp_path / "again.archive", worked.real.now())
        rows, first = ({table.name: (table.rows, dict(table.columns)) for table in taken.tables} for taken in (again, manifest))
        unlike = {name for name in rows if rows[name] != first.get(name)}
        prints, before = ({table.name: table.print for table in taken.tables} for taken in (again, manifest))
        unlike |= {name for name in prints if prints[name] != before[name]}
        assert unlike == {"ml_setting"}, "its name before, and which engine made the tables"
        with copy.read() as conn:
            assert plan(conn, copy.revision().catalog, copy.revision().catalog).steps == (), "nothing is missing that a publish would make"
        print(f"drill: {manifest.rows} rows of {len(manifest.tables)} tables, {tenant.dialect} to {copy.dialect}")
    finally:
        other.drop("drill")
        other.close()
