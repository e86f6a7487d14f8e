"""docs/lending_quote.md against the published schemas: every key, every choice, every event and its fields, and nothing that is gone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from metaloom_plugins.loan_math.reading import schema

PAPER = (Path(__file__).resolve().parents[2] / "docs" / "lending_quote.md").read_text("utf-8")


def table(name: str) -> list[list[str]]:
    body = PAPER.split(f"<!-- table: {name} -->")[1].split("<!-- end -->")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in body]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def choices(found: Any) -> set[str]:
    """Every word of an enumeration below a schema, references not followed."""
    if isinstance(found, dict):
        own = {str(one) for one in found.get("enum", ())}
        return own.union(*(choices(value) for key, value in found.items() if key not in ("x-words", "x-label")))
    return set().union(*(choices(one) for one in found)) if isinstance(found, list) else set()


def test_every_key_of_the_request_stands_in_the_paper() -> None:
    assert [key for row in table("request") for key in named(row[0])] == list(schema("quote")["properties"])


def test_every_choice_of_the_request_is_spelled() -> None:
    wanted = choices({key: value for key, value in schema("quote")["properties"].items() if key != "events"}) | choices(schema("quote")["$defs"]["fee"])
    assert not {word for word in wanted if not re.search(rf"(?<![\w/]){re.escape(word)}(?![\w/])", PAPER)}


def test_every_event_has_a_row_with_its_fields() -> None:
    rows = {named(row[0])[0]: row for row in table("events")}
    kinds = schema("quote")["properties"]["events"]["items"]["properties"]["kind"]["enum"]
    assert list(rows) == kinds
    for kind in kinds:
        event = schema("quote")["$defs"][f"event_{kind}"]
        fields = set(event["properties"]) - {"kind", "date"}
        assert fields <= set(named(rows[kind][1])), kind
        assert choices(event) <= set(named(rows[kind][1])), kind


def test_every_key_of_the_reply_stands_in_the_paper() -> None:
    keys = [key for row in table("reply") for key in named(row[0])]
    assert sorted(keys) == sorted(set(schema("quote_reply")["properties"]))
    row = schema("quote_reply")["properties"]["rows"]["items"]["properties"]
    assert all(key in PAPER for key in row)


def test_every_convention_stands_in_the_paper() -> None:
    assert [key for row in table("apr") for key in named(row[0])] == schema("apr")["properties"]["convention"]["enum"]
