"""The books cannot be altered in silence, not even by whoever may switch triggers off."""

import sqlalchemy as sa

from metaloom.ledger import head, seal, verify
from tests.ledger.test_ledger import book, entry


def _sealed(club):
    tables = club.tenant.revision().tables
    with club.tenant.write() as conn:
        seal(conn, tables)
    return tables


def _without_triggers(club, table, statement):
    with club.tenant.ddl() as conn:
        if conn.dialect.name == "sqlite":
            for (name,) in conn.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :t"), {"t": table}).all():
                conn.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            conn.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        conn.execute(statement)


def test_posted_entries_are_sealed_once_and_the_head_grows_with_them(club):
    book(club, entry(record=31, total="4.00", fee="4.00"), entry(record=32, total="5.00", fee="5.00"))
    tables = club.tenant.revision().tables
    with club.tenant.read() as conn:
        waiting = head(conn, tables).waiting
    assert waiting >= 2
    with club.tenant.write() as conn:
        assert seal(conn, tables, limit=1) == 1
        assert seal(conn, tables) == waiting - 1
        assert seal(conn, tables) == 0
    with club.tenant.read() as conn:
        first = head(conn, tables)
        assert first.waiting == 0
        assert verify(conn, tables) is None
    book(club, entry(record=33, total="6.00", fee="6.00"))
    _sealed(club)
    with club.tenant.read() as conn:
        second = head(conn, tables)
        assert (second.seals, second.hash != first.hash) == (first.seals + 1, True)
        assert verify(conn, tables, expected=first.hash) is None
        assert "does not hold" in verify(conn, tables, expected="f" * 64).fault


def test_a_leg_that_was_altered_and_one_that_was_added_are_found(club):
    first, second = book(club, entry(record=34, total="8.00", fee="8.00"), entry(record=35, total="9.00", fee="9.00"))
    tables = _sealed(club)
    leg = tables.engine.ledger_leg
    _without_triggers(club, "ml_ledger_leg", leg.update().where(leg.c.entry_id == second).values(account="1999"))
    with club.tenant.read() as conn:
        broken = verify(conn, tables)
    assert (broken.row_id, "altered" in broken.fault) == (second, True)
    header = {"entry_id": first, "account": "1001", "side": "debit", "amount": 1, "booking_date": entry().booking_date, "value_date": entry().value_date}
    _without_triggers(club, "ml_ledger_leg", leg.insert().values(line=9, **header))
    with club.tenant.read() as conn:
        assert verify(conn, tables).row_id == first


def test_an_entry_that_is_gone_is_found(club):
    tables = _sealed(club)
    entries, leg = tables.engine.ledger_entry, tables.engine.ledger_leg
    with club.tenant.read() as conn:
        victim = conn.scalar(sa.select(sa.func.min(entries.c.id)))
    _without_triggers(club, "ml_ledger_leg", leg.delete().where(leg.c.entry_id == victim))
    _without_triggers(club, "ml_ledger_entry", entries.delete().where(entries.c.id == victim))
    with club.tenant.read() as conn:
        broken = verify(conn, tables)
    assert (broken.row_id, "gone" in broken.fault) == (victim, True)
