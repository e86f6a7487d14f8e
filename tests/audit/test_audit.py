"""The audit says what changed, hides secrets, and its chain names the first row that was tampered with."""

from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.audit import seal, typed, untyped, verify
from metaloom.command import archive_record, create_record, run_action
from metaloom.storage import sealing
from metaloom.worker import process
from tests.command.club import ID_CARDS, TODAY, Club

MEMBER = "club.member"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def club(request, tmp_path_factory):
    url = request.getfixturevalue("pg_url") if request.param == "postgresql" else ""
    made = Club(tmp_path_factory.mktemp("home"), url, "audit_test")
    yield made
    made.close()


def test_every_write_has_its_row_with_person_channel_request_and_revision(club):
    before = len(club.engine_rows("audit"))
    member = create_record(club.ctx("clerk", channel="api", request_id="r-1"), MEMBER, club.values(contacts=[{"name": "甲"}, {"name": "乙"}]))
    run_action(club.ctx("chief"), MEMBER, member.id, "admit", {}, 1)
    run_action(club.ctx("clerk"), MEMBER, member.id, "charge", {"amount": Decimal("3.00")}, club.version(member.id), "due")
    rows = club.engine_rows("audit")[before:]
    told = [(row["command"], row["entity"], row["channel"]) for row in rows]
    assert told == [
        ("create", MEMBER, "api"), ("create", "club.contact", "api"), ("create", "club.contact", "api"),
        ("action:admit", MEMBER, "screen"), ("action:admit", "club.plan", "screen"), ("action:admit", MEMBER, "screen"),
        ("action:charge", "club.fee", "screen"), ("action:charge", MEMBER, "screen"),
    ]
    revision = club.tenant.revision()
    assert {(row["revision_number"], row["revision_digest"]) for row in rows} == {(revision.number, revision.digest)}
    assert rows[0]["request_id"] == "r-1"
    assert rows[3]["before"] == {"status": "draft"}
    assert rows[3]["after"] == {"status": "active"}


def test_a_secret_never_reaches_the_audit(club):
    member = club.new(id_no=ID_CARDS[0])
    everything = repr(club.engine_rows("audit"))
    assert ID_CARDS[0] not in everything
    assert "***002X" in everything
    assert club.row(MEMBER, member.id)["birthday"]


def test_archiving_tells_the_reason(club):
    member = club.new()
    archive_record(club.ctx("clerk"), MEMBER, member.id, 1, "twice")
    row = club.engine_rows("audit")[-1]
    assert (row["reason"], row["command"]) == ("twice", "archive")


def test_values_keep_their_kind():
    for value in (Decimal("1.50"), TODAY, "x", 5, None, True, [Decimal("1"), "y"], {"a": 1}):
        assert untyped(typed(value)) == value


def test_the_chain_holds_over_all_rows_and_later_ones(club):
    tables = club.tenant.revision().tables
    with club.tenant.write() as conn:
        assert seal(conn, tables, limit=3) == 3
    with club.tenant.write() as conn:
        seal(conn, tables)
    with club.tenant.write() as conn:
        assert seal(conn, tables) == 0
    club.new()
    with club.tenant.write() as conn:
        assert seal(conn, tables) == 1
    with club.tenant.read() as conn:
        assert verify(conn, tables) is None
    assert len(club.engine_rows("seal")) == len(club.engine_rows("audit"))


def test_what_waits_is_sealed_batch_after_batch_until_nothing_waits(club, monkeypatch):
    tables = club.tenant.revision().tables
    monkeypatch.setattr(process, "SEAL_BATCH", 2)
    monkeypatch.setattr(process, "SEAL_BATCH_SQLITE", 2)
    monkeypatch.setattr(sealing, "LATE", 3)
    made = [club.new() for _ in range(7)]
    assert process.seal_waiting(club.tenant, seal) >= len(made)
    club.new()
    monkeypatch.setattr(sealing, "LATE", 0)
    assert process.seal_waiting(club.tenant, seal) >= 1
    assert process.seal_waiting(club.tenant, seal) == 0
    with club.tenant.read() as conn:
        assert verify(conn, tables) is None


def test_the_database_refuses_to_change_an_audit_row(club):
    audit = club.tenant.revision().tables.engine.audit
    for statement in (audit.update().values(actor_name="nobody"), audit.delete()):
        with pytest.raises(sa.exc.DBAPIError), club.tenant.write() as conn:
            conn.execute(statement)


def test_verify_names_the_first_row_that_was_altered(club):
    tables = club.tenant.revision().tables
    audit = tables.engine.audit
    with club.tenant.write() as conn:
        seal(conn, tables)
    victim = club.engine_rows("audit")[4]["id"]
    with club.tenant.ddl() as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("DROP TRIGGER ml_audit__no_update")
        else:
            conn.exec_driver_sql("ALTER TABLE ml_audit DISABLE TRIGGER USER")
        conn.execute(audit.update().where(audit.c.id == victim).values(actor_name="somebody else"))
    with club.tenant.read() as conn:
        broken = verify(conn, tables)
    assert broken is not None
    assert broken.row_id == victim
    assert "altered" in broken.fault
