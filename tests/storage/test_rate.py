"""Counters of a time window: what is over begins anew and then counts on."""

from datetime import UTC, datetime, timedelta

from metaloom.storage import rate

WINDOW = timedelta(minutes=15)
BEGIN = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


def test_a_window_that_is_over_begins_anew_and_counts_on(tenant):
    def hits(at):
        with tenant.write() as conn:
            return rate.count(conn, rate.counter("test", "anew"), at, WINDOW).hits

    assert [hits(BEGIN), hits(BEGIN + timedelta(minutes=1))] == [1, 2]
    later = BEGIN + timedelta(hours=1)
    assert [hits(later + timedelta(seconds=n)) for n in range(4)] == [1, 2, 3, 4], "the second window keeps its beginning"
    assert hits(later + WINDOW) == 1
