"""A case from its start to its end: rows, record, rights, refusals."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.approval import codec
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Stale
from metaloom.command import (
    archive_record,
    assign_role,
    change_record,
    decide_task,
    decide_tasks,
    end_substitute,
    hand_over_tasks,
    move_case,
    revoke_role,
    run_action,
    save_user,
    set_substitute,
    start_approval,
)
from metaloom.storage.engine import approval_event
from tests.command.guild import PAPER, REQUEST, TODAY


def _leave(guild, *names):
    """These accounts are switched off, so that later tests do not meet them."""
    for name in names:
        row = guild.rows("user", id=guild.people[name])[0]
        save_user(guild.system, guild.people[name], {"active": False}, row["row_version"])


def test_a_chain_is_the_same_after_it_was_kept_as_text(guild):
    chains = guild.tenant.revision().catalog.chains
    assert len(chains) >= 15
    for chain in chains.values():
        text = codec.dumps(chain)
        assert codec.loads(text).steps.keys() == chain.steps.keys() and codec.loads(text).results.keys() == chain.results.keys()
        assert codec.dumps(codec.loads(text)) == text


def test_a_case_goes_through_three_people_and_the_record_follows(guild):
    record = guild.request(amount=Decimal("5000.00"))
    case = guild.start(record=record)
    assert guild.record(record)["status"] == "asked"
    assert guild.case(case)["status"] == "running"
    assert guild.case(case)["current_steps"] == "初审"
    guild.decide(case, "checker", fields={"advice": "可办"})
    assert guild.record(record)["advice"] == "可办"
    guild.decide(case, "master", outputs={"granted": "4000.00"})
    guild.decide(case, "payer")
    found = guild.record(record)
    assert (found["status"], found["granted"], found["times"]) == ("granted", Decimal("4000.00"), 1)
    row = guild.case(case)
    assert (row["status"], row["result"], row["open_key"]) == ("approved", "approved", None)
    assert row["finished_at"] is not None
    kinds = guild.log(case)
    assert kinds[0] == "started" and kinds[-1] == "finished" and kinds.count("decided") == 3
    tasks = guild.tasks(case)
    assert [(t["step"], t["status"], t["decision"], t["opinion"]) for t in tasks] == [
        ("check", "done", "pass", "可"), ("decide", "done", "pass", "可"), ("pay", "done", "pass", "可")]
    assert tasks[1]["outputs"] == {"granted": "4000.00"}
    guild.check(case)


def test_the_record_undergoes_what_each_step_says_when_it_is_entered_and_passed(guild):
    record = guild.request(amount=Decimal("500.00"))
    case = guild.start("marked", record=record)
    assert guild.record(record)["advice"] == "weigh"
    guild.decide(case, "checker", outputs={"granted": "400.00"})
    found = guild.record(record)
    assert (found["advice"], found["granted"], found["reviewer_id"]) == ("seal", Decimal("400.00"), guild.people["checker"])
    guild.decide(case, "master", "return", to="weigh")
    assert guild.record(record)["advice"] == "weigh", "sent back: the record stands where the case stands"
    guild.decide(case, "checker", outputs={"granted": "300.00"})
    task = guild.tasks(case)[-2]
    assert (task["step"], guild.record(record)["granted"]) == ("weigh", Decimal("300.00"))
    guild.move(case, "checker", "take_back", task["id"])
    assert guild.record(record)["advice"] == "weigh", "taken back: the step is open again"
    guild.check(case)


def test_a_check_of_a_step_refuses_the_decision_and_nothing_is_stored(guild):
    record = guild.request(amount=Decimal("500.00"))
    case = guild.start("marked", record=record)
    with pytest.raises(NotPossible, match="Not more than"):
        guild.decide(case, "checker", outputs={"granted": "500.01"})
    assert guild.record(record)["granted"] is None
    assert [t["status"] for t in guild.tasks(case)] == ["open"] and guild.log(case)[-1] == "task_opened"
    guild.decide(case, "checker", "reject", "超额")
    assert guild.record(record)["granted"] is None, "only passing counts"
    guild.check(case)


def test_a_step_whose_condition_is_not_met_is_skipped(guild):
    case = guild.start()
    guild.decide(case, "checker")
    guild.decide(case, "master", outputs={"granted": "10.00"})
    assert guild.case(case)["status"] == "approved"
    assert "skipped" in guild.log(case)


def test_the_subject_keeps_what_not_every_reader_may_read_to_itself(guild):
    record = guild.request(name="看得见", secret="ZZ-geheim")
    case = guild.start(record=record)
    subject = guild.case(case)["subject"]
    assert all(said.startswith("看得见 500.00") and "ZZ-geheim" not in said for said in (subject["zh"], subject["en"]))
    told = guild.rows("message", receiver_id=guild.people["checker"], record_id=record)
    assert told and all("ZZ-geheim" not in row["subject"] for row in told)
    assert guild.open_task(case) and told[-1]["link"] == f"/task/{guild.open_task(case)}"


def test_who_has_no_part_is_told_nothing_and_who_has_part_but_not_the_task_may_not(guild):
    case = guild.start()
    task, version = guild.open_task(case), guild.version(guild.case(case)["record_id"])
    for person in ("blind", "clerk2", "judge1"):
        with pytest.raises(NotFound):
            decide_task(guild.ctx(person), task, "pass", record_version=version)
    with pytest.raises(NotFound):
        decide_task(guild.ctx("checker"), 987_654, "pass", record_version=version)
    with pytest.raises((NotAllowed, NotPossible)):
        decide_task(guild.ctx("clerk"), task, "pass", record_version=version)
    assert guild.log(case).count("decided") == 0


def test_a_decision_is_bound_to_the_version_that_was_shown(guild):
    case = guild.start()
    record = guild.case(case)["record_id"]
    for version in (guild.version(record) - 1, guild.version(record) + 1):
        with pytest.raises(Stale):
            guild.decide(case, "checker", record_version=version)
    with pytest.raises(Invalid):
        guild.decide(case, "checker", record_version=None)
    guild.decide(case, "checker")


def test_a_decided_task_takes_no_second_decision_and_the_same_key_answers_again(guild):
    case = guild.start()
    task, version = guild.open_task(case), guild.version(guild.case(case)["record_id"])
    first = decide_task(guild.ctx("checker", idempotency_key=f"k{case}"), task, "pass", record_version=version)
    again = decide_task(guild.ctx("checker", idempotency_key=f"k{case}"), task, "pass", record_version=version)
    assert not first.replayed and again.replayed and again.results == first.results
    with pytest.raises((NotPossible, NotAllowed)):
        decide_task(guild.ctx("checker"), task, "reject", "不", record_version=guild.version(guild.case(case)["record_id"]))
    assert guild.log(case).count("decided") == 1


def test_a_record_in_approval_is_neither_edited_nor_archived_and_can_be_after_it_came_back(guild):
    record = guild.request()
    case = guild.start(record=record)
    with pytest.raises(NotPossible) as refused:
        change_record(guild.ctx("clerk"), REQUEST, record, {"purpose": "别的"}, guild.version(record))
    assert "初审" in refused.value.message.say("zh")
    with pytest.raises(NotPossible):
        archive_record(guild.ctx("clerk"), REQUEST, record, guild.version(record))
    guild.decide(case, "checker", "return", "补充", to="initiator")
    assert (guild.case(case)["status"], guild.case(case)["current_steps"]) == ("returned", "发起人")
    assert guild.record(record)["status"] == "draft"
    change_record(guild.ctx("clerk"), REQUEST, record, {"purpose": "补充后"}, guild.version(record))
    with pytest.raises(NotPossible):
        archive_record(guild.ctx("clerk"), REQUEST, record, guild.version(record))
    guild.move(case, "clerk", "resubmit", guild.open_task(case, "clerk"))
    assert guild.record(record)["status"] == "asked"
    guild.decide(case, "checker")
    guild.check(case)


def test_fields_are_written_only_where_the_step_gives_them_and_the_person_reads_them(guild):
    case = guild.start()
    record = guild.case(case)["record_id"]
    for fields in ({"amount": "1.00"}, {"status": "granted"}, {"secret": "x"}, {"unknown": 1}):
        with pytest.raises(Invalid) as refused:
            guild.decide(case, "checker", fields=fields)
        assert refused.value.problems[0].field.startswith("fields.")
    assert guild.log(case).count("decided") == 0
    guild.decide(case, "checker", "reject", "不妥", fields={"advice": "另议"})
    found = guild.record(record)
    assert (found["advice"], found["status"]) == ("另议", "refused")


def test_a_required_field_must_be_there_on_passing_and_not_on_rejecting(guild):
    case = guild.start(record=guild.request(purpose=None))
    with pytest.raises(Invalid) as refused:
        guild.decide(case, "checker")
    assert refused.value.problems[0].field == "fields.purpose"
    guild.decide(case, "checker", fields={"purpose": "写明"})
    other = guild.start(record=guild.request(purpose=None))
    guild.decide(other, "checker", "reject", "不明")
    assert guild.case(other)["status"] == "rejected"


@pytest.mark.parametrize("outputs", [{}, {"granted": "-1"}, {"granted": "x"}, {"granted": "1.001"}, {"granted": "1.00", "more": 1}])
def test_what_a_decision_gives_is_checked_by_its_type(guild, outputs):
    case = guild.start()
    guild.decide(case, "checker")
    with pytest.raises(Invalid) as refused:
        guild.decide(case, "master", outputs=outputs)
    assert refused.value.problems[0].field.startswith("outputs.")


def test_starting_needs_the_role_the_condition_and_no_other_running_case(guild):
    record = guild.request()
    with pytest.raises(NotAllowed):
        start_approval(guild.ctx("checker"), REQUEST, record, "main")
    with pytest.raises(NotFound):
        start_approval(guild.ctx("blind"), REQUEST, record, "main")
    with pytest.raises(NotFound):
        start_approval(guild.ctx("clerk"), REQUEST, record, "none")
    big = guild.request(amount=Decimal("1000000.00"))
    with pytest.raises(NotPossible, match="Too much"):
        start_approval(guild.ctx("clerk"), REQUEST, big, "main")
    guild.start(record=record)
    with pytest.raises(NotPossible):
        start_approval(guild.ctx("clerk"), REQUEST, record, "main")


def test_an_action_starts_a_case(guild):
    record = guild.request()
    run_action(guild.ctx("clerk"), REQUEST, record, "submit", {}, guild.version(record))
    row = guild.rows("approval_case", record_id=record, entity=REQUEST)[0]
    assert (row["status"], row["initiator_id"], guild.record(record)["status"]) == ("running", guild.people["clerk"], "asked")


def test_a_chosen_person_decides_and_only_one_out_of_the_pool(guild):
    record = guild.request(reviewer=guild.people["master"])
    run_action(guild.ctx("clerk"), REQUEST, record, "submit_named", {}, guild.version(record))
    case = guild.rows("approval_case", record_id=record, chain="picked")[0]["id"]
    guild.decide(case, "master")
    for chosen in ({}, {"named": [guild.people["payer"]]}, {"named": [guild.people["checker"], guild.people["master"]]}):
        with pytest.raises(MetaloomError):
            guild.start("picked", chosen=chosen)


def test_an_inactive_or_unreading_holder_is_not_asked(guild):
    extra, far = guild.add_person("idle_judge", "guild.judge"), guild.add_person("far_judge", "guild.judge", company=guild.other)
    _leave(guild, "idle_judge")
    assert guild.people["idle_judge"] == extra
    unlimited = guild.add_person("odd_judge", "guild.blind", company=guild.other)
    assign_role(guild.system, unlimited, "guild.judge")
    case = guild.start("every")
    asked = {t["assignee_id"] for t in guild.tasks(case)}
    assert asked == {guild.people[name] for name in ("judge1", "judge2", "judge3")}
    dropped = next(row["data"]["dropped"] for row in guild.rows("approval_event", case_id=case, kind="people_found"))
    assert [unlimited, "cannot_read"] in dropped and far not in asked
    _leave(guild, "odd_judge")


def test_a_role_taken_away_ends_the_right_to_decide_at_once(guild):
    user = guild.add_person("brief", "guild.checker")
    case = guild.start("bands", record=guild.request(amount=Decimal("50.00")))
    held = guild.rows("role_assignment", user_id=user)[0]
    revoke_role(guild.system, held["id"])
    with pytest.raises(NotAllowed):
        guild.decide(case, "brief")
    _leave(guild, "brief")


def test_the_same_person_through_a_second_account_or_a_substitute_decides_nothing_twice(guild):
    guild.add_person("double", "guild.clerk", "guild.checker", person_key="P-1")
    guild.add_person("double2", "guild.master", person_key="P-1")
    case = guild.start("three", who="double")
    asked = {t["assignee_id"] for t in guild.tasks(case)}
    assert guild.people["double"] not in asked, "the initiator does not check the own request"
    guild.decide(case, "checker")
    assert guild.people["double2"] not in {t["assignee_id"] for t in guild.tasks(case) if t["step"] == "two"}
    _leave(guild, "double", "double2")


def test_a_substitute_is_asked_between_the_dates_and_not_after(guild):
    day = timedelta(1)
    made = set_substitute(guild.ctx("payer"), guild.people["payer"], guild.people["master"], TODAY - day, TODAY + day).id
    case = guild.start("copied")
    guild.decide(case, "checker")
    record = guild.request()
    paper = guild.start("three", record=record)
    guild.decide(paper, "checker")
    guild.decide(paper, "master")
    last = [t for t in guild.tasks(paper) if t["step"] == "three"]
    assert guild.people["master"] not in {t["assignee_id"] for t in last if t["status"] == "open"}, "who decided already stands in for nobody"
    guild.add_person("standin", "guild.master")
    end_substitute(guild.ctx("payer"), made)
    with pytest.raises(NotPossible):
        end_substitute(guild.ctx("payer"), made)
    other = set_substitute(guild.ctx("payer"), guild.people["payer"], guild.people["standin"], TODAY, TODAY, entity=REQUEST, chain="three").id
    again = guild.start("three")
    guild.decide(again, "checker")
    task = next(t for t in guild.tasks(again) if t["step"] == "two" and t["status"] == "open" and t["assignee_id"] == guild.people["master"])
    decide_task(guild.ctx("master"), task["id"], "pass", record_version=guild.version(guild.case(again)["record_id"]))
    third = guild.tasks(again)[-1]
    assert (third["assignee_id"], third["principal_id"]) == (guild.people["standin"], guild.people["payer"])
    end_substitute(guild.ctx("payer"), other)
    _leave(guild, "standin")


@pytest.mark.parametrize("wrong", ["oneself", "order", "stranger", "other"])
def test_a_substitute_is_another_person_and_set_by_the_person(guild, wrong):
    clerk, master = guild.people["clerk"], guild.people["master"]
    given = {"oneself": (clerk, clerk, TODAY, TODAY), "order": (clerk, master, TODAY, TODAY - timedelta(1)), "stranger": (clerk, 987654, TODAY, TODAY),
             "other": (master, clerk, TODAY, TODAY)}[wrong]
    with pytest.raises(NotAllowed if wrong == "other" else Invalid):
        set_substitute(guild.ctx("clerk"), *given)


def test_a_leaving_persons_tasks_go_to_another_with_an_outcome_for_each(guild):
    guild.add_person("leaver", "guild.payer")
    guild.add_person("heir", "guild.payer")
    cases = [guild.start("bands", record=guild.request(amount=Decimal("5000.00"))) for _ in range(3)]
    for case in cases:
        for t in [t for t in guild.tasks(case) if t["status"] == "open"][:1]:
            person = next(name for name, user in guild.people.items() if user == t["assignee_id"])
            decide_task(guild.ctx(person), t["id"], "pass", record_version=guild.version(guild.case(case)["record_id"]))
    waiting = {t["case_id"] for t in guild.rows("approval_task", assignee_id=guild.people["leaver"], status="open")}
    assert set(cases) <= waiting
    with pytest.raises(NotAllowed):
        hand_over_tasks(guild.ctx("clerk"), guild.people["leaver"], guild.people["heir"])
    outcomes = hand_over_tasks(guild.ctx("admin"), guild.people["leaver"], guild.people["heir"], "离职")
    assert {o.id for o in outcomes} == waiting
    assert not guild.rows("approval_task", assignee_id=guild.people["leaver"], status="open")
    guild.check(*cases)
    _leave(guild, "leaver", "heir")


def test_one_decision_on_many_tasks_has_an_outcome_for_each(guild):
    cases = [guild.start("three") for _ in range(3)]
    tasks = {guild.open_task(case, "checker"): guild.version(guild.case(case)["record_id"]) for case in cases}
    last = max(tasks)
    outcomes = decide_tasks(guild.ctx("checker"), {**tasks, last: tasks[last] + 7, 999_999: 1}, "pass")
    assert [o.error.status if o.error else 200 for o in outcomes] == [200, 200, 409, 404]


def test_heads_of_units_decide_upwards(guild):
    for unit, head in ((guild.unit, "master"), (guild.top, "payer")):
        row = guild.record(unit, "platform.org_unit")
        change_record(guild.system, "platform.org_unit", unit, {"head": guild.people[head]}, row["row_version"])
    case = guild.start("heads")
    guild.decide(case, "master")
    assert [t["assignee_id"] for t in guild.tasks(case) if t["step"] == "up" and t["status"] in ("open", "waiting")] == [guild.people["payer"]]


def test_a_waiting_case_goes_on_when_the_record_has_what_it_waits_for(guild):
    record = guild.request()
    case = guild.start("papers", record=record)
    assert guild.case(case)["status"] == "waiting"
    change_record(guild.ctx("clerk"), REQUEST, record, {"purpose": "还没有"}, guild.version(record))
    assert guild.case(case)["status"] == "waiting"
    change_record(guild.ctx("clerk"), REQUEST, record, {"papers": "来了"}, guild.version(record))
    assert guild.case(case)["status"] == "running"
    guild.decide(case, "checker")
    assert guild.case(case)["status"] == "approved"
    guild.check(case)


def test_a_pool_claims_gives_back_and_decides(guild):
    case = guild.start("pooled")
    task = guild.open_task(case)
    assert {row["user_id"] for row in guild.rows("approval_pool", task_id=task)} == {guild.people[n] for n in ("judge1", "judge2", "judge3")}
    guild.move(case, "judge1", "claim", task)
    with pytest.raises(MetaloomError):
        guild.move(case, "judge2", "claim", task)
    guild.move(case, "judge1", "unclaim", task)
    guild.move(case, "judge2", "claim", task)
    guild.decide(case, "judge2")
    assert guild.case(case)["status"] == "approved"
    guild.check(case)


def test_a_copy_goes_to_its_receiver_who_reads_it(guild):
    case = guild.start("copied")
    guild.decide(case, "checker")
    copies = guild.rows("approval_copy", case_id=case)
    assert [(c["user_id"], c["read_at"]) for c in copies] == [(guild.people["payer"], None)]
    move_case(guild.ctx("payer"), "read", case_id=case)
    assert guild.rows("approval_copy", case_id=case)[0]["read_at"] is not None
    guild.check(case)


@pytest.mark.parametrize(("kind", "data"), [
    ("nonsense", {}), ("transfer", {}), ("transfer", {"to": "x"}), ("transfer", {"to": 987_654}), ("transfer", {"to": True}), ("ask", {"to": []}),
    ("urge", {"more": 1}), ("jump", {"to": "nowhere"}), ("hold", {"outputs": [1]}), ("withdraw", {"reason": "x" * 5000}),
])  # fmt: skip
def test_wrong_moves_are_refused_with_words_and_change_nothing(guild, kind, data):
    case = guild.start("three")
    before = guild.log(case)
    with pytest.raises(Invalid):
        move_case(guild.ctx("checker"), kind, task_id=guild.open_task(case), data=data)
    assert guild.log(case) == before


def test_people_who_may_not_read_the_record_get_nothing_handed(guild):
    case = guild.start("three")
    task = guild.open_task(case)
    for kind, data in (("transfer", {"to": guild.people["blind"]}), ("delegate", {"to": guild.people["blind"]}),
                       ("add_after", {"to": [guild.people["blind"]]}), ("copy", {"to": [guild.people["blind"]]})):
        with pytest.raises((NotPossible, NotAllowed)):
            move_case(guild.ctx("checker"), kind, task_id=task, data=data)


def test_the_log_cannot_be_changed(guild):
    case = guild.start("three")
    with pytest.raises((sa.exc.IntegrityError, sa.exc.InternalError, sa.exc.ProgrammingError)), guild.tenant.write() as conn:
        conn.execute(approval_event.update().where(approval_event.c.case_id == case).values(kind="x"))


def test_the_date_of_a_substitute_is_a_date(guild):
    assert isinstance(guild.rows("substitute")[0]["from_date"], date)
    assert PAPER in guild.tenant.revision().catalog.entities
