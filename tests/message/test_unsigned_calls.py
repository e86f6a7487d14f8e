"""Who cannot sign fills no table and has one limit, however many addresses it has."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Busy
from metaloom.command import receive_call as way
from metaloom.storage import engine as tables

NOW = datetime(2026, 11, 20, 1, tzinfo=UTC)
SOURCE = way.Source("notice/pay", "pay")


@pytest.fixture
def ctx():
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    for table in (tables.rate, tables.webhook_call):
        table.create(engine)
    clock = SimpleNamespace(now=lambda: clock.at, at=NOW)
    return SimpleNamespace(tenant=SimpleNamespace(name="t", read=engine.begin, write=engine.begin), clock=clock,
                           revision=SimpleNamespace(tables=SimpleNamespace(engine=tables)))


def lines(ctx):
    with ctx.tenant.read() as conn:
        return [(row.address, row.repeats) for row in conn.execute(sa.select(tables.webhook_call).order_by(tables.webhook_call.c.id))]


def test_the_addresses_of_one_subscriber_are_one_sender(ctx):
    for n in range(way.UNSIGNED_PER_MINUTE):
        assert not way._too_many(ctx, SOURCE, f"2001:db8:1:2::{n:x}")
        way._note_unsigned(ctx, SOURCE, f"2001:db8:1:2::{n:x}")
    assert way._too_many(ctx, SOURCE, "2001:db8:1:2:ffff::1") and not way._too_many(ctx, SOURCE, "2001:db8:1:3::1")
    assert lines(ctx) == [("2001:db8:1:2::/64", way.UNSIGNED_PER_MINUTE - 1)]


def test_beyond_some_senders_a_day_has_one_line_and_old_lines_go(ctx, monkeypatch):
    monkeypatch.setattr(way, "SENDERS_MAX", 5)
    for n in range(20):
        way._note_unsigned(ctx, SOURCE, f"10.0.0.{n}")
    assert lines(ctx) == [*((f"10.0.0.{n}", 0) for n in range(5)), (None, 14)]
    ctx.clock.at += way.UNSIGNED_KEPT + timedelta(days=1)
    way._note_unsigned(ctx, SOURCE, "10.0.1.1")
    assert lines(ctx) == [("10.0.1.1", 0)]


def test_a_database_that_is_busy_makes_no_forger_of_anybody(ctx, monkeypatch):
    monkeypatch.setattr(way, "environment_for", lambda ctx: None)

    def busy(*given):
        raise Busy

    ctx.plugins = SimpleNamespace(provider=busy)
    with pytest.raises(Busy):
        way._read(ctx, SOURCE, way.SignedCall(headers={}, body=b""))
