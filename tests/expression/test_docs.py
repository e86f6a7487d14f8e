"""The tables of docs/expressions.md are those of the code."""

import re
from pathlib import Path

from metaloom.expression import FUNCTIONS, check, syntax
from metaloom.expression.errors import HINTS, MESSAGES

PAGE = (Path(__file__).resolve().parents[2] / "docs/expressions.md").read_text(encoding="utf-8")


def _section(number: int) -> str:
    return PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0]


def test_the_function_table_is_complete_and_says_what_the_code_says() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", _section(7), re.M)
    assert [(row[0], row[2]) for row in rows] == [(f.signature, f.meaning) for f in FUNCTIONS.values()]
    for (_, gives, _), function in zip(rows, FUNCTIONS.values(), strict=True):
        if function.result is not None:
            assert gives == str(function.result)


def test_the_operator_table_names_every_operator() -> None:
    written = set(re.findall(r"`([^`]+)`", "\n".join(line.split("|")[1] for line in _section(3).splitlines() if line.startswith("| `"))))
    symbols = set(check_symbols()) | {"and", "or", "not", "is null", "is not null", "a if c else b", "-x"}
    assert written == symbols


def check_symbols() -> list[str]:
    from metaloom.expression.check import _SYMBOL
    return list(_SYMBOL.values())


def test_the_error_codes_are_listed_and_have_words_in_both_languages() -> None:
    assert re.findall(r"`expression\.(\w+)`", _section(9)) == list(MESSAGES)
    for english, chinese in (*MESSAGES.values(), *HINTS.values()):
        assert re.findall(r"{\w+}", english) and set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", chinese)) or "{" not in english + chinese
        assert re.search(r"[\u4e00-\u9fff]", chinese)


def test_the_limits_are_those_of_the_code() -> None:
    from metaloom.expression.check import MAX_COST, MAX_DIGITS
    for number in (syntax.MAX_LENGTH, syntax.MAX_NODES, syntax.MAX_DEPTH, MAX_COST, MAX_DIGITS, syntax.MAX_TEXT):
        assert f"{number:,}" in PAGE
    assert callable(check)
