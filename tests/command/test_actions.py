"""Actions: steps, conditions, four eyes, all or nothing, and twenty at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Busy, Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Stale
from metaloom.command import available_actions, bulk_action, create_record, run_action
from metaloom.record import Reader

MEMBER = "club.member"


def test_an_action_moves_the_state_updates_the_linked_record_and_says_so(club):
    made = club.new(name="张三")
    places = club.row("club.plan", club.plan)["places"]
    done = run_action(club.ctx("chief"), MEMBER, made.id, "admit", {}, made.row_version)
    row = club.row(MEMBER, made.id)
    assert (row["status"], row["admitted_by_id"]) == ("active", club.people["chief"])
    assert club.row("club.plan", club.plan)["places"] == places - 1
    assert done.message.say("zh") == "张三已入会"
    assert done.row_version == row["row_version"]


def test_the_maker_may_not_admit_neither_with_a_second_account(club):
    made = create_record(club.ctx("chief"), MEMBER, club.values())
    with pytest.raises(NotAllowed) as refusal:
        run_action(club.ctx("chief"), MEMBER, made.id, "admit", {}, 1)
    assert "another person" in refusal.value.message.say("en")
    club.add_person("twin_a", "club.chief", club.north, club.desk, staff_no="S-1")
    with pytest.raises(MetaloomError):
        club.add_person("twin_b", "club.chief", club.north, club.desk, staff_no="S-1")
    run_action(club.ctx("boss"), MEMBER, made.id, "admit", {}, 1)


@pytest.mark.parametrize("person", ["clerk", "guest", "stranger", "far_chief"])
def test_who_has_no_right_to_the_action_on_this_row_is_refused(club, person):
    made = club.new()
    with pytest.raises((NotAllowed, NotFound)):
        run_action(club.ctx(person), MEMBER, made.id, "admit", {}, 1)
    assert club.row(MEMBER, made.id)["status"] == "draft"


def test_an_unknown_action_and_an_internal_command_do_not_exist(club):
    made = club.new()
    for name in ("nonsense", "leave", "refund_inside", "pay_result", "edit"):
        with pytest.raises(NotFound):
            run_action(club.ctx("chief"), MEMBER, made.id, name, {}, 1)


def test_a_stale_or_missing_version_is_refused(club):
    made = club.new()
    for version in (None, 0, 5):
        with pytest.raises(Stale):
            run_action(club.ctx("chief"), MEMBER, made.id, "admit", {}, version)


def test_a_second_run_is_not_possible_and_has_no_effect(club):
    member = club.active()
    places = club.row("club.plan", club.plan)["places"]
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("chief"), MEMBER, member, "admit", {}, club.version(member))
    assert "Active" in refusal.value.message.say("en")
    assert club.row("club.plan", club.plan)["places"] == places


def test_a_condition_of_the_transition_speaks_in_its_own_words(club):
    made = club.new(fee=Decimal("1.00"))
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("chief"), MEMBER, made.id, "admit", {}, 1)
    assert refusal.value.message.say("en") == "The fee is too low"


def test_a_failing_later_step_leaves_nothing(club):
    plan = create_record(club.ctx("chief"), "club.plan", {"code": "FULL", "name": "满", "fee_min": Decimal("1"), "fee_max": Decimal("500")})
    made = club.new(plan=plan.id)
    before, row = club.dump(), club.row(MEMBER, made.id)
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("chief"), MEMBER, made.id, "admit", {}, 1)
    assert refusal.value.message.say("zh") == "没有名额"
    assert club.dump() == before
    assert club.row(MEMBER, made.id) == row
    member = club.active()
    before = club.dump()
    with pytest.raises(NotPossible):
        run_action(club.ctx("chief"), MEMBER, member, "charge", {"amount": Decimal("5"), "times": 3}, club.version(member), "x")
    assert club.dump() == before
    assert club.row(MEMBER, member)["balance"] == 0


def test_steps_see_inputs_lets_and_what_earlier_steps_wrote(club):
    member = club.active()
    done = run_action(club.ctx("clerk"), MEMBER, member, "charge", {"amount": Decimal("7.50"), "times": 2}, club.version(member), "due")
    assert club.row(MEMBER, member)["balance"] == Decimal("15.00")
    assert club.number_of("club.fee", member_id=member) == 2
    assert club.row("club.fee", done.results["made"])["amount"] == Decimal("7.50")
    audit = [row for row in club.engine_rows("audit") if row["command"] == "action:charge" and row["reason"] == "due"]
    assert {row["entity"] for row in audit} == {MEMBER, "club.fee"}


def test_a_default_of_an_input_comes_from_the_record(club):
    member = club.active(fee=Decimal("33.00"))
    run_action(club.ctx("clerk"), MEMBER, member, "charge", {}, club.version(member), "due")
    assert club.row(MEMBER, member)["balance"] == Decimal("33.00")


@pytest.mark.parametrize(("given", "field"), [
    ({"amount": Decimal("0")}, "amount"), ({"amount": Decimal("-1")}, "amount"), ({"amount": "1e3"}, "amount"), ({"amount": True}, "amount"),
    ({"times": 0}, "times"), ({"times": 4}, "times"), ({"nonsense": 1}, "nonsense"), ({"status": "gone"}, "status"),
])
def test_bad_input_is_named_and_nothing_happens(club, given, field):
    member = club.active()
    before = club.dump()
    with pytest.raises(Invalid) as refusal:
        run_action(club.ctx("clerk"), MEMBER, member, "charge", given, club.version(member), "due")
    assert {p.field for p in refusal.value.problems} == {field}
    assert club.dump() == before


def test_a_check_tells_the_input_in_its_sentence_and_a_reason_must_be_given(club):
    member = club.active()
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("clerk"), MEMBER, member, "charge", {"amount": Decimal("1000.01")}, club.version(member), "due")
    assert refusal.value.message.say("en") == "1,000.01 is too much"
    with pytest.raises(Invalid) as invalid:
        run_action(club.ctx("clerk"), MEMBER, member, "charge", {}, club.version(member), "  ")
    assert {p.field for p in invalid.value.problems} == {"reason"}


def test_the_condition_of_the_action_itself_is_asked_first(club):
    made = club.new()
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("clerk"), MEMBER, made.id, "charge", {}, 1, "due")
    assert refusal.value.message.say("en") == "Only active members are charged"


def test_for_each_runs_over_child_rows_and_get_finds_or_gives_null(club):
    member = club.active(contacts=[{"name": "甲", "share": 50}, {"name": "乙", "share": 100}])
    run_action(club.ctx("chief"), MEMBER, member, "share_out", {}, club.version(member))
    assert club.number_of("club.fee", member_id=member) == 2
    assert club.number_of("club.fee", member_id=member, memo="乙", amount=Decimal("100.00")) == 1


def test_an_action_of_the_list_has_no_record(club):
    done = run_action(club.ctx("chief"), MEMBER, None, "found_club", {"code": "NEW"})
    assert club.row("club.plan", done.results["plan_made"])["code"] == "NEW"
    with pytest.raises(NotFound):
        run_action(club.ctx("chief"), MEMBER, 5, "found_club", {"code": "X"})
    with pytest.raises(NotFound):
        run_action(club.ctx("chief"), MEMBER, None, "admit", {})


def test_twenty_at_once_have_one_effect(club):
    made = club.new()
    places = club.row("club.plan", club.plan)["places"]
    contexts = [club.ctx("chief" if i % 2 else "boss") for i in range(20)]

    def admit(ctx):
        try:
            run_action(ctx, MEMBER, made.id, "admit", {}, 1)
        except MetaloomError as error:
            return type(error)
        return "done"

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(admit, contexts))
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", Stale, NotPossible, Busy}
    assert club.row("club.plan", club.plan)["places"] == places - 1
    assert len([r for r in club.engine_rows("audit") if r["command"] == "action:admit" and r["record_id"] == made.id and r["entity"] == MEMBER
                and "status" in (r["after"] or {})]) == 1


def test_a_scarce_place_is_given_once_to_two_members(club):
    plan = create_record(club.ctx("chief"), "club.plan", {"code": "ONE", "name": "一", "fee_min": Decimal("1"), "fee_max": Decimal("500"), "places": 1})
    members = [club.new(plan=plan.id).id for _ in range(6)]
    contexts = [club.ctx("chief") for _ in members]

    def admit(pair):
        try:
            run_action(pair[0], MEMBER, pair[1], "admit", {}, 1)
        except NotPossible:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(admit, zip(contexts, members, strict=True))) == 1
    assert club.row("club.plan", plan.id)["places"] == 0


def test_bulk_refuses_the_whole_call_for_one_foreign_id_and_reports_each_outcome(club):
    ours = [club.new().id, club.active()]
    theirs = create_record(club.ctx("stranger"), MEMBER, club.values()).id
    before = club.dump()
    with pytest.raises(NotFound):
        bulk_action(club.ctx("chief"), MEMBER, [*ours, theirs], "admit", {})
    assert club.dump() == before
    with pytest.raises(NotPossible):
        bulk_action(club.ctx("chief"), MEMBER, ours, "charge", {}, "x")
    outcomes = {o.id: o.error for o in bulk_action(club.ctx("chief"), MEMBER, ours, "admit", {})}
    assert outcomes[ours[0]] is None
    assert isinstance(outcomes[ours[1]], NotPossible)


def test_offered_actions_show_the_reason_where_they_are_grey(club):
    made = club.new()

    def offered(person):
        ctx = club.ctx(person)
        with club.tenant.read() as conn:
            row = Reader(conn, club.tenant, ctx.revision, ctx.plan).get(MEMBER, made.id)
        return {o.name: o for o in available_actions(ctx, MEMBER, row)}

    assert set(offered("clerk")) == {"charge", "mischief"}
    assert offered("clerk")["charge"].reason.say("en") == "Only active members are charged"
    chief = offered("chief")
    assert chief["admit"].enabled
    assert not chief["pay_back"].enabled
    assert chief["pay_back"].money
    assert "found_club" not in chief
    assert {o.name for o in available_actions(club.ctx("chief"), MEMBER, None)} == {"found_club"}


def test_a_button_is_grey_where_the_condition_of_its_transition_does_not_hold_and_no_step_before_it_may_help(club):
    cheap, dear = club.new(fee=Decimal("1.00")), club.new()
    ctx = club.ctx("chief")

    def offered(id):
        with club.tenant.read() as conn:
            return {o.name: o for o in available_actions(ctx, MEMBER, _row(ctx, conn, id))}

    assert offered(dear.id)["admit"].enabled
    grey = offered(cheap.id)["admit"]
    assert (grey.enabled, grey.reason.say("zh"), grey.reason.say("en")) == (False, "会费太低", "The fee is too low")
    assert offered(cheap.id)["admit_dearer"].enabled  # it sets what the condition asks for
    with pytest.raises(NotPossible) as refusal:
        run_action(ctx, MEMBER, cheap.id, "admit", {}, 1)
    assert refusal.value.message.say("en") == grey.reason.say("en")
    (outcome,) = bulk_action(ctx, MEMBER, [cheap.id], "admit", {})
    assert outcome.error.message.say("en") == "The fee is too low"
    assert run_action(ctx, MEMBER, cheap.id, "admit_dearer", {"amount": Decimal("5.00")}, 1).row_version == 3
    assert not offered(cheap.id)["admit_dearer"].enabled and offered(cheap.id)["admit_dearer"].reason.say("en") != "The fee is too low"


def _row(ctx, conn, id):
    return Reader(conn, ctx.tenant, ctx.revision, ctx.plan).get(MEMBER, id, children=False)


def test_the_dialog_of_every_action_and_command_knows_its_defaults(club):
    """Also those of plugins: their defaults are worked out over the record before anybody has typed."""
    from metaloom.command.input_asked import defaults_asked, input_asked

    made = club.new()
    ctx = club.ctx("chief")
    fee = club.row(MEMBER, made.id)["fee"]
    charge = input_asked(ctx, MEMBER, "charge")
    with ctx.tenant.read() as conn:
        row = _row(ctx, conn, made.id)
        assert (defaults_asked(ctx, MEMBER, charge, row, conn), charge.asks_reason) == ({"amount": fee, "times": 1}, True)
        names = [a.name for a in ctx.revision.catalog.actions_of(MEMBER) if a.on == "record"]
        names += [c.name for c in ctx.plugins.commands_on(MEMBER) if not c.internal]
        assert len(names) >= 5
        for name in names:
            asked = input_asked(ctx, MEMBER, name)
            assert asked.label.zh and set(defaults_asked(ctx, MEMBER, asked, row, conn)) <= set(asked.fields)
    for unknown in ("nonsense", "pay_result"):
        with pytest.raises(NotFound):
            input_asked(ctx, MEMBER, unknown)


def test_buttons_are_judged_by_the_row_that_was_read_and_ask_for_the_rest_once(club):
    """The same verdicts whether the row shows everything or next to nothing; without need no statement is sent."""
    made = club.new()
    ctx = club.ctx("chief")
    sent = []
    with ctx.tenant.read() as conn:
        row = _row(ctx, conn, made.id)
        sa.event.listen(conn, "before_cursor_execute", lambda *said: sent.append(said[2]))
        seen = available_actions(ctx, MEMBER, row, conn)
        assert len(seen) >= 3 and not [one for one in sent if "club__member" in one and "WHERE" in one], sent
        sent.clear()
        blind = available_actions(ctx, MEMBER, replace(row, values={}, levels={}), conn)
        assert [(o.name, o.enabled, str(o.reason)) for o in blind] == [(o.name, o.enabled, str(o.reason)) for o in seen]
        assert len([one for one in sent if "club__member" in one]) == 1, sent
