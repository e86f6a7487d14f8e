"""In what two texts of a chain differ, as an administrator is told it."""

from dataclasses import replace

import pytest

from metaloom.approval.chain_diff import changes
from metaloom.base.text import Text
from metaloom.model import ApprovalChain, Branch, Decide, Fork, Limit, Who

L = Text("环节", "Step")


def chain(*steps, **more):
    return ApprovalChain("a.b/c", "a.b", "c", L, L, {step.name: step for step in steps}, **more)


def step(name, role="r", **more):
    return Decide(name=name, label=L, who=(Who("role", role),), **more)


def fork(name, **branches):
    ways = {n: Branch(n, L, {s.name: s for s in steps}, when) for n, (when, *steps) in branches.items()}
    return Fork(name=name, label=L, kind="branch", branches=ways)


ONE = chain(step("a"), step("b"), fork("f", small=("x < 1", step("c")), large=("", step("d"))))


def told(after):
    return {(one.step, one.what) for one in changes(ONE, after)}


@pytest.mark.parametrize(("after", "expected"), [
    (ONE, set()),
    (replace(ONE, label=Text("别名", "Other")), set()),
    (chain(step("a"), *list(ONE.steps.values())[2:]), {("b", "removed")}),
    (chain(step("a"), step("n"), step("b"), ONE.steps["f"]), {("n", "added")}),
    (chain(step("b"), step("a"), ONE.steps["f"]), {("a", "moved"), ("b", "moved"), ("f", "moved")}),
    (chain(step("a", "other"), step("b"), ONE.steps["f"]), {("a", "who")}),
    (chain(step("a", mode="vote", share="2/3"), step("b", limit=Limit("8 hours")), ONE.steps["f"]), {("a", "mode"), ("a", "share"), ("b", "limit")}),
    (chain(step("a"), step("b"), fork("f", small=("x < 2", step("c")), large=("", step("d")))), {("f", "branch_when")}),
    (chain(step("a"), step("b"), fork("f", small=("x < 1", step("c"), step("d")), large=("",))), {("d", "moved")}),
    (chain(step("a"), step("b"), fork("f", large=("", step("d")))), {("f", "branch_removed"), ("c", "removed")}),
    (replace(ONE, one_open=False, forbid_repeat="none"), {("", "one_open"), ("", "forbid_repeat")}),
])
def test_each_difference_is_told_once_where_it_stands(after, expected):
    assert told(after) >= expected and {d for d in told(after) if d[1] != "moved"} == {d for d in expected if d[1] != "moved"}
    assert len(changes(ONE, after)) == len(told(after))


def test_a_changed_slot_tells_both_sides():
    (change,) = changes(ONE, chain(step("a", "other"), step("b"), ONE.steps["f"]))
    assert (change.before, change.after) == ((Who("role", "r"),), (Who("role", "other"),))
