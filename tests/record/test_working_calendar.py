"""The working calendar out of its rows: own days of a company first, read again when a row changed, seeded once."""

from dataclasses import replace
from datetime import date, datetime

import pytest

from metaloom.base.errors import Conflict, Invalid, MetaloomError, NotAllowed, NotPossible
from metaloom.base.working_time import USUAL_HOURS, WorkingHours, add_working
from metaloom.command import change_record, create_record, delete_record
from metaloom.command.seed_calendar import seed_calendar
from metaloom.record.working_calendar import CALENDAR_DAY, calendar_of, hours_of, years_known
from tests.command.club import Club


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def club(request, tmp_path_factory):
    made = Club(tmp_path_factory.mktemp("home"), request.getfixturevalue("pg_url") if request.param == "postgresql" else "", "c_calendar")
    yield made
    made.close()


def kinds(club, *days, company=None):
    with club.tenant.read() as conn:
        calendar = calendar_of(conn, club.tenant.revision().tables, club.tenant.name, company)
    return [calendar.kind(day) for day in days]


def test_the_calendar_follows_its_rows(club):
    friday, saturday = date(2031, 1, 3), date(2031, 1, 4)
    assert kinds(club, friday, saturday) == ["workday", "holiday"]
    made = create_record(club.ctx("admin"), CALENDAR_DAY, {"day": friday, "kind": "holiday", "name": "台风"})
    create_record(club.ctx("admin"), CALENDAR_DAY, {"day": saturday, "kind": "workday"})
    create_record(club.ctx("admin"), CALENDAR_DAY, {"day": friday, "kind": "half", "company": club.south})
    assert kinds(club, friday, saturday) == ["holiday", "workday"]
    assert kinds(club, friday, saturday, company=club.south) == ["half", "workday"]
    assert kinds(club, friday, company=club.north) == ["holiday"]
    changed = change_record(club.ctx("admin"), CALENDAR_DAY, made.id, {"kind": "half"}, made.row_version)
    assert kinds(club, friday) == ["half"]
    delete_record(club.ctx("admin"), CALENDAR_DAY, made.id, changed.row_version)
    assert kinds(club, friday) == ["workday"] and kinds(club, friday, company=club.south) == ["half"]


def test_a_day_stands_once_and_only_administrators_change_it(club):
    create_record(club.ctx("admin"), CALENDAR_DAY, {"day": date(2032, 1, 1), "kind": "holiday"})
    with pytest.raises((Conflict, Invalid)):
        create_record(club.ctx("admin"), CALENDAR_DAY, {"day": date(2032, 1, 1), "kind": "half"})
    with pytest.raises(NotAllowed):
        create_record(club.ctx("clerk"), CALENDAR_DAY, {"day": date(2032, 1, 2), "kind": "half"})


def test_a_year_is_seeded_once_and_what_people_entered_stays(club):
    create_record(club.ctx("admin"), CALENDAR_DAY, {"day": date(2026, 2, 16), "kind": "half", "name": "除夕"})
    first = seed_calendar(club.system, 2026).results["days"]
    assert first > 25 and seed_calendar(club.system, 2026).results["days"] == 0
    festival, exchange = date(2026, 2, 17), date(2026, 2, 14)
    assert kinds(club, date(2026, 2, 16), festival, exchange, date(2026, 3, 7)) == ["half", "holiday", "workday", "holiday"]
    with club.tenant.read() as conn:
        assert 2026 in years_known(conn, club.tenant.revision().tables)
        calendar = calendar_of(conn, club.tenant.revision().tables, club.tenant.name)
    assert sum(calendar.works(date.fromordinal(n)) for n in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal())) == 248 + 1   # and the half day
    zone = club.tenant.zone
    start = datetime(2026, 2, 14, 17, 0, tzinfo=zone)
    assert add_working(start, 5, "hours", calendar, USUAL_HOURS, zone) == datetime(2026, 2, 24, 10, 0, tzinfo=zone)   # 1 + 3 + 1


def test_a_year_that_nobody_published_is_refused(club):
    with pytest.raises(NotPossible) as refused:
        seed_calendar(club.system, 2090)
    assert "2090" in refused.value.message.say("zh")
    with pytest.raises(MetaloomError):
        seed_calendar(club.ctx("clerk"), 2026)


def test_hours_come_from_the_settings_of_the_tenant(club):
    catalog = club.tenant.revision().catalog
    assert hours_of(catalog) == USUAL_HOURS

    assert hours_of(replace(catalog, settings={"working_hours": ["08:30-12:00", "14:00-17:30"]})) == WorkingHours.parse(["08:30-12:00", "14:00-17:30"])
