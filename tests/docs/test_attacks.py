"""The table of attacks names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


# The numbers of the list of attacks; one that is left out of the table is an attack that nobody tries.
NUMBERS = {1, 2, *range(4, 9), 10, 11, 12, 14, 15, 16, 18, *range(20, 25), *range(26, 31), *range(33, 39), 40, 41, 42, 43, 45, 46,
           *range(48, 53), 54, 55, 57, 59, 60, 61, 63, 64, 65, *range(67, 75), 76, 77, 79, *range(81, 85),
           86, 87, 89, 90, 91, 93, 94, 95, 97, 98, *range(100, 104), 105, 106, 108}


def rows() -> list[tuple[str, str]]:
    """(numbers, tests) of every line of the table."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = text[text.index("| No. | Attack | Held by |"):].split("\n\n")[0].splitlines()[2:]
    return [(line.split("|")[1], line.rsplit("|", 2)[1]) for line in table]


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
    assert len(found) > 170


def test_every_number_of_the_list_has_its_line_and_every_line_a_test() -> None:
    found = [int(number) for numbers, _ in rows() for number in re.findall(r"\d+", numbers)]
    assert sorted(found) == sorted(NUMBERS), "each number stands once"
    assert [numbers for numbers, tests in rows() if "`tests/" not in tests] == []


@pytest.mark.parametrize("planted", [("tests/docs/test_nothing.py", ""), ("tests/docs/test_attacks.py", "nothing")])
def test_the_check_can_fail(planted: tuple[str, str]) -> None:
    assert missing(*planted)
