"""What happens without a person: limits that run out, sub-chains that end, deaths of the process."""

import os
from datetime import timedelta

import pytest

from metaloom.base.errors import MetaloomError
from metaloom.command import decide_task, handle_sub_done, handle_timer
from tests import forked
from tests.command.guild import NOW, PAPER

CHILD = """
import sys
from metaloom.access import plan_for
from metaloom.base.clock import FixedClock
from metaloom.command import Context, decide_task
from metaloom.storage import Settings, Tenancy
from tests.command.guild import NOW
home, url, name, user, task, version = sys.argv[1:]
tenant = Tenancy(Settings.from_env({"METALOOM_HOME": home, "METALOOM_DATABASE_URL": url})).open(name)
revision = tenant.revision()
with tenant.read() as conn:
    plan = plan_for(conn, revision, int(user))
ctx = Context(tenant=tenant, revision=revision, actor=plan.actor, plan=plan, clock=FixedClock(NOW), idempotency_key="crash-" + task)
decide_task(ctx, int(task), "pass", "可", fields={"advice": "死前所写"}, record_version=int(version))
"""


def timers(guild, case):
    return [row for row in guild.rows("outbox", kind="approval.timer") if row["payload"]["case"] == case]


@pytest.fixture
def late(guild):
    """Moves the clock, and back afterwards."""
    yield lambda **delta: setattr(guild.clock, "at", NOW + timedelta(**delta))
    guild.clock.at = NOW


def fire(guild, row):
    return handle_timer(guild.tenant, row, clock=guild.clock)["moved"]


def test_a_limit_is_reckoned_in_working_time_and_escalates_once_each(guild, late):
    case = guild.start("timed")
    task = guild.tasks(case)[0]
    assert task["due_at"] - NOW == timedelta(hours=24, minutes=30), "6.5 of the 8 hours are left of Monday at 10:00, so Tuesday at 10:30"
    (first,) = timers(guild, case)
    assert first["run_after"] == task["due_at"]
    assert fire_refused(guild, first), "not before its time"
    late(hours=25)
    assert fire(guild, first)
    assert not fire(guild, first), "the same row again does nothing"
    assert guild.log(case).count("expired") == 1 and guild.log(case).count("reminded") == 1
    assert [m["kind"] for m in guild.rows("message", receiver_id=guild.people["checker"])][-1] == "approval.late"
    second = timers(guild, case)[1]
    assert second["run_after"] - first["run_after"] == timedelta(days=1)
    late(hours=60)
    assert fire(guild, second)
    open_ = [t for t in guild.tasks(case) if t["status"] == "open"]
    assert [t["assignee_id"] for t in open_] == [guild.people["master"]]
    guild.check(case)


def fire_refused(guild, row):
    try:
        fire(guild, row)
    except MetaloomError:
        return True
    return False


def test_a_decided_task_and_a_paused_one_do_not_expire(guild, late):
    decided, paused = guild.start("timed"), guild.start("timed")
    guild.decide(decided, "checker")
    task = guild.open_task(paused, "checker")
    guild.move(paused, "checker", "pause", task)
    (old,) = timers(guild, paused)
    late(hours=30)
    assert not fire(guild, timers(guild, decided)[0])
    assert not fire(guild, old)
    guild.move(paused, "checker", "wake", task)
    new = timers(guild, paused)[-1]
    assert new["id"] != old["id"] and new["run_after"] > old["run_after"]
    assert not fire(guild, old), "set anew: the old row is void"
    guild.check(decided, paused)


def test_a_sub_chain_passes_or_rejects_the_step_that_waits_for_it(guild):
    from metaloom.command import create_record

    for decision, status in (("pass", "running"), ("reject", "rejected")):
        paper = create_record(guild.ctx("clerk"), PAPER, {"name": "公文"}).id
        case = guild.start("sealed", record=guild.request(paper=paper))
        (child,) = guild.rows("approval_case", parent_case_id=case)
        assert (child["entity"], child["record_id"], child["initiator_id"]) == (PAPER, paper, guild.people["clerk"])
        guild.decide(child["id"], "payer", decision)
        (row,) = [r for r in guild.rows("outbox", kind="approval.sub_done") if r["payload"]["case"] == case]
        assert guild.case(case)["status"] in ("running", "waiting")
        handle_sub_done(guild.tenant, row, clock=guild.clock)
        handle_sub_done(guild.tenant, row, clock=guild.clock)
        assert guild.case(case)["status"] == status
        assert guild.log(case).count("sub_closed") == 1
        guild.check(case, child["id"])
    last = guild.start("sealed", record=guild.request(paper=create_record(guild.ctx("clerk"), PAPER, {"name": "公文"}).id))
    (child,) = guild.rows("approval_case", parent_case_id=last)
    guild.move(last, "clerk", "withdraw")
    assert (guild.case(last)["status"], guild.case(child["id"])["status"]) == ("withdrawn", "terminated")
    guild.check(last, child["id"])


@pytest.mark.parametrize("point", ["approval.decided", "approval.logged", "approval.stored", "write.before_commit", "write.after_commit"])
def test_a_death_in_the_middle_of_a_decision_leaves_all_of_it_or_nothing(guild, point):
    case = guild.start()
    record = guild.case(case)["record_id"]
    task, version = guild.open_task(case), guild.version(record)
    settings = guild.tenant.settings
    given = (settings.home, settings.database_url or "", guild.tenant.name, guild.people["checker"], task, version)
    run = forked.run(CHILD, *given, env={**os.environ, "METALOOM_CRASH_POINT": point})
    assert run.returncode == -9, run.stderr[-2000:]
    committed = point == "write.after_commit"
    assert guild.log(case).count("decided") == int(committed)
    assert (guild.record(record)["advice"] == "死前所写") is committed
    guild.check(case)
    again = decide_task(guild.ctx("checker", idempotency_key=f"crash-{task}"), task, "pass", "可", fields={"advice": "死前所写"}, record_version=version)
    assert again.replayed is committed
    assert guild.log(case).count("decided") == 1
    guild.check(case)
