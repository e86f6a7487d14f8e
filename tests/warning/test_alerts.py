"""What a rule raises, refreshes, closes and raises again; by the job and on save, on both databases."""

from datetime import date, timedelta

import pytest

from metaloom.command import archive_record, change_record
from tests.warning.world import EXPIRY, TODAY, VISIT_DUE


def permit(depot, valid_to, **values):
    return depot.make("permit", code=f"P{valid_to}", valid_to=valid_to, worth="10.50", fee="0.25", **values)


@pytest.mark.parametrize(("days", "level"), [
    (31, None), (30, "info"), (16, "info"), (15, "yellow"), (8, "yellow"), (7, "orange"), (0, "orange"), (-1, "red"), (-400, "red"), (None, None),
])
def test_each_boundary_gives_its_level(depot, days, level):
    due = None if days is None else TODAY + timedelta(days=days)
    made = permit(depot, due)
    on_save = depot.alerts(made)
    assert [a["level"] for a in on_save] == ([level] if level else [])
    if level:
        found = on_save[0]
        assert (found["due_on"], found["days"], found["status"], found["cause"]) == (due, days, "open", due.isoformat())
        assert found["alert_no"] == f"YJ{found['id']:08d}" and found["permit_id"] == made
    depot.run(EXPIRY)
    assert depot.alerts(made) == on_save, "the job says what the save said"


def test_the_sentence_and_the_values_are_the_records_own(depot):
    made = depot.make("permit", code="甲'\"\\%", kind="cold", valid_to=date(2026, 3, 5), worth="-0.05", fee="1000000.10")
    found = depot.alert(made)
    assert found["subject"] == {"zh": "许可证 甲'\"\\%（冷藏，-0.05 元）于 2026-03-05 到期", "en": "Permit 甲'\"\\% (Cold, -0.05) ends on 2026-03-05"}
    assert str(found["worth"]) == "1000000.05"
    bare = depot.make("permit", code="乙", valid_to=date(2026, 3, 5))
    assert depot.alert(bare)["subject"]["en"] == "Permit 乙 (Dry, -) ends on 2026-03-05" and depot.alert(bare)["worth"] is None
    assert (found["company_id"], found["owner_id"]) == (depot.north, depot.people["keeper"])


def test_a_cause_that_goes_closes_and_one_that_comes_back_opens_anew(depot):
    made = permit(depot, TODAY)
    first = depot.alert(made)
    change(depot, made, valid_to=TODAY + timedelta(days=365))
    assert [a["status"] for a in depot.alerts(made)] == ["closed"] and depot.alert(made)["cleared_at"] is not None
    change(depot, made, valid_to=TODAY)
    found = depot.alerts(made)
    assert [a["status"] for a in found] == ["closed", "open"] and found[1]["id"] != first["id"]


def change(depot, made, **values):
    version = depot.tenant.revision().tables.of("depot.permit")
    import sqlalchemy as sa
    with depot.tenant.read() as conn:
        shown = conn.scalar(sa.select(version.c.row_version).where(version.c.id == made))
    return change_record(depot.ctx("keeper"), "depot.permit", made, values, shown)


def test_another_due_day_is_another_cause(depot):
    made = permit(depot, TODAY)
    change(depot, made, valid_to=TODAY + timedelta(days=3))
    assert [(a["status"], a["cause"]) for a in depot.alerts(made)] == [("closed", "2026-03-01"), ("open", "2026-03-04")]


def test_an_archived_record_warns_of_nothing(depot):
    made = permit(depot, TODAY)
    archive_record(depot.ctx("keeper"), "depot.permit", made, 1)
    assert depot.alert(made)["status"] == "closed"
    depot.run()
    assert len(depot.alerts(made)) == 1


def test_a_record_that_no_command_saw_is_found_by_the_job_and_once(depot):
    depot.insert("permit", [{"code": f"raw{i}", "active": True, "kind": "dry", "valid_to": TODAY, "company_id": depot.north} for i in range(25)])
    before = len(depot.alerts())
    assert depot.run(EXPIRY, dry_run=True).total.raised == 25 and len(depot.alerts()) == before
    assert depot.run(EXPIRY).total.raised == 25
    assert depot.run(EXPIRY).total.raised == 0 and len(depot.alerts()) == before + 25


def test_absence_is_a_cause_and_a_visit_ends_it(depot):
    made = depot.make("permit", code="seen", granted_on=date(2025, 1, 1))
    assert [a["status"] for a in depot.alerts(made, VISIT_DUE)] == ["open"]
    planned = depot.make("visit", permit=made, state="planned", done_on=TODAY)
    assert depot.alert(made, VISIT_DUE)["status"] == "open", "a planned visit is none"
    depot.make("visit", permit=made, done_on=TODAY - timedelta(days=91))
    assert depot.alert(made, VISIT_DUE)["status"] == "open", "91 days ago is too long ago"
    visit = depot.make("visit", permit=made, done_on=TODAY - timedelta(days=90))
    assert depot.alert(made, VISIT_DUE)["status"] == "closed", "90 days ago is soon enough"
    change_record(depot.ctx("keeper"), "depot.visit", visit, {"state": "planned"}, 1)
    assert [a["status"] for a in depot.alerts(made, VISIT_DUE)] == ["closed", "open"]
    change_record(depot.ctx("keeper"), "depot.visit", planned, {"state": "done"}, 1)
    assert depot.alert(made, VISIT_DUE)["status"] == "closed"


def test_a_visit_that_moves_to_another_permit_is_missed_at_the_first(depot):
    one, two = (depot.make("permit", code=c, granted_on=date(2025, 1, 1)) for c in "ab")
    visit = depot.make("visit", permit=one, done_on=TODAY)
    assert [depot.alert(p, VISIT_DUE)["status"] for p in (one, two)] == ["closed", "open"]
    change_record(depot.ctx("keeper"), "depot.visit", visit, {"permit": two}, 1)
    assert [depot.alert(p, VISIT_DUE)["status"] for p in (one, two)] == ["open", "closed"]
