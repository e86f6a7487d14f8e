"""What the database itself holds about the engine's tables."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.storage import violation
from metaloom.storage.engine import (
    APPEND_ONLY,
    METADATA,
    audit,
    engine_tables_are_current,
    ledger_entry,
    ledger_leg,
    make_engine_tables,
    seal,
    user,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = date(2026, 1, 1)
REFUSED = (sa.exc.IntegrityError, sa.exc.InternalError, sa.exc.ProgrammingError)


def add_audit(tenant):
    with tenant.write() as conn:
        return conn.scalar(audit.insert().values(at=NOW, channel="screen", command="create").returning(audit.c.id))


@pytest.mark.parametrize("change", [audit.update().values(reason="other"), audit.delete(), seal.delete()])
@pytest.mark.parametrize("way", ["write", "ddl"])
def test_audit_rows_cannot_be_changed_even_by_the_owner(tenant, change, way):
    row = add_audit(tenant)
    with tenant.write() as conn:
        conn.execute(seal.insert().values(chain="audit", row_id=row, row_digest="d", hash="h"))
    with pytest.raises(REFUSED, match="append-only|permission denied"), getattr(tenant, way)() as conn:
        conn.execute(change)
    with tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(audit)) == 1


def test_every_append_only_table_has_its_trigger(tenant):
    names = {table.name for table in APPEND_ONLY}
    assert names == {"ml_audit", "ml_seal", "ml_revision", "ml_ledger_leg", "ml_ledger_period", "ml_approval_event", "ml_approval_chain", "ml_process",
                     "ml_process_step"}


def entry(conn, legs, *, reversal_of=None, post=True):
    header = conn.scalar(ledger_entry.insert().values(
        event="sale", booking_date=DAY, value_date=DAY, reversal_of=reversal_of).returning(ledger_entry.c.id))
    for line, (side, amount, currency) in enumerate(legs, 1):
        conn.execute(ledger_leg.insert().values(
            entry_id=header, line=line, account="1001", side=side, amount=Decimal(amount), currency=currency, booking_date=DAY, value_date=DAY))
    if post:
        conn.execute(ledger_entry.update().where(ledger_entry.c.id == header).values(state="posted", posted_at=NOW))
    return header


BALANCED = [("debit", "100.00", "CNY"), ("credit", "60.00", "CNY"), ("credit", "40.00", "CNY")]


def test_a_balanced_entry_is_posted(tenant):
    with tenant.write() as conn:
        made = entry(conn, BALANCED)
    with tenant.read() as conn:
        assert conn.scalar(sa.select(ledger_entry.c.state).where(ledger_entry.c.id == made)) == "posted"


@pytest.mark.parametrize("legs", [
    [("debit", "100.00", "CNY"), ("credit", "99.99", "CNY")],
    [("debit", "100.00", "CNY")],
    [],
    [("debit", "100.00", "CNY"), ("credit", "100.00", "USD")],
    [("debit", "-5.00", "CNY"), ("credit", "-5.00", "CNY")],
    [("debit", "5.00", "CNY"), ("debit", "-5.00", "CNY")],
], ids=["a cent off", "one leg", "no leg", "two currencies", "negative outside a reversal", "netted on one side"])  # fmt: skip
def test_an_entry_that_does_not_balance_is_refused_by_the_database(tenant, legs):
    with pytest.raises(REFUSED) as caught, tenant.write() as conn:
        entry(conn, legs)
    assert violation(caught.value).kind == "balance"
    with tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(ledger_entry)) == 0


def test_a_zero_leg_is_refused(tenant):
    with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
        entry(conn, [("debit", "0", "CNY"), ("credit", "0", "CNY")])


def test_negative_legs_stand_in_a_reversal_and_only_once(tenant):
    mirrored = [(side, f"-{amount}", currency) for side, amount, currency in BALANCED]
    with tenant.write() as conn:
        first = entry(conn, BALANCED)
        entry(conn, mirrored, reversal_of=first)
    with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
        entry(conn, mirrored, reversal_of=first)


def test_an_entry_cannot_begin_posted(tenant):
    with pytest.raises(REFUSED, match="begins as draft"), tenant.write() as conn:
        conn.execute(ledger_entry.insert().values(event="sale", booking_date=DAY, value_date=DAY, state="posted"))


@pytest.mark.parametrize("change", [
    ledger_entry.update().values(memo="other"), ledger_entry.update().values(state="draft"), ledger_entry.delete(),
    ledger_leg.update().values(amount=Decimal("1.00")), ledger_leg.delete(),
    ledger_leg.insert().values(entry_id=1, line=9, account="1", side="debit", amount=Decimal(1), booking_date=DAY, value_date=DAY),
])  # fmt: skip
@pytest.mark.parametrize("way", ["write", "ddl"])
def test_a_posted_entry_stays_as_it_is(tenant, change, way):
    with tenant.write() as conn:
        assert entry(conn, BALANCED) == 1
    with pytest.raises(REFUSED) as caught, getattr(tenant, way)() as conn:
        conn.execute(change)
    assert "append-only" in str(caught.value) or "no more legs" in str(caught.value) or "permission denied" in str(caught.value)


def test_user_names_are_unique_and_the_violation_names_the_table(tenant):
    with tenant.write() as conn:
        conn.execute(user.insert().values(username="li", email="a@x"))
    with pytest.raises(sa.exc.IntegrityError) as caught, tenant.write() as conn:
        conn.execute(user.insert().values(username="li", email="b@x"))
    found = violation(caught.value)
    assert (found.kind, found.table, found.columns) == ("unique", "ab_user", ("username",))


def test_ids_are_never_given_twice(tenant):
    with tenant.write() as conn:
        first = conn.scalar(user.insert().values(username="a", email="a@x").returning(user.c.id))
        conn.execute(user.delete())
        assert conn.scalar(user.insert().values(username="b", email="b@x").returning(user.c.id)) > first


def test_a_newer_engine_adds_its_columns_and_making_tables_twice_is_harmless(tenant):
    with tenant.write() as conn:
        conn.execute(user.insert().values(username="a", email="a@x", mobile="1"))
    with tenant.ddl() as conn:
        conn.exec_driver_sql("ALTER TABLE ab_user DROP COLUMN theme")
        conn.exec_driver_sql("ALTER TABLE ml_outbox DROP COLUMN attempts")
        make_engine_tables(conn)
        assert engine_tables_are_current(conn)
    with tenant.read() as conn:
        assert conn.execute(sa.select(user.c.mobile, user.c.theme)).one() == ("1", None)
        columns = {column["name"] for column in sa.inspect(conn).get_columns("ml_outbox")}
        assert columns == set(METADATA.tables["ml_outbox"].columns.keys())


def test_records_of_different_entities_fail_in_one_step_and_an_older_tenant_learns_it(tenant):
    from metaloom.base.messages import message
    from metaloom.job.runs import note_error
    from metaloom.storage.engine import run_error, scheduled_job, scheduled_run

    said = message("error.not_possible")
    with tenant.ddl() as conn:
        conn.exec_driver_sql("DROP INDEX ml_run_error__entity_record__uq")
        conn.exec_driver_sql("CREATE UNIQUE INDEX ml_run_error__record__uq ON ml_run_error (run_id, step, coalesce(record_id, 0))")
        make_engine_tables(conn)
    with tenant.write() as conn:
        job = conn.scalar(scheduled_job.insert().values(job="a.b").returning(scheduled_job.c.id))
        run = conn.scalar(scheduled_run.insert().values(job_id=job, key="k", origin="manual", due_at=NOW).returning(scheduled_run.c.id))
        for entity, record in (("a.b", 7), ("a.c", 7), ("", None)):
            note_error(conn, run, 0, entity, record, said)
        assert conn.scalar(sa.select(sa.func.count()).select_from(run_error)) == 3
    with pytest.raises(REFUSED), tenant.write() as conn:
        note_error(conn, run, 0, "a.b", 7, said)
