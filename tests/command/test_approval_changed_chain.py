"""A chain is published anew while cases run: they are listed, they stay, they move, they begin again (A09)."""

import pytest

from metaloom import schema_change
from metaloom.base.errors import Invalid, NotAllowed, NotFound
from metaloom.command import change_case_chain, changed_chains, preview_move, system_context
from tests.command.guild import REQUEST, sources

THREE = f"{REQUEST}/three"
OLD = "      two: {label: {zh: 二级, en: Second}, who: [{role: master}]}\n"
RENAMED = "      middle: {label: {zh: 中级, en: Middle}, who: [{role: judge}], mode: all}\n"
STRICTER = OLD + "      extra: {label: {zh: 加审, en: Extra}, who: [{role: judge}]}\n"


@pytest.fixture
def publish(guild):
    """Publishes the guild with another text of the chains; afterwards the old one again."""
    yield lambda old, new: schema_change.publish(guild.tenant, sources(lambda text: text.replace(old, new)))
    schema_change.publish(guild.tenant, sources())


def engine(guild):
    """The engine itself, under the revision that is published now."""
    return system_context(guild.tenant, plugins=None, clock=guild.clock)


def listed(guild):
    revision = guild.tenant.revision()
    with guild.tenant.read() as conn:
        return {change.address: change for change in changed_chains(conn, revision.tables, revision.catalog)}


def test_a_running_case_keeps_its_chain_and_a_new_one_takes_the_new(guild, publish):
    case = guild.start("three")
    assert THREE not in listed(guild)
    publish(OLD, STRICTER)
    change = listed(guild)[THREE]
    assert case in change.cases and change.steps["one"] >= 1 and not change.gone
    assert "they stay with it" in change.say()
    for person in ("checker", "master", "payer"):
        guild.decide(case, person)
    assert guild.case(case)["status"] == "approved"
    assert guild.tasks(case)[-1]["step"] == "three"
    fresh = guild.start("three")
    guild.decide(fresh, "checker")
    guild.decide(fresh, "master")
    assert guild.case(fresh)["current_steps"] == "加审"
    assert fresh not in listed(guild).get(THREE, change).cases
    guild.check(case, fresh)


def test_a_case_moves_to_the_same_step_or_the_mapped_one_and_is_previewed(guild, publish):
    same, mapped = guild.start("three"), guild.start("three")
    guild.decide(mapped, "checker")
    publish(OLD, RENAMED)
    revision = guild.tenant.revision()
    with guild.tenant.read() as conn:
        seen = {move.case: move for move in preview_move(conn, revision.tables, revision.catalog, THREE)}
        cured = {move.case: move for move in preview_move(conn, revision.tables, revision.catalog, THREE, {"two": "middle"})}
    assert (seen[same].goes, seen[same].stuck) == ({"one": "one"}, ())
    assert (seen[mapped].stuck, cured[mapped].goes) == (("two",), {"two": "middle"})
    before = guild.log(mapped)
    outcomes = {o.id: o for o in change_case_chain(engine(guild), THREE, "move", cases=[same, mapped])}
    assert outcomes[same].error is None and outcomes[mapped].error is not None
    assert guild.log(mapped) == before, "what cannot be moved stays as it is"
    (moved,) = change_case_chain(guild.ctx("admin"), THREE, "move", mapping={"two": "middle"}, cases=[mapped], reason="新流程")
    assert moved.error is None
    assert [t["step"] for t in guild.tasks(mapped) if t["status"] == "open"] == ["middle"] * 3
    assert guild.case(mapped)["current_steps"] == "中级"
    assert all(mapped not in change.cases for change in listed(guild).values())
    for judge in ("judge1", "judge2", "judge3"):
        guild.decide(mapped, judge)
    guild.decide(mapped, "payer")
    assert guild.case(mapped)["status"] == "approved"
    guild.check(same, mapped)
    entry = [row for row in guild.rows("audit", entity="platform.approval_case", record_id=mapped) if row["command"] == "change_case_chain"]
    assert entry and entry[0]["reason"] == "新流程" and entry[0]["actor_id"] == guild.people["admin"]


def test_a_case_begins_again_by_the_new_chain(guild, publish):
    case = guild.start("three")
    guild.decide(case, "checker")
    publish(OLD, STRICTER)
    (outcome,) = change_case_chain(engine(guild), THREE, "restart", cases=[case])
    assert outcome.error is None
    assert guild.case(case)["current_steps"] == "一级"
    for person, step in (("checker", "one"), ("master", "two"), ("judge1", "extra"), ("payer", "three")):
        guild.decide(case, person, step=step)
    assert guild.case(case)["status"] == "approved"
    guild.check(case)


def test_pinning_is_written_down_and_changes_nothing_else(guild, publish):
    case = guild.start("three")
    publish(OLD, STRICTER)
    tasks = guild.tasks(case)
    (outcome,) = change_case_chain(engine(guild), THREE, "pin", cases=[case])
    assert outcome.error is None and guild.log(case)[-1] == "chain_kept"
    assert [(t["id"], t["status"]) for t in guild.tasks(case)] == [(t["id"], t["status"]) for t in tasks]
    guild.check(case)


def test_only_an_administrator_may_and_only_what_there_is(guild):
    with pytest.raises(NotAllowed):
        change_case_chain(guild.ctx("clerk"), THREE, "move")
    with pytest.raises(Invalid):
        change_case_chain(guild.ctx("admin"), THREE, "erase")
    with pytest.raises(NotFound):
        change_case_chain(guild.ctx("admin"), f"{REQUEST}/none", "move")
