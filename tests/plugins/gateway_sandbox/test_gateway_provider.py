"""The adapter behind its door, over a call and over HTTP: whatever happens, the money moves at most once and no
outcome is claimed that the gateway did not state."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import random
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metaloom.base.clock import FixedClock
from metaloom.plugin import Environment
from metaloom.plugin.payment_gateway import PayReply, PayRequest, perform
from metaloom.plugin.registry import load
from metaloom_plugins.gateway_sandbox import provider, simulator
from metaloom_plugins.gateway_sandbox.provider import GatewayProblem, SandboxGateway
from metaloom_plugins.gateway_sandbox.server import GatewayServer, main
from metaloom_plugins.gateway_sandbox.simulator import GatewaySimulator

REQUEST = PayRequest(
    reference="FK20250615000001",
    amount=Decimal("100000.00"),
    account_no="6222020200012345678",
    account_name="王小明",
    purpose="放款",
)


class Line:
    """An adapter (through the registry, behind the engine's checks) and the gateway at its other end."""

    def __init__(self, adapter: Any, gateway: GatewaySimulator, clock: FixedClock) -> None:
        self.adapter, self.gateway, self.clock = adapter, gateway, clock


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2025, 6, 15, 4, 0, tzinfo=UTC))


@pytest.fixture(params=["in process", "over http"])
def line(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Line]:
    file = tmp_path / "gateway_sandbox" / "gateway.sqlite"
    file.parent.mkdir()
    gateway = GatewaySimulator(file, now=lambda: clock.now().timestamp())
    environment = Environment(
        tenant=f"t{tmp_path.name}", folder=tmp_path, clock=clock, secret=lambda name: gateway.merchant_key()
    )
    if request.param == "in process":
        yield Line(load().provider("payment_gateway", "sandbox", environment), gateway, clock)
        return
    server = GatewayServer(gateway)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        settings = {"gateway_sandbox": {"base_url": server.url, "timeout_seconds": 2}}
        adapter = load().provider("payment_gateway", "sandbox", replace(environment, settings=settings))
        yield Line(adapter, gateway, clock)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_payout_succeeds_and_is_found_by_query_and_statement(line: Line) -> None:
    reply = line.adapter.pay(REQUEST)
    assert (reply.outcome, reply.amount, reply.reference) == ("succeeded", REQUEST.amount, REQUEST.reference)
    assert line.adapter.query(REQUEST.reference) == reply == line.adapter.pay(REQUEST)
    (entry,) = line.adapter.statement(date(2025, 6, 15))
    assert (entry.reference, entry.gateway_no, entry.amount) == (REQUEST.reference, reply.gateway_no, REQUEST.amount)
    assert line.gateway.paid_cents(REQUEST.reference) == 10_000_000


@pytest.mark.parametrize(
    ("fault", "code", "taken"),
    [
        ("timeout_before_accept", "no_answer", False),
        ("timeout_after_accept", "no_answer", True),
        ("error_500", "http_500", False),
        ("error_500_after_accept", "http_500", True),
        ("garbage", "bad_signature", True),
        ("bad_signature", "bad_signature", True),
    ],
)
def test_what_proves_nothing_is_unknown_and_the_same_reference_is_safe(
    line: Line, fault: str, code: str, taken: bool
) -> None:
    line.gateway.inject(fault)
    reply = line.adapter.pay(REQUEST)
    assert (reply.outcome, reply.code) == ("unknown", code)
    asked = line.adapter.query(REQUEST.reference)
    assert (asked.outcome, asked.code) == (("succeeded", "") if taken else ("unknown", "not_found"))
    assert line.adapter.pay(REQUEST).outcome == "succeeded"
    assert line.gateway.paid_cents(REQUEST.reference) == 10_000_000


def test_only_the_word_of_the_gateway_makes_a_failure(line: Line) -> None:
    line.gateway.inject("reject")
    reply = line.adapter.pay(REQUEST)
    assert (reply.outcome, reply.code) == ("failed", "ACCOUNT_REFUSED")
    assert line.adapter.query(REQUEST.reference).outcome == "failed"
    assert line.gateway.paid_cents(REQUEST.reference) == 0


def test_a_request_the_gateway_finds_invalid_failed_for_good(line: Line) -> None:
    reply = line.adapter.pay(replace(REQUEST, account_no="6" * 41))
    assert (reply.outcome, reply.code) == ("failed", "WRONG_ACCOUNT")
    assert line.adapter.query(REQUEST.reference).code == "not_found"


def test_a_reference_used_for_another_amount_is_unknown_never_failed(line: Line) -> None:
    line.adapter.pay(REQUEST)
    reply = line.adapter.pay(replace(REQUEST, amount=Decimal("100000.01")))
    assert (reply.outcome, reply.code) == ("unknown", "order_no_reused")
    assert line.gateway.paid_cents(REQUEST.reference) == 10_000_000


@pytest.mark.parametrize(("fault", "end"), [("slow", "succeeded"), ("fail_later", "failed")])
def test_an_accepted_payout_is_decided_by_a_later_query(line: Line, fault: str, end: str) -> None:
    line.gateway.inject(fault)
    assert line.adapter.pay(REQUEST).outcome == "accepted"
    assert line.adapter.query(REQUEST.reference).outcome == "accepted"
    line.gateway.settle_all()
    assert line.adapter.query(REQUEST.reference).outcome == end


@pytest.mark.parametrize(
    ("fault", "code"), [("query_timeout", "no_answer"), ("query_not_found", "not_found"), ("query_500", "http_500")]
)
def test_a_query_that_proves_nothing_is_unknown_and_the_next_one_tells(line: Line, fault: str, code: str) -> None:
    line.adapter.pay(REQUEST)
    line.gateway.inject(fault)
    asked = line.adapter.query(REQUEST.reference)
    assert (asked.outcome, asked.code) == ("unknown", code)
    assert line.adapter.query(REQUEST.reference).outcome == "succeeded"


@pytest.mark.parametrize("reference", ["a/b?c=d", "编号 1", "../statements/2025-06-15", "%2e"])
def test_an_odd_reference_is_asked_for_as_it_is(line: Line, reference: str) -> None:
    assert line.adapter.query(reference).code == "not_found"
    assert line.adapter.pay(replace(REQUEST, reference=reference)).outcome == "succeeded"
    assert line.adapter.query(reference).outcome == "succeeded"


def test_the_outbox_can_call_it_with_stored_values(line: Line) -> None:
    payload = {
        "reference": "FK9", "amount": "12.34", "account_no": "6222", "account_name": "王小明", "purpose": "放款",
    }  # fmt: skip
    assert perform(line.adapter, "pay", payload)["outcome"] == "succeeded"
    assert perform(line.adapter, "query", {"reference": "FK9"})["amount"] == Decimal("12.34")


def test_300_payouts_with_a_third_of_faults_end_with_equal_books(line: Line) -> None:
    """G10 in small: after asking often enough, the two sides agree about every cent."""
    rng = random.Random(10)
    ours: dict[str, Decimal] = {}
    for number in range(300):
        request = replace(REQUEST, reference=f"FK{number}", amount=Decimal(rng.randint(1, 10**7)).scaleb(-2))
        if rng.random() < 0.33:
            line.gateway.inject(rng.choice(sorted(simulator.FAULTS)), order_no=request.reference)
        reply = line.adapter.pay(request)
        for _ in range(4):
            if reply.outcome in ("succeeded", "failed"):
                break
            line.gateway.settle_all()
            reply = line.adapter.query(request.reference)
            if reply.code == "not_found":
                reply = line.adapter.pay(request)
        assert reply.outcome in ("succeeded", "failed"), (request.reference, line.gateway.calls(request.reference))
        if reply.outcome == "succeeded":
            ours[request.reference] = request.amount
    statement = line.adapter.statement(date(2025, 6, 15))
    assert {entry.reference: entry.amount for entry in statement if entry.outcome == "succeeded"} == ours
    assert len(statement) == 300
    paid = sum(cents for account, cents in line.gateway.balances().items() if account.startswith("account"))
    assert paid == sum(ours.values()) * 100


def adapter_in(folder: Path, clock: FixedClock) -> SandboxGateway:
    return SandboxGateway(Environment(folder=folder, clock=clock))


def notices_of(folder: Path, clock: FixedClock) -> tuple[SandboxGateway, list[tuple[Mapping[str, str], bytes]]]:
    adapter, got = adapter_in(folder, clock), list[tuple[Mapping[str, str], bytes]]()
    adapter.pay(REQUEST)
    gateway = GatewaySimulator(folder / "gateway.sqlite", now=lambda: clock.now().timestamp())
    gateway.deliver(lambda headers, body: got.append((headers, body)) or 200)
    return adapter, got


def test_a_genuine_notice_is_read(tmp_path: Path, clock: FixedClock) -> None:
    adapter, ((headers, body),) = notices_of(tmp_path, clock)
    notice = adapter.read_notice(headers, body)
    assert notice.event_no.startswith("E")
    assert notice.reply == adapter.query(REQUEST.reference)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_or_future_notice_is_refused(tmp_path: Path, clock: FixedClock, seconds: int) -> None:
    adapter, ((headers, body),) = notices_of(tmp_path, clock)
    clock.at = datetime.fromtimestamp(clock.at.timestamp() + seconds, UTC)
    with pytest.raises(GatewayProblem, match="too old or from the future"):
        adapter.read_notice(headers, body)


def test_a_forged_notice_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    adapter, ((headers, body),) = notices_of(tmp_path, clock)
    for bad_headers, bad_body in (
        ({}, body),
        (dict(headers) | {"X-Signature": "0" * 64}, body),
        (dict(headers) | {"X-Signature": "ü"}, body),
        (headers, body.replace(b"10000000", b"10000001")),
        (headers, b""),
    ):
        with pytest.raises(GatewayProblem):
            adapter.read_notice(bad_headers, bad_body)


def test_a_genuine_answer_about_another_payment_is_unknown(tmp_path: Path, clock: FixedClock) -> None:
    """Signed for our question, but it tells of another payment: must not become ours."""
    adapter = adapter_in(tmp_path, clock)
    adapter.pay(replace(REQUEST, reference="OTHER"))
    gateway = GatewaySimulator(tmp_path / "gateway.sqlite", now=lambda: clock.now().timestamp())
    (other,) = gateway.statement(gateway.today())
    body, stamp = json.dumps({"payout": other}).encode(), str(int(clock.now().timestamp()))

    def confused(method: str, path: str, headers: Mapping[str, str], sent: bytes) -> tuple[int, dict[str, str], bytes]:
        mac = hmac.new(gateway.merchant_key().encode(), f"{stamp}\nn\nANSWER\n{path}\n".encode() + body, hashlib.sha256)
        return 200, {"X-Timestamp": stamp, "X-Nonce": "n", "X-Signature": mac.hexdigest()}, body

    adapter._send = confused
    assert adapter.query("OTHER").outcome == "succeeded"
    for reply in (adapter.query(REQUEST.reference), adapter.pay(REQUEST)):
        assert (reply.outcome, reply.code) == ("unknown", "other_payment")


def test_nobody_listening_is_unknown(tmp_path: Path, clock: FixedClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = {"base_url": f"http://127.0.0.1:{taken.getsockname()[1]}", "timeout_seconds": 1}
        adapter = SandboxGateway(Environment(settings=settings, clock=clock, secret=lambda name: "key"))
        assert adapter.pay(REQUEST) == PayReply(
            outcome="unknown", reference=REQUEST.reference, code="no_answer", text=adapter.pay(REQUEST).text
        )


def test_a_hanging_gateway_is_left_after_the_time_limit(tmp_path: Path, clock: FixedClock) -> None:
    gateway = GatewaySimulator(tmp_path / "g.sqlite", now=lambda: clock.now().timestamp())
    gateway.inject("timeout_after_accept")
    server = GatewayServer(gateway, hang_seconds=1.5)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        adapter = SandboxGateway(
            Environment(
                settings={"base_url": server.url, "timeout_seconds": 0.3},
                clock=clock,
                secret=lambda name: gateway.merchant_key(),
            )
        )
        assert adapter.pay(REQUEST).code == "no_answer"
        assert gateway.paid_cents(REQUEST.reference) == 10_000_000
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_remote_gateway_without_its_key_does_not_start(clock: FixedClock) -> None:
    with pytest.raises(KeyError):
        SandboxGateway(Environment(settings={"base_url": "http://127.0.0.1:1"}, clock=clock))


def test_the_settings_are_checked(clock: FixedClock) -> None:
    registry = load()
    assert [d for d in registry.diagnostics if "gateway_sandbox" in d.message] == []
    for wrong in ({"base_url": "ftp://x"}, {"timeout_seconds": 0}, {"timeout_seconds": 21}, {"fee": 1}):
        with pytest.raises(ValueError, match="gateway_sandbox/settings"):
            registry.settings("gateway_sandbox", wrong)


def test_the_gateway_and_its_adapter_share_no_code() -> None:
    """Decision 40: the simulator knows nothing of metaloom or the adapter; the adapter takes from it the class alone."""
    imported = {name for name, _ in imports_of(simulator.__file__)}
    assert not {name for name in imported if name.startswith((".", "metaloom"))}
    own = {(module, names) for module, names in imports_of(provider.__file__) if module.startswith(".")}
    assert own == {(".simulator", ("GatewaySimulator",))}


def imports_of(file: str | None) -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(Path(str(file)).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(("." * node.level + (node.module or ""), tuple(alias.name for alias in node.names)))
    assert found
    return found


def test_the_shell_words_inject_show_and_settle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "gateway.sqlite")
    main(["inject", file, "slow", "--times", "1"])
    adapter = SandboxGateway(Environment(folder=tmp_path))
    assert adapter.pay(REQUEST).outcome == "accepted"
    main(["settle", file])
    main(["show", file])
    assert '"state": "SUCCESS"' in capsys.readouterr().out
