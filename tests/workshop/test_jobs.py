"""The reminder of low stock: every morning, each part once a week, the storekeepers are told."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.base.clock import FixedClock
from metaloom.base.errors import NotPossible
from metaloom.job import run_due
from metaloom.storage.engine import message, scheduled_run

SATURDAY = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)      # 07:00 in Shanghai


def morning(shop, clock, days):
    """What the scheduler and a worker do ``days`` later."""
    clock.at += timedelta(days=days)
    command.schedule_jobs(shop.tenant, plugins=shop.registry, clock=clock)
    run_due(shop.tenant, {"job.run": lambda tenant, row: command.handle_run(tenant, row, plugins=shop.registry, clock=clock)})
    with shop.tenant.read() as conn:
        told = conn.scalar(sa.select(sa.func.count()).select_from(message).where(message.c.receiver_id == shop.people["store"]))
        last = conn.execute(sa.select(scheduled_run).order_by(scheduled_run.c.id.desc()).limit(1)).mappings().one_or_none()
    return told, last and (last["status"], last["failed"])


def test_low_stock_is_told_once_a_week(shop):
    low = shop.make("boss", "spare_part", part_code="LOW", name="滤网", price=Decimal("1"), min_stock=5)
    shop.make("boss", "spare_part", part_code="FINE", name="螺丝", price=Decimal("1"), min_stock=0)
    clock = FixedClock(SATURDAY - timedelta(days=1))
    assert morning(shop, clock, 0) == (0, None)
    assert morning(shop, clock, 1) == (1, ("done", 0))                 # Friday's reminder, made up for on Saturday morning
    assert shop.value("spare_part", low, "reminded_on") == date(2026, 11, 20)
    assert morning(shop, clock, 1)[0] == 1                             # Saturday's, caught up on Sunday: told already
    ctx = command.system_context(shop.tenant, plugins=shop.registry, clock=clock)
    command.move_business_date(ctx, shop.company, date(2026, 11, 27))
    assert morning(shop, clock, 6)[0] == 2
    with pytest.raises(NotPossible):
        shop.do("store", "spare_part", shop.make("boss", "spare_part", part_code="OK", name="垫片", price=Decimal("1"), min_stock=0), "remind_low")
