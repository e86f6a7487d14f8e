"""Tenants are apart, named explicitly, and their transactions do what they promise."""

import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Busy, Conflict, NotFound, NotPossible
from metaloom.compile.manifest import PluginCommand, PluginManifest
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy, after_commit
from metaloom.storage.engine import setting
from metaloom.storage.revisions import shared
from metaloom.storage.settings import new_key
from metaloom.storage.types import utc_now
from tests.storage.sources import NAME, entity, label, shop


@pytest.mark.parametrize("name", [None, "", "nobody", "../x", "T1", "t1;drop", "t" * 31, "名"])
def test_a_missing_or_unknown_tenant_is_an_error(tenancy, name):
    with pytest.raises(NotFound):
        tenancy.open(name)


@pytest.mark.parametrize("name", ["", "Ab", "a-b", "1a", "../etc", "a" * 31, "static", "public", "control", "a b", 'a"b'])
def test_a_bad_tenant_name_is_refused(tenancy, name):
    with pytest.raises(NotPossible):
        tenancy.create(name, "x")
    assert tenancy.names() == ()


def test_processes_that_begin_at_the_same_moment_on_an_empty_database_all_begin(settings):
    for _ in range(5):
        if settings.database_url:
            with sa.create_engine(settings.database_url, poolclass=sa.NullPool).begin() as conn:
                conn.exec_driver_sql("DROP SCHEMA IF EXISTS ml_control CASCADE")
        together, found = threading.Barrier(4), []

        def begins(together=together, found=found):
            mine = Tenancy(settings)
            together.wait(20)
            try:
                found.append(mine.names())
            except sa.exc.DBAPIError as error:
                found.append(error.orig)
            finally:
                mine.close()

        threads = [threading.Thread(target=begins) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert found == [()] * 4


def test_a_tenant_is_made_once(tenancy, tenant):
    with pytest.raises(Conflict):
        tenancy.create(tenant.name, "again")
    assert tenancy.names() == (tenant.name,)


def test_a_tenant_without_published_revision_says_so(tenant):
    with pytest.raises(NotPossible, match="Nothing is published"):
        tenant.revision()


def test_a_creation_that_failed_can_be_made_again(tenancy):
    def fails(conn):
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError):
        tenancy.create("halfway", "x", after_create=[fails])
    with pytest.raises(NotPossible):
        tenancy.open("halfway")
    assert tenancy.names() == ()
    assert tenancy.create("halfway", "x").name == "halfway"


def test_a_dropped_tenant_is_gone_and_its_name_free(tenancy, tenant):
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="a", value=1))
    tenancy.drop(tenant.name)
    with pytest.raises(NotFound):
        tenancy.open(tenant.name)
    again = tenancy.create(tenant.name, "x")
    assert setting_names(again) == []


def test_two_tenants_do_not_see_each_other(tenancy, tenant):
    other = tenancy.create("other", "x")
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="mine", value=1))
    assert setting_names(other) == []


def setting_names(tenant):
    with tenant.read() as conn:
        return conn.scalars(sa.select(setting.c.name).where(setting.c.name.not_like("engine.%"))).all()


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_statement_that_names_another_tenants_schema_is_refused(tenancy, tenant):
    other = tenancy.create("other", "x")
    for statement in ("SELECT * FROM t_other.ml_setting", "INSERT INTO t_other.ml_setting (name) VALUES ('x')",
                      "CREATE TABLE mine (id int)", "DROP TABLE ml_setting", "DELETE FROM ml_audit"):
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied|must be owner"), tenant.write() as conn:
            conn.exec_driver_sql(statement)
    with pytest.raises(sa.exc.ProgrammingError, match="does not exist"), tenant.write() as conn:
        conn.exec_driver_sql("SELECT * FROM ml_tenant")
    assert other.name in tenancy.names()


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_transaction_without_tenant_is_refused(tenancy, tenant):
    from metaloom.storage import postgresql

    engine = postgresql._shared_engine(str(tenancy.settings.database_url))
    with pytest.raises(RuntimeError, match="without naming a tenant"), engine.begin() as conn:
        conn.exec_driver_sql("SELECT 1")


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_without_the_right_to_make_roles_the_search_path_still_separates(settings, tmp_path, caplog):
    admin = sa.create_engine(settings.database_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    role = f"plain_{settings.database_url.rpartition('_')[2]}_{tmp_path.name[-6:]}".lower()
    url = sa.make_url(settings.database_url)
    with admin.connect() as conn:
        conn.exec_driver_sql(f'CREATE ROLE "{role}" LOGIN PASSWORD \'x\' NOCREATEROLE')
        conn.exec_driver_sql(f'GRANT CREATE ON DATABASE "{url.database}" TO "{role}"')
        conn.exec_driver_sql("DROP SCHEMA IF EXISTS ml_control CASCADE")
    plain = Tenancy(replace(
        settings, database_url=url.set(username=role, password="x").render_as_string(hide_password=False), home=tmp_path
    ))  # fmt: skip
    try:
        one, two = plain.create("plain1", "x"), plain.create("plain2", "x")
        assert "may not create roles" in caplog.text
        with one.write() as conn:
            conn.execute(setting.insert().values(name="mine", value=1))
        assert setting_names(two) == []
        for name in plain.names():
            plain.drop(name)
    finally:
        plain.close()
        with admin.connect() as conn:
            conn.exec_driver_sql("DROP SCHEMA IF EXISTS ml_control CASCADE")
            conn.exec_driver_sql(f'DROP OWNED BY "{role}"')
            conn.exec_driver_sql(f'DROP ROLE "{role}"')


def test_the_same_column_may_be_typed_differently_in_two_tenants(tenancy, tenant):
    other = tenancy.create("other", "x")
    publish(tenant, shop(entity("thing", NAME + "\nsize: {type: integer, " + label("s") + "}")))
    publish(other, shop(entity("thing", NAME + "\nsize: {type: text, " + label("s") + "}")))
    for number in range(12):
        for one, value in ((tenant, number), (other, f"text {number}")):
            table = one.revision().tables.of("shop.thing")
            with one.write() as conn:
                conn.execute(table.insert().values(size=value, created_at=utc_now(), updated_at=utc_now()))
            with one.read() as conn:
                assert conn.scalar(sa.select(table.c.size).order_by(table.c.id.desc()).limit(1)) == value


def test_a_read_refuses_to_write(tenant):
    with pytest.raises((sa.exc.OperationalError, sa.exc.InternalError, Busy)), tenant.read() as conn:
        conn.execute(setting.insert().values(name="a", value=1))


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_only_a_read_keeps_the_planner_from_trying_every_order_of_joins(tenant):
    for way, limit in ((tenant.read, "4"), (tenant.write, "8"), (tenant.read, "4"), (tenant.ddl, "8")):
        with way() as conn:
            assert conn.exec_driver_sql("SHOW join_collapse_limit").scalar() == limit


def test_a_read_shows_one_picture(tenant):
    with tenant.read() as conn:
        before = conn.scalar(sa.select(sa.func.count()).select_from(setting))
        with tenant.write() as other:
            other.execute(setting.insert().values(name="a", value=1))
        assert conn.scalar(sa.select(sa.func.count()).select_from(setting)) == before
    with tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(setting)) == before + 1


def test_a_write_that_fails_leaves_nothing_and_calls_nobody(tenant):
    called = []
    with pytest.raises(ZeroDivisionError), tenant.write() as conn:
        conn.execute(setting.insert().values(name="a", value=1))
        after_commit(conn, lambda: called.append("first"))
        raise ZeroDivisionError
    with tenant.write() as conn:
        after_commit(conn, lambda: called.append("second"))
        after_commit(conn, lambda: 1 / 0)
        after_commit(conn, lambda: called.append("third"))
        assert called == []
        assert setting_names(tenant) == []
    assert called == ["second", "third"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_locked_file_answers_busy_after_a_while(tenant, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
        import sqlite3, sys, time
        held = sqlite3.connect({str(tenant.settings.home / "tenants" / (tenant.name + ".db"))!r}, isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        print("held", flush=True)
        time.sleep(30)
    """)], stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout.readline() == "held\n"
        begun = time.monotonic()
        with pytest.raises(Busy), tenant.write():
            pass
        assert 4 < time.monotonic() - begun < 8
        assert setting_names(tenant) == []
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_second_write_in_the_same_thread_says_so_at_once(tenant):
    with tenant.write(), pytest.raises(RuntimeError, match="already open"), tenant.write():
        pass


def test_many_threads_add_up(tenant):
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="count", value=0))

    def add():
        for _ in range(10):
            with tenant.write() as conn:
                lock = sa.select(setting.c.value).where(setting.c.name == "count")
                now = conn.scalar(lock.with_for_update() if tenant.dialect == "postgresql" else lock)
                conn.execute(setting.update().where(setting.c.name == "count").values(value=now + 1))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tenant.read() as conn:
        assert conn.scalar(sa.select(setting.c.value).where(setting.c.name == "count")) == 60


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_connection_that_died_is_replaced_without_anyone_noticing(tenancy, tenant):
    with tenant.read() as conn:
        conn.exec_driver_sql("SELECT 1")
    admin = sa.create_engine(tenancy.settings.database_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as conn:
        conn.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'metaloom'"
                             " AND datname = current_database()")
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="a", value=1))


# What stops the words that begin a tenant's transaction, once BEGIN was carried out: before the role, between role and path, at the very end.
STOPS = {"the role is gone": ("SET LOCAL ROLE", "SET LOCAL ROLE gone_meanwhile; SET LOCAL ROLE"),
         "before the path": ("SET LOCAL search_path", "SELECT 1/0; SET LOCAL search_path"), "at the end": (None, "; SELECT 1/0")}


def stopped(source, old, new):
    """The engine whose transactions begin with words that fail."""
    from metaloom.storage import postgresql

    words = source.get_execution_options()[postgresql._PROLOGUE]
    assert old is None or old in words
    return postgresql._with_prologue(source, words + new if old is None else words.replace(old, new, 1))


def standing(source):
    """Of the next transaction: the server process that it got, its role and its path."""
    with source() as conn:
        return tuple(conn.exec_driver_sql("SELECT pg_backend_pid(), current_user, current_setting('search_path')").one())


def left_in_the_pool(tenancy):
    """The only connection of the pool as the next one finds it: server process, state of its transaction, and whose settings it has."""
    from metaloom.storage import postgresql

    raw = postgresql._shared_engine(str(tenancy.settings.database_url)).raw_connection()
    try:
        driver = raw.driver_connection
        state = driver.info.transaction_status.name
        return driver.info.backend_pid, state, *driver.execute("SELECT current_user = session_user, current_setting('search_path')").fetchone()
    finally:
        raw.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("way", ["read", "write"])
@pytest.mark.parametrize("stop", STOPS)
def test_a_tenant_that_cannot_be_entered_leaves_the_connection_clean(tenancy, tenant, monkeypatch, way, stop):
    from metaloom.storage import postgresql

    other = tenancy.create("other", "x")
    postgresql.disconnect_all()        # from here on one connection goes from hand to hand
    pid, *before = standing(getattr(other, way))
    source = getattr(tenant._access, way)
    with monkeypatch.context() as broken:
        broken.setattr(tenant._access, way, stopped(source, *STOPS[stop]))
        for _ in range(2):
            with pytest.raises(sa.exc.DBAPIError, match="gone_meanwhile|division by zero"), getattr(tenant, way)():
                raise AssertionError("the block of a transaction that never began")
        assert left_in_the_pool(tenancy) == (pid, "IDLE", True, '"$user", public')
        assert standing(getattr(other, way)) == (pid, *before), "the next tenant has its own role and path"
    mine = standing(getattr(tenant, way))
    assert mine[0] == pid and f"t_{tenant.name}" in mine[2] and mine[1:] != tuple(before)
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="mine", value=1))
    assert (setting_names(tenant), setting_names(other)) == (["mine"], [])


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_failed_once_on_the_way_into_a_tenant_is_begun_anew_from_nothing(tenancy, tenant, monkeypatch):
    """The second try does not go on in the transaction that the first one broke."""
    from metaloom.storage import postgresql

    with tenant.autocommit_ddl() as conn:
        conn.exec_driver_sql("CREATE SEQUENCE passing MINVALUE 0 START 0")
        conn.exec_driver_sql("GRANT USAGE ON SEQUENCE passing TO PUBLIC")
    postgresql.disconnect_all()
    whole = standing(tenant.write)
    once = stopped(tenant._access.write, None, "; SELECT 1 / nextval('passing')")
    with monkeypatch.context() as broken:
        broken.setattr(tenant._access, "write", once)
        with tenant.write() as conn:
            conn.execute(setting.insert().values(name="mine", value=1))
            assert conn.exec_driver_sql("SELECT last_value FROM passing").scalar() == 1, "it failed, and was asked again"
            assert tuple(conn.exec_driver_sql("SELECT pg_backend_pid(), current_user, current_setting('search_path')").one()) == whole
    assert setting_names(tenant) == ["mine"]
    assert left_in_the_pool(tenancy) == (whole[0], "IDLE", True, '"$user", public')


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_on_the_way_into_a_tenant_is_never_used_again(tenancy, tenant, monkeypatch):
    from metaloom.storage import postgresql

    postgresql.disconnect_all()
    pid = standing(tenant.read)[0]
    dying = stopped(tenant._access.write, "SET LOCAL ROLE", "SELECT pg_terminate_backend(pg_backend_pid()); SET LOCAL ROLE")
    with monkeypatch.context() as broken:
        broken.setattr(tenant._access, "write", dying)
        with pytest.raises(Busy), tenant.write():
            raise AssertionError("the block of a transaction that never began")
    found, state, *rest = left_in_the_pool(tenancy)
    assert found != pid and state == "IDLE" and rest == [True, '"$user", public']
    with tenant.write() as conn:
        conn.execute(setting.insert().values(name="mine", value=1))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_tenant_file_that_vanished_is_an_error_not_a_new_tenant(tenancy, tenant):
    tenancy.close()
    path = tenant.settings.home / "tenants" / f"{tenant.name}.db"
    path.rename(path.with_suffix(".away"))
    again = Tenancy(tenancy.settings)
    with pytest.raises(Busy), again.open(tenant.name).read():
        pass
    assert not path.exists()
    path.with_suffix(".away").rename(path)
    again.close()


def test_keys_are_made_once_with_mode_0600(tmp_path):
    first = Settings.from_env({"METALOOM_HOME": str(tmp_path)})
    second = Settings.from_env({"METALOOM_HOME": str(tmp_path)})
    assert (first.master_key, first.secret_key) == (second.master_key, second.secret_key)
    for name in ("master.key", "secret.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "value"), [
    ("METALOOM_MASTER_KEY", "short"), ("METALOOM_SECRET_KEY", "short"), ("METALOOM_DATABASE_URL", "mysql://x"),
])  # fmt: skip
def test_bad_settings_are_refused_with_the_cure(tmp_path, name, value):
    with pytest.raises(ValueError, match="32|postgresql://"):
        Settings.from_env({"METALOOM_HOME": str(tmp_path), name: value})


def test_a_given_master_key_is_taken(tmp_path):
    key = new_key()
    settings = Settings.from_env({"METALOOM_HOME": str(tmp_path), "METALOOM_MASTER_KEY": key})
    assert len(settings.master_key) == 32
    assert not (tmp_path / "master.key").exists()


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_tenant_may_have_a_database_of_its_own(tenancy, pg_url, tmp_path):
    server = sa.create_engine(pg_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"{sa.make_url(pg_url).database}_own"
    with server.connect() as conn:
        conn.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        conn.exec_driver_sql(f'CREATE DATABASE "{name}"')
    own = sa.make_url(pg_url).set(database=name).render_as_string(hide_password=False)
    try:
        made = tenancy.create("regulated", "x", url=own)
        assert made.dialect == "postgresql"
        publish(made, shop(entity("thing", NAME)))
        with sa.create_engine(own, poolclass=sa.NullPool).connect() as conn:
            assert conn.scalar(sa.text("SELECT to_regclass('t_regulated.shop__thing') IS NOT NULL"))
        again = Tenancy(tenancy.settings)
        assert again.open("regulated").revision().number == 1
        again.close()
        if not tenancy.settings.database_url:
            assert own.encode() not in (tenancy.settings.home / "control.db").read_bytes()
        tenancy.drop("regulated")
    finally:
        tenancy.close()
        with server.connect() as conn:
            conn.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.mark.parametrize("error", [sa.exc.OperationalError("COMMIT", {}, Exception("the connection is gone")), KeyboardInterrupt()],
                         ids=["refused", "interrupted"])
def test_what_a_failed_commit_left_open_is_never_committed_by_the_next_transaction(tenant, error):
    def refuse(conn):
        raise error

    for door, engine in ((tenant.write, tenant._access.write), (tenant.read, tenant._access.read)):
        sa.event.listen(engine, "commit", refuse)
        try:
            with pytest.raises((Busy, KeyboardInterrupt)), door() as conn:
                if door == tenant.write:
                    conn.execute(setting.insert().values(name="lost", value=1))
        finally:
            sa.event.remove(engine, "commit", refuse)
        for number in range(2):
            with tenant.write() as conn:
                conn.execute(setting.insert().values(name=f"{door.__name__} {number}", value=1))
    assert sorted(setting_names(tenant)) == ["read 0", "read 1", "write 0", "write 1"]


def test_installations_with_equal_plugins_share_what_is_compiled(tmp_path):
    def compiler(part, manifest):
        made = Tenancy(Settings(home=tmp_path / part), manifest=manifest)
        made.close()
        return made.compiler

    one, equal = (PluginManifest({"a.pay": PluginCommand("a.pay")}, readers=frozenset({"bank"})) for _ in range(2))
    other = replace(one, commands={"a.pay": PluginCommand("a.pay", permission="pay")})
    assert compiler("one", one) is compiler("two", equal)
    assert compiler("three", other) is not compiler("one", one)
    texts = shop(entity("thing", NAME))
    assert shared(texts, compiler("one", one))[0] is shared(texts, compiler("two", equal))[0]
    assert shared(texts, compiler("three", other))[0] is not shared(texts, compiler("one", one))[0]
