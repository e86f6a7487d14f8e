"""docs/approval.md names cases that exist, for every operation; its example compiles in shape."""

from __future__ import annotations

import re
from pathlib import Path

from metaloom.approval.machine import RULES
from metaloom.base.diagnostic import Diagnostic
from metaloom.compile.load import load
from metaloom.compile.schema import shape_of, validate
from metaloom.compile.source import Source
from tests.approval.test_cases import CASES

TEXT = (Path(__file__).parents[2] / "docs" / "approval.md").read_text("utf-8")
ROW = re.compile(r"^\| [^|]+ \| [^|]+ \| `([^`]+)` \|$", re.MULTILINE)


def test_every_row_names_a_case_that_is_played() -> None:
    named = ROW.findall(TEXT)
    assert len(named) >= 60 and len(set(named)) == len(named)
    assert set(named) <= CASES.keys(), set(named) - CASES.keys()


def test_every_operation_has_a_row_and_every_move_is_played_and_refused() -> None:
    files = {name.partition("/")[0] for name in CASES}
    assert files == {name.partition("/")[0] for name in ROW.findall(TEXT)}
    played = {line["do"] for case in CASES.values() for line in case["play"] if "do" in line and "refused" not in line}
    refused = {line["do"] for case in CASES.values() for line in case["play"] if "refused" in line}
    assert RULES.keys() <= played
    assert RULES.keys() <= refused


def test_the_example_has_the_shape_of_a_chain() -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    found: list[Diagnostic] = []
    node = load(Source("pack", "x.yaml", example[1]), found.append)
    assert node is not None
    validate(shape_of("approval"), node.value["approval"], found.append, "approval")
    assert found == []


def test_rows_held_by_a_test_of_the_database_name_one_that_is_there() -> None:
    named = re.findall(r"\| `(tests/[\w/]+\.py)`, `(\w+)` \|$", TEXT, re.MULTILINE)
    assert len(named) >= 4
    for path, name in named:
        assert f"def {name}(" in (Path(__file__).parents[2] / path).read_text("utf-8"), (path, name)
