"""Jobs from the metadata: due once, done once for each record, failures told and run again, by hand, cancelled."""

import sys
from datetime import UTC, date, datetime, timedelta
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Busy, NotAllowed, NotFound, NotPossible
from metaloom.command import cancel_run, move_business_date, pause_job, rerun_failed, run_job, start_job
from tests.job.hall import EARLY, Hall

DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def hall(request, tmp_path):
    made = Hall(tmp_path / "home", request.getfixturevalue("pg_url") if request.param == "postgresql" else "", f"j_{request.node.name[5:20]}".rstrip("_["))
    yield made
    made.close()


def test_a_job_is_due_at_its_hour_and_runs_once(hall):
    members = hall.members(3)
    assert hall.tick() == 0 and hall.tick() == 0                    # known from now on
    hall.clock.at = EARLY + DAY
    assert hall.tick() == 2                                          # fees, and the sweep's latest
    assert hall.tick() == 0
    hall.work()
    run, = hall.runs()
    assert (run["status"], run["total"], run["done"], run["failed"], run["origin"]) == ("done", 4, 4, 0, "schedule")
    assert hall.charged() == dict.fromkeys(members, 1)
    told = hall.engine_rows("message")
    assert {row["receiver_id"] for row in told} == {hall.people[name] for name in ("chief", "boss", "far_chief")}
    assert told[0]["subject"] == "收费完成 3，失败 0"
    assert hall.runs("club.sweep", status="done")


def test_missed_days_are_made_up_one_by_one_and_in_order(hall):
    members = hall.members(2)
    hall.tick()
    hall.clock.at = EARLY + 3 * DAY
    hall.tick()
    assert [row["origin"] for row in hall.runs()] == ["catch_up", "catch_up", "schedule"]
    assert len(hall.runs("club.sweep")) == 1                         # latest only
    hall.work()
    runs = hall.runs()
    assert [row["status"] for row in runs] == ["done"] * 3
    assert all(one["finished_at"] <= other["started_at"] for one, other in zip(runs, runs[1:], strict=False))
    assert hall.charged() == dict.fromkeys(members, 3)


def test_a_business_date_that_moves_runs_each_day_of_each_company(hall):
    members = hall.members(2)
    hall.tick()
    move_business_date(hall.system, hall.north, date(2026, 3, 4))
    hall.tick()
    hall.tick()
    runs = hall.runs("club.day")
    assert [(row["company_id"], row["business_date"].day, row["origin"]) for row in runs] == [
        (hall.north, 2, "catch_up"), (hall.north, 3, "catch_up"), (hall.north, 4, "schedule")]
    move_business_date(hall.system, hall.south, date(2026, 3, 2))
    hall.tick()
    hall.work()
    hall.expire()
    hall.work()
    assert {row["status"] for row in hall.runs("club.day")} == {"done"}
    south = hall.runs("club.day", company_id=hall.south)
    assert [row["total"] for row in south] == [0]                    # nobody of the north is touched by the south's day
    assert hall.charged() == dict.fromkeys(members, 3)


def test_a_record_that_fails_is_told_and_the_others_are_done(hall):
    good, bad = hall.members(2), hall.members(1, rating=5000)
    more = hall.members(1)
    hall.tick()
    hall.clock.at = EARLY + DAY
    hall.tick()
    hall.work()
    run, = hall.runs()
    assert (run["status"], run["done"], run["failed"]) == ("partial", 4, 1)
    error, = hall.errors(run["id"])
    assert (error["entity"], error["record_id"], error["step"]) == ("club.member", bad[0], 0)
    assert error["sentence"] and error["sentence_en"] and error["sentence"] != error["sentence_en"]
    assert hall.charged() == dict.fromkeys([*good, *more], 1)
    hall.rate(bad[0], 7)
    again = rerun_failed(hall.ctx("admin"), run["id"])
    with pytest.raises(NotPossible):
        rerun_failed(hall.ctx("admin"), run["id"])
    hall.work()
    rerun = hall.runs(id=again.id)[0]
    assert (rerun["status"], rerun["total"], rerun["done"], rerun["rerun_of_id"]) == ("done", 1, 1, run["id"])
    assert hall.charged() == dict.fromkeys([*good, *bad, *more], 1)
    with pytest.raises(NotPossible):
        rerun_failed(hall.ctx("admin"), again.id)                    # nothing failed in it


def test_a_dry_run_reports_and_keeps_nothing(hall):
    hall.members(2)
    hall.members(1, rating=5000)
    hall.tick()
    before = hall.dump()
    made = start_job(hall.ctx("admin"), hall.job_id("club.fees"), dry_run=True)
    hall.work()
    run = hall.runs(id=made.id)[0]
    assert (run["status"], run["done"], run["failed"], run["dry_run"]) == ("partial", 3, 1, True)
    after = hall.dump()
    assert {name: after[name] - before[name] for name in before if after[name] != before[name]} == {"outbox": 1, "audit": 1}
    assert not hall.engine_rows("message")
    with pytest.raises(NotPossible):
        rerun_failed(hall.ctx("admin"), made.id)


def test_a_job_runs_with_the_rights_of_its_role(hall):
    drafts = [hall.new().id for _ in range(2)]
    hall.tick()
    made = start_job(hall.ctx("admin"), hall.job_id("club.chief_only"))
    hall.work()
    assert hall.runs("club.chief_only", id=made.id)[0]["done"] == 2
    assert {hall.row("club.member", one)["status"] for one in drafts} == {"active"}


@pytest.mark.parametrize("gone", [{"active": False}, {"archived_at": EARLY}], ids=["switched off", "archived"])
def test_a_run_that_somebody_began_does_nothing_once_the_account_is_switched_off(hall, gone):
    drafts = [hall.new().id for _ in range(2)]
    hall.tick()
    made = start_job(hall.ctx("admin"), hall.job_id("club.chief_only"))
    users = hall.tenant.revision().tables.engine.user
    with hall.tenant.write() as conn:
        conn.execute(users.update().where(users.c.id == hall.people["admin"]).values(**gone))
    hall.work()
    run, = hall.runs("club.chief_only", id=made.id)
    assert (run["status"], run["done"]) == ("failed", 0)
    assert [error["sentence_en"] for error in hall.errors(made.id)] == ["The account of whoever started the run is switched off; nothing was done."]
    assert {hall.row("club.member", one)["status"] for one in drafts} == {"draft"}
    hall.clock.at = EARLY + DAY
    hall.tick()
    hall.work()
    assert hall.runs()[0]["status"] == "done", "the schedule needs nobody"


def test_only_who_keeps_jobs_may_start_pause_and_cancel(hall):
    hall.tick()
    job = hall.job_id("club.fees")
    for person, refusal in (("clerk", (NotAllowed, NotFound)), ("guest", (NotAllowed, NotFound))):
        for act in (lambda ctx: start_job(ctx, job), lambda ctx: pause_job(ctx, job, True), lambda ctx: cancel_run(ctx, 1)):
            with pytest.raises(refusal):
                act(hall.ctx(person))
    with pytest.raises(NotFound):
        start_job(hall.ctx("admin"), 10**6)
    with pytest.raises(NotPossible):
        start_job(hall.ctx("admin"), hall.job_id("club.day"))        # for which company?
    assert not hall.runs()


def test_a_paused_job_waits_and_makes_nothing_up(hall):
    hall.tick()
    job = hall.job_id("club.fees")
    pause_job(hall.ctx("admin"), job, True)
    with pytest.raises(NotPossible):
        pause_job(hall.ctx("admin"), job, True)
    hall.clock.at = EARLY + 2 * DAY
    hall.tick()
    assert not hall.runs()
    pause_job(hall.ctx("admin"), job, False)
    hall.tick()
    assert not hall.runs()
    hall.clock.at = EARLY + 3 * DAY
    hall.tick()
    assert len(hall.runs()) == 1


def test_a_cancelled_run_keeps_what_it_did_and_does_no_more(hall, monkeypatch):
    from metaloom.command import run_job

    members = hall.members(4)
    hall.tick()
    made = start_job(hall.ctx("admin"), hall.job_id("club.fees"))
    act, seen = run_job._act, []

    def watched(going, unit, step, record_id):
        seen.append(record_id)
        return act(going, unit, step, record_id)

    def stop(name):
        if name == "run.after_record" and len(seen) == 2:
            cancel_run(hall.ctx("admin"), made.id)

    monkeypatch.setattr(run_job, "_act", watched)
    monkeypatch.setattr(run_job, "crash_point", stop)
    hall.work()
    run = hall.runs(id=made.id)[0]
    assert (run["status"], run["done"]) == ("cancelled", 2) and sum(hall.charged().values()) == 2
    hall.expire()
    hall.work()
    assert sum(hall.charged().values()) == 2 and set(hall.charged()) <= set(members)
    with pytest.raises(NotPossible):
        cancel_run(hall.ctx("admin"), made.id)


def test_a_long_run_gives_way_to_other_work(hall):
    members = hall.members(4)
    hall.tick()
    start_job(hall.ctx("admin"), hall.job_id("club.fees"))
    rows = hall.work(slice_seconds=0.0001)
    assert rows >= 2 or hall.runs()[0]["status"] != "done"
    for _ in range(30):
        hall.expire()
        hall.work(slice_seconds=0.05)
    assert hall.runs()[0]["status"] == "done" and hall.charged() == dict.fromkeys(members, 1)


def test_a_job_that_was_changed_or_taken_out_meanwhile_ends_with_a_reason(hall):
    from metaloom import schema_change
    from metaloom.compile import Source
    from tests.command.club import sources
    from tests.job.hall import JOBS

    hall.members(1)
    hall.tick()
    start_job(hall.ctx("admin"), hall.job_id("club.fees"))
    schema_change.publish(hall.tenant, (*sources(), Source("pack", "club/jobs.yaml", JOBS.replace("  fees:", "  other:"))))
    hall.work()
    run, = hall.runs()
    assert run["status"] == "failed" and "club.fees" in hall.errors(run["id"])[0]["sentence"]
    hall.tick()
    assert {row["job"]: row["active"] for row in hall.engine_rows("scheduled_job")}["club.fees"] is False


def test_a_run_whose_job_could_not_be_read_for_a_moment_waits_and_is_not_failed(hall, monkeypatch):
    member, = hall.members(1)
    hall.tick()
    start_job(hall.ctx("admin"), hall.job_id("club.fees"))
    with monkeypatch.context() as patched:
        patched.setattr(run_job, "job_of", Mock(side_effect=Busy()))
        hall.work()
    run, = hall.runs()
    assert run["status"] == "waiting" and not hall.errors(run["id"])
    hall.expire()
    hall.work()
    assert [one["status"] for one in hall.runs()] == ["done"] and hall.charged() == {member: 1}


def test_the_hour_is_that_of_the_client(hall):
    from metaloom import schema_change
    from metaloom.compile import Source
    from tests.command.club import sources
    from tests.job.hall import JOBS

    card = "tenant: {label: {zh: 甲, en: A}, packs: [platform, club], settings: {zone: Europe/Berlin}}\n"
    schema_change.publish(hall.tenant, (*sources(), Source("pack", "club/jobs.yaml", JOBS), Source("client", "tenant.yaml", card)))
    hall.tick()
    assert str(hall.tenant.zone) == "Europe/Berlin"
    due = next(row["next_at"] for row in hall.engine_rows("scheduled_job") if row["job"] == "club.fees")
    assert due.isoformat() == "2026-03-02T05:00:00+00:00"


def test_a_step_evaluates_warnings_and_a_dry_run_raises_none(hall):
    from metaloom import schema_change
    from metaloom.compile import Source
    from tests.command.club import sources

    rule = """warnings:
  poor:
    label: {zh: 会费偏低, en: Low fee}
    when: "fee < 500"
    subject: {zh: "{name}", en: "{name}"}
"""
    job = "jobs:\n  watch: {label: {zh: 预警, en: Watch}, steps: [{evaluate_warnings: [member/poor]}]}\n"
    schema_change.publish(hall.tenant, (*sources(), Source("pack", "club/jobs.yaml", job), Source("pack", "club/desk/member/poor.yaml", rule)))
    hall.members(2)
    hall.tick()
    with hall.tenant.write() as conn:
        conn.execute(hall.tenant.revision().tables.of("platform.alert").delete())
    ctx = hall.ctx("admin")
    start_job(ctx, hall.job_id("club.watch"), dry_run=True)
    hall.work()
    assert hall.number_of("platform.alert") == 0
    start_job(ctx, hall.job_id("club.watch"))
    hall.work()
    assert hall.number_of("platform.alert") == 2
    assert [(row["status"], row["done"]) for row in hall.runs("club.watch")] == [("done", 1), ("done", 1)]


def test_rules_over_very_many_records_keep_the_lease_and_stop_where_another_worker_has_it(hall, monkeypatch):
    from metaloom import schema_change
    from metaloom.compile import Source
    from tests.command.club import sources

    rule = "  {0}: {{label: {{zh: 会费偏低, en: Low fee}}, when: fee < 500, subject: {{zh: '{{name}}', en: '{{name}}'}}}}\n"
    job = "jobs:\n  watch: {label: {zh: 预警, en: Watch}, steps: [{evaluate_warnings: [member/poor, member/poorer]}]}\n"
    rules = "warnings:\n" + rule.format("poor") + rule.format("poorer")
    schema_change.publish(hall.tenant, (*sources(), Source("pack", "club/jobs.yaml", job), Source("pack", "club/desk/member/poor.yaml", rules)))
    hall.members(1)
    hall.tick()
    evaluation, outbox = sys.modules["metaloom.command.evaluate_warnings"], hall.tenant.revision().tables.engine.outbox
    plain, leases, taken = evaluation._one_range, [], []

    def slow(ctx, rule, ids, summary):
        with hall.tenant.write() as conn:
            row = outbox.c.kind == "job.run", outbox.c.state == "running"
            leases.append(conn.scalar(sa.select(outbox.c.lease_until).where(*row)))
            conn.execute(outbox.update().where(*row).values(fence=outbox.c.fence + 1) if taken else
                         outbox.update().where(*row).values(lease_until=datetime(2001, 1, 1, tzinfo=UTC)))
        return plain(ctx, rule, ids, summary)

    monkeypatch.setattr(evaluation, "_one_range", slow)
    for other, ranges in ((False, 2), (True, 1)):
        leases.clear()
        taken[:] = [True] * other
        start_job(hall.ctx("admin"), hall.job_id("club.watch"))
        hall.work()
        assert len(leases) == ranges and all(one.year > 2001 for one in leases)


def days(hall):
    with hall.tenant.read() as conn:
        company = hall.tenant.revision().tables.of("platform.company")
        return {row.id: row.business_date for row in conn.execute(sa.select(company.c.id, company.c.business_date))}


def test_the_date_of_each_company_moves_at_midnight_once_somebody_resumed_the_job(hall):
    for company in (hall.north, hall.south):
        move_business_date(hall.system, company, date(2026, 3, 2))
    hall.tick()
    hall.clock.at = datetime(2026, 3, 2, 16, 6, tzinfo=UTC)            # 00:06 of the third in Shanghai
    hall.tick()
    assert not hall.runs("club.switch"), "paused until somebody wants it"
    pause_job(hall.ctx("admin"), hall.job_id("club.switch"), False)
    hall.tick()
    assert not hall.runs("club.switch"), "what was due meanwhile is not made up for"
    hall.clock.at += DAY
    hall.tick()
    hall.work()
    assert {row["status"] for row in hall.runs("club.switch")} == {"done"} and len(hall.runs("club.switch")) == 2
    assert {days(hall)[company] for company in (hall.north, hall.south)} == {date(2026, 3, 4)}, "two days at once"
    hall.tick()
    assert len(hall.runs("club.day")) == 4, "each day of each company follows"
    move_business_date(hall.system, hall.north, date(2026, 3, 20))
    hall.clock.at += DAY
    hall.tick()
    hall.work()
    assert (days(hall)[hall.north], days(hall)[hall.south]) == (date(2026, 3, 20), date(2026, 3, 5)), "never back"


def test_a_clock_that_is_far_ahead_moves_no_date_and_is_told(hall):
    for company in (hall.north, hall.south):
        move_business_date(hall.system, company, date(2026, 3, 2))
    hall.tick()
    pause_job(hall.ctx("admin"), hall.job_id("club.switch"), False)
    hall.tick()
    hall.clock.at += timedelta(days=3650)
    hall.tick()
    hall.work()
    assert {row["status"] for row in hall.runs("club.switch")} == {"failed"} and {days(hall)[one] for one in (hall.north, hall.south)} == {date(2026, 3, 2)}
    told = [row for row in hall.engine_rows("message") if "营业日期" in row["subject"]]
    assert {row["receiver_id"] for row in told} >= {hall.people["chief"]} and "超过 3 天" in told[0]["subject"]


def test_a_process_with_another_master_key_takes_no_work(hall, monkeypatch, caplog):
    hall.members(1)
    hall.tick()
    hall.clock.at = EARLY + DAY
    hall.tick()
    good = hall.tenant.secrets._master_key
    monkeypatch.setattr(hall.tenant.secrets, "_master_key", b"x" * 32)
    monkeypatch.setattr(hall.tenant.secrets, "_known", None)
    assert hall.work() == hall.work() == 0 and {row["status"] for row in hall.runs()} == {"waiting"}
    assert sum("METALOOM_MASTER_KEY" in line for line in caplog.messages) == 1
    monkeypatch.setattr(hall.tenant.secrets, "_master_key", good)
    assert hall.work() and hall.runs(status="done")
