"""The simulator by itself: its books, its faults, its notices. Signatures are made here, a third time, by hand."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from metaloom_plugins.gateway_sandbox.simulator import FAULTS, Answer, GatewaySimulator, NoAnswer

NOON = 1_750_000_000.0  # 2025-06-15 23:06 in Beijing
PAYOUT = {"order_no": "FK1", "cents": 10_000_000, "account": "6222020200012345678", "name": "王小明"}


class Bench:
    """A gateway with a clock in the tester's hand."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.seconds, self.file, self.nonce = NOON, folder / "gateway.sqlite", 0
        self.gateway = GatewaySimulator(self.file, now=lambda: self.seconds, **options)

    def ask(self, method: str, path: str, content: object = None, **changes: str) -> Answer:
        body = b"" if content is None else json.dumps(content).encode()
        self.nonce += 1
        stamp, nonce = changes.get("stamp", str(int(self.seconds))), changes.get("nonce", f"n{self.nonce}")
        signed = "\n".join((stamp, nonce, method, path, "")).encode() + body
        key = changes.get("key", self.gateway.merchant_key())
        mac = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
        headers = {"X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature": mac}
        return self.gateway.handle(method, path, headers, body)

    def pay(self, **changes: object) -> tuple[int, dict[str, Any]]:
        answer = self.ask("POST", "/payouts", PAYOUT | changes)
        return answer.status, json.loads(answer.body)

    def query(self, order_no: str = "FK1") -> tuple[int, dict[str, Any]]:
        answer = self.ask("GET", f"/payouts/{order_no}")
        return answer.status, json.loads(answer.body)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, opening_cents=100_000_000)


def test_a_payout_moves_money_once_and_the_books_balance(bench: Bench) -> None:
    status, content = bench.pay()
    assert (status, content["payout"]["state"], content["payout"]["cents"]) == (200, "SUCCESS", 10_000_000)
    assert bench.gateway.balances() == {
        "account 6222020200012345678": 10_000_000,
        "bank": -100_000_000,
        "merchant": 90_000_000,
    }


def test_the_same_order_again_is_answered_and_not_paid_again(bench: Bench) -> None:
    first, second = bench.pay(), bench.pay()
    assert first == second
    assert bench.gateway.paid_cents("FK1") == 10_000_000
    assert bench.gateway.calls("FK1") == [("payout", ""), ("payout", "")]


@pytest.mark.parametrize("change", [{"cents": 10_000_001}, {"account": "6222020200099999999"}, {"name": "李四"}])
def test_the_same_order_number_with_other_content_is_an_error(bench: Bench, change: dict[str, object]) -> None:
    bench.pay()
    assert bench.pay(**change) == (409, {"code": "ORDER_NO_REUSED"})
    assert bench.gateway.paid_cents("FK1") == 10_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"cents": 0}, {"cents": -1}, {"cents": 1.5}, {"cents": True}, {"cents": "100"}, {"cents": 10**14},
        {"order_no": ""}, {"order_no": "x" * 65}, {"account": None}, {"name": ["x"]}, {"extra": 1}, {"remark": 5},
    ],
)  # fmt: skip
def test_an_order_without_meaning_is_refused_and_leaves_nothing(bench: Bench, change: dict[str, object]) -> None:
    status, content = bench.pay(**change)
    assert status == 400
    assert content["code"].startswith("WRONG_")
    assert bench.gateway.statement(bench.gateway.today()) == []


def test_an_invalid_order_under_a_known_number_is_not_called_untaken(bench: Bench) -> None:
    bench.pay()
    assert bench.pay(cents=-1)[0] == 409


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 10_000, b'"x"'])
def test_bytes_that_are_no_order_are_refused(bench: Bench, body: bytes) -> None:
    stamp = str(int(bench.seconds))
    mac = hmac.new(
        bench.gateway.merchant_key().encode(), f"{stamp}\nn\nPOST\n/payouts\n".encode() + body, hashlib.sha256
    ).hexdigest()
    headers = {"x-timestamp": stamp, "x-nonce": "n", "x-signature": mac}
    assert bench.gateway.handle("POST", "/payouts", headers, body).status == 400


def test_a_payout_beyond_the_deposit_fails_definitely(bench: Bench) -> None:
    assert bench.pay(cents=100_000_001)[1]["payout"]["code"] == "INSUFFICIENT_BALANCE"
    assert bench.pay(cents=100_000_001)[1]["payout"]["state"] == "FAILED"
    assert bench.gateway.paid_cents("FK1") == 0


def test_money_promised_to_a_payout_in_process_is_not_promised_twice(bench: Bench) -> None:
    bench.gateway.inject("slow")
    bench.pay(order_no="A", cents=60_000_000)
    assert bench.pay(order_no="B", cents=60_000_000)[1]["payout"]["code"] == "INSUFFICIENT_BALANCE"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key": "wrong"}, "BAD_SIGNATURE"),
        ({"stamp": str(int(NOON) - 301)}, "STALE_REQUEST"),
        ({"stamp": str(int(NOON) + 301)}, "STALE_REQUEST"),
        ({"stamp": "noon"}, "STALE_REQUEST"),
    ],
)
def test_a_request_with_a_wrong_signature_or_time_is_refused(bench: Bench, changes: dict[str, str], code: str) -> None:
    answer = bench.ask("POST", "/payouts", PAYOUT, **changes)
    assert (answer.status, json.loads(answer.body)) == (401, {"code": code})
    assert bench.query()[0] == 404


def test_a_replayed_request_is_refused(bench: Bench) -> None:
    assert bench.ask("GET", "/payouts/FK1", nonce="once").status == 404
    assert bench.ask("GET", "/payouts/FK1", nonce="once").status == 401


def test_a_changed_body_breaks_the_signature(bench: Bench) -> None:
    stamp = str(int(bench.seconds))
    mac = hmac.new(bench.gateway.merchant_key().encode(), f"{stamp}\nn\nPOST\n/payouts\n{{}}".encode(), hashlib.sha256)
    headers = {"X-Timestamp": stamp, "X-Nonce": "n", "X-Signature": mac.hexdigest()}
    assert bench.gateway.handle("POST", "/payouts", headers, json.dumps(PAYOUT).encode()).status == 401


@pytest.mark.parametrize(("fault", "taken"), [("timeout_before_accept", False), ("timeout_after_accept", True)])
def test_after_a_silent_line_only_the_query_knows(bench: Bench, fault: str, taken: bool) -> None:
    bench.gateway.inject(fault)
    with pytest.raises(NoAnswer):
        bench.pay()
    assert bench.query()[0] == (200 if taken else 404)
    assert bench.pay()[1]["payout"]["state"] == "SUCCESS"
    assert bench.gateway.paid_cents("FK1") == 10_000_000


@pytest.mark.parametrize(("fault", "taken"), [("error_500", False), ("error_500_after_accept", True)])
def test_a_500_may_have_taken_the_order_or_not(bench: Bench, fault: str, taken: bool) -> None:
    bench.gateway.inject(fault)
    assert bench.pay()[0] == 500
    assert bench.gateway.paid_cents("FK1") == (10_000_000 if taken else 0)


def test_a_rejected_payout_stays_rejected_under_its_number(bench: Bench) -> None:
    bench.gateway.inject("reject")
    assert bench.pay()[1]["payout"]["state"] == "FAILED"
    assert bench.pay()[1]["payout"] == bench.query()[1]["payout"]
    assert bench.pay(order_no="FK2")[1]["payout"]["state"] == "SUCCESS"
    assert (bench.gateway.paid_cents("FK1"), bench.gateway.paid_cents("FK2")) == (0, 10_000_000)


@pytest.mark.parametrize(("fault", "end"), [("slow", "SUCCESS"), ("fail_later", "FAILED")])
def test_a_payout_in_process_is_decided_later(bench: Bench, fault: str, end: str) -> None:
    bench.gateway.inject(fault)
    assert bench.pay()[1]["payout"]["state"] == "PROCESSING"
    bench.seconds += 3599
    assert bench.query()[1]["payout"]["state"] == "PROCESSING"
    bench.seconds += 1
    assert bench.query()[1]["payout"]["state"] == end
    assert bench.gateway.paid_cents("FK1") == (10_000_000 if end == "SUCCESS" else 0)


def test_a_fault_may_be_meant_for_one_order_and_is_used_up(bench: Bench) -> None:
    bench.gateway.inject("reject", order_no="FK2", times=2)
    states = [bench.pay(order_no=no)[1]["payout"]["state"] for no in ("FK1", "FK2", "FK3")]
    assert states == ["SUCCESS", "FAILED", "SUCCESS"]
    with pytest.raises(ValueError, match="known are: bad_signature"):
        bench.gateway.inject("flood")


def test_every_payout_of_a_day_stands_in_its_statement(bench: Bench) -> None:
    for no in range(5):
        bench.pay(order_no=f"FK{no}", cents=100 + no)
    bench.seconds += 3600  # past midnight in Beijing
    bench.pay(order_no="NEXT", cents=7)
    answer = json.loads(bench.ask("GET", "/statements/2025-06-15").body)
    assert {line["order_no"]: line["cents"] for line in answer["lines"]} == {f"FK{no}": 100 + no for no in range(5)}
    assert [line["order_no"] for line in bench.gateway.statement(bench.gateway.today())] == ["NEXT"]
    assert bench.ask("GET", "/statements/yesterday").status == 400
    assert bench.ask("GET", "/secrets").status == 404


class Inbox:
    """Takes notices and answers with a status of the tester's choice."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.got = status, list[tuple[Mapping[str, str], bytes]]()

    def __call__(self, headers: Mapping[str, str], body: bytes) -> int:
        self.got.append((headers, body))
        return self.status

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


def test_a_notice_is_signed_and_sent_until_it_is_taken(bench: Bench) -> None:
    bench.pay()
    deaf, inbox = Inbox(status=500), Inbox()
    assert bench.gateway.deliver(deaf) == 1
    assert bench.gateway.deliver(inbox) == 0
    bench.seconds += 15
    assert bench.gateway.deliver(inbox) == 1
    bench.seconds += 10**6
    assert bench.gateway.deliver(inbox) == 0
    headers, body = inbox.got[0]
    signed = f"{headers['X-Timestamp']}\n{headers['X-Nonce']}\nNOTICE\n/notice\n".encode() + body
    assert headers["X-Signature"] == hmac.new(bench.gateway.merchant_key().encode(), signed, hashlib.sha256).hexdigest()
    assert inbox.events()[0]["payout"]["state"] == "SUCCESS"


def test_a_notice_nobody_takes_is_given_up_in_the_end(bench: Bench) -> None:
    bench.pay()
    deaf = Inbox(status=404)
    for _ in range(30):
        bench.gateway.deliver(deaf)
        bench.seconds += 3600
    assert len(deaf.got) == 9


def test_notices_may_come_twice_late_never_or_with_a_wrong_amount(bench: Bench) -> None:
    for no, fault in enumerate(("duplicate_notify", "late_notify", "lost_notify", "wrong_amount_notify")):
        bench.gateway.inject(fault)
        bench.pay(order_no=f"FK{no}", cents=500)
    inbox = Inbox()
    bench.gateway.deliver(inbox)
    now = [(event["payout"]["order_no"], event["payout"]["cents"]) for event in inbox.events()]
    assert now == [("FK0", 500), ("FK0", 500), ("FK3", 501)]
    assert inbox.events()[0]["event_no"] == inbox.events()[1]["event_no"]
    bench.seconds += 3600
    bench.gateway.deliver(inbox)
    assert [event["payout"]["order_no"] for event in inbox.events()[3:]] == ["FK1"]


def test_every_fault_is_named_once() -> None:
    assert len(FAULTS) == 16


def test_many_threads_with_one_order_pay_once(tmp_path: Path) -> None:
    first = Bench(tmp_path)

    def pay(number: int) -> int:
        own = Bench(tmp_path)
        own.nonce = number * 1000
        return sum(own.pay(order_no=f"FK{k}")[0] == 200 for k in range(5))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(pay, range(1, 7))) == 30
    assert sum(first.gateway.paid_cents(f"FK{k}") for k in range(5)) == 5 * PAYOUT["cents"]
    assert sum(first.gateway.balances().values()) == 0


PAY_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.plugins.gateway_sandbox.test_gateway_simulator import Bench
bench = Bench(Path(sys.argv[1]))
bench.nonce = int(sys.argv[3])
print(sum(bench.pay(order_no=f"FK{k}")[0] == 200 for k in range(20)))
"""


def test_a_forked_worker_and_its_parent_share_one_gateway(bench: Bench) -> None:
    bench.pay(order_no="BEFORE", cents=1)
    child = os.fork()
    if child == 0:  # as an RQ work-horse is born
        bench.nonce = 1000
        os._exit(0 if bench.pay(order_no="CHILD", cents=1)[0] == 200 else 1)
    bench.pay(order_no="PARENT", cents=1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    taken = {line["order_no"] for line in bench.gateway.statement(bench.gateway.today())}
    assert taken == {"BEFORE", "CHILD", "PARENT"}


def test_several_processes_share_one_gateway(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PAY_IN_ANOTHER_PROCESS, str(tmp_path), root, str(number * 1000)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2, 3)
    ]
    assert [worker.communicate(timeout=60)[0].strip() for worker in workers] == ["20"] * 3
    gateway = Bench(tmp_path).gateway
    assert sum(gateway.paid_cents(f"FK{k}") for k in range(20)) == 20 * PAYOUT["cents"]
    assert len(gateway.statement(gateway.today())) == 20
