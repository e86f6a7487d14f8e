"""Plugin commands: inside the one transaction, believed in nothing, and the calls to the world they ask for."""

import json
import time
from decimal import Decimal

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Stale
from metaloom.command import assign_role, handle_call, run_action, run_command
from metaloom.plugin import PluginFault

MEMBER = "club.member"


@pytest.fixture
def till(club):
    import club_desk.till

    club_desk.till.Till.faults.clear()
    return club_desk.till.Till


def book(club):
    file = club.tenant.settings.home / "plugins" / club.tenant.name / "club_desk" / "till.json"
    return json.loads(file.read_text()) if file.exists() else {}


def charged(club, amount="50.00"):
    member = club.active(id_no=None)
    run_action(club.ctx("clerk"), MEMBER, member, "charge", {"amount": Decimal(amount)}, club.version(member), "due")
    return member


def test_a_command_as_a_step_posts_and_gives_its_result_to_the_next_step(club):
    member = charged(club)
    done = run_action(club.ctx("chief"), MEMBER, member, "refund", {"amount": Decimal("20.00")}, club.version(member))
    assert club.row(MEMBER, member)["balance"] == Decimal("30.00")
    entry = done.results["paid"]["entry"]
    legs = club.engine_rows("ledger_leg", lambda r: r["entry_id"] == entry)
    assert [(leg["account"], leg["side"], leg["amount"]) for leg in legs] == [
        ("2001", "debit", Decimal("20.00")), ("1001", "credit", Decimal("20.00"))]
    header = club.engine_rows("ledger_entry", lambda r: r["id"] == entry)[0]
    assert (header["state"], header["entity"], header["record_id"], header["command"]) == ("posted", MEMBER, member, "club_desk.refund")


def test_a_refusal_of_the_command_undoes_the_action(club):
    member = charged(club)
    before = club.dump()
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("chief"), MEMBER, member, "refund", {"amount": Decimal("50.01")}, club.version(member))
    assert refusal.value.message.say("en") == "The balance is too small"
    assert club.dump() == before


@pytest.mark.parametrize(("kind", "error"), [
    ("raises", PluginFault), ("value_error", Invalid), ("nothing", PluginFault), ("float", PluginFault), ("three_places", PluginFault),
    ("nan", PluginFault), ("more", PluginFault), ("list", PluginFault), ("commit", PluginFault), ("connection", PluginFault),
    ("state", Invalid), ("unbalanced", NotPossible), ("negative", PluginFault), ("float_amount", PluginFault), ("no_rule", NotPossible),
    ("gateway", PluginFault), ("swallows", Invalid), ("refuses", NotPossible), ("twice", NotPossible), ("no_state", PluginFault),
])
def test_whatever_a_command_does_wrong_leaves_nothing(club, kind, error):
    member = club.active()
    before, row = club.dump(), club.row(MEMBER, member)
    with pytest.raises(error):
        run_action(club.ctx("chief"), MEMBER, member, "mischief", {"kind": kind}, club.version(member))
    assert club.dump() == before
    assert club.row(MEMBER, member) == row
    done = run_action(club.ctx("chief"), MEMBER, member, "mischief", {"kind": "good"}, club.version(member))
    assert done.results == {}


def test_words_of_a_refusal_keep_their_braces(club):
    member = club.active()
    with pytest.raises(NotPossible) as refusal:
        run_action(club.ctx("chief"), MEMBER, member, "mischief", {"kind": "refuses"}, club.version(member))
    assert refusal.value.message.say("zh") == "不行 {x}"


def test_a_command_is_offered_by_its_right_state_version_reason_and_four_eyes(club):
    draft, member = club.new(), charged(club)
    give = {"amount": Decimal("1.00")}
    with pytest.raises(NotAllowed):
        run_command(club.ctx("clerk"), "club_desk.pay_back", member, give, club.version(member), "x")
    with pytest.raises(NotPossible):
        run_command(club.ctx("chief"), "club_desk.pay_back", draft.id, give, 1, "x")
    with pytest.raises(Stale):
        run_command(club.ctx("chief"), "club_desk.pay_back", member, give, None, "x")
    with pytest.raises(Invalid):
        run_command(club.ctx("chief"), "club_desk.pay_back", member, give, club.version(member), "")
    with pytest.raises(Invalid):
        run_command(club.ctx("chief"), "club_desk.pay_back", member, {"amount": Decimal("0")}, club.version(member), "x")
    with pytest.raises(Invalid) as refusal:
        run_command(club.ctx("chief", channel="api"), "club_desk.pay_back", member, give, club.version(member), "x")
    assert "Idempotency-Key" in refusal.value.message.say("en")
    with pytest.raises(NotFound):
        run_command(club.ctx("chief"), "club_desk.pay_result", member, {"outcome": "succeeded"}, 1, "x")


def test_a_command_without_record_is_for_administrators(club):
    with pytest.raises(NotAllowed):
        run_command(club.ctx("chief"), "club_desk.sweep", None, {})
    club.add_person("branch_admin", "club.guest", club.north, club.desk)
    assign_role(club.system, club.people["branch_admin"], "platform.admin", company=club.north)
    with pytest.raises(NotAllowed):
        run_command(club.ctx("branch_admin"), "club_desk.sweep", None, {})
    assert run_command(club.ctx("admin"), "club_desk.sweep", None, {}).results["found"] >= 0
    assert club.engine_rows("audit")[-1]["command"] == "club_desk.sweep"


# -- calls to the world ------------------------------------------------------------------------------------------------------


def pay_back(club, member, amount="5.00", **more):
    done = run_action(club.ctx("chief", **more), MEMBER, member, "pay_back", {"amount": Decimal(amount)}, club.version(member), "moved away")
    return done.results["payout"]


def calls(club, done=()):
    return [row for row in club.engine_rows("outbox") if row["kind"] == "call" and row["id"] not in done]


def carry_out(club, row, **more):
    return handle_call(club.tenant, row, plugins=club.registry, clock=club.clock, **more)


def test_nothing_leaves_before_the_commit_and_the_payload_is_sealed(club, till):
    member = charged(club)
    seen = {row["id"] for row in calls(club)}
    payout = pay_back(club, member)
    reference = club.row("club.payout", payout)["payout_no"]
    assert reference not in book(club)
    row = calls(club, seen)[0]
    assert row["payload"]["subject"] == ["club.payout", payout]
    assert "account" not in json.dumps(row["payload"])


def test_a_success_is_booked_once_however_often_the_row_is_carried_out(club, till):
    member = charged(club)
    seen = {row["id"] for row in calls(club)}
    payout = pay_back(club, member)
    row = calls(club, seen)[0]
    first = carry_out(club, row)
    entries = len(club.engine_rows("ledger_entry"))
    second = carry_out(club, row)
    stored = club.row("club.payout", payout)
    assert (stored["status"], stored["answers"]) == ("paid", 1)
    assert (first.replayed, second.replayed) == (False, True)
    assert len(club.engine_rows("ledger_entry")) == entries
    assert book(club)[stored["payout_no"]] == "5.00"


@pytest.mark.parametrize(("fault", "status"), [
    ("lost_before", "unknown"), ("lost_after", "unknown"), ("nonsense", "unknown"), ("slow", "unknown"), ("refused", "refused")])
def test_only_the_definite_word_decides_everything_else_is_unknown(club, till, fault, status):
    member = charged(club)
    seen = {row["id"] for row in calls(club)}
    payout = pay_back(club, member)
    till.faults.append(fault)
    started = time.monotonic()
    carry_out(club, calls(club, seen)[0], deadline=0.3 if fault == "slow" else 20)
    assert time.monotonic() - started < 1.5
    assert club.row("club.payout", payout)["status"] == status
    assert club.row("club.payout", payout)["entry"] is None
    asks = [row for row in calls(club, seen) if row["payload"]["method"] == "query"]
    assert len(asks) == (status == "unknown")
    if fault in ("lost_after", "nonsense"):
        carry_out(club, asks[0])
        assert club.row("club.payout", payout)["status"] == "paid"
        assert club.row("club.payout", payout)["entry"] is not None


def test_a_failing_result_command_leaves_nothing_and_may_be_tried_again(club, till, monkeypatch):
    member = charged(club)
    seen = {row["id"] for row in calls(club)}
    payout = pay_back(club, member)
    row = calls(club, seen)[0]
    before = club.dump()
    plugin = club.registry.plugins["club_desk"]
    good = plugin.handlers["pay_result"]

    def broken(work, record, given):
        good(work, record, given)
        raise RuntimeError("half way")

    monkeypatch.setitem(plugin.handlers, "pay_result", broken)
    with pytest.raises(PluginFault):
        carry_out(club, row)
    assert club.dump() == before
    monkeypatch.setitem(plugin.handlers, "pay_result", good)
    carry_out(club, row)
    assert club.row("club.payout", payout)["status"] == "paid"
