"""The table of attacks names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def named() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    return re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::([a-z0-9_]+))?`", text[text.index("## Attacks"):])


def missing(path: str, test: str) -> str:
    """What is not there: the file, the test, or nothing ('')."""
    if not (ROOT / path).is_file():
        return path
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return "" if not test or f"test_{test}" in names else f"{path}::{test}"


def test_every_attack_is_held_by_a_test_that_exists() -> None:
    found = named()
    assert [gone for path, test in found if (gone := missing(path, test))] == []
    assert len(found) > 90


@pytest.mark.parametrize("planted", [("tests/docs/test_nothing.py", ""), ("tests/docs/test_attacks.py", "nothing")])
def test_the_check_can_fail(planted: tuple[str, str]) -> None:
    assert missing(*planted)
