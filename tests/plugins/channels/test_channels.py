"""Each adapter against a channel on this machine that shares no code with it: what is proven is believed, everything else is unknown."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from metaloom.base.clock import FixedClock
from metaloom.plugin import Environment
from metaloom.plugin.payment_gateway import Inquiry, PayRequest
from metaloom.plugin.registry import installed
from metaloom.plugin.signed_notice import NoticeRefused, SignedCall
from tests.plugins.channels.alipay import APP, AlipayServer
from tests.plugins.channels.channel import WIRE
from tests.plugins.channels.keys import listening, pair
from tests.plugins.channels.unionpay import UnionPayServer
from tests.plugins.channels.wechat import API_KEY, MCH, WechatServer

NOW = datetime(2025, 1, 15, 2, tzinfo=UTC)
MADE = "2025-01-15T01:59:00+00:00"
DAY = date(2025, 1, 15)


class Bench:
    """A channel, its adapter behind the engine's checks, and the reader of its notices."""

    def __init__(self, name: str, server: Any, url: str) -> None:
        self.name, self.server, self.clock = name, server, FixedClock(NOW)
        settings, secrets = SET_UP[name](server, url)
        self.environment = Environment(tenant=f"bench-{name}-{id(server)}", settings={f"gateway_{name}": {**settings, "timeout_seconds": 2}},
                                       secret=lambda key: secrets[key.partition(".")[2]], clock=self.clock)
        self.gateway = installed().provider("payment_gateway", name, self.environment)
        self.reader = installed().provider("signed_notice", name, self.environment)

    def request(self, reference: str, amount: str = "2500.50", **more: Any) -> PayRequest:
        account = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" if self.name == "wechat_pay" else "6222020200112233445"
        return PayRequest(reference=reference, amount=D(amount), account_no=account, account_name="张三丰", bank_code="ICBC", made_at=MADE, **more)

    def ask(self, reference: str, kind: str = "payout", original: str = "") -> Any:
        return self.gateway.inquire(Inquiry(reference=reference, kind=kind, made_at=MADE, original=original))

    def read(self, headers: dict[str, str], body: bytes) -> Any:
        return self.reader.read(SignedCall(headers=headers, body=body))


def _unionpay(server: Any, url: str) -> Any:
    server_keys = {"sign_key": server.merchant.private_pem, "root_cert": server.root.pem, "encrypt_cert": server.hidden.pem}
    return {"base_url": url, "file_url": url, "mer_id": "777290058110097", "cert_id": str(server.merchant.certificate.serial_number),
            "encrypt_cert_id": str(server.hidden.certificate.serial_number)}, server_keys


def _alipay(server: Any, url: str) -> Any:
    server.base = url
    return {"base_url": url, "bill_url": url, "app_id": APP}, {"app_key": server.app.private_pem, "alipay_public_key": server.own.public_pem}


def _wechat(server: Any, url: str) -> Any:
    server.base = url
    return ({"base_url": url, "mch_id": MCH, "app_id": "wx1", "serial_no": f"{server.merchant.certificate.serial_number:X}"},
            {"merchant_key": server.merchant.private_pem, "api_v3_key": API_KEY})


SET_UP = {"unionpay": _unionpay, "alipay": _alipay, "wechat_pay": _wechat}
SERVERS = {"unionpay": UnionPayServer, "alipay": AlipayServer, "wechat_pay": lambda: WechatServer(lambda: NOW.timestamp())}


@pytest.fixture(params=sorted(SERVERS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    server = SERVERS[request.param]()
    with listening(server.over_the_wire) as url:
        yield Bench(request.param, server, url)


def test_a_payment_is_signed_both_ways_and_paid_once_however_often_it_is_sent(bench: Bench) -> None:
    for _ in range(3):
        reply = bench.gateway.pay(bench.request("ZF20250115000001"))
        assert reply.outcome in ("accepted", "succeeded"), reply
    found = bench.ask("ZF20250115000001")
    assert (found.outcome, found.amount, found.gateway_no) == ("succeeded", D("2500.50"), "GW0000000001")
    assert bench.server.moved_cents == 250050 and list(bench.server.books) == ["ZF20250115000001"]
    if bench.name == "unionpay":
        assert set(bench.server.seen_accounts) == {"6222020200112233445"}, "the account left encrypted and arrived whole"
    if bench.name == "wechat_pay":
        assert set(bench.server.names) == {"张三丰"}


@pytest.mark.parametrize("fault", ["silence_before", "error_before", "silence_after", "error_after", "forged", "other_order"])
def test_whatever_cannot_be_proven_is_unknown_and_the_query_tells(bench: Bench, fault: str) -> None:
    bench.server.faults.append(fault)
    assert bench.gateway.pay(bench.request("ZF20250115000002")).outcome == "unknown"
    taken = fault in ("silence_after", "error_after", "forged", "other_order")
    found = bench.ask("ZF20250115000002")
    assert (found.outcome, found.code) == (("succeeded", "") if taken else ("unknown", "not_found")), found
    bench.server.faults.append("forged" if taken else "not_found")
    assert bench.ask("ZF20250115000002").outcome == "unknown"
    assert bench.server.moved_cents == (250050 if taken else 0)


@pytest.mark.parametrize("fault", sorted(WIRE))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_line_that_breaks_leaves_every_kind_of_payment_unknown_and_moves_it_once(bench: Bench, fault: str, when: str) -> None:
    paid = "ZF20250115000050"
    number = paid_in(bench, paid)
    ways = {"payout": ("ZF20250115000051", bench.gateway.pay, {}),
            "refund": ("ZF20250115000052", bench.gateway.refund, {"original": paid, "original_no": number, "original_amount": D("2500.50")}),
            "collect": ("ZF20250115000053", bench.gateway.collect, {"agreement_no": "XY1"})}
    for kind, (reference, call, more) in ways.items():
        if bench.name == "wechat_pay" and kind == "collect":
            continue
        before = bench.server.moved_cents
        bench.server.wire.append((fault, when))
        assert call(bench.request(reference, "1.00", **more)).outcome == "unknown"
        assert bench.server.moved_cents - before == (100 if when == "after" else 0)
        bench.server.wire.append((fault, when))
        lost = bench.ask(reference, kind, paid)
        assert lost.outcome == "unknown" and lost.code != "not_found", "a question that broke off says nothing about the payment"
        if when == "before":
            assert bench.ask(reference, kind, paid).code == "not_found"
        assert call(bench.request(reference, "1.00", **more)).outcome in ("accepted", "succeeded"), "the same reference again is the same payment"
        found = bench.ask(reference, kind, paid)
        assert (found.outcome, found.amount, bench.server.moved_cents - before) == ("succeeded", D("1.00"), 100)
    assert not bench.server.wire


@pytest.mark.parametrize("fault", sorted(WIRE))
def test_a_statement_behind_a_broken_line_is_none(bench: Bench, fault: str) -> None:
    bench.gateway.pay(bench.request("ZF20250115000054"))
    bench.server.wire.append((fault, "after"))
    with pytest.raises(OSError):
        bench.gateway.statement(DAY)
    assert len(bench.gateway.statement(DAY)) == 1


def test_another_amount_in_the_answer_is_handed_on_and_never_taken_for_ours(bench: Bench) -> None:
    bench.gateway.pay(bench.request("ZF20250115000055"))
    bench.server.books["ZF20250115000055"].cents += 1
    assert bench.ask("ZF20250115000055").amount == D("2500.51")


def test_first_failed_then_paid_is_told_as_it_stands(bench: Bench) -> None:
    """The channel's word may change (F17, F18): the adapter keeps nothing of what it said before."""
    bench.gateway.pay(bench.request("ZF20250115000056"))
    for state, outcome in (("failed", "failed"), ("paid", "succeeded"), ("failed", "failed")):
        bench.server.books["ZF20250115000056"].state = state
        assert bench.ask("ZF20250115000056").outcome == outcome
        assert bench.read(*bench.server.notice("ZF20250115000056")).values["outcome"] == outcome


def test_a_definite_refusal_is_failed_and_a_payment_that_failed_later_too(bench: Bench) -> None:
    bench.server.faults.append("refuse")
    refused = bench.gateway.pay(bench.request("ZF20250115000003"))
    assert refused.outcome == "failed" and refused.code and "ZF20250115000003" not in bench.server.books
    bench.server.faults.append("reject")
    bench.gateway.pay(bench.request("ZF20250115000004"))
    assert bench.ask("ZF20250115000004").outcome == "failed"
    bench.gateway.pay(bench.request("ZF20250115000005"))
    bench.server.books["ZF20250115000005"].state = "waiting"
    assert bench.ask("ZF20250115000005").outcome == "accepted"


def test_another_key_of_ours_is_refused_by_the_channel(bench: Bench) -> None:
    names = {"unionpay": "merchant", "alipay": "app", "wechat_pay": "merchant"}
    setattr(bench.server, names[bench.name], pair("not-our-merchant"))
    assert bench.gateway.pay(bench.request("ZF20250115000006")).outcome in ("failed", "unknown")
    assert not bench.server.books


def test_a_notice_is_read_when_the_channel_signed_it_and_refused_otherwise(bench: Bench) -> None:
    bench.gateway.pay(bench.request("ZF20250115000007"))
    headers, body = bench.server.notice("ZF20250115000007")
    notice = bench.read(headers, body)
    said = notice.values
    assert (notice.topic, said["reference"], said["outcome"], said["amount"]) == ("payment", "ZF20250115000007", "succeeded", D("2500.50"))
    assert bench.read(headers, body).event_no == notice.event_no, "a repetition has the same number"
    assert bench.reader.answer(True).status == 200 and bench.reader.answer(True).body != bench.reader.answer(False).body
    later = bench.server.notice("ZF20250115000007", cents=250051)
    assert bench.read(*later).values["amount"] == D("2500.51"), "the amount is compared by whoever hears it"
    forged = bench.server.notice("ZF20250115000007", forged=True)
    broken = [forged, (headers, b""), (headers, body[:-7]), (headers, body.replace(b"25", b"26")), ({}, b"{}"), ({}, b"\xff\xfe&="), (headers, b"[" * 5000)]
    for given in broken:
        with pytest.raises(Exception):  # noqa: B017 - whatever it raises, the engine believes nothing
            bench.read(*given)


def test_an_old_notice_of_wechat_and_one_of_another_merchant_are_refused(bench: Bench) -> None:
    bench.gateway.pay(bench.request("ZF20250115000008"))
    if bench.name == "wechat_pay":
        for away in (-301, 301):
            with pytest.raises(NoticeRefused):
                bench.read(*bench.server.notice("ZF20250115000008", at=NOW.timestamp() + away))
        for _ in range(5):                      # somebody floods us with serial numbers: the channel is asked once
            headers, body = bench.server.notice("ZF20250115000008")
            with pytest.raises(NoticeRefused):
                bench.read({**headers, "wechatpay-serial": "ABC"}, body)
        assert [path for _, path in bench.server.asked].count("/v3/certificates") <= 2
        bench.clock.at = NOW + timedelta(minutes=10)
    else:
        field = b"777290058110097" if bench.name == "unionpay" else APP.encode()
        headers, body = bench.server.notice("ZF20250115000008")
        with pytest.raises(NoticeRefused):
            bench.read(headers, body.replace(field, b"1" * len(field)))


def test_debits_and_refunds_where_the_channel_has_them(bench: Bench) -> None:
    debit = bench.gateway.collect(bench.request("ZF20250115000009", agreement_no="XY1"))
    if bench.name == "wechat_pay":
        assert (debit.outcome, debit.code) == ("failed", "unsupported") and not bench.server.asked
        bench.gateway.pay(bench.request("ZF20250115000009"))
    else:
        assert bench.ask("ZF20250115000009", "collect").outcome == "succeeded"
    number = bench.server.books["ZF20250115000009"].gateway_no
    back = bench.request("ZF20250115000010", original="ZF20250115000009", original_no=number, original_amount=D("2500.50"))
    assert bench.gateway.refund(back).outcome in ("accepted", "succeeded")
    assert bench.gateway.refund(back).outcome in ("accepted", "succeeded")
    assert bench.ask("ZF20250115000010", "refund", "ZF20250115000009").outcome == "succeeded"
    assert len(bench.server.books) == 2 and bench.server.moved_cents == 2 * 250050


def paid_in(bench: Bench, reference: str) -> str:
    """A payment that can be given back; the channel's number of it. WeChat Pay has no debit here: its customer paid some other way."""
    if bench.name == "wechat_pay":
        bench.gateway.pay(bench.request(reference))
    else:
        bench.gateway.collect(bench.request(reference, agreement_no="XY1"))
    return str(bench.server.books[reference].gateway_no)


def test_a_payment_goes_back_in_parts_and_never_more_than_was_paid(bench: Bench) -> None:
    paid = "ZF20250115000020"
    number = paid_in(bench, paid)
    def back(reference: str, amount: str) -> Any:
        return bench.gateway.refund(bench.request(reference, amount, original=paid, original_no=number, original_amount=D("2500.50")))

    for reference, amount in (("ZF20250115000021", "1000.00"), ("ZF20250115000022", "1500.49")):
        for _ in range(2):
            assert back(reference, amount).outcome in ("accepted", "succeeded")
        found = bench.ask(reference, "refund", paid)
        assert (found.outcome, found.amount) == ("succeeded", D(amount)), "its own amount, not that of all refunds"
    too_much = back("ZF20250115000023", "0.02")
    assert too_much.outcome == "failed" and too_much.code, too_much
    assert back("ZF20250115000024", "0.01").outcome in ("accepted", "succeeded")
    assert bench.server.moved_cents == 2 * 250050
    lines = [(line.reference, line.amount, line.kind) for line in bench.gateway.statement(DAY) if line.kind == "refund"]
    assert lines == [("ZF20250115000021", D("1000.00"), "refund"), ("ZF20250115000022", D("1500.49"), "refund"), ("ZF20250115000024", D("0.01"), "refund")]


@pytest.mark.parametrize("fault", ["silence_before", "error_before", "silence_after", "error_after", "forged"])
def test_a_refund_that_cannot_be_proven_is_unknown_and_moves_once(bench: Bench, fault: str) -> None:
    paid = "ZF20250115000030"
    number = paid_in(bench, paid)
    asked = bench.request("ZF20250115000031", "1.00", original=paid, original_no=number, original_amount=D("2500.50"))
    bench.server.faults.append(fault)
    assert bench.gateway.refund(asked).outcome == "unknown"
    bench.gateway.refund(asked)
    assert bench.ask("ZF20250115000031", "refund", paid).outcome == "succeeded" and bench.server.moved_cents == 250050 + 100


def test_a_notice_of_a_refund_speaks_of_the_refund_and_never_of_the_payment(bench: Bench) -> None:
    """Alipay closes a trade that was wholly given back: read as the trade's end, the debit would look as if it had failed."""
    paid = "ZF20250115000040"
    number = paid_in(bench, paid)
    bench.gateway.refund(bench.request("ZF20250115000041", "2500.50", original=paid, original_no=number, original_amount=D("2500.50")))
    said = bench.read(*bench.server.notice("ZF20250115000041")).values
    assert (said["reference"], said["outcome"]) == ("ZF20250115000041", "succeeded") and said["amount"] in (None, D("2500.50"))


def test_a_statement_comes_whole_or_not_at_all(bench: Bench) -> None:
    bench.gateway.pay(bench.request("ZF20250115000011"))
    bench.gateway.pay(bench.request("ZF20250115000012", "0.30"))
    lines = bench.gateway.statement(DAY)
    assert [(line.reference, line.amount, line.kind, line.outcome) for line in lines] == [
        ("ZF20250115000011", D("2500.50"), "payout", "succeeded"), ("ZF20250115000012", D("0.30"), "payout", "succeeded")]
    bench.server.cut_statement = True
    with pytest.raises(OSError):
        bench.gateway.statement(DAY)


def test_a_bill_is_loaded_from_its_own_place_only() -> None:
    server = AlipayServer()
    with listening(server.handle) as url:
        bench = Bench("alipay", server, url)
        server.foreign_bill = True
        with pytest.raises(OSError, match="foreign"):
            bench.gateway.statement(DAY)


def test_the_channels_share_no_code_with_the_adapters() -> None:
    for file in Path(__file__).parent.glob("*.py"):
        if file.name.startswith("test_"):
            continue
        names = [node.module or "" for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
        assert not [name for name in names if name.startswith("metaloom")], file
