"""Values come back from both databases exactly as they went in, or are refused."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.storage.types import BigInt, ExactDecimal, Flag, IsoDate, JsonText, ShortText, Time, UtcDateTime

TABLE = sa.Table(
    "sample", sa.MetaData(), sa.Column("id", BigInt(), primary_key=True), sa.Column("money", ExactDecimal(18, 2)),
    sa.Column("rate", ExactDecimal(18, 8)), sa.Column("at", UtcDateTime()), sa.Column("day", IsoDate()), sa.Column("clock", Time()),
    sa.Column("flag", Flag()), sa.Column("json", JsonText()), sa.Column("word", ShortText(5)), sqlite_strict=True,
)  # fmt: skip


@pytest.fixture
def table(tenant):
    with tenant.ddl() as conn:
        TABLE.create(conn)
    return TABLE


def stored(tenant, **values):
    with tenant.write() as conn:
        return conn.execute(TABLE.insert().values(**values).returning(*TABLE.c)).mappings().one()


@pytest.mark.parametrize("amount", ["0", "0.01", "-0.01", "9999999999999999.99", "-9999999999999999.99", "1E+2", "100.00"])
def test_money_is_exact_at_its_edges(tenant, table, amount):
    found = stored(tenant, money=Decimal(amount))["money"]
    assert found == Decimal(amount)
    assert isinstance(found, Decimal)
    with tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.sum(TABLE.c.money))) == Decimal(amount)
        assert conn.scalar(sa.select(TABLE.c.id).where(TABLE.c.money >= Decimal(amount))) is not None


def test_a_tenth_added_ten_times_is_one(tenant, table):
    with tenant.write() as conn:
        conn.execute(TABLE.insert(), [{"money": Decimal("0.10")}] * 10)
        assert conn.scalar(sa.select(sa.func.sum(TABLE.c.money))) == Decimal("1.00")


@pytest.mark.parametrize("amount", [
    Decimal("0.001"), Decimal("1E+16"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E-999999"), Decimal("1E+999999"), 0.1, True, "1",
])  # fmt: skip
def test_what_does_not_fit_money_exactly_is_refused(tenant, table, amount):
    with pytest.raises(sa.exc.StatementError):
        stored(tenant, money=amount)


def test_more_than_eighteen_digits_are_refused_at_definition():
    with pytest.raises(ValueError, match="18 digits"):
        ExactDecimal(19, 2)


def test_instants_are_kept_in_utc_and_sort_as_time(tenant, table):
    beijing = timezone(timedelta(hours=8))
    early = datetime(2026, 1, 1, 7, 0, tzinfo=beijing)
    late = datetime(2025, 12, 31, 23, 0, 0, 1, tzinfo=UTC)
    assert stored(tenant, at=late)["at"] == late
    assert stored(tenant, at=early)["at"] == early
    with tenant.read() as conn:
        assert conn.scalars(sa.select(TABLE.c.at).order_by(TABLE.c.at)).all() == [early.astimezone(UTC), late]
        assert conn.scalar(sa.select(sa.func.count()).where(TABLE.c.at < late)) == 1


def test_an_instant_without_zone_is_refused(tenant, table):
    with pytest.raises(sa.exc.StatementError, match="zone"):
        stored(tenant, at=datetime(2026, 1, 1))


def test_dates_times_flags_and_json_come_back(tenant, table):
    value = {"名": ["a", 1, None, True], "amount": Decimal("1.50"), "day": date(2026, 2, 28)}
    found = stored(tenant, day=date(9999, 12, 31), clock=time(23, 59, 59), flag=False, json=value, word="张三")
    assert (found["day"], found["clock"], found["flag"], found["word"]) == (date(9999, 12, 31), time(23, 59, 59), False, "张三")
    assert found["json"] == {"名": ["a", 1, None, True], "amount": "1.50", "day": "2026-02-28"}


def test_a_date_column_takes_no_instant(tenant, table):
    with pytest.raises(sa.exc.StatementError, match="not an instant"):
        stored(tenant, day=datetime(2026, 1, 1, tzinfo=UTC))


def test_sqlite_holds_no_text_in_a_number(tenant, table):
    if tenant.dialect == "sqlite":
        with pytest.raises(sa.exc.IntegrityError), tenant.write() as conn:
            conn.exec_driver_sql("INSERT INTO sample (money) VALUES ('ten')")
