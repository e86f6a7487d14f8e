# ruff: noqa: E501
"""Storing rows: companions, versions, children; and the history that a reader sees of them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.base.errors import NotAllowed, NotFound, NotPossible, Stale
from metaloom.model import FieldLevel
from metaloom.record import Filter, Writer
from tests.record.world import NOW, PHONES


@pytest.fixture
def write(world):
    """A writer on a transaction that is rolled back afterwards."""
    class Undo(Exception):
        pass

    try:
        with world.tenant.write() as conn:
            yield Writer(conn, world.tenant, world.revision, user_id=1, now=NOW)
            raise Undo
    except Undo:
        pass


def client(**more):
    return {"client_no": "W1", "name": "欧阳娜", "id_no": "11010119900307643X", "mobile": "13256785917", "company": 1, "org_unit": 2, "owner": 1, **more}


def raw(write, entity, id):
    table = write.revision.tables.of(entity)
    return write.conn.execute(sa.select(table).where(table.c.id == id)).mappings().one()


def test_secrets_are_stored_sealed_and_found_by_their_blind_indexes(world, write):
    id = write.insert("demo.client", client())
    stored = raw(write, "demo.client", id)
    assert stored["mobile"].startswith("m1.") and "13256785917" not in repr(dict(stored))
    assert stored["mobile__bx"] == raw(write, "demo.client", 1)["mobile__bx"] and stored["mobile__l4"] == raw(write, "demo.client", 1)["mobile__l4"]
    assert stored["name__py"] == "ouyangna oyn"
    assert write.stored("demo.client", id)["mobile"] == PHONES[1] == write.stored("demo.client", 1)["mobile"]
    assert write.stored("demo.client", id)["id_no"] == "11010119900307643X"


def test_a_change_moves_companions_along_and_clears_them(world, write):
    id = write.insert("demo.client", client())
    write.update("demo.client", id, {"mobile": "13700009999", "name": "李"}, 1)
    stored = raw(write, "demo.client", id)
    assert stored["mobile__bx"] != raw(write, "demo.client", 1)["mobile__bx"] and stored["name__py"] == "li l"
    write.update("demo.client", id, {"mobile": None, "id_no": None, "name": None}, 2)
    stored = raw(write, "demo.client", id)
    assert [stored[n] for n in ("mobile", "mobile__bx", "mobile__l4", "id_no", "id_no__bx", "name__py")] == [None] * 6
    assert stored["row_version"] == 3


def test_every_type_comes_back_as_it_was_stored(write):
    values = {"code": "W9", "name": "n", "client": 1, "budget": Decimal("-12.34"), "margin": Decimal("0.12345678"), "hours": -3, "starts_on": NOW.date(), "meets_at": NOW.time(),
              "closed_at": datetime(2026, 1, 1, 1, 2, 3, 456789, tzinfo=UTC), "urgent": False, "kinds": ("build", "fix"), "tags": ("红", "\"'"), "reviewer": 2, "notes": "<b>x</b>",
              "extra": {"a": [1, "二", None]}, "files": (1, 2), "status": "open", "company": 1, "org_unit": 2, "owner": 3}
    id = write.insert("demo.project", values)
    stored = write.stored("demo.project", id)
    assert {name: stored[name] for name in values} == values
    assert (stored["id"], stored["row_version"], stored["created_by"], stored["created_at"], stored["archived_at"]) == (id, 1, 1, NOW, None)


def test_a_change_of_a_row_that_moved_on_is_stale_and_changes_nothing(write):
    assert write.update("demo.project", 1, {"hours": 9}, 1) == 2
    for version in (1, 3, 0):
        with pytest.raises(Stale):
            write.update("demo.project", 1, {"hours": 99}, version)
    with pytest.raises(Stale):
        write.update("demo.project", 99_999, {"hours": 1}, 1)
    with pytest.raises(Stale):
        write.delete("demo.task", 1, 7)
    assert write.stored("demo.project", 1)["hours"] == 9


def test_archive_and_restore_keep_the_row(write):
    assert write.archive("demo.client", 1, 1) == 2
    assert write.stored("demo.client", 1)["archived_at"] == NOW
    assert write.restore("demo.client", 1, 2) == 3
    assert write.stored("demo.client", 1)["archived_at"] is None


def test_a_row_that_is_gone_is_not_found_for_update(write):
    assert write.stored("demo.project", 99_999) is None
    with pytest.raises(NotFound):
        write.read_for_update("demo.project", 99_999)
    assert set(write.stored_many("demo.project", [3, 1, 1, 77_777])) == {1, 3}


def test_child_rows_are_replaced_by_identity(write):
    first, second = write.replace_children("demo.task", "project", 2, [{"title": "a", "hours": 1}, {"title": "b"}])
    assert 2 not in [row["id"] for row in write.children("demo.task", "project", 2)]  # the row that was there is gone
    ids = write.replace_children("demo.task", "project", 2, [{"id": second, "row_version": 1, "title": "B"}, {"title": "c"}])
    rows = {row["id"]: row for row in write.children("demo.task", "project", 2)}
    assert list(rows) == ids and ids[0] == second and rows[second]["title"] == "B" and rows[second]["row_version"] == 2
    assert first not in rows
    with pytest.raises(Stale):
        write.replace_children("demo.task", "project", 2, [{"id": second, "row_version": 1, "title": "late"}])
    with pytest.raises(Stale):
        write.replace_children("demo.task", "project", 2, [{"id": 1, "title": "a task of another project"}])
    with pytest.raises(Stale):
        write.replace_children("demo.task", "project", 2, [{"id": first, "title": "gone"}])


def test_an_unchanged_child_row_keeps_its_version(write):
    (id,) = write.replace_children("demo.task", "project", 3, [{"title": "a", "hours": 1}])
    write.replace_children("demo.task", "project", 3, [{"id": id, "row_version": 1, "title": "a", "hours": 1}])
    assert write.children("demo.task", "project", 3)[0]["row_version"] == 1


def test_many_rows_get_their_ids_in_order(write):
    ids = write.insert_many("demo.task", [{"project": 1, "title": f"t{i}", **({"hours": i} if i % 2 else {})} for i in range(2500)])
    assert len(set(ids)) == 2500
    found = write.stored_many("demo.task", ids)
    assert [found[i]["title"] for i in ids] == [f"t{i}" for i in range(2500)]


def test_engine_tables_are_not_written_here(write):
    with pytest.raises(NotPossible):
        write.insert("platform.user", {"username": "evil"})
    with pytest.raises(NotPossible):
        write.update("platform.user", 1, {"username": "evil"}, 1)


@pytest.fixture(scope="module")
def audited(world):
    """Two entries about client 1: as they are stored by commands, secrets sealed."""
    audit, seal = world.revision.tables.engine.audit, world.tenant.secrets.encrypt
    with world.tenant.write() as conn:
        for before, after in (({}, {"name": "张三", "mobile": seal("demo.client/field/mobile", PHONES[1]), "income": "1000.00", "gone_field": 1}),
                              ({"mobile": PHONES[1], "income": "1000.00"}, {"mobile": "13900001111", "income": "2000.00"})):
            conn.execute(audit.insert().values(at=NOW, actor_id=1, actor_name="ann", channel="screen", command="change", entity="demo.client", record_id=1, before=before,
                                               after=after, revision_number=1))


def test_history_shows_what_the_reader_may_see_masked_on_both_sides(world, audited):
    with world.as_(1, "own") as reader:
        last, first = reader.history("demo.client", 1)
        assert {c.field: c.after for c in first.changes} == {"name": "张三", "mobile": PHONES[1], "income": "1000.00"}
        assert (last.actor_name, last.channel, last.command) == ("ann", "screen", "change")
        assert reader.history("demo.client", 1, before=last.id) == (first,)
    with world.as_(2, "office") as reader:
        last, first = reader.history("demo.client", 1)
        changes = {c.field: c for c in last.changes}
        assert (changes["mobile"].before, changes["mobile"].after) == ("132****5917", "139****1111")
        assert changes["mobile"].level is FieldLevel.MASKED
        assert PHONES[1] not in repr((last, first)) and "13900001111" not in repr((last, first))


def test_history_needs_its_right_and_the_row(world, audited):
    with world.as_(2, "masked_reader") as reader, pytest.raises(NotAllowed):
        reader.history("demo.client", 1)
    with world.as_(4, "office") as reader, pytest.raises(NotFound):
        reader.history("demo.client", 1)


def test_what_the_writer_stored_the_reader_finds(world):
    with world.tenant.write() as conn:
        writer = Writer(conn, world.tenant, world.revision, user_id=3, now=NOW)
        id = writer.insert("demo.client", client(client_no="W77", owner=3, org_unit=4, id_no=None, mobile="13111112222"))
    try:
        with world.as_(3, "office") as reader:
            for asked in ({"q": "oyn"}, {"q": "ouyang na"}, {"q": "2222"}, {"filters": [Filter("mobile", "last4", "2222")]}, {"filters": [Filter("mobile", "eq", "13111112222")]}):
                assert [row.id for row in reader.list("demo.client", **asked)] == [id], asked
    finally:
        with world.tenant.write() as conn:
            conn.execute(world.revision.tables.of("demo.client").delete().where(world.revision.tables.of("demo.client").c.id == id))
