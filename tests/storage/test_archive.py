"""A tenant as a file and back: whole, of another name, on the other kind of database, and not before its owner says so."""

import json
import threading
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom import audit, ledger
from metaloom.app.invariants import examine
from metaloom.app.login_tables import make_login_tables
from metaloom.base.errors import Conflict, NotFound, NotPossible
from metaloom.schema_change import publish, release, restore, rollback
from metaloom.storage import Settings, Tenancy, TenantClosed, archive, outbox
from metaloom.storage.settings import new_key
from tests.storage.sources import NAME, entity, label, shop

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
D = Decimal
FIELDS = f"""{NAME}
price: {{type: money, {label('p')}}}
bought: {{type: date, {label('b')}}}
seen: {{type: datetime, {label('s')}}}
open: {{type: boolean, {label('o')}}}
tags: {{type: json, {label('t')}}}
card: {{type: bank_card, encrypted: true, search: exact, {label('c')}}}
other: {{type: link, entity: shop.thing, {label('l')}}}
"""
CARD = "6222021234567890128"


@pytest.fixture
def other(database, tmp_path, request):
    """An installation on the other kind of database, with the same master key."""
    key = (tmp_path / "home" / "master.key").read_text().strip()
    url = request.getfixturevalue("pg_url") if database == "sqlite" else ""
    made = Tenancy(Settings.from_env({"METALOOM_HOME": str(tmp_path / "other"), "METALOOM_DATABASE_URL": url, "METALOOM_MASTER_KEY": key}))
    yield made
    for name in (*made.names(), *made.closed_names()):
        made.drop(name)
    made.close()


@pytest.fixture
def full(tenancy):
    """A tenant with rows of every type, a link to oneself, a retired column, a row that is gone, books, sealed audit, a file, a secret."""
    made = tenancy.create("full", "满", after_create=(make_login_tables,))
    publish(made, shop(entity("thing", f"{FIELDS}old: {{type: integer, {label('x')}}}")))
    address = "shop.thing/field/card"
    with made.write() as conn:
        table = made.revision().tables.of("shop.thing")
        for number in (1, 2, 3):
            conn.execute(table.insert().values(
                name=f"件{number}", price=D("0.01") * number, bought=date(2026, 2, 28), seen=NOW, open=number == 1, tags={"a": [number, None]},
                card=made.secrets.encrypt(address, CARD), card__bx=made.secrets.blind(address, CARD), old=number, row_version=1, created_at=NOW,
                updated_at=NOW))
        conn.execute(table.update().where(table.c.id == 1).values(other_id=3))
    publish(made, shop(entity("thing", FIELDS)))
    _bookkeeping(made)
    made.secrets.set("gateway.key", "very secret")
    yield made
    if "full" in (*tenancy.names(), *tenancy.closed_names()):
        tenancy.drop("full")


def _bookkeeping(made):
    tables = made.revision().tables
    stored = made.files.put(b"a contract")
    with made.write() as conn:
        gone = conn.scalar(tables.engine.message_opt_out.insert().values(channel="sms", address="1", address_mark="m").returning(
            tables.engine.message_opt_out.c.id))
        conn.execute(tables.engine.message_opt_out.delete().where(tables.engine.message_opt_out.c.id == gone))
        conn.execute(tables.engine.file.insert().values(name="c.pdf", media_type="application/pdf", size=10, digest=stored.digest, state="attached"))
        for number in (1, 2):
            entry = conn.scalar(tables.engine.ledger_entry.insert().values(
                event="sold", booking_date=date(2026, 1, number), value_date=date(2026, 1, number), company_id=1, entity="shop.thing", record_id=1,
                command="shop.sell", revision_number=1, posting_key=f"k{number}").returning(tables.engine.ledger_entry.c.id))
            for line, side in enumerate(("debit", "credit"), 1):
                conn.execute(tables.engine.ledger_leg.insert().values(
                    entry_id=entry, line=line, account="1001", side=side, amount=D("5.20"), booking_date=date(2026, 1, number),
                    value_date=date(2026, 1, number), company_id=1))
            conn.execute(tables.engine.ledger_entry.update().where(tables.engine.ledger_entry.c.id == entry).values(state="posted", posted_at=NOW))
        conn.execute(tables.engine.ledger_period.insert().values(company_id=1, month="2026-01", entries=2))
        conn.execute(tables.engine.audit.insert().values(at=NOW, channel="screen", command="shop.sell", before={"a": 1}, after={"a": "2.50"}))
        outbox.put(conn, tables, kind="send", payload={"to": "x"}, key="one")
        conn.execute(tables.engine.session.insert().values(token_digest="t", seen_at=NOW, expires_at=NOW))
        audit.seal(conn, tables)
        ledger.seal(conn, tables)


def taken(tenant, tmp_path, name="a.archive"):
    return archive.write(tenant, tmp_path / name, NOW)


def brought(tenancy, tmp_path, name="copy", **more):
    with archive.opened(tmp_path / "a.archive", (tenancy.settings.master_key, tenancy.settings.old_master_key)) as found:
        return restore(tenancy, found, name, after_create=(make_login_tables,), **more)


def rows_of(tenant, name):
    with tenant.read() as conn:
        found = tenant.revision().tables.of(name) if "." in name else getattr(tenant.revision().tables.engine, name)
        return [tuple(row) for row in conn.execute(sa.select(found).order_by(found.c.id))]


@pytest.mark.parametrize("where", ["same", "other"])
def test_a_restored_tenant_is_the_tenant(full, tenancy, tmp_path, request, where):
    taken(full, tmp_path)
    target = tenancy if where == "same" else request.getfixturevalue("other")
    copy = brought(target, tmp_path)
    for name in ("shop.thing", "audit", "seal", "ledger_entry", "ledger_leg", "ledger_period", "revision", "layout", "file", "outbox", "user", "secret"):
        assert rows_of(copy, name) == rows_of(full, name), name
        assert rows_of(copy, name) or name == "user"
    assert rows_of(copy, "session") == []
    assert copy.revision().number == 2 and copy.files.open(rows_of(copy, "file")[0][9]).read() == b"a contract"
    assert copy.secrets.get("gateway.key") == "very secret"
    sealed = next(value for value in rows_of(copy, "shop.thing")[1] if isinstance(value, str) and value.startswith("m1."))
    assert copy.secrets.decrypt("shop.thing/field/card", sealed) == CARD
    assert copy.secrets.blind("shop.thing/field/card", CARD) in rows_of(copy, "shop.thing")[1]
    looked = examine(copy)
    assert [one.name for one in looked if not one.holds] == [] and {"audit.chain", "ledger.chain"} <= {one.name for one in looked if one.rows}
    with copy.write() as conn:
        numbers = copy.revision().tables.engine.message_opt_out
        assert conn.scalar(numbers.insert().values(channel="sms", address="2", address_mark="n").returning(numbers.c.id)) == 2, "ids are never given twice"
    with pytest.raises(Exception, match="append-only"), copy.ddl() as conn:
        conn.execute(copy.revision().tables.engine.audit.update().values(command="x"))
    assert rollback(copy, 1).number == 1 and "old" in copy.revision().tables.of("shop.thing").c
    assert [row[-1] for row in rows_of(copy, "shop.thing")] == [1, 2, 3], "a column that no field named any more came with its values"
    assert copy.secrets.rotate() and copy.secrets.get("gateway.key") == "very secret"


def test_it_is_closed_until_released(full, tenancy, tmp_path):
    taken(full, tmp_path)
    brought(tenancy, tmp_path)
    assert "copy" not in tenancy.names() and tenancy.closed_names() == ("copy",)
    with pytest.raises(TenantClosed):
        tenancy.open("copy")
    with pytest.raises(Conflict):
        tenancy.create("copy", "x")
    with pytest.raises(NotPossible, match="send: 1"):
        release(tenancy, "copy")
    assert "copy" not in tenancy.names()
    assert release(tenancy, "copy", waiting="discard") == 1
    assert "copy" in tenancy.names()
    assert [row for row in rows_of(tenancy.open("copy"), "outbox") if "done" in row]
    tenancy.shut("full")
    assert release(tenancy, "full", waiting="send") == 1 and "pending" in rows_of(tenancy.open("full"), "outbox")[0]
    tenancy.drop("copy")


def test_the_picture_is_of_one_moment(full, tenancy, tmp_path, monkeypatch):
    """While the archive is written others save, and a publish waits."""
    table, begun, went_on = full.revision().tables.of("shop.thing"), threading.Event(), threading.Event()
    real = archive._write_table

    def slow(conn, file, name, columns):
        made = real(conn, file, name, columns)
        if name == "ml_audit":
            begun.set()
            assert went_on.wait(10)
        return made

    monkeypatch.setattr(archive, "_write_table", slow)
    before = rows_of(full, "shop.thing")
    writer = threading.Thread(target=lambda: (begun.wait(10), _save(full, table), went_on.set()))
    writer.start()
    refused = []
    publisher = threading.Thread(target=lambda: (begun.wait(10), refused.append(_try_publish(full))))
    publisher.start()
    taken(full, tmp_path)
    writer.join()
    publisher.join()
    assert len(rows_of(full, "shop.thing")) == len(before) + 1
    assert isinstance(refused[0], (Conflict, type(None)))
    assert rows_of(brought(tenancy, tmp_path), "shop.thing") == before
    tenancy.drop("copy")


def _save(tenant, table):
    with tenant.write() as conn:
        conn.execute(table.insert().values(name="late", row_version=1, created_at=NOW, updated_at=NOW))


def _try_publish(tenant):
    try:
        publish(tenant, shop(entity("thing", f"{FIELDS}new: {{type: integer, {label('n')}}}")))
    except Conflict as conflict:
        return conflict
    return None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_damaged_or_forged_archive_is_refused(full, tenancy, tmp_path):
    taken(full, tmp_path)
    with zipfile.ZipFile(tmp_path / "a.archive") as source:
        whole = {name: source.read(name) for name in source.namelist()}
    said = json.loads(whole["manifest.json"])
    another = Settings.from_env({"METALOOM_HOME": str(tmp_path / "x"), "METALOOM_MASTER_KEY": new_key()})
    harms = {
        "row": {"rows/shop__thing.jsonl": whole["rows/shop__thing.jsonl"].replace(b"0.01", b"9.01")},
        "file": {name: b"another contract" for name in whole if name.startswith("files/")},
        "manifest": {"manifest.json": json.dumps({**said, "tenant": "rich"}).encode()},
        "newer": {"manifest.json": json.dumps({**said, "format": 2}).encode()},
        "lost": {"rows/ml_audit.jsonl": None}, "key": {},
    }  # fmt: skip
    for harm, changed in harms.items():
        with zipfile.ZipFile(tmp_path / harm, "w") as target:
            for name, text in {**whole, **changed}.items():
                if text is not None:
                    target.writestr(name, text)
        keys = another if harm == "key" else tenancy.settings
        with pytest.raises(NotPossible), archive.opened(tmp_path / harm, (keys.master_key,)) as found:
            restore(tenancy, found, "copy", after_create=(make_login_tables,))
    for harm, content in {"garbage": b"PK nothing", "none": None}.items():
        if content:
            (tmp_path / harm).write_bytes(content)
        with pytest.raises(NotFound), archive.opened(tmp_path / harm, (tenancy.settings.master_key,)):
            pass
    assert "copy" not in (*tenancy.names(), *tenancy.closed_names())


def test_rows_that_break_a_rule_leave_nothing(full, tenancy, tmp_path, monkeypatch):
    """An entry whose legs do not balance cannot be planted through an archive: the database adds up again."""
    taken(full, tmp_path)
    real = archive.Archive.rows

    def planted(self, table):
        for rows in real(self, table):
            yield [{**row, "amount": D("9.99")} if table.name == "ml_ledger_leg" and row["line"] == 1 else row for row in rows]

    monkeypatch.setattr(archive.Archive, "rows", planted)
    with pytest.raises(NotPossible, match="does not balance"):
        brought(tenancy, tmp_path)
    assert "copy" not in (*tenancy.names(), *tenancy.closed_names()) and not (tenancy.settings.home / "files" / "copy").exists()
    monkeypatch.undo()
    brought(tenancy, tmp_path)
    tenancy.drop("copy")


def test_a_killed_restore_is_swept_away(full, tenancy, tmp_path, monkeypatch):
    taken(full, tmp_path)
    monkeypatch.setattr(Tenancy, "_filled", lambda self, tenant, fill: (fill(tenant), (_ for _ in ()).throw(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        brought(tenancy, tmp_path)
    monkeypatch.undo()
    fresh = tenancy.create("copy", "新", after_create=(make_login_tables,))
    with fresh.read() as conn:
        assert conn.scalar(sa.text("SELECT count(*) FROM ml_audit")) == 0
    tenancy.drop("copy")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_another_master_key(full, tmp_path, tenancy):
    """The old key opens the archive, the new one wraps the keys."""
    taken(full, tmp_path)
    old = (tenancy.settings.home / "master.key").read_text().strip()
    settings = Settings.from_env({"METALOOM_HOME": str(tmp_path / "new"), "METALOOM_MASTER_KEY": new_key(), "METALOOM_OLD_MASTER_KEY": old})
    moved = Tenancy(settings)
    copy = brought(moved, tmp_path, secrets=False)
    assert copy.secrets.names() == ()
    copy.secrets.set("mine", "1")
    assert copy.secrets.get("mine") == "1"
    moved.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_files_are_not_overwritten_and_private(full, tmp_path):
    taken(full, tmp_path)
    assert (tmp_path / "a.archive").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict):
        taken(full, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".a")] == []
    full.files.path(rows_of(full, "file")[0][9]).unlink()
    assert len(taken(full, tmp_path, "b.archive").missing) == 1
