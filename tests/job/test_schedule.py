"""When jobs are due: zones, nights of clock change, what was missed."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from metaloom.job.schedule import due_days, due_instants, next_instant

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_the_hour_is_that_of_the_zone():
    assert next_instant("0 6 * * 1-5", SHANGHAI, at("2026-11-20 00:00")) == at("2026-11-22 22:00")     # Monday 06:00 in Shanghai
    assert next_instant("0 6 * * *", BERLIN, at("2026-07-01 00:00")) == at("2026-07-01 04:00")


@pytest.mark.parametrize("night", ["2026-03-28", "2026-10-24"])
@pytest.mark.parametrize("hour", ["0 0", "30 2", "0 2", "0 3", "59 1"])
def test_a_daily_job_runs_once_on_every_night_of_clock_change(night, hour):
    cron, begin = f"{hour.split()[0]} {hour.split()[1]} * * *", at(f"{night} 12:00", BERLIN)
    found = due_instants(cron, BERLIN, begin, begin + timedelta(days=3), "one_by_one")
    assert len(found) == 3 and len({one.astimezone(BERLIN).date() for one in found}) == 3


def test_an_hourly_job_runs_as_often_as_the_night_has_hours():
    for night, count in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)):
        begin = at(f"{night} 00:00", BERLIN) - timedelta(seconds=1)
        assert len(due_instants("0 * * * *", BERLIN, begin, at(f"{night} 23:59", BERLIN), "one_by_one")) == count


def test_what_was_missed():
    mark, now = at("2026-11-01 00:00"), at("2026-11-04 06:05")
    assert len(due_instants("0 6 * * *", SHANGHAI, mark, now, "one_by_one")) == 3
    assert due_instants("0 6 * * *", SHANGHAI, mark, now, "latest") == (at("2026-11-03 22:00"),)
    assert due_instants("0 6 * * *", SHANGHAI, mark, now, "none") == ()
    assert due_instants("0 14 * * *", SHANGHAI, mark, now, "none") == (at("2026-11-04 06:00"),)
    assert due_instants("0 6 * * *", SHANGHAI, now, now, "one_by_one") == ()
    assert len(due_instants("* * * * *", SHANGHAI, mark, now, "one_by_one")) == 100


def test_days_of_a_business_date():
    assert due_days(date(2026, 2, 26), date(2026, 3, 1), "one_by_one") == (date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1))
    assert due_days(date(2026, 2, 26), date(2026, 3, 1), "latest") == due_days(date(2026, 2, 26), date(2026, 3, 1), "none") == (date(2026, 3, 1),)
    assert due_days(date(2026, 3, 1), date(2026, 3, 1), "one_by_one") == due_days(date(2026, 3, 2), date(2026, 3, 1), "latest") == ()
    assert len(due_days(date(2020, 1, 1), date(2026, 3, 1), "one_by_one")) == 100
