"""The way of a case as a tree: what was taken, what lies ahead, and what the case passed by."""

from __future__ import annotations

from typing import Any

import pytest

from metaloom.approval import Move, Node, begin, decide, path, replay
from tests.approval.world import START, world

WHO: dict[str, Any] = {"who": [{"role": "boss"}]}
INNER = {"deep": {"type": "parallel", "branches": {"left": {"steps": {"deep_one": WHO}}}}}
FORK = {
    "branch": {"small": {"when": "total <= 100", "steps": {"small_one": WHO}}, "large": {"otherwise": True, "steps": {"large_one": WHO, **INNER}}},
    "inclusive": {"small": {"when": "total <= 100", "steps": {"small_one": WHO}}, "huge": {"when": "total > 500", "steps": {"large_one": WHO, **INNER}},
                  "any": {"when": "total > 0", "steps": {"any_one": WHO}}},
    "parallel": {"one": {"steps": {"small_one": WHO}}, "two": {"steps": {"any_one": WHO}}},
}  # fmt: skip


def flat(nodes: tuple[Node, ...]) -> dict[str, str]:
    return {name: status for n in nodes for name, status in ((n.name, n.status), *flat(n.children).items())}


@pytest.mark.parametrize(("kind", "now", "beside"), [
    ("branch", {"small", "small_one"}, {"large", "large_one", "deep", "left", "deep_one"}),
    ("inclusive", {"small", "small_one", "any", "any_one"}, {"huge", "large_one", "deep", "left", "deep_one"}),
    ("parallel", {"one", "small_one", "two", "any_one"}, set()),
])  # fmt: skip
def test_a_way_that_was_not_taken_is_passed_by_with_everything_on_it(kind: str, now: set[str], beside: set[str]) -> None:
    body = {"steps": {"first": WHO, "split": {"type": kind, "branches": FORK[kind]}, "last": WHO}, "people": {"forbid_repeat": "none"}}
    made = world(body, roles={"boss": ["ann"]}, record={"total": 50})
    log = [*begin(made.chain, made, made.id("ini"), START)]
    before = flat(path(made.chain, replay(log)))
    assert set(before.values()) == {"now", "ahead"}, "before the fork nothing is passed by"
    log += decide(made.chain, replay(log), Move("pass", made.id("ann"), START, 1), made)
    shown = flat(path(made.chain, replay(log)))
    assert {name for name, status in shown.items() if status == "now"} == {"split", *now}
    assert {name for name, status in shown.items() if status == "skipped"} == beside
    assert (shown["first"], shown["last"]) == ("done", "ahead")
