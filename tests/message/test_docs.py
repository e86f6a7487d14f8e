"""docs/messages.md says what the code does: its examples pass the schema, its words are those of the code."""

import re
from pathlib import Path

import pytest

from metaloom.base.diagnostic import Diagnostic
from metaloom.command import receive_call as into
from metaloom.compile.load import load
from metaloom.compile.schema import definition, shape_of, validate
from metaloom.compile.source import Source
from metaloom.message import post
from metaloom.message.reach import OPT_OUT_WORDS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def checked(text: str, shape: str, *path: str) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    node = load(Source("client", "x.yaml", text), found.append)
    for name in path:
        node = node.get(name)
    validate(definition(shape) if shape == "step" else shape_of(shape), node, found.append, "x")
    return found


@pytest.mark.parametrize("kind", ["messages", "tenant", "webhooks"])
def test_the_examples_pass_the_schema(kind):
    block = next(b for b in BLOCKS if b.startswith(f"{kind}:"))
    found = checked(block, kind, kind)
    assert {f.code for f in found} <= ({"ML-SCHEMA-002"} if kind == "tenant" else set()), found  # the card shows its settings only


def test_the_call_from_outside_passes_the_schema():
    block = next(b for b in BLOCKS if "shop_app" in b)
    assert checked("webhooks:\n" + block, "webhooks", "webhooks") == []


def test_the_steps_pass_the_schema():
    steps = next(b for b in BLOCKS if b.startswith("- {notify"))
    for line in steps.strip().splitlines():
        assert checked("step: " + line.removeprefix("- "), "step", "step") == []


def test_headers_words_and_answers_are_those_of_the_code():
    assert all(f"`{name}`" in TEXT for name in (post.EVENT, post.TIMESTAMP, post.SIGNATURE))
    assert {OPT_OUT_WORDS[0], "TD", "STOP"} <= set(OPT_OUT_WORDS) and "退订, TD or STOP" in TEXT
    for status, word in (into.DONE, into.UNSIGNED, into.WRONG, into.IMPOSSIBLE):
        assert f"`{status} {word}`" in TEXT
    assert f"more than {into.BODY_MAX // 1024} KB" in TEXT
