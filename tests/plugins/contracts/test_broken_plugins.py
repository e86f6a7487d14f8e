"""Plugins that break their promises: off with a reason, or a fault; never believed, never in the way of the others."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from metaloom.plugin import PluginFault
from metaloom.plugin.calculation import Allocation, Bill, CheckedCalculation, Instalment, Part, Terms
from metaloom.plugin.data_provider import CheckedDataProvider, DataReply, DataRequest
from metaloom.plugin.ledger_posting import CheckedLedgerPosting, Happening, Posting
from metaloom.plugin.payment_gateway import CheckedPaymentGateway, PayReply, PayRequest
from metaloom.plugin.registry import Place, fits, load

TERMS = Terms(principal=Decimal("100.00"), annual_rate=Decimal("0.1"), method="ANY", periods=2, start_date=date(2026, 1, 1))
ROWS = (
    Instalment(1, date(2026, 1, 1), date(2026, 2, 1), 31, Decimal("50.00"), Decimal("1.00"), Decimal("0.00"), Decimal("51.00"), Decimal("50.00")),
    Instalment(2, date(2026, 2, 1), date(2026, 3, 1), 28, Decimal("50.00"), Decimal("0.50"), Decimal("0.00"), Decimal("50.50"), Decimal("0.00")),
)


class Says:
    """A provider that returns (or raises) what it was given, whatever it is asked."""

    def __init__(self, answer):
        self.answer = answer

    def __getattr__(self, name):
        def answer(*args, **named):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer
        return answer


def changed(place, **values):
    return tuple(replace(row, **values) if i == place else row for i, row in enumerate(ROWS))


def test_a_good_schedule_passes():
    assert CheckedCalculation(Says(ROWS), "x").schedule(TERMS) == ROWS


@pytest.mark.parametrize("answer", [
    None, [], (), list(ROWS), ROWS[:1], (*ROWS, ROWS[1]), changed(0, principal=50.0), changed(0, principal=Decimal("49.99")),
    changed(0, interest=Decimal("-1.00")), changed(0, interest=Decimal("1.001")), changed(0, interest=Decimal("NaN")),
    changed(0, total=Decimal("52.00")), changed(1, balance=Decimal("0.01")), changed(1, no=3), changed(1, due_date=date(2026, 2, 1)),
    changed(0, due_date="2026-02-01"), ("x",) * 2, ROWS * 2000, changed(0, fee=None), changed(1, due_date=date(2025, 1, 1)),
])
def test_a_schedule_that_breaks_its_promise_is_a_fault(answer):
    with pytest.raises(PluginFault):
        CheckedCalculation(Says(answer), "x").schedule(TERMS)


@pytest.mark.parametrize("answer", [
    None, Allocation((), Decimal("9.99")), Allocation((Part(1, "fee", Decimal("10.00")),), Decimal("0.00")),
    Allocation((Part(2, "fee", Decimal("1.00")),), Decimal("9.00")), Allocation((Part(1, "nonsense", Decimal("1.00")),), Decimal("9.00")),
    Allocation((Part(1, "fee", Decimal("0.00")),), Decimal("10.00")), Allocation((), Decimal("-1.00")), Allocation((), 10.0),
    Allocation((Part(1, "fee", Decimal("1.00")), Part(1, "fee", Decimal("1.00"))), Decimal("8.00")), Allocation([], Decimal("10.00")),
])
def test_an_allocation_that_breaks_its_promise_is_a_fault(answer):
    with pytest.raises(PluginFault):
        CheckedCalculation(Says(answer), "x").allocate([Bill(no=1, fee=Decimal("1.00"))], Decimal("10.00"))


@pytest.mark.parametrize("answer", [
    None, "<html>", PayReply(outcome="paid"), PayReply(outcome="succeeded", reference="other"), TimeoutError("slow"), RuntimeError("x"),
    PayReply(outcome="succeeded", amount=Decimal("9.99")), PayReply(outcome="succeeded", amount=10.0), PayReply(outcome=None),
    PayReply(outcome="succeeded", text="x" * 10_000),
])
def test_whatever_goes_wrong_at_the_gateway_is_unknown_and_never_failed(answer):
    request = PayRequest(reference="r", amount=Decimal("10.00"), account_no="1", account_name="x")
    gateway = CheckedPaymentGateway(Says(answer), "x")
    assert gateway.pay(request).outcome == "unknown"
    if not isinstance(answer, PayReply) or answer.amount is None:
        assert gateway.query("r").outcome == "unknown"


@pytest.mark.parametrize("answer", [None, {}, DataReply(outcome="good"), DataReply(outcome="found", reference="other"), OSError("x"),
                                    DataReply(outcome="found", values={"score": 1.5}), DataReply(outcome="found", values={"a": [1]}),
                                    DataReply(outcome="found", values={str(i): "" for i in range(501)})])
def test_whatever_goes_wrong_at_a_data_provider_is_no_answer(answer):
    assert CheckedDataProvider(Says(answer), "x").fetch(DataRequest(reference="r", method="m")).outcome == "unavailable"


@pytest.mark.parametrize("answer", [None, [], ("x",), (Posting(event="e", amounts={"a": 1.0}),), (Posting(event="e", amounts={"a": Decimal("-1")}),),
                                    (Posting(event="e", amounts={"a": Decimal("0")}),), (Posting(event="e", amounts={"a": Decimal("0.001")}),)])
def test_postings_that_break_their_promise_are_a_fault(answer):
    with pytest.raises(PluginFault):
        CheckedLedgerPosting(Says(answer), "x").postings(Happening(name="h", amounts={}))


# -- loading -----------------------------------------------------------------------------------------------------------------

GOOD = """name: {name}
version: 1.0.0
engine: ">=1.0"
provides:
  data_provider: {{{provider}: "provider:Asks"}}
settings: {{type: object, additionalProperties: false, properties: {{depth: {{type: integer, default: 3, minimum: 1}}}}}}
secrets: [token]
"""
ASKS = """class Asks:
    def __init__(self, environment): self.environment = environment
    def methods(self): return ("m",)
    def fetch(self, request): raise NotImplementedError
"""


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Writes plugins into a package of their own and loads them all."""
    package = f"shelf_{tmp_path.name}"
    root = tmp_path / package
    root.mkdir()
    (root / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(**plugins):
        for name, (declaration, code) in plugins.items():
            (root / name).mkdir()
            (root / name / "__init__.py").touch()
            (root / name / "plugin.yaml").write_text(declaration, encoding="utf-8")
            (root / name / "provider.py").write_text(code, encoding="utf-8")
        return load([Place(root / name, f"{package}.{name}") for name in plugins])

    return put


LOOKS = """commands: {{go: {{label: {{zh: 走, en: Go}}, handler: 'provider:Asks',
  input: {{sum: {{type: money, label: {{zh: 数, en: Sum}}}}}},
  look: {{handler: 'provider:Asks', output: {{owed: {{type: money, label: {{zh: 欠, en: Owed}}}}}},
    presets: {{all: {{label: {{zh: 全, en: All}}, take: {take}}}}}}}}}}}
"""


def good(name, provider=None):
    return GOOD.format(name=name, provider=provider or name), ASKS


@pytest.mark.parametrize(("declaration", "code", "said"), [
    (None, "raise RuntimeError('oh')", "RuntimeError: oh (provider.py:1)"),
    (None, "import sys; sys.exit(3)", "SystemExit"),
    (None, "import nonsense_module", "ModuleNotFoundError"),
    (None, "class Asks:\n    def methods(self): return ()\n", "lacks fetch"),
    (None, "Asks = 5", "is no class"),
    (None, "x = 1", "AttributeError"),
    ("name: other\nversion: 1.0.0\nengine: '>=1.0'\n", ASKS, "stands in the folder bad"),
    ("name: bad\nversion: 1.0.0\nengine: '>=9.0'\n", ASKS, "wants doors >=9.0"),
    ("name: bad\nversion: 1.0.0\n", ASKS, "'engine' is a required property"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\nnonsense: 1\n", ASKS, "nonsense"),
    ("name: bad\nname: bad\nversion: 1.0.0\nengine: '>=1.0'\n", ASKS, "twice"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\nsettings: {type: nonsense}\n", ASKS, "no JSON Schema"),
    ("name: !!python/object/apply:os.system [id]\n", ASKS, ""),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\ncommands: {go: {label: {zh: 走, en: Go}, handler: 'provider:nothing'}}\n", ASKS, "nothing"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\ncommands: {go: {label: {zh: 走}, handler: 'provider:Asks'}}\n", ASKS, "'en' is a required property"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\n" + LOOKS.format(take="{ways: owed}"), ASKS, "look/presets/all: no such field: ways"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\n" + LOOKS.format(take="{sum: nothing}"), ASKS, "look/presets/all: no such field: nothing"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\ncommands: {go: {label: {zh: 走, en: Go}, handler: 'provider:Asks', on: desk.case, fires: close}}\n", ASKS,
     "go/fires: close is no transition"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\nprovides: {nonsense: {x: 'provider:Asks'}}\n", ASKS, "nonsense"),
    ("name: bad\nversion: 1.0.0\nengine: '>=1.0'\nprovides: {data_provider: {x: '../../etc:Asks'}}\n", ASKS, "does not match"),
])
def test_a_plugin_that_cannot_be_loaded_is_off_with_a_reason_and_the_rest_stays_up(shelf, declaration, code, said):
    registry = shelf(bad=(declaration or good("bad")[0], code), fine=good("fine"))
    assert list(registry.plugins) == ["fine"]
    text = "\n".join(map(str, registry.diagnostics))
    assert said in text, text
    assert "plugin.yaml" in text


def test_two_claims_on_one_name_are_settled_by_the_name_of_the_plugin(shelf):
    registry = shelf(zeta=good("zeta", "shared"), alpha=good("alpha", "shared"))
    assert list(registry.plugins) == ["alpha"]
    assert [d.code for d in registry.diagnostics] == ["ML-PLUG-005"]
    assert registry.provider("data_provider").methods() == ("m",)


def test_settings_are_checked_and_defaults_filled_in(shelf):
    registry = shelf(fine=good("fine"))
    assert registry.settings("fine") == {"depth": 3}
    assert registry.settings("fine", {"depth": 5}) == {"depth": 5}
    for wrong in ({"depth": 0}, {"depth": "x"}, {"nonsense": 1}):
        with pytest.raises(ValueError, match="fine/settings"):
            registry.settings("fine", wrong)


def test_a_provider_that_is_not_there_is_named_with_those_that_are(shelf):
    registry = shelf(one=good("one"), two=good("two"))
    with pytest.raises(LookupError, match="one, two"):
        registry.provider("data_provider")
    with pytest.raises(LookupError, match="there are: one, two"):
        registry.provider("data_provider", "three")


@pytest.mark.parametrize(("wanted", "version", "result"), [
    (">=1.0", "1.0", True), (">=1.0,<2", "1.9.9", True), (">=1.0,<2", "2.0", False), ("==1", "1.0.0", True), (">1.0", "1.0", False), ("~1", "1", False)])
def test_versions_are_compared_by_number(wanted, version, result):
    assert fits(wanted, version) is result
