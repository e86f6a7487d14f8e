"""Bodies that two readers might understand differently, absurd amounts, wrong methods: refused, never a 5xx, nothing stored."""

import time

import pytest

from metaloom.api.body import depth, parse
from metaloom.base.errors import Invalid

BODIES = {
    "nothing": b"", "noise": b"{", "word": b"x", "list": b"[]", "number": b"5", "text": b'"x"', "null": b"null", "duplicate": b'{"name": "a", "name": "b"}',
    "duplicate inside": b'{"extra": {"a": 1, "a": 2}}', "nan": b'{"amount": NaN}', "infinity": b'{"amount": -Infinity}', "trailing": b'{"a": 1} {}',
    "deep": b'{"extra": ' + b"[" * 5000 + b"]" * 5000 + b"}", "deep objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "big": b'{"note": "' + b"x" * 1_100_000 + b'"}',
    "long number": b'{"amount": ' + b"9" * 5000 + b"}", "huge exponent": b'{"amount": 1e999999999}', "tiny exponent": b'{"amount": 1e-999999999}',
    "latin-1": '{"note": "ü"}'.encode("latin-1"), "utf-16": '{"note": "x"}'.encode("utf-16"), "bom": b"\xef\xbb\xbf{}", "nul": b'{"note": "a\\u0000b"}',
    "surrogate": b'{"note": "\\ud800"}', "raw nul": b'{"note": "a\x00"}', "surrogate key": b'{"\\udfff": 1}', "comment": b'{/* */}', "single": b"{'a': 1}",
    "hex": b'{"amount": 0x10}', "octal": b'{"amount": 010}', "plus": b'{"amount": +1}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_not_strict_json_is_refused(people, name):
    clerk = people["clerk"]
    before = clerk.get("/depot.sale?count=true").json["count"]
    began = time.process_time()
    answer = clerk.call("POST", "/depot.sale", raw=BODIES[name])
    assert answer.status_code == 400, (name, answer.get_data(as_text=True)[:200])
    assert answer.json["code"].startswith("api.json")
    assert time.process_time() - began < 1
    assert clerk.get("/depot.sale?count=true").json["count"] == before


AMOUNTS = ["NaN", "Infinity", "1e400", "1e999999", "-0", "-5", "0.001", "0", "١٢٣", " 1_000 ", "1,000", "10" + "0" * 30, "0x10", "1e3", "12.345", "",
           True, False, [1], {"a": 1}, None, 0, -1, 0.001, 10**40, 1000000.01]


@pytest.mark.parametrize("amount", AMOUNTS, ids=repr)
def test_an_amount_that_is_none_is_refused(people, amount):
    answer = people["clerk"].post("/depot.sale", {"buyer": 1, "amount": amount})
    assert answer.status_code == 400
    assert "amount" in {p["field"] for p in answer.json["problems"]}


@pytest.mark.parametrize("sent, stored", [("12", "12.00"), ("12.5", "12.50"), (12, "12.00"), (12.34, "12.34"), ("1000000", "1000000.00"), (0.1, "0.10")])
def test_amounts_are_exact_however_they_are_written(people, sent, stored):
    clerk = people["clerk"]
    assert clerk.get(f"/depot.sale/{clerk.sale(amount=sent)}").json["amount"] == stored


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "application/jsonp"])
def test_another_media_type_is_refused(people, kind):
    answer = people["clerk"].call("POST", "/depot.sale", raw=b'{"amount": "1"}', Content_Type=kind)
    assert answer.status_code == 415 and answer.mimetype == "application/problem+json"


def test_wrong_methods_and_unknown_addresses_are_problem_documents(people):
    clerk = people["clerk"]
    for method, path, status in (("PUT", "/depot.sale/1", 405), ("DELETE", "/depot.sale", 405), ("GET", "/depot.sale/1/send", 405), ("PUT", "/me", 405),
                                 ("GET", "/depot.sale/1/send/x", 404), ("GET", "/depot.sale/1/related/sales/x", 404), ("GET", "/", 404),
                                 ("GET", "/auth/login", 404), ("PATCH", "/depot.sale/bulk", 404)):
        answer = clerk.call(method, path)
        assert answer.status_code == status, (method, path, answer.status_code)
        assert answer.mimetype == "application/problem+json" and answer.headers["X-Request-Id"]
        if status == 405:
            assert answer.headers["Allow"]


def test_the_request_id_stands_in_the_header(people):
    assert people["clerk"].get("/me", X_Request_Id="abcdefgh-123").headers["X-Request-Id"] == "abcdefgh-123"
    assert people["clerk"].get("/me", X_Request_Id="<script>").headers["X-Request-Id"] != "<script>"


def test_texts_of_any_kind_are_stored_as_they_are_or_refused(people):
    clerk = people["clerk"]
    for text in ("<script>alert(1)</script>", "'; DROP TABLE x;--", "{{ 7*7 }}", "=1+1", "😀 𝕏", "\u202eevil", "%s %d {0}", "a" * 200):
        assert clerk.get(f"/depot.sale/{clerk.sale(note=text)}").json["note"] == text
    for text in ("a\nb", "a\tb", "\x1b[31m", "a" * 201):
        assert clerk.post("/depot.sale", {"buyer": clerk.buyer(), "amount": "1", "note": text}).status_code == 400


def test_depth_is_counted_outside_of_texts():
    assert depth('{"a": "[[[[", "b": [1, {"c": "\\"[["}]}') == 3
    assert parse('{"a": 1.50}')["a"].as_tuple().exponent == -2
    for text in ('{"a": 1, "a": 1}', "NaN", "[" * 21 + "]" * 21):
        with pytest.raises(Invalid):
            parse(text)
