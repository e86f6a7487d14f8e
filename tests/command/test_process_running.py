"""Processes as people meet them: started by an action, answered from outside, waiting, handed to people, ended."""

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Stale
from metaloom.command import (
    archive_record,
    change_record,
    continue_by_hand,
    give_up_process,
    retry_process,
    run_log,
    run_shown,
    start_process,
)
from tests.command.hire import ORDER, sources


def status(hire, run):
    return hire.run(run)["status"]


def lost(hire, tries=3, **values):
    """A run that waits for people, because the service outside never answered."""
    hire.told().plan(*["lost"] * tries)
    record, run = hire.asked(**values)
    hire.drain()
    for _ in range(tries):
        hire.pass_time(minutes=2)
    assert status(hire, run) == "manual", hire.log(run)
    return record, run


def test_a_process_runs_from_the_action_that_starts_it_to_its_end(hire):
    hire.told().plan("found")
    record, run = hire.asked()
    assert hire.run(run)["status"] == "ready" and hire.run(run)["starter_id"] == hire.people["clerk"]
    hire.drain()
    row, order = hire.run(run), hire.record(record)
    assert (row["status"], order["status"], order["score"], order["judged"], order["asker"]) == ("done", "good", 80, 1, "clerk"), row
    called = hire.rows("process_step", run_id=run, kind="called")[0]["data"]
    assert [call["reference"] for call in hire.calls(record)] == [called["reference"]]
    assert hire.calls(record)[0]["subject"] == {"name": order["name"], "amount": "100.00"}
    assert hire.log(run) == ["started", "entered", "passed", "entered", "called", "answered", "passed", "entered", "passed", "entered", "passed", "ended"]
    hire.check()


def test_the_answer_decides_the_branch(hire):
    for word, end in (("not_found", "bad"), ("score40", "bad"), ("score50", "good")):
        hire.told().plan(word)
        record, run = hire.asked()
        hire.drain()
        assert (hire.record(record)["status"], status(hire, run)) == (end, "done"), word


def test_one_open_run_for_a_record_and_process(hire):
    record = hire.order()
    hire.act("clerk", record, "deliver")
    with pytest.raises(NotPossible, match="is running for"):
        hire.act("clerk", record, "deliver")
    with pytest.raises(NotPossible, match="is running for"):
        start_process(hire.ctx("clerk"), ORDER, record, "deliver")
    assert len(hire.runs(record)) == 1


def test_no_answer_is_asked_again_with_the_same_reference_and_request(hire):
    hire.told().plan("lost", "nonsense", "found")
    record, run = hire.asked()
    hire.drain()
    assert status(hire, run) == "again" and len(hire.calls(record)) == 1
    change_record(hire.ctx("clerk"), ORDER, record, {"amount": 900}, hire.record(record)["row_version"])
    hire.drain()
    assert len(hire.calls(record)) == 1, "not before its time"
    hire.pass_time(seconds=10)
    assert len(hire.calls(record)) == 2
    hire.pass_time(seconds=10)
    assert len(hire.calls(record)) == 2, "the pause grows"
    hire.pass_time(seconds=10)
    assert status(hire, run) == "done"
    calls = hire.calls(record)
    assert len({call["reference"] for call in calls}) == 1 and {call["subject"]["amount"] for call in calls} == {"100.00"}
    hire.check()


def test_people_take_over_when_nobody_answers_and_may_try_again(hire):
    record, run = lost(hire)
    assert len(hire.calls(record)) == 3
    assert "没有给出结果" in hire.run(run)["error"] and "no answer" in hire.run(run)["error_en"]
    told = hire.rows("message", link=f"/process/{run}")
    assert {row["receiver_id"] for row in told} == {hire.people["chief"], hire.people["both"]}
    with pytest.raises(NotAllowed):
        retry_process(hire.ctx("clerk"), run)
    with pytest.raises(NotFound):
        retry_process(hire.ctx("guest"), run)
    hire.told().plan("found")
    retry_process(hire.ctx("chief"), run)
    hire.drain()
    assert status(hire, run) == "done"
    assert len({call["reference"] for call in hire.calls(record)}) == 1, "also after people asked for another try"
    hire.check()


def test_a_result_entered_by_hand_goes_on_like_an_answer(hire):
    record, run = lost(hire)
    with pytest.raises(Invalid):
        continue_by_hand(hire.ctx("chief"), run, {"outcome": "found", "score": 90})                       # without saying why
    with pytest.raises(Invalid):
        continue_by_hand(hire.ctx("chief"), run, {"outcome": "unavailable", "score": 90}, "电话核实")
    with pytest.raises(Invalid):
        continue_by_hand(hire.ctx("chief"), run, {"outcome": "found", "score": "many"}, "电话核实")
    with pytest.raises(Invalid):
        continue_by_hand(hire.ctx("chief"), run, {"outcome": "found", "rank": 1}, "电话核实")
    continue_by_hand(hire.ctx("chief"), run, {"outcome": "found", "score": 90}, "电话核实")
    hire.drain()
    assert (status(hire, run), hire.record(record)["score"]) == ("done", 90)
    entered = [row for row in hire.rows("audit", command="continue_process") if row["record_id"] == run]
    assert entered[0]["reason"] == "电话核实" and entered[0]["actor_id"] == hire.people["chief"]
    hire.check()


def test_whoever_started_it_does_not_answer_in_the_place_of_the_outside(hire):
    record, run = lost(hire, who="both")
    with pytest.raises(NotAllowed, match="started it"):
        continue_by_hand(hire.ctx("both"), run, {"outcome": "found", "score": 99}, "我知道")
    with pytest.raises(NotAllowed):
        continue_by_hand(hire.ctx("admin"), run, {"outcome": "found", "score": 99}, "我知道")
    assert "submit" not in run_shown(hire.ctx("both"), run).may and "submit" in run_shown(hire.ctx("chief"), run).may
    assert hire.record(record)["judged"] == 0


def test_giving_up_needs_a_reason_and_undoes_what_was_gone_through(hire):
    record, run = lost(hire)
    with pytest.raises(NotPossible, match="why you give up"):
        give_up_process(hire.ctx("chief"), run, " ")
    give_up_process(hire.ctx("chief"), run, "查不到")
    order = hire.record(record)
    assert (status(hire, run), order["status"], order["note"]) == ("failed", "bad", "undone")
    assert hire.run(run)["error"] == "查不到"
    for move in (lambda: retry_process(hire.ctx("chief"), run), lambda: give_up_process(hire.ctx("chief"), run, "再次")):
        with pytest.raises(NotPossible, match="is over"):
            move()
    hire.check()


def test_what_a_step_refuses_is_told_to_people_and_nothing_of_it_stays(hire):
    hire.told().plan("found")
    record, run = hire.asked(amount=5000)
    hire.drain()
    assert (status(hire, run), hire.run(run)["step"], hire.run(run)["error"]) == ("manual", "good", "金额超过上限")
    inquiry = hire.record(1, "hire.inquiry")
    assert hire.record(record)["judged"] == 0 and inquiry["said"] != "found" or inquiry["hire_order_id"] != record
    change_record(hire.ctx("chief"), ORDER, record, {"amount": 800}, hire.record(record)["row_version"])
    retry_process(hire.ctx("chief"), run)
    hire.drain()
    assert (status(hire, run), hire.record(record)["status"]) == ("done", "good")
    hire.check()


def test_a_stale_page_does_not_move_what_moved_on(hire):
    _, run = lost(hire)
    seen = run_shown(hire.ctx("chief"), run).state.seq
    retry_process(hire.ctx("chief"), run, seen)
    hire.told().plan("lost", "lost", "lost")
    hire.drain()
    for _ in range(3):
        hire.pass_time(minutes=2)
    with pytest.raises(Stale):
        give_up_process(hire.ctx("chief"), run, "太久", seen)


def test_a_withdrawn_record_ends_its_run(hire):
    hire.told().plan("lost")
    record, run = hire.asked()
    hire.drain()
    hire.act("clerk", record, "withdraw")
    hire.drain()
    assert (status(hire, run), hire.record(record)["status"]) == ("cancelled", "gone")
    _, waiting = lost(hire)
    hire.act("clerk", hire.run(waiting)["record_id"], "withdraw")
    hire.drain()
    assert status(hire, waiting) == "cancelled", "also while it waits for people"
    hire.check()


def test_a_record_with_an_open_run_is_not_archived(hire):
    record = hire.order()
    hire.act("clerk", record, "deliver")
    with pytest.raises(NotPossible, match="is running"):
        archive_record(hire.ctx("clerk"), ORDER, record, hire.record(record)["row_version"])


def test_a_wait_ends_with_its_condition_its_date_or_its_limit(hire):
    noted = hire.order()
    hire.act("clerk", noted, "deliver")
    dated = hire.order(ready_on=hire.clock.at.date().replace(month=12))
    hire.act("clerk", dated, "deliver")
    hire.drain()
    first, second = hire.runs(noted)[0]["id"], hire.runs(dated)[0]["id"]
    assert (status(hire, first), status(hire, second)) == ("manual", "waiting"), "a date that is empty is told"
    retry = hire.order()
    change_record(hire.ctx("clerk"), ORDER, noted, {"ready_on": "2026-12-01"}, hire.record(noted)["row_version"])
    retry_process(hire.ctx("chief"), first)
    hire.drain()
    assert status(hire, first) == "waiting"
    hire.act("clerk", noted, "mark", words="到了")
    hire.drain()
    assert (status(hire, first), hire.record(noted)["booked"]) == ("done", 1)
    hire.pass_time(days=1, hours=3)
    assert status(hire, second) == "waiting"
    hire.pass_time(days=2)
    assert (status(hire, second), hire.run(second)["step"]) == ("task", "phone"), "two working days are over"
    assert retry
    with pytest.raises(NotAllowed):
        continue_by_hand(hire.ctx("clerk"), second, {"words": "明天来"})
    with pytest.raises(Invalid):
        continue_by_hand(hire.ctx("chief"), second, {})
    continue_by_hand(hire.ctx("chief"), second, {"words": "明天来"})
    hire.drain()
    assert (status(hire, second), hire.record(dated)["note"], hire.record(dated)["booked"]) == ("done", "明天来", 1)
    hire.check()


def test_a_task_that_nobody_does_fails_the_run_in_time(hire):
    record = hire.order(ready_on="2027-12-01")
    hire.act("clerk", record, "deliver")
    hire.drain()
    hire.pass_time(days=6)
    run = hire.runs(record)[0]["id"]
    assert status(hire, run) == "task"
    hire.pass_time(days=5)
    assert status(hire, run) == "failed"
    hire.check()


def test_starting_by_hand_asks_for_the_role_and_the_condition(hire):
    record = hire.order(amount=0)
    with pytest.raises(NotPossible, match="Nothing to deliver"):
        start_process(hire.ctx("clerk"), ORDER, record, "deliver")
    with pytest.raises(NotAllowed):
        start_process(hire.ctx("chief"), ORDER, record, "deliver")
    with pytest.raises(NotFound):
        start_process(hire.ctx("guest"), ORDER, record, "deliver")
    with pytest.raises(NotFound):
        start_process(hire.ctx("clerk"), ORDER, record, "nothing")
    with pytest.raises(NotPossible, match="not started by hand"):
        start_process(hire.ctx("clerk"), ORDER, record, "check")


def test_an_answer_is_sealed_in_the_log_and_shown_to_nobody_in_passing(hire):
    hire.told().plan("score77")
    _, run = hire.asked()
    hire.drain()
    stored = str(hire.rows("process_step", run_id=run)) + hire.run(run)["state"]
    assert "77" not in stored.replace(str(run), "") or "score" not in stored
    for event in run_log(hire.ctx("chief"), run):
        assert "result" not in event["data"] and "request" not in event["data"]


def test_every_step_is_audited_with_the_run_and_its_step(hire):
    hire.told().plan("found")
    record, run = hire.asked()
    hire.drain()
    about = [row for row in hire.rows("audit", entity=ORDER, record_id=record) if row["command"] == "process.step"]
    assert about and all(f"第 {run} 次运行" in row["reason"] for row in about), [row["reason"] for row in about]


def test_a_changed_definition_leaves_open_runs_as_they_began(hire):
    from metaloom import schema_change
    from metaloom.command import changed_processes

    hire.told().plan("lost", "found", "found")
    record, run = hire.asked()
    hire.drain()
    before = hire.run(run)["process_digest"]
    schema_change.publish(hire.tenant, sources(lambda text: text.replace("coalesce(reply.score, 0) >= 50", "coalesce(reply.score, 0) >= 90")))
    revision = hire.tenant.revision()
    with hire.tenant.read() as conn:
        said = [change.say() for change in changed_processes(conn, revision.tables, revision.catalog)]
    assert any("hire.rental/check is changed" in line for line in said), said
    hire.pass_time(minutes=1)
    newer, second = hire.asked()
    hire.drain()
    assert (hire.record(record)["status"], hire.run(run)["process_digest"]) == ("good", before), "80 points were enough when it began"
    assert (hire.record(newer)["status"], status(hire, second)) == ("bad", "done")
    schema_change.publish(hire.tenant, sources())
    hire.check()
