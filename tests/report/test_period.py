"""Days of periods, what they are compared with, and the points of a line."""

from datetime import date, timedelta

import pytest

from metaloom.model.dashboard import BUCKETS, PERIODS
from metaloom.report import Span, before, bucket_for, buckets, end_of, filled, in_order, offered, span_of

SUNDAY = date(2026, 11, 22)
DAYS = [date(2024, 2, 29), date(2026, 1, 1), date(2026, 3, 31), SUNDAY, date(2026, 12, 31), date(2027, 2, 28)]


@pytest.mark.parametrize(("period", "since", "until"), [
    ("today", "2026-11-22", "2026-11-22"), ("this_week", "2026-11-16", "2026-11-22"), ("this_month", "2026-11-01", "2026-11-30"),
    ("this_quarter", "2026-10-01", "2026-12-31"), ("this_year", "2026-01-01", "2026-12-31"), ("last_7_days", "2026-11-16", "2026-11-22"),
    ("last_30_days", "2026-10-24", "2026-11-22"), ("last_90_days", "2026-08-25", "2026-11-22"), ("last_12_months", "2025-12-01", "2026-11-22"),
    ("next_7_days", "2026-11-22", "2026-11-28"), ("next_30_days", "2026-11-22", "2026-12-21"),
])
def test_the_days_of_each_period(period, since, until):
    assert span_of(period, SUNDAY) == Span(date.fromisoformat(since), date.fromisoformat(until))


def test_all_has_no_end_and_every_period_is_known():
    assert span_of("all", SUNDAY) is None
    for period in PERIODS:
        for day in DAYS:
            span = span_of(period, day)
            assert span is None or span.since <= day <= span.until, (period, day)


@pytest.mark.parametrize(("period", "how", "since", "until"), [
    ("today", "before", "2026-11-21", "2026-11-21"), ("this_week", "before", "2026-11-09", "2026-11-15"),
    ("this_month", "before", "2026-10-01", "2026-10-22"), ("this_quarter", "before", "2026-07-01", "2026-08-22"),
    ("this_year", "before", "2025-01-01", "2025-11-22"), ("last_30_days", "before", "2026-09-24", "2026-10-23"),
    ("last_12_months", "before", "2024-12-01", "2025-11-22"), ("this_month", "year_before", "2025-11-01", "2025-11-22"),
    ("today", "year_before", "2025-11-22", "2025-11-22"),
])
def test_a_period_is_compared_with_as_many_days_of_the_one_before(period, how, since, until):
    assert before(period, SUNDAY, how) == Span(date.fromisoformat(since), date.fromisoformat(until))


def test_a_comparison_never_reaches_into_the_period_itself_nor_beyond_its_own():
    for period in PERIODS:
        for day in DAYS:
            for how in ("before", "year_before"):
                span, earlier = span_of(period, day), before(period, day, how)
                if span is not None:
                    assert earlier is not None and earlier.since <= earlier.until and earlier.since < span.since, (period, day, how)
                    assert how == "year_before" or earlier.until < span.since, (period, day)
    assert before("this_month", date(2026, 3, 31), "before") == Span(date(2026, 2, 1), date(2026, 2, 28))
    assert before("today", date(2024, 2, 29), "year_before") == Span(date(2023, 2, 28), date(2023, 2, 28))


@pytest.mark.parametrize("unit", BUCKETS)
def test_buckets_cover_a_span_without_gap_or_overlap(unit):
    for day in DAYS:
        span = Span(day - timedelta(days=500), day)
        days = list(buckets(span, unit))
        assert days[0] <= span.since and end_of(days[-1], unit) >= span.until and days == sorted(set(days))
        assert all(end_of(one, unit) + timedelta(days=1) == other for one, other in zip(days, days[1:], strict=False))


def test_a_line_has_a_point_for_every_bucket_and_never_too_many():
    assert filled(Span(date(2026, 1, 30), date(2026, 2, 2)), "day", {date(2026, 1, 31): 7}, 0) == (
        (date(2026, 1, 30), 0), (date(2026, 1, 31), 7), (date(2026, 2, 1), 0), (date(2026, 2, 2), 0))
    for days in (1, 7, 31, 90, 365, 4000, 40_000):
        for wanted in ("", *BUCKETS):
            span = Span(SUNDAY - timedelta(days=days - 1), SUNDAY)
            assert len(list(buckets(span, bucket_for(span, wanted)))) <= 123
    assert bucket_for(Span(SUNDAY, SUNDAY)) == "day" and bucket_for(span_of("this_year", SUNDAY)) == "month"


def test_what_is_offered_begins_with_the_widgets_own():
    assert offered("this_quarter") == ("this_quarter", "today", "this_week", "this_month", "last_30_days", "this_year")
    assert offered("this_month") == ("today", "this_week", "this_month", "last_30_days", "this_year")
    assert "next_7_days" in offered("next_30_days") and "this_year" not in offered("next_30_days")


def test_groups_stand_as_their_keys_and_strangers_last():
    assert in_order([("x", 1), ("b", 2), ("a", 3), (None, 4)], ["a", "b"], lambda g: g[0]) == [("a", 3), ("b", 2), ("x", 1), (None, 4)]
