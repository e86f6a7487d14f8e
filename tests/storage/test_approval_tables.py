"""The tables of approval: what the database itself holds, and that tenants made by an older engine get them."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from metaloom.storage.engine import (
    approval_case,
    approval_chain,
    approval_event,
    approval_task,
    engine_tables_are_current,
    make_engine_tables,
    substitute,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = (sa.exc.IntegrityError, sa.exc.InternalError, sa.exc.ProgrammingError)
TABLES = ("ml_approval_pool", "ml_approval_party", "ml_approval_copy", "ml_approval_event", "ml_approval_task", "ml_approval_case",
          "ml_approval_chain", "ml_substitute")  # fmt: skip


def case(conn, **more):
    return conn.scalar(approval_case.insert().values(
        entity="a.b", record_id=1, chain="c", chain_digest="d", revision_number=1, status="running", state="{}", record_version=1,
        started_at=NOW, open_key="a.b/1/c", **more).returning(approval_case.c.id))  # fmt: skip


@pytest.mark.parametrize("change", [
    approval_event.update().values(kind="other"), approval_event.delete(), approval_chain.update().values(body="other"), approval_chain.delete(),
])  # fmt: skip
@pytest.mark.parametrize("way", ["write", "ddl"])
def test_the_log_and_the_chains_kept_are_never_changed(tenant, change, way):
    with tenant.write() as conn:
        conn.execute(approval_event.insert().values(case_id=case(conn), seq=1, kind="started", data={}, at=NOW))
        conn.execute(approval_chain.insert().values(digest="d", entity="a.b", name="c", revision_number=1, body="{}"))
    with pytest.raises(REFUSED, match="append-only|permission denied"), getattr(tenant, way)() as conn:
        conn.execute(change)


def test_one_running_case_per_record_and_chain_until_it_is_finished(tenant):
    with tenant.write() as conn:
        first = case(conn)
    with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
        case(conn)
    with tenant.write() as conn:
        conn.execute(approval_case.update().where(approval_case.c.id == first).values(open_key=None, status="approved"))
        case(conn)


def test_an_event_and_a_task_have_their_number_once(tenant):
    with tenant.write() as conn:
        made = case(conn)
        conn.execute(approval_event.insert().values(case_id=made, seq=1, kind="started", data={}, at=NOW))
        conn.execute(approval_task.insert().values(case_id=made, task_no=1, step="s", kind="decide", status="open", opened_at=NOW))
    for again in (approval_event.insert().values(case_id=made, seq=1, kind="decided", data={}, at=NOW),
                  approval_task.insert().values(case_id=made, task_no=1, step="s", kind="decide", status="open", opened_at=NOW)):
        with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
            conn.execute(again)


def test_nobody_stands_in_for_oneself(tenant):
    with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
        conn.execute(substitute.insert().values(user_id=1, substitute_id=1, from_date=NOW.date(), to_date=NOW.date()))


def test_a_tenant_of_an_older_engine_gets_the_tables(tenant):
    with tenant.ddl() as conn:
        for name in TABLES:
            conn.exec_driver_sql(f"DROP TABLE {name}")
        conn.exec_driver_sql("UPDATE ml_setting SET value = '\"old\"' WHERE name = 'engine.tables'")
    with tenant.read() as conn:
        assert not engine_tables_are_current(conn)
    with tenant.ddl() as conn:
        make_engine_tables(conn)
    with tenant.read() as conn:
        assert set(TABLES) <= set(sa.inspect(conn).get_table_names())
        assert engine_tables_are_current(conn)
