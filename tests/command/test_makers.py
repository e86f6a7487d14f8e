"""Whoever made a record does not decide about it, by person, whoever put it forward (A10), on the rows of both databases."""

import pytest
import sqlalchemy as sa

from metaloom.approval import codec
from metaloom.base.errors import NotAllowed, NotPossible
from metaloom.command import assign_role, change_record, move_case, rows, run_action
from metaloom.command.approval_facts import RecordFacts
from metaloom.command.unit import Unit
from tests.command.guild import REQUEST


@pytest.fixture(scope="module")
def makers(guild):
    """Two people who write requests and check them, one of them with a second account."""
    guild.add_person("writer", "guild.clerk", "guild.checker", person_key="P-1")
    guild.add_person("writer2", "guild.checker", person_key="P-1")
    guild.add_person("owner", "guild.clerk", "guild.checker")
    return guild


def _asked(guild, case):
    return {name for name, user in guild.people.items() for t in guild.tasks(case) if t["status"] == "open" and t["assignee_id"] == user}


# chain, who creates, whom the record names → who is asked of checker, writer, writer2, owner
@pytest.mark.parametrize(("chain", "creator", "named", "asked"), [
    ("three", "clerk", None, {"checker", "writer", "owner"}),              # writer and writer2 are one person: one seat
    ("three", "writer", None, {"checker", "owner"}),
    ("three", "owner", None, {"checker", "writer"}),
    ("made", "writer", None, {"checker", "owner"}),
    ("made", "clerk", "owner", {"checker", "writer"}),
    ("made", "writer", "owner", {"checker"}),
])  # fmt: skip
def test_whoever_made_the_record_decides_nowhere_whoever_starts_the_case(makers, chain, creator, named, asked):
    record = makers.request(creator, reviewer=makers.people[named] if named else None)
    case = makers.start(chain, record=record, who="clerk2")
    assert _asked(makers, case) == asked
    makers.check(case)


def test_a_maker_does_not_get_the_task_handed_on_with_any_account(makers):
    case = makers.start("made", record=makers.request("writer"), who="clerk2")
    task = makers.open_task(case, "checker")
    for person in ("writer", "writer2", "clerk2"):
        with pytest.raises(NotPossible) as refused:
            makers.move(case, "checker", "transfer", task, to=makers.people[person])
        assert refused.value.message.code == "approval.barred"
        assert "经办人" in refused.value.message.say("zh") and "made the record" in refused.value.message.say("en")
    assert "transferred" not in makers.log(case)


def test_a_record_given_to_somebody_else_meanwhile_frees_nobody(makers):
    record = makers.request("clerk", reviewer=makers.people["owner"])
    case = makers.start("made", record=record, who="clerk2")
    makers.decide(case, "checker", "return", "再看", to="initiator")
    change_record(makers.ctx("clerk2"), REQUEST, record, {"reviewer": makers.people["writer"]}, makers.version(record))
    (task,) = [t for t in makers.tasks(case) if t["status"] == "open"]
    move_case(makers.ctx("clerk2"), "resubmit", task_id=task["id"], data={"opinion": "好"})
    assert _asked(makers, case) == {"checker"}
    makers.check(case)


def test_a_maker_had_part_in_the_approval_and_does_not_pay(makers):
    """maker ≠ checker ≠ payer: an action with ``maker_is_not: approval`` is not for whom the chain calls a maker."""
    assign_role(makers.system, makers.people["owner"], "guild.payer", company=makers.company)
    record = makers.request("clerk", reviewer=makers.people["owner"])
    case = makers.start("made", record=record, who="clerk2")
    makers.decide(case, "checker")
    assert makers.case(case)["status"] == "approved"
    with pytest.raises(NotAllowed, match="[Pp]art in the approval"):
        run_action(makers.ctx("owner"), REQUEST, record, "pay_out", {}, makers.version(record))
    run_action(makers.ctx("payer"), REQUEST, record, "pay_out", {}, makers.version(record))


def test_a_kept_chain_whose_field_is_gone_says_so(makers):
    """The administrator moves such a case to the new chain; nobody decides it meanwhile, and nothing breaks."""
    made = makers.request("writer")
    chain = makers.tenant.revision().catalog.chains[f"{REQUEST}/made"]
    with makers.tenant.read() as conn:
        unit = Unit(makers.system, conn, "look", makers.clock.now())
        facts = RecordFacts(unit, chain, "kept", rows.fetch(unit, REQUEST, made), {"initiator": 1}, {})
        assert facts.makers(("created_by", "reviewer", "paper.created_by")) == (makers.people["writer"],)
        with pytest.raises(NotPossible) as refused:
            facts.makers(("created_by", "gone"))
    assert refused.value.message.code == "approval.outdated" and "gone" in refused.value.message.say("zh")


def test_a_case_that_began_before_makers_were_known_goes_on_as_it_began(makers):
    """A kept text without makers names none: what runs keeps the rule under which it began."""
    chain = makers.tenant.revision().catalog.chains[f"{REQUEST}/three"]
    assert chain.makers == ("created_by",)
    old = codec.dumps(chain).replace('"makers":["created_by"],', "")
    assert codec.loads(old).makers == ()
    with makers.tenant.read() as conn:
        bodies = conn.scalars(sa.select(makers.tenant.revision().tables.engine.approval_chain.c.body)).all()
    assert any('"makers":["created_by"]' in str(body) for body in bodies)
