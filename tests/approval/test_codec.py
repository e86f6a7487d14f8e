"""A pinned chain is read back as it was: every chain of the packs, generated ones, and the states of cases."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from metaloom.approval import begin, codec, replay
from metaloom.base.position import NOWHERE
from metaloom.compile import compile_catalog, read_sources
from tests.approval.chains import chains
from tests.approval.world import START, world
from tests.compile.shop import APPROVAL, CHAIN, METADATA, catalog


def without_positions(value: Any) -> Any:
    """The value as it is without the lines of its files."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        slots = {f.name: without_positions(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{**slots, **({"position": NOWHERE} if "position" in slots else {})})
    if isinstance(value, dict) or hasattr(value, "items"):
        return {k: without_positions(v) for k, v in value.items()}
    return tuple(without_positions(v) for v in value) if isinstance(value, tuple) else value


def test_every_chain_of_the_packs_comes_back_equal() -> None:
    for chain in _of_the_packs():
        assert codec.loads(codec.dumps(chain)) == without_positions(chain), chain.address


def _of_the_packs() -> list[Any]:
    packs = compile_catalog(read_sources({"engine": METADATA, "pack": METADATA}, ("lending", "workshop")))
    return [*packs.chains.values(), *catalog({APPROVAL: CHAIN}).chains.values()]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chains())
def test_a_generated_chain_comes_back_equal(body: dict[str, Any]) -> None:
    chain = world(body, fast=True).chain
    text = codec.dumps(chain)
    again = codec.loads(text)
    assert again == without_positions(chain)
    assert codec.dumps(again) == text and list(again.steps) == list(chain.steps)


def test_the_order_of_steps_is_part_of_the_text_and_survives_a_database_that_sorts() -> None:
    chain = catalog({APPROVAL: CHAIN}).chains["shop.order_form/discount"]
    text = codec.dumps(chain)
    sorted_by_a_database = json.dumps(json.loads(text), sort_keys=True)
    assert list(codec.loads(sorted_by_a_database).steps) == ["check", "by_amount", "tell"]
    assert codec.digest(text) == codec.digest(codec.dumps(codec.loads(text)))


def test_lines_of_the_file_do_not_change_the_digest() -> None:
    one = catalog({APPROVAL: CHAIN}).chains["shop.order_form/discount"]
    other = catalog({APPROVAL: "# a word\n\n" + CHAIN}).chains["shop.order_form/discount"]
    assert one.position != other.position and codec.dumps(one) == codec.dumps(other)


def test_a_state_comes_back_equal() -> None:
    facts = world({"steps": {"one": {"who": [{"role": "boss"}], "limit": {"within": "2 days"}}}}, roles={"boss": ["ann", "bob"]})
    state = replay(begin(facts.chain, facts, facts.id("ini"), START))
    assert codec.load_state(codec.dump_state(state)) == state


@pytest.mark.parametrize("text", ['{"name": "x"}', "[]", '"chain"', '{"steps": [["a", {"type": "knot"}]]}', "null"])
def test_a_text_that_is_no_chain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no ApprovalChain"):
        codec.loads(text)
