"""How values are spelled in an answer, whichever writer writes it."""

import json
from collections import namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType

import flask
import pytest

from metaloom.api.answer import plain, written
from metaloom.base.text import Text

Pair = namedtuple("Pair", "one other")

VALUES = [
    None, True, 0, -7, 2**63 - 1, 2**64, -(2**70), 0.5, "", "客户 <&> \u2028", "half \ud800", {}, [], (), {"a": [1, {"b": None}]}, {1: "a", "1": "b", None: 0},
    Decimal("1.10"), Decimal("-0.00"), Decimal("1E+3"), date(2026, 11, 23), date(999, 1, 2), time(9, 5), time(9, 5, 1, 7),
    datetime(2026, 11, 23, 8, 0, tzinfo=UTC), datetime(2026, 11, 23, 8, 0, 1, 20, tzinfo=timezone(timedelta(hours=8))), datetime(2026, 11, 23, 8, 0),
    Text("客户", "Customer"), {"b", "a"}, frozenset({3, 1}), MappingProxyType({"x": Decimal("2.50")}), Pair(1, "two"),
]


@pytest.fixture(autouse=True)
def request_of_somebody():
    with flask.Flask(__name__).test_request_context("/"):
        yield


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_spelled_as_python_spells_it_with_our_words_for_the_rest(value):
    line = written({"value": value, "again": [value]})
    assert line.endswith(b"}\n") and b": " not in line
    assert json.loads(line) == json.loads(json.dumps({"value": value, "again": [value]}, default=plain))


def test_instants_are_in_utc_and_amounts_are_text():
    at = datetime(2026, 11, 23, 8, 0, tzinfo=timezone(timedelta(hours=8)))
    assert written([at, Decimal("12.00"), Text("客户", "Customer")]) == '["2026-11-23T00:00:00Z","12.00","客户"]\n'.encode()


def test_what_no_writer_knows_is_refused():
    with pytest.raises(TypeError):
        written({"value": object()})
