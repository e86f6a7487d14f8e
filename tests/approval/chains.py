"""Random chains and random worlds: what the property tests walk through."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PEOPLE = ("ann", "bob", "cat", "dan", "eve", "fay", "gus")
SECOND = ("ann2", "bob2")
ROLES = ("boss", "risk", "legal")
CONDITIONS = ("total > 100", "total <= 100", "docs", "total > 500")


def _maybe(draw: Any, body: dict[str, Any], key: str, values: Any) -> None:
    if draw(st.booleans()):
        body[key] = draw(values)


@st.composite
def who(draw: Any) -> list[dict[str, Any]]:
    ways = st.one_of(
        st.sampled_from(ROLES).map(lambda r: {"role": r}), st.sampled_from(PEOPLE).map(lambda u: {"user": u}),
        st.just({"field": "head"}), st.just({"initiator": True}), st.just({"heads": {"of": "initiator_unit", "levels": 2}}))
    return draw(st.lists(ways, min_size=1, max_size=2, unique_by=str))


@st.composite
def deciding(draw: Any) -> dict[str, Any]:
    mode = draw(st.sampled_from(("any", "all", "sequence", "vote", "claim", "random")))
    body: dict[str, Any] = {"who": draw(who()), "mode": mode}
    if mode == "vote":
        body["pass"] = draw(st.sampled_from(("1/2", "2/3", "1/1", 2, 3)))
        _maybe(draw, body, "weights", st.sampled_from(({"boss": 2}, {"ann": 3, "risk": 2})))
        _maybe(draw, body, "veto", st.sampled_from(("none", "one_rejects")))
    elif mode in ("all", "sequence"):
        _maybe(draw, body, "veto", st.sampled_from(("one_rejects", "rest_continue")))
    _maybe(draw, body, "when", st.sampled_from(CONDITIONS))
    _maybe(draw, body, "return", st.fixed_dictionaries({"to": st.sampled_from((["initiator"], ["previous"], ["any"], ["any", "end"])),
                                                        "then": st.sampled_from(("rerun", "resume"))}))
    _maybe(draw, body, "empty", st.sampled_from(("admin", "fail", "skip", {"who": [{"role": "legal"}]})))
    _maybe(draw, body, "initiator", st.sampled_from(("forbid", "skip", "superior", "allow")))
    _maybe(draw, body, "opinion", st.sampled_from(("required", "on_reject", "optional")))
    _maybe(draw, body, "auto", st.sampled_from(({"pass": "total <= 100"}, {"reject": "total > 500"})))
    _maybe(draw, body, "limit", st.just({"within": "8 hours", "then": [
        {"after": "0 hours", "do": "remind"}, {"after": "1 hours", "do": "transfer", "to": [{"role": "legal"}]}, {"after": "2 hours", "do": "admin"}]}))
    _maybe(draw, body, "may", st.lists(st.sampled_from(("transfer", "delegate", "add_before", "add_after", "remove", "ask")), unique=True))
    return body


@st.composite
def blocks(draw: Any, depth: int, prefix: str) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    for number in range(draw(st.integers(0 if depth else 1, 3 if depth == 0 else 2))):
        name = f"{prefix}{number}"
        kinds = ("decide", "decide", "decide", "fork", "wait", "copy", "sub") if depth < 2 else ("decide", "decide", "wait")
        kind = draw(st.sampled_from(kinds))
        if kind == "fork":
            steps[name] = draw(fork(depth + 1, name))
        else:
            steps[name] = draw({"decide": deciding(), "wait": st.sampled_from(({"type": "wait", "for": "wake"}, {"type": "wait", "for": "docs"})),
                                "copy": st.just({"type": "copy", "who": [{"role": "boss"}]}),
                                "sub": st.sampled_from(({"type": "sub", "chain": "side"}, {"type": "sub", "chain": "side", "on": "other"},
                                                        {"type": "sub", "chain": "side", "wait": False}))}[kind])
    return steps


@st.composite
def fork(draw: Any, depth: int, name: str) -> dict[str, Any]:
    kind = draw(st.sampled_from(("branch", "parallel", "inclusive")))
    branches: dict[str, Any] = {}
    for number, condition in enumerate(draw(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2, unique=True))):
        branches[f"b{number}"] = {"steps": draw(blocks(depth, f"{name}_{number}_")), **({} if kind == "parallel" else {"when": condition})}
    if kind == "branch" or kind == "inclusive" and draw(st.booleans()):
        branches["rest"] = {"steps": draw(blocks(depth, f"{name}_r_")), "otherwise": True}
    return {"type": kind, "branches": branches}


@st.composite
def chains(draw: Any) -> dict[str, Any]:
    """A chain as an author would write it: three levels of blocks, all modes, all kinds of steps."""
    steps = draw(blocks(0, "s"))
    steps["last"] = draw(deciding())
    body: dict[str, Any] = {"steps": steps}
    _maybe(draw, body, "people", st.sampled_from(({"forbid_repeat": "step"}, {"forbid_repeat": "none"})))
    _maybe(draw, body, "makers", st.sampled_from((["head"], ["created_by", "head"], [])))
    _maybe(draw, body, "repeated", st.sampled_from(("pass_adjacent", "pass_any")))
    _maybe(draw, body, "allow", st.fixed_dictionaries({"withdraw": st.sampled_from(("before_decision", "any_time", "never")), "take_back": st.booleans()}))
    return body


@st.composite
def facts(draw: Any) -> dict[str, Any]:
    """Roles with few or no holders, absent people, people with two accounts, people who may not read."""
    everybody = st.lists(st.sampled_from((*PEOPLE, *SECOND, "ini")), max_size=4, unique=True)
    return {
        "roles": {r: draw(everybody) for r in ROLES},
        "record": {"total": draw(st.sampled_from((50, 200, 900))), "docs": draw(st.booleans()), "head": draw(st.sampled_from((*PEOPLE, None))),
                   "created_by": draw(st.sampled_from((*PEOPLE, *SECOND, "ini", None))),
                   "other": draw(st.sampled_from((None, 7)))},
        "same": [["ann", "ann2"], ["bob", "bob2"]],
        "blind": draw(st.lists(st.sampled_from(PEOPLE), max_size=1)),
        "superiors": {"ini": draw(st.sampled_from(PEOPLE)), "ann": "cat"},
        "heads": draw(st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True)),
        "stands_in": draw(st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE).map(lambda n: {"who": n}), max_size=2)),
    }
