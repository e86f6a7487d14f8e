"""A question kept ready is answered as SQLAlchemy would answer it, each time, on both databases."""

from contextlib import nullcontext
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Busy
from metaloom.storage.ready import PREPARED_AFTER, PREPARED_MAX, Ready
from metaloom.storage.types import BigInt, ExactDecimal, IsoDate, JsonText, ShortText, UtcDateTime

META = sa.MetaData()
TABLE = sa.Table("asked", META, sa.Column("id", BigInt, primary_key=True), sa.Column("code", ShortText(20)), sa.Column("amount", ExactDecimal(12, 2)),
                 sa.Column("day", IsoDate), sa.Column("at", UtcDateTime), sa.Column("more", JsonText))
ROWS = [
    {"id": 1, "code": "a", "amount": Decimal("10.50"), "day": date(2026, 1, 2), "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "more": {"b": [1]}},
    {"id": 2, "code": "50% b", "amount": Decimal("-3.00"), "day": None, "at": datetime(2026, 2, 2, tzinfo=UTC), "more": None},
    {"id": 3, "code": None, "amount": None, "day": date(2026, 1, 2), "at": None, "more": [2]},
]


@pytest.fixture
def asked(tenant):
    with tenant.ddl() as conn:
        META.create_all(conn)
        conn.execute(TABLE.insert(), ROWS)
    if tenant.dialect == "postgresql":
        with tenant.ddl() as conn:
            conn.exec_driver_sql("GRANT SELECT ON asked TO PUBLIC")
    return tenant


def test_every_answer_is_that_of_the_statement(asked):
    since = sa.bindparam("since", type_=UtcDateTime())
    statement = sa.select(*TABLE.c, (TABLE.c.amount * 2).label("twice")).where(
        TABLE.c.code.in_(["a", "50% b"]), TABLE.c.at >= since, TABLE.c.code.not_like("%x%")).order_by(TABLE.c.id).limit(5)
    ready = Ready(statement)
    for at in (ROWS[0]["at"], ROWS[1]["at"], datetime(2027, 1, 1, tzinfo=UTC), ROWS[0]["at"]):
        with asked.read() as conn:
            plain = [tuple(row) for row in conn.execute(statement, {"since": at})]
            assert [tuple(row) for row in ready.rows(conn, {"since": at})] == plain == [tuple(row) for row in ready.rows(conn, {"since": at})]
            assert len(plain) == sum(row["at"] is not None and row["at"] >= at for row in ROWS)


def test_whoever_counts_statements_hears_of_each(asked):
    ready, told = Ready(sa.select(TABLE.c.id)), []
    with asked.read() as conn:
        sa.event.listen(conn, "before_cursor_execute", lambda *said: told.append(said[2]))
        for _ in range(3):
            assert len(ready.rows(conn)) == 3
    assert len(told) == 3 and len(set(told)) == 1


ON_POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_refusal_has_the_kind_that_sqlalchemy_gives_it(asked):
    ready = Ready(sa.select(sa.literal(1) / sa.bindparam("by", type_=sa.Integer())))
    with asked.read() as conn:
        assert ready.rows(conn, {"by": 1})
    with pytest.raises(sa.exc.DBAPIError) as refused, asked.read() as conn:
        ready.rows(conn, {"by": 0})
    assert refused.value.orig.sqlstate == "22012" and not refused.value.connection_invalidated
    with asked.read() as conn:
        assert ready.rows(conn, {"by": 1})


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_connection_that_is_lost_is_told_as_busy_and_thrown_away(asked):
    ready = Ready(sa.select(TABLE.c.id))
    with asked.read() as conn:
        ready.rows(conn)
    admin = sa.create_engine(asked.settings.database_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with pytest.raises(Busy), asked.read() as conn:
        number = conn.scalar(sa.text("SELECT pg_backend_pid()"))
        with admin.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
        ready.rows(conn)
    with asked.read() as conn:
        assert len(ready.rows(conn)) == 3


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_lasting_question_is_planned_once_for_a_connection_and_a_passing_one_each_time(asked):
    lasting, passing = Ready(sa.select(TABLE.c.id), lasting="one"), Ready(sa.select(TABLE.c.code))
    with asked.read() as conn:
        for _ in range(PREPARED_AFTER + 8):
            assert len(lasting.rows(conn)) == len(passing.rows(conn)) == 3
        held = conn.exec_driver_sql("SELECT statement, generic_plans FROM pg_prepared_statements").all()
    assert [(asked.row.schema_name in text, "asked.code" in text, plans > 0) for text, plans in held] == [(True, False, True)]


def test_what_a_question_was_made_with_is_written_as_the_driver_would_send_it(asked):
    hard = ["a", "50% b", "it's", "back\\slash", "%(id)s", "$1", "; DROP TABLE asked; --", "汉字"]
    statement = sa.select(TABLE.c.id, sa.literal(hard[2]).label("quote"), sa.literal(hard[3]).label("slash")).where(
        TABLE.c.code.in_(hard), TABLE.c.at >= datetime(2026, 1, 1, tzinfo=UTC), TABLE.c.amount <= Decimal("10.50")).order_by(TABLE.c.id).limit(5)
    ready = Ready(statement, lasting="one", own=True)
    for _ in range(PREPARED_AFTER + 3):
        with asked.read() as conn:
            assert [tuple(row) for row in ready.rows(conn)] == [(1, "it's", "back\\slash"), (2, "it's", "back\\slash")]


@pytest.mark.postgres
@ON_POSTGRESQL
def test_an_own_question_is_planned_once_for_its_values_and_another_with_its_values_for_those(asked):
    questions = {number: Ready(sa.select(TABLE.c.code).where(TABLE.c.id == number), lasting="one", own=True) for number in (1, 2)}
    with asked.read() as conn:
        for _ in range(PREPARED_AFTER + 3):
            assert [ready.rows(conn)[0][0] for ready in questions.values()] == ["a", "50% b"]
        held = conn.exec_driver_sql("SELECT statement, cardinality(parameter_types) FROM pg_prepared_statements ORDER BY 1").all()
    assert [(f"id = {number}" in text, count) for number, (text, count) in zip(questions, held, strict=True)] == [(True, 0), (True, 0)]


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_connection_keeps_only_so_many_lasting_questions(asked):
    questions = [Ready(sa.select(TABLE.c.id).where(TABLE.c.id != number), lasting=f"{number}") for number in range(PREPARED_MAX + 5)]
    with asked.read() as conn:
        for ready in questions:
            assert {len(ready.rows(conn)) for _ in range(PREPARED_AFTER + 3)} <= {2, 3}
        assert len(questions[0].rows(conn)) == 3, "what was given up is asked as ever"
        assert conn.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar() == PREPARED_MAX


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_lasting_question_of_another_tenant_over_the_same_connection_reads_that_tenant(asked, tenancy):
    other = tenancy.create("other", "Other")
    with other.ddl() as conn:
        conn.exec_driver_sql("CREATE TABLE asked (id bigint primary key, code varchar(70))")
        conn.exec_driver_sql("INSERT INTO asked VALUES (7, 'theirs')")
        conn.exec_driver_sql("GRANT SELECT ON asked TO PUBLIC")
    statement, seen = sa.select(TABLE.c.id, TABLE.c.code).order_by(TABLE.c.id), []
    questions = {place: Ready(statement, lasting="one") for place in (asked, other)}
    for _ in range(PREPARED_AFTER + 8):
        for place, ready in questions.items():
            with place.read() as conn:
                seen.append((place.name, conn.connection.driver_connection.pgconn.backend_pid, [row[0] for row in ready.rows(conn)]))
    assert len({pid for _, pid, _ in seen}) == 1, "one connection served both"
    assert all(ids == ([7] if name == "other" else [1, 2, 3]) for name, _, ids in seen)


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_column_that_became_wider_costs_a_first_question_nothing_and_a_later_one_a_refusal_under_the_old_catalog_only(asked):
    before, after = (Ready(sa.select(TABLE.c.code), lasting=digest) for digest in ("one", "two"))
    for length, earlier, answered in ((60, 0, True), (70, 1, False)):
        with asked.read() as conn:
            assert {len(before.rows(conn)) for _ in range(PREPARED_AFTER + 8)} == {3}
        with asked.ddl() as conn:
            conn.exec_driver_sql(f"ALTER TABLE asked ALTER code TYPE varchar({length})")
        with asked.read() as conn:
            assert [len(after.rows(conn)) for _ in range(3)] == [3] * 3
        with nullcontext() if answered else pytest.raises(Busy), asked.read() as conn:
            assert [conn.scalar(sa.text("SELECT 1")) for _ in range(earlier)] == [1] * earlier
            assert len(before.rows(conn)) == 3
            path, role = conn.exec_driver_sql("SELECT current_setting('search_path'), current_setting('transaction_read_only')").one()
            assert asked.row.schema_name in path and role == "on", "it is in the same tenant, and still may not write"
        with asked.read() as conn:
            assert [len(before.rows(conn)) for _ in range(PREPARED_AFTER + 3)] == [3] * (PREPARED_AFTER + 3)


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_writing_transaction_is_never_begun_anew(asked):
    ready = Ready(sa.select(TABLE.c.code), lasting="one")
    with asked.read() as conn:
        assert {len(ready.rows(conn)) for _ in range(PREPARED_AFTER + 8)} == {3}
    with asked.ddl() as conn:
        conn.exec_driver_sql("ALTER TABLE asked ALTER code TYPE varchar(60)")
    with pytest.raises(Busy), asked.write() as conn:
        ready.rows(conn)


@pytest.mark.postgres
@ON_POSTGRESQL
def test_a_connection_that_is_lost_before_the_end_of_its_transaction_is_told_as_busy(asked):
    admin = sa.create_engine(asked.settings.database_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    for transaction in (asked.read, asked.write):
        with pytest.raises(Busy), transaction() as conn:
            number = conn.scalar(sa.text("SELECT pg_backend_pid()"))
            with admin.connect() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
        with asked.read() as conn:
            assert conn.scalar(sa.text("SELECT count(*) FROM asked")) == 3


@pytest.mark.postgres
@ON_POSTGRESQL
def test_what_is_refused_at_the_end_of_a_transaction_has_its_own_kind_and_leaves_nothing(asked):
    with asked.ddl() as conn:
        conn.exec_driver_sql("CREATE TABLE late (id bigint, asked bigint REFERENCES asked DEFERRABLE INITIALLY DEFERRED)")
        conn.exec_driver_sql("GRANT SELECT, INSERT ON late TO PUBLIC")
    with pytest.raises(sa.exc.IntegrityError) as refused, asked.write() as conn:
        conn.exec_driver_sql("INSERT INTO late VALUES (1, 99)")
    assert refused.value.orig.sqlstate == "23503"
    with asked.read() as conn:
        assert conn.scalar(sa.text("SELECT count(*) FROM late")) == 0


@pytest.mark.postgres
@ON_POSTGRESQL
def test_values_find_their_places_in_whatever_order_they_are_given(asked):
    low, high = (sa.bindparam(name, type_=TABLE.c.amount.type) for name in ("low", "high"))
    ready = Ready(sa.select(TABLE.c.id).where(TABLE.c.amount >= low, TABLE.c.amount <= high, TABLE.c.code != "100%"), lasting="one")
    given = {"low": Decimal(0), "high": Decimal(11)}
    with asked.read() as conn:
        for turn in range(PREPARED_AFTER + 8):
            assert [row[0] for row in ready.rows(conn, given if turn % 2 else dict(reversed(given.items())))] == [1]


@pytest.mark.postgres
@ON_POSTGRESQL
def test_what_people_typed_stands_beside_what_is_sent_and_not_in_it(asked):
    typed, sent = Ready(sa.select(TABLE.c.id).where(TABLE.c.code == "50% b"), own=True), []
    with asked.read() as conn:
        sa.event.listen(conn, "before_cursor_execute", lambda *told: sent.append(told[2]))
        for _ in range(3):
            assert [row[0] for row in typed.rows(conn)] == [2]
    assert len(sent) == 3 and not any("50%" in text for text in sent)


@pytest.mark.postgres
@ON_POSTGRESQL
def test_nobody_waits_for_the_end_of_what_only_read_and_the_next_transaction_is_whole(asked):
    """Over one connection, in turns: read, write, read; also after a refusal, and after the server ended the connection meanwhile."""
    def seen():
        with asked.read(waits=False) as conn:
            driver = conn.connection.driver_connection
            return driver.pgconn.backend_pid, conn.exec_driver_sql("SELECT code FROM asked ORDER BY id").scalars().all(), driver

    pid, codes, driver = seen()
    assert driver._ending
    with asked.write() as conn:
        assert conn.connection.driver_connection is driver and not driver._ending
        conn.execute(sa.text("UPDATE asked SET code = 'new' WHERE id = 1"))
    assert not driver._ending
    assert seen()[:2] == (pid, ["new", *codes[1:]])
    with pytest.raises(Busy), asked.read(waits=False) as conn:
        conn.exec_driver_sql("UPDATE asked SET code = 'never'")
    assert seen()[:2] == (pid, ["new", *codes[1:]])
    with sa.create_engine(asked.settings.database_url, poolclass=sa.NullPool).connect() as other:
        other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    found = seen()
    assert found[0] != pid and found[1] == ["new", *codes[1:]]
