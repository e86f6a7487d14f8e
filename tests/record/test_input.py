# ruff: noqa: E501 (tables of values read better in long lines)
"""Input, type by type: what is taken, what is refused, and that every problem is told at once in both languages."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from metaloom.base.errors import Invalid
from metaloom.base.text import Text
from metaloom.model import Choice, Choices, Field, FieldType
from metaloom.record import input_schema, schema_of
from metaloom.record.sanitise import sanitise
from tests.record.world import catalog

T = FieldType
LABEL = Text("字段", "Field")
CHOICES = {"c": Choices("c", LABEL, {"a": Choice("a", Text("甲", "A")), "b": Choice("b", Text("乙", "B"), hidden=True)})}


@pytest.fixture(scope="module")
def revision():
    return SimpleNamespace(catalog=catalog())


def load(kind: FieldType, raw: object, source: str = "json", **more: object):
    field = Field("x", kind, LABEL, choices="c" if kind in (T.CHOICE, T.MULTI_CHOICE) else "", **more)
    schema = schema_of(SimpleNamespace(catalog=SimpleNamespace(choices=CHOICES, entities={})), {"x": field}, source=source)
    return schema.load({"x": raw}, zone=ZoneInfo("Asia/Shanghai"))["x"]


@pytest.mark.parametrize(("kind", "raw", "expected"), [
    (T.TEXT, "  张三 ", "张三"), (T.TEXT, "", None), (T.TEXT, None, None), (T.TEXT, "' OR 1=1--", "' OR 1=1--"), (T.TEXT, "=1+1", "=1+1"), (T.LONG_TEXT, "a\r\nb\tc", "a\nb\tc"),
    (T.INTEGER, "007", 7), (T.INTEGER, -5, -5), (T.INTEGER, Decimal("3.0"), 3), (T.MONEY, "1234.5", Decimal("1234.50")), (T.MONEY, 7, Decimal("7.00")),
    (T.MONEY, Decimal("0.10"), Decimal("0.10")), (T.MONEY, "-0.01", Decimal("-0.01")), (T.MONEY, "9999999999999999.99", Decimal("9999999999999999.99")), (T.MONEY, "1.500", Decimal("1.50")),
    (T.RATE, "0.12345678", Decimal("0.12345678")), (T.DECIMAL, "1.2345", Decimal("1.2345")), (T.DATE, "2026-02-28", date(2026, 2, 28)), (T.DATE, date(2026, 2, 28), date(2026, 2, 28)),
    (T.DATETIME, "2026-02-28T09:30", datetime(2026, 2, 28, 1, 30, tzinfo=UTC)), (T.DATETIME, "2026-02-28T09:30:00Z", datetime(2026, 2, 28, 9, 30, tzinfo=UTC)),
    (T.DATETIME, "2026-02-28 09:30:00+08:00", datetime(2026, 2, 28, 1, 30, tzinfo=UTC)), (T.TIME, "09:30", time(9, 30)), (T.BOOLEAN, True, True), (T.BOOLEAN, "false", False),
    (T.BOOLEAN, "on", True), (T.CHOICE, "a", "a"), (T.MULTI_CHOICE, ["a", "a"], ("a",)), (T.MULTI_CHOICE, [], None), (T.LINK, "12", 12), (T.LINK, {"id": 3, "title": "x"}, 3),
    (T.ATTACHMENT, [3, "4"], (3, 4)), (T.TAGS, ["红", "红", " x "], ("红", "x")), (T.PHONE, "132 5678 5917", "13256785917"), (T.PHONE, "010-12345678", "010-12345678"),
    (T.EMAIL, "a.b@x.com.cn", "a.b@x.com.cn"), (T.ID_CARD, "11010119900307109x", "11010119900307109X"), (T.BANK_CARD, "6222 0000 0000 0000 004", None),
    (T.REGION, "330106", "330106"), (T.COLOUR, "#206BC4", "#206bc4"), (T.URL, "https://例子.cn/a?b=1", "https://例子.cn/a?b=1"), (T.JSON, {"a": [1, Decimal("1.5")]}, {"a": [1, "1.5"]}),
    (T.JSON, '{"a": 1.10}', {"a": "1.10"}), (T.RICH_TEXT, "<p>hi</p>", "<p>hi</p>"), (T.CREDIT_CODE, "91350100m000100y43", "91350100M000100Y43"),
])
def test_good_values_become_python_values(kind, raw, expected):
    if kind is T.BANK_CARD:
        raw, expected = "6222021234567890128"[:18], None
        digits = next(raw + str(d) for d in range(10) if _luhn(raw + str(d)))
        raw, expected = f"{digits[:4]} {digits[4:]}", digits
    assert load(kind, raw) == expected


def _luhn(text: str) -> bool:
    from metaloom.base.identity import is_bank_card
    return is_bank_card(text)


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "1e999999", "1e3", "-0", "0x10", "١٢٣", "１２３", "1_000", "1,000.00", "1,000", "+5", ".5", "5.", "--5", "٫5", " 1 000 ", "True", True, False,
           [1], {"a": 1}, float("nan"), float("inf"), 1.5, Decimal("NaN"), Decimal("Infinity"), Decimal("-0"), 10**30, "1" * 41, Decimal("1e400"), Decimal("1e-400"), b"1", object(), "=1+1", "' OR 1=1--"]
BAD: list[tuple[FieldType, list[object]]] = [
    (T.MONEY, [*NUMBERS, "0.001", "1.005", Decimal("0.001"), "99999999999999999.99"]), (T.DECIMAL, [*NUMBERS, "0.00001"]), (T.RATE, [*NUMBERS, "0.000000001", "99999999999"]),
    (T.INTEGER, [*NUMBERS, "1.5", "1.0", Decimal("1.5"), 10**19]),
    (T.TEXT, ["\x00", "a\nb", "\ud800", "x" * 201, 5, True, ["a"], {"a": 1}, b"x", 1.5]), (T.LONG_TEXT, ["\x00", "\x1b[0m", "x" * 20_001, 5]),
    (T.DATE, ["2026-02-30", "2026-2-3", "20260203", "0001-01-01", "9999-12-31", "2026-02-03T00:00", "٢٠٢٦-01-01", "today", 5, True, datetime(2026, 1, 1), "2026/01/01"]),
    (T.DATETIME, ["2026-02-30T00:00", "2026-01-01", "2026-01-01T25:00", "0001-01-01T00:00", "x", 5, "2026-01-01T00:00:00+99:99"]), (T.TIME, ["25:00", "9:30", "09:30:61", 5]),
    (T.BOOLEAN, [1, 0, "maybe", "null", [True], 1.0]), (T.CHOICE, ["z", "b", "甲", 1, ["a"], {"a": 1}, "A", "a " * 1000]), (T.MULTI_CHOICE, [["z"], "z", 5, {"a": 1}, [["a"]], ["a"] * 101]),
    (T.LINK, ["0", "-1", 0, True, "x", 1.5, "1e3", 2**63, [1], {"id": "x"}, {"id": None, "evil": 1}, "١"]), (T.ATTACHMENT, ["x", [True], [-1], {"a": 1}, 1.5, list(range(1, 60)), [[1]]]),
    (T.TAGS, [[5], ["x" * 61], ["\x00"], {"a": 1}, ["x"] * 101]), (T.PHONE, ["12345", "1325678591", "+1 555", "١٣٢٥٦٧٨٥٩١٧", 13256785917]), (T.EMAIL, ["x", "a@b", "a@b..c", "a b@c.d", "<a@b.c>"]),
    (T.ID_CARD, ["110101199003071234", "11010119900230123X", "123", "1" * 18]), (T.BANK_CARD, ["6222021234567890123"[:15] + "x", "123", "1" * 20]), (T.CREDIT_CODE, ["91350100M000100Y44", "x" * 18]),
    (T.REGION, ["33010", "0123456", "abcdef", "٣٣٠١٠٦", "440399", "999999", "广东省 / 深圳市"]), (T.COLOUR, ["red", "#fff", "#gggggg", "url(x)"]), (T.URL, ["javascript:alert(1)", "ftp://x", "//x", "http://", "https://a b", "data:text/html,x", "http://[", "\\\\x"]),
    (T.JSON, ["{", "NaN", '{"a": NaN}', float("nan"), "[" * 50 + "]" * 50, object(), "x" * 100_001, {"a": float("inf")}]), (T.CHILD, [[{"a": 1}]]),
]


@pytest.mark.parametrize(("kind", "raw"), [(kind, raw) for kind, values in BAD for raw in values if kind is not T.CHILD],
                         ids=[f"{kind}-{n}" for kind, values in BAD for n, _ in enumerate(values) if kind is not T.CHILD])
def test_bad_values_are_refused_with_a_sentence_in_both_languages(kind, raw):
    with pytest.raises(Invalid) as refused:
        load(kind, raw)
    (problem,) = refused.value.problems
    assert problem.field == "x"
    zh, en = problem.message.say("zh"), problem.message.say("en")
    assert zh != en and not zh.startswith("record.") and "{" not in zh + en


def test_limits_are_inclusive_and_told():
    assert load(T.MONEY, "0.01", min=Decimal("0.01")) == Decimal("0.01")
    assert load(T.INTEGER, 0, min=Decimal(0)) == 0
    with pytest.raises(Invalid) as refused:
        load(T.INTEGER, -1, min=Decimal(0))  # a minimum of zero is a minimum
    assert "0" in refused.value.problems[0].message.say("zh")
    with pytest.raises(Invalid):
        load(T.MONEY, "100.01", max=Decimal(100))
    with pytest.raises(Invalid):
        load(T.TEXT, "abc", pattern="[0-9]+")


def test_a_spreadsheet_may_say_choices_by_their_words_and_numbers_as_floats():
    assert load(T.CHOICE, "甲", "import") == "a" and load(T.CHOICE, "A", "import") == "a"
    assert load(T.MONEY, 1234.5, "import") == Decimal("1234.50") and load(T.INTEGER, 3.0, "import") == 3
    assert load(T.MONEY, 0.1 + 0.2, "import", scale=17, precision=18) == Decimal("0.30000000000000004")
    assert load(T.DATE, datetime(2026, 1, 2), "import") == date(2026, 1, 2) and load(T.DATE, "2026/01/02", "import") == date(2026, 1, 2)
    assert all(load(T.DATE, said, "import") == date(2026, 1, 2) for said in ("2026/1/2", "2026-1-2", "2026.1.2", "2026年1月2日", " 2026年01月02 "))
    assert load(T.BOOLEAN, "是", "import") is True and load(T.TEXT, 12.0, "import") == "12"
    for wrong in (float("nan"), float("inf"), 1e300, 1.005, True):
        with pytest.raises(Invalid):
            load(T.MONEY, wrong, "import")


def test_names_the_system_keeps_are_refused_on_create_and_edit(revision):
    kept = {"id": 1, "row_version": 2, "created_at": "2026-01-01T00:00Z", "created_by": 1, "updated_by": 1, "company": 2, "company_id": 2, "org_unit_id": 2, "owner": 2, "owner_id": 2,
            "archived_at": None, "status": "done", "total": "5"}
    for purpose in ("create", "edit"):
        for name, value in kept.items():
            with pytest.raises(Invalid) as refused:
                input_schema(revision, "demo.project", purpose).load({"code": "a", "name": "b", name: value})
            assert [p.field for p in refused.value.problems] == [name]
            assert refused.value.problems[0].message.code == "record.read_only"


def test_unknown_names_are_refused_and_all_problems_come_at_once(revision):
    with pytest.raises(Invalid) as refused:
        input_schema(revision, "demo.project").load({"is_admin": True, "budget": "x", "hours": "y", "tasks": [{"title": "ok"}, {"title": "", "evil": 1}, 7]})
    told = {p.field: p.message.code for p in refused.value.problems}
    assert told == {"is_admin": "record.unknown_field", "budget": "record.not_number", "hours": "record.not_integer", "code": "record.required", "name": "record.required",
                    "tasks.1.title": "record.required", "tasks.1.evil": "record.unknown_field", "tasks.2": "record.not_row"}


def test_an_edit_reads_what_is_given_and_a_required_field_cannot_be_emptied(revision):
    schema = input_schema(revision, "demo.project", "edit")
    assert schema.load({}) == {} and schema.load({"hours": None}) == {"hours": None}
    for empty in (None, "", "  "):
        with pytest.raises(Invalid):
            schema.load({"name": empty})
    for wrong in (None, [], "x", 5):
        with pytest.raises(Invalid):
            schema.load(wrong)


def test_only_writable_fields_are_taken_when_they_are_named(revision):
    schema = input_schema(revision, "demo.project", "edit")
    assert schema.load({"hours": 1}, writable={"hours"}) == {"hours": 1}
    with pytest.raises(Invalid) as refused:
        schema.load({"hours": 1, "budget": "5"}, writable={"hours"})
    assert [p.field for p in refused.value.problems] == ["budget"]


def test_a_link_may_be_given_by_natural_key_where_a_resolver_knows_it(revision):
    asked = []

    def resolve(field, value):
        asked.append((field.name, value))
        return 7 if value in ("K007", {"client_no": "K007"}) else None

    schema = input_schema(revision, "demo.project", "edit")
    assert schema.load({"client": "K007"}, resolve=resolve) == {"client": 7}
    assert schema.load({"client": {"client_no": "K007"}}, resolve=resolve) == {"client": 7}
    assert schema.load({"client": "12"}, resolve=resolve) == {"client": 12} and len(asked) == 2
    with pytest.raises(Invalid) as refused:
        schema.load({"client": "K008"}, resolve=resolve)
    assert refused.value.problems[0].message.code == "record.link_missing"
    assert input_schema(revision, "demo.project", "edit", source="import").load({"client": "12"}, resolve=lambda f, v: 99) == {"client": 99}


def test_schemas_are_made_once_per_revision(revision):
    assert input_schema(revision, "demo.project") is input_schema(revision, "demo.project")


@pytest.mark.parametrize(("html", "kept"), [
    ("<b>a</b>", "<b>a</b>"), ("<script>alert(1)</script>x", "x"), ("<ScRiPt>x</sCrIpT>y", "y"), ("<img src=x onerror=alert(1)>", ""), ("<b onclick=x>a", "<b>a</b>"),
    ("<a href='javascript:alert(1)'>x</a>", "<a>x</a>"), ("<a href=' JaVaScRiPt:x'>x</a>", "<a>x</a>"), ("<a href='java\nscript:x'>x</a>", "<a>x</a>"), ("<svg/onload=x>y", ""),
    ("<p><i>a</p>", "<p><i>a</i></p>"), ("1 < 2 & 3", "1 &lt; 2 &amp; 3"), ("&lt;script&gt;", "&lt;script&gt;"), ("<style>x</style><!-- c --><p>a</p>", "<p>a</p>"), ("</div></b>x", "x"),
    ("<a href=\"https://x.cn/?a=1&b=2\">x</a>", '<a href="https://x.cn/?a=1&amp;b=2" rel="noopener noreferrer nofollow" target="_blank">x</a>'),
    ("<div style='x' class=y id=z>t</div>", "<div>t</div>"), ("<iframe srcdoc='<script>x</script>'></iframe>k", "k"), ("<math><mtext></mtext><script>x</script></math>z", "z"),
])
def test_rich_text_keeps_an_allow_list_only(html, kept):
    assert sanitise(html) == kept
    assert sanitise(sanitise(html)) == kept
