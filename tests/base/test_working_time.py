"""Working time: amounts and instants agree, whatever the calendar, the hours, the zone and the pauses."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloom.base.working_time import USUAL_HOURS, Calendar, NoWorkingTime, WorkingHours, add_working, working_between

SHANGHAI, BERLIN, NEW_YORK, KIRITIMATI = (ZoneInfo(name) for name in ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"))
# Spring Festival 2026: Sunday 15 February to Monday 23 off, Saturday 14 and Saturday 28 worked; New Year's Eve (16th) given as a half day here.
FESTIVAL = Calendar({date(2026, 2, 14): "workday", date(2026, 2, 16): "half", date(2026, 2, 28): "workday",
                     **{date(2026, 2, 17) + timedelta(n): "holiday" for n in range(7)}})
NIGHT = WorkingHours.parse(["00:00-06:00", "20:00-24:00"])


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize("start, amount, unit, expected", [
    ("2026-03-03 10:00", 1, "hours", "2026-03-03 11:00"),
    ("2026-03-03 11:30", 1, "hours", "2026-03-03 14:00"),             # over the noon break
    ("2026-03-03 17:00", 8, "hours", "2026-03-04 17:30"),             # 1 h, then 7 of 7.5 h of the next day
    ("2026-03-03 10:00", 2, "days", "2026-03-05 10:00"),
    ("2026-03-07 12:00", 1, "days", "2026-03-09 18:00"),              # Saturday: all of Monday
    ("2026-03-03 18:30", 1, "days", "2026-03-04 18:00"),
    ("2026-03-03 09:00", 1, "days", "2026-03-03 18:00"),
    ("2026-03-06 10:00", 1, "days", "2026-03-09 10:00"),              # over the weekend
    ("2026-02-13 10:00", 1, "days", "2026-02-14 10:00"),              # the Saturday is worked in exchange
    ("2026-02-14 18:00", 3, "hours", "2026-02-16 12:00"),             # the half day is its morning
    ("2026-02-14 18:00", 4, "hours", "2026-02-24 10:00"),             # and then the festival
    ("2026-02-14 18:00", Fraction(1, 2), "days", "2026-02-16 12:00"),
    ("2026-02-14 18:00", 1, "days", "2026-02-24 14:15"),              # half a day, and half of the next one's 7.5 h
    ("2026-03-03 10:07", 0, "days", "2026-03-03 10:07"),
])  # fmt: skip
def test_an_amount_ends_where_a_person_would_say(start, amount, unit, expected):
    assert add_working(at(start), amount, unit, FESTIVAL, USUAL_HOURS, SHANGHAI) == at(expected)


def test_a_pause_moves_the_end_by_the_working_time_in_it():
    pause = (at("2026-03-03 17:00"), at("2026-03-04 10:00"))             # two working hours
    assert add_working(at("2026-03-03 16:00"), 3, "hours", FESTIVAL, USUAL_HOURS, SHANGHAI) == at("2026-03-04 10:00")
    assert add_working(at("2026-03-03 16:00"), 3, "hours", FESTIVAL, USUAL_HOURS, SHANGHAI, pauses=[pause]) == at("2026-03-04 12:00")
    assert working_between(at("2026-03-03 16:00"), at("2026-03-04 12:00"), "hours", FESTIVAL, USUAL_HOURS, SHANGHAI, pauses=[pause]) == 3


def test_a_pause_without_end_has_no_end_beyond_it():
    pauses = [(at("2026-03-03 11:00"), None)]
    assert add_working(at("2026-03-03 10:00"), 1, "hours", FESTIVAL, USUAL_HOURS, SHANGHAI, pauses=pauses) == at("2026-03-03 11:00")
    with pytest.raises(ValueError, match="pause without end"):
        add_working(at("2026-03-03 10:00"), 2, "hours", FESTIVAL, USUAL_HOURS, SHANGHAI, pauses=pauses)
    assert working_between(at("2026-03-03 10:00"), at("2026-03-09 10:00"), "hours", FESTIVAL, USUAL_HOURS, SHANGHAI, pauses=pauses) == 1


def test_nights_of_clock_change_count_what_they_last():
    week = Calendar(weekend=frozenset())
    spring, autumn, plain = (working_between(at(f"{day} 00:00", BERLIN), at(f"{day} 12:00", BERLIN), "hours", week, NIGHT, BERLIN)
                             for day in ("2026-03-29", "2026-10-25", "2026-06-01"))
    assert (spring, autumn, plain) == (5, 7, 6)
    assert working_between(at("2026-03-29 00:00", BERLIN), at("2026-03-30 00:00", BERLIN), "days", week, NIGHT, BERLIN) == 1
    assert add_working(at("2026-03-28 22:00", BERLIN), 1, "days", week, NIGHT, BERLIN).astimezone(BERLIN).date() == date(2026, 3, 29)


@pytest.mark.parametrize("texts", [[], ["12:00-09:00"], ["09:00-09:00"], ["09:00-12:00", "11:00-13:00"], ["9"], ["09:00-25:00"], ["09:61-10:00"], ["09:00"]])
def test_hours_that_make_no_sense_are_refused(texts):
    with pytest.raises(ValueError):
        WorkingHours.parse(texts)


def test_a_negative_amount_and_a_calendar_without_work_are_refused():
    with pytest.raises(ValueError):
        add_working(at("2026-03-03 10:00"), -1, "hours", FESTIVAL, USUAL_HOURS, SHANGHAI)
    with pytest.raises(NoWorkingTime):
        add_working(at("2026-03-03 10:00"), 1, "days", Calendar(weekend=frozenset(range(7))), USUAL_HOURS, SHANGHAI)


_instants = st.datetimes(datetime(2025, 12, 20), datetime(2026, 12, 31)).map(lambda value: value.replace(tzinfo=UTC))
_calendars = st.dictionaries(st.dates(date(2025, 12, 1), date(2027, 2, 1)), st.sampled_from(["holiday", "workday", "half"]), max_size=120).map(Calendar)
_hours = st.sampled_from([USUAL_HOURS, NIGHT, WorkingHours.parse(["00:00-24:00"]), WorkingHours.parse(["08:30-17:00"]),
                          WorkingHours.parse(["01:15-02:30", "02:45-03:05", "22:00-23:59"])])
_zones = st.sampled_from([SHANGHAI, BERLIN, NEW_YORK, KIRITIMATI])
_amounts = st.one_of(st.integers(0, 40), st.fractions(0, 40, max_denominator=600))
_pauses = st.lists(st.tuples(_instants, st.timedeltas(timedelta(0), timedelta(days=20))).map(lambda p: (p[0], p[0] + p[1])), max_size=3)
_unit = st.sampled_from(["hours", "days"])
# a microsecond of the shortest half day of these hours (01:15 to 02:30, in a night that swallows half of it)
GRAIN = {"hours": Fraction(1, 3_600_000_000), "days": Fraction(1, 60_000_000)}


@settings(max_examples=150, deadline=None)
@given(_instants, _amounts, _unit, _calendars, _hours, _zones, _pauses)
def test_what_is_added_lies_between(start, amount, unit, calendar, hours, zone, pauses):
    end = add_working(start, amount, unit, calendar, hours, zone, pauses=pauses)
    found = working_between(start, end, unit, calendar, hours, zone, pauses=pauses)
    assert 0 <= found - amount < GRAIN[unit]
    if amount:
        just_before = working_between(start, end - timedelta(microseconds=1), unit, calendar, hours, zone, pauses=pauses)
        assert just_before < amount                                    # the first such instant


@settings(max_examples=150, deadline=None)
@given(_instants, st.timedeltas(timedelta(0), timedelta(days=30)), _amounts, _amounts, _unit, _calendars, _hours, _zones)
def test_later_starts_and_more_work_end_no_earlier(start, later, one, other, unit, calendar, hours, zone):
    small, large = sorted((one, other))
    end = add_working(start, small, unit, calendar, hours, zone)
    assert end <= add_working(start, large, unit, calendar, hours, zone)
    assert end <= add_working(start + later, small, unit, calendar, hours, zone)


@settings(max_examples=150, deadline=None)
@given(st.lists(_instants, min_size=3, max_size=3), _unit, _calendars, _hours, _zones, _pauses)
def test_parts_make_the_whole(instants, unit, calendar, hours, zone, pauses):
    a, b, c = instants

    def between(x, y):
        return working_between(x, y, unit, calendar, hours, zone, pauses=pauses)

    assert between(a, b) + between(b, c) == between(a, c)
