"""A step that is signed: the password again, counted like logins, written in the log (A06)."""

from datetime import timedelta

import pytest

from metaloom import command
from metaloom.base.errors import Invalid, NotAllowed, TooMany
from metaloom.command import decide_task, decide_tasks
from metaloom.command.sign import TRIES
from tests.command.guild import NOW

PASSWORD = "right-horse-7"


@pytest.fixture
def signed(guild):
    """A case that waits for the checker's signature: (case, task, record version)."""
    command.set_password(guild.system, guild.people["checker"], PASSWORD)
    case = guild.start("signed")
    yield case, guild.open_task(case, "checker"), guild.version(guild.case(case)["record_id"])
    guild.clock.at = NOW


@pytest.mark.parametrize("decision", ["pass", "reject", "return"])
def test_no_decision_of_a_signed_step_goes_without_the_password(guild, signed, decision):
    case, task, version = signed
    before = guild.log(case)
    for password in ("", "wrong-horse-7"):
        with pytest.raises(Invalid) as refused:
            decide_task(guild.ctx("checker"), task, decision, "可", record_version=version, password=password)
        assert [p.field for p in refused.value.problems] == ["password"]
    assert guild.log(case) == before
    decide_task(guild.ctx("checker"), task, decision, "可", record_version=version, password=PASSWORD)
    decided = next(row["data"] for row in guild.rows("approval_event", case_id=case) if row["kind"] == "decided")
    assert decided["signed"] is True and PASSWORD not in str(guild.rows("approval_event", case_id=case))
    assert PASSWORD not in str(guild.rows("audit", record_id=case))
    guild.check(case)


def test_a_step_that_is_not_signed_keeps_its_log_as_it_was(guild):
    case = guild.start("three")
    guild.decide(case, "checker")
    assert all("signed" not in row["data"] for row in guild.rows("approval_event", case_id=case))


def test_several_at_once_are_not_signed_by_one_click(guild, signed):
    case, task, version = signed
    (outcome,) = decide_tasks(guild.ctx("checker"), {task: version}, "pass", "可")
    assert isinstance(outcome.error, Invalid) and guild.case(case)["current_steps"] == "签字"


def test_the_password_of_somebody_else_signs_nothing_and_strangers_stay_out(guild, signed):
    case, task, version = signed
    command.set_password(guild.system, guild.people["master"], "other-horse-8")
    with pytest.raises(Invalid):
        decide_task(guild.ctx("checker"), task, "pass", record_version=version, password="other-horse-8")
    with pytest.raises(NotAllowed):
        decide_task(guild.ctx("clerk"), task, "pass", record_version=version, password="")
    assert guild.case(case)["current_steps"] == "签字"


def test_a_delegate_answers_without_a_password(guild, signed):
    case, task, version = signed
    guild.move(case, "checker", "delegate", task, to=guild.people["master"])
    guild.decide(case, "master", "resolve", "看过", step="sign")
    with pytest.raises(Invalid):
        guild.decide(case, "checker", step="sign")
    guild.decide(case, "checker", step="sign", password=PASSWORD)
    guild.check(case)


def test_tries_are_limited_and_a_right_password_begins_them_anew(guild, signed):
    case, task, version = signed

    def attempt(password):
        return decide_task(guild.ctx("checker"), task, "pass", "可", record_version=version, password=password)

    guild.clock.at = NOW + timedelta(hours=1)          # a window of its own
    for _ in range(TRIES):
        with pytest.raises(Invalid):
            attempt("wrong-horse-7")
    with pytest.raises(TooMany):
        attempt(PASSWORD)                              # even the right one
    guild.clock.at += timedelta(minutes=16)
    with pytest.raises(Invalid):
        attempt("wrong-horse-7")
    assert attempt(PASSWORD).results["status"] == "running"
    assert guild.case(case)["current_steps"] == "复核"
