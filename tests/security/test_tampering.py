"""Somebody with the application's own access to the database, and somebody with more: what they change is refused, or found."""

import pytest
import sqlalchemy as sa

from metaloom.audit import chain, seal, verify
from metaloom.storage import engine, sealing
from tests.command.club import Club

TABLES = [table.name for table in engine.APPEND_ONLY]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def club(request, tmp_path_factory):
    made = Club(tmp_path_factory.mktemp("home"), request.getfixturevalue("pg_url") if request.param == "postgresql" else "", "tampering")
    for _ in range(6):
        made.new()
    with made.tenant.write() as conn:
        seal(conn, made.tenant.revision().tables)
    yield made
    made.close()


class Undone(Exception):
    """Takes back what a test forged."""


def forged(club, change):
    """What ``verify`` says while ``change(conn)`` holds, by somebody who switched the guards of the database off."""
    tables = club.tenant.revision().tables
    found = []
    with pytest.raises(Undone), club.tenant.ddl() as conn:
        for table in ("ml_audit", "ml_seal"):
            if conn.dialect.name == "sqlite":
                for verb in ("update", "delete"):
                    conn.exec_driver_sql(f"DROP TRIGGER {table}__no_{verb}")
            else:
                conn.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        change(conn)
        found.append(verify(conn, tables))
        raise Undone
    return found[0]


@pytest.mark.parametrize("name", TABLES)
def test_the_application_cannot_change_delete_or_empty_what_is_only_added_to(club, name):
    """Its own connection, by statements of the driver: neither rows nor the guard itself."""
    tries = [f"UPDATE {name} SET id = id + 1000", f"DELETE FROM {name}"]
    if club.tenant.dialect == "postgresql":
        tries += [f"TRUNCATE {name} CASCADE", f"ALTER TABLE {name} DISABLE TRIGGER ALL", f"DROP TRIGGER {name}__append_only ON {name}",
                  f"ALTER TABLE {name} RENAME TO {name}_old", f"DROP TABLE {name} CASCADE",
                  "CREATE OR REPLACE FUNCTION ml_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
                  "SET LOCAL session_replication_role = replica"]
    with club.tenant.read() as conn:
        before = conn.scalar(sa.text(f"SELECT count(*) FROM {name}"))
    for statement in tries:
        if before == 0 and statement.startswith(("UPDATE", "DELETE")) and club.tenant.dialect == "sqlite":
            continue  # a trigger of SQLite speaks for each row
        with pytest.raises(sa.exc.DBAPIError), club.tenant.write() as conn:
            conn.exec_driver_sql(statement)
    with club.tenant.read() as conn:
        assert conn.scalar(sa.text(f"SELECT count(*) FROM {name}")) == before


def test_nothing_is_found_where_nothing_was_forged(club):
    assert forged(club, lambda conn: None) is None


@pytest.mark.parametrize("column", [name for name in chain.KEPT if name != "id"])
def test_every_altered_column_of_an_audit_row_is_named_by_its_row(club, column):
    audit = club.tenant.revision().tables.engine.audit
    victim = club.engine_rows("audit")[3]
    other = {"at": club.clock.now().replace(year=1999), "actor_id": 4711, "record_id": 4711, "revision_number": 4711, "before": {"x": 1}, "after": {"x": 1}}

    broken = forged(club, lambda conn: conn.execute(audit.update().where(audit.c.id == victim["id"]).values({column: other.get(column, "forged")})))
    assert broken is not None and broken.row_id == victim["id"] and "altered" in broken.fault


@pytest.mark.parametrize("which", [0, 3, -1], ids=["first", "middle", "last"])
def test_a_gap_is_named(club, which):
    audit = club.tenant.revision().tables.engine.audit
    victim = club.engine_rows("audit")[which]["id"]
    broken = forged(club, lambda conn: conn.execute(audit.delete().where(audit.c.id == victim)))
    assert broken is not None and broken.row_id == victim and "gone" in broken.fault


def test_a_row_and_its_seal_altered_together_break_the_chain_after_them(club):
    tables = club.tenant.revision().tables
    audit, seals = tables.engine.audit, tables.engine.seal
    victim, after = club.engine_rows("audit")[2]["id"], club.engine_rows("audit")[3]["id"]

    def change(conn):
        conn.execute(audit.update().where(audit.c.id == victim).values(actor_name="forged"))
        row = conn.execute(sa.select(audit).where(audit.c.id == victim)).mappings().all()
        digest = sealing.digest_of(chain.CHAIN.content(conn, tables, row)[victim])
        last = conn.scalar(sa.select(seals.c.hash).where(seals.c.chain == "audit", seals.c.row_id < victim).order_by(seals.c.id.desc()).limit(1))
        conn.execute(seals.update().where(seals.c.chain == "audit", seals.c.row_id == victim).values(
            row_digest=digest, hash=sealing.link(last or sealing.START, digest)))

    broken = forged(club, change)
    assert broken is not None and broken.row_id == after and "does not follow" in broken.fault


def test_an_end_that_was_cut_off_with_its_seals_is_found_by_the_head_that_was_written_down(club):
    tables = club.tenant.revision().tables
    audit, seals = tables.engine.audit, tables.engine.seal
    with club.tenant.read() as conn:
        head = sealing.head(conn, tables, chain.CHAIN)
    last = club.engine_rows("audit")[-1]["id"]
    seen = []

    def change(conn):
        conn.execute(seals.delete().where(seals.c.chain == "audit", seals.c.row_id == last))
        conn.execute(audit.delete().where(audit.c.id == last))
        seen.append(sealing.verify(conn, tables, chain.CHAIN, expected=head.hash))

    assert forged(club, change) is None, "the chain alone cannot know"
    assert seen[0] is not None and head.hash in seen[0].fault


def test_a_row_that_was_slipped_in_between_is_sealed_where_it_came_not_where_it_says(club):
    """A row with the number of a gap: it is no part of the chain until it is sealed, and then at its end."""
    tables = club.tenant.revision().tables
    audit, seals = tables.engine.audit, tables.engine.seal
    first = min(row["id"] for row in club.engine_rows("audit"))
    found = []

    def change(conn):
        row = dict(conn.execute(sa.select(audit).where(audit.c.id == first)).mappings().one())
        conn.execute(audit.insert().values({**row, "id": first - 1_000}))
        seal(conn, tables)
        found.extend(conn.scalars(sa.select(seals.c.row_id).where(seals.c.chain == "audit").order_by(seals.c.id)))

    assert forged(club, change) is None
    assert found[-1] == first - 1_000, "the chain's own order shows when it came"
