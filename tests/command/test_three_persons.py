"""Maker, checker, payer: three persons, whatever account, delegate or substitute each comes through."""

from __future__ import annotations

from itertools import count

import pytest

from metaloom.base.errors import NotAllowed
from metaloom.command import available_actions, run_action, set_substitute
from tests.command.guild import REQUEST, TODAY

_numbers = count(1)


@pytest.fixture
def house(guild):
    """New people for each test: a maker, a checker, a payer, and somebody with the roles of all three under a second account each."""
    n = next(_numbers)
    for name, role in (("maker", "clerk"), ("chief", "master"), ("cashier", "payer")):
        guild.add_person(f"{name}{n}", f"guild.{role}", person_key=f"K-{name}-{n}")
    yield lambda name: f"{name}{n}"
    for name in [p for p in guild.people if p.endswith(str(n)) and not p.startswith("judge")]:
        row = guild.rows("user", id=guild.people[name])[0]
        if row["active"] and name not in ("clerk2", "judge1", "judge2", "judge3"):
            from metaloom.command import save_user
            save_user(guild.system, guild.people[name], {"active": False}, row["row_version"])


def passed(guild, house, by="chief"):
    """A request of the maker that the chief passed; its id."""
    record = guild.request(house("maker"))
    case = guild.start("single", record=record, who=house("maker"))
    claimed = [t for t in guild.tasks(case) if t["assignee_id"] == guild.people[house(by)]]
    assert len(claimed) == 1
    guild.decide(case, house(by))
    assert guild.case(case)["status"] == "approved"
    return record


def pay(guild, name, record):
    return run_action(guild.ctx(name), REQUEST, record, "pay_out", {}, guild.version(record))


def test_a_third_person_pays(guild, house):
    record = passed(guild, house)
    pay(guild, house("cashier"), record)
    assert guild.record(record)["paid"]


@pytest.mark.parametrize("whose", ["maker", "chief"])
def test_neither_maker_nor_checker_pays_under_a_second_account(guild, house, whose):
    """The second account names the same person in another spelling; its button is grey, too, and says why."""
    record = passed(guild, house)
    second = house("second")
    guild.add_person(second, "guild.payer", person_key=f" k-{house(whose).replace(whose, whose + '-')} ")
    refuses(guild, second, record)
    pay(guild, house("cashier"), record)


def refuses(guild, name, record):
    with pytest.raises(NotAllowed):
        pay(guild, name, record)
    assert not guild.record(record)["paid"]
    ctx = guild.ctx(name)
    with guild.tenant.read() as conn:
        from metaloom.command.rows import reader
        from metaloom.command.unit import Unit
        row = reader(Unit(ctx, conn, "look", guild.clock.now())).get(REQUEST, record)
        (button,) = [one for one in available_actions(ctx, REQUEST, row, conn) if one.name == "pay_out"]
    assert not button.enabled and button.reason is not None


def test_the_maker_decides_under_no_account(guild, house):
    """A second account of the maker with the checker's role is not asked, and may not be given the task."""
    twin = house("twin")
    guild.add_person(twin, "guild.master", person_key=f"K-maker-{house('')}")
    record = guild.request(house("maker"))
    case = guild.start("single", record=record, who=house("maker"))
    assert guild.people[twin] not in {t["assignee_id"] for t in guild.tasks(case)}
    task = guild.open_task(case, house("chief"))
    for kind in ("transfer", "delegate"):
        with pytest.raises(Exception) as refused:
            guild.move(case, house("chief"), kind, task=task, to=guild.people[twin])
        assert type(refused.value).__name__ in ("NotPossible", "NotAllowed")


def test_who_helped_to_decide_does_not_pay(guild, house):
    """The chief delegates, the helper resolves, the chief passes: the helper had a hand in it."""
    helper = house("helper")
    guild.add_person(helper, "guild.master", "guild.payer")
    record = guild.request(house("maker"))
    case = guild.start("single", record=record, who=house("maker"))
    helping = house("aide")
    guild.add_person(helping, "guild.judge", "guild.payer")
    guild.move(case, house("chief"), "delegate", task=guild.open_task(case, house("chief")), to=guild.people[helping])
    guild.decide(case, helping, "resolve")
    guild.decide(case, house("chief"))
    refuses(guild, helping, record)
    pay(guild, helper, record)          # holds the checker's role and was asked, but had no hand in it


def test_neither_who_stood_in_nor_who_was_stood_in_for_pays(guild, house):
    stand = house("stand")
    guild.add_person(stand, "guild.judge", "guild.payer")
    chief = guild.people[house("chief")]
    set_substitute(guild.ctx(house("chief")), chief, guild.people[stand], TODAY, TODAY)
    record = guild.request(house("maker"))
    case = guild.start("single", record=record, who=house("maker"))
    guild.decide(case, stand)
    refuses(guild, stand, record)
    shadow = house("shadow")
    guild.add_person(shadow, "guild.payer", person_key=f"K-chief-{house('')}")
    refuses(guild, shadow, record)
    pay(guild, house("cashier"), record)
