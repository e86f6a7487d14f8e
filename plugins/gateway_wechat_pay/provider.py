"""The payment_gateway and signed_notice doors towards WeChat Pay, interface V3.

Transfers go to the balance of a person (``account_no`` is the openid); the person has to confirm, so this is for refunds and
rewards rather than for loans (domain specification §7.1). WeChat Pay answers a transfer for thirty days only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets
import threading
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote, urlsplit

from cryptography import x509

from metaloom.plugin import Environment
from metaloom.plugin.payment_gateway import Inquiry, PayReply, PayRequest, StatementLine
from metaloom.plugin.signed_notice import Notice, NoticeAnswer, NoticeRefused, SignedCall
from metaloom.plugin.wire import HttpAnswer, exchange

from . import seal

TRANSFERS, REFUNDS, CERTIFICATES = "/v3/fund-app/mch-transfer/transfer-bills", "/v3/refund/domestic/refunds", "/v3/certificates"
TRANSFER: Final = {"SUCCESS": "succeeded", "FAIL": "failed", "CANCELLED": "failed", "ACCEPTED": "accepted", "PROCESSING": "accepted",
                   "WAIT_USER_CONFIRM": "accepted", "TRANSFERING": "accepted", "CANCELING": "accepted"}
REFUND: Final = {"SUCCESS": "succeeded", "PROCESSING": "accepted", "CLOSED": "failed", "ABNORMAL": "accepted"}
DEFINITE: Final = frozenset({"PARAM_ERROR", "INVALID_REQUEST", "NO_AUTH", "NOT_ENOUGH", "RESOURCE_NOT_EXISTS", "ACCOUNT_ERROR", "QUOTA_EXCEED"})
"""Refusals of an order after which nothing will come of it; every other answer but 200 leaves it open."""
BILL_KINDS: Final = {"商家转账": "payout", "转账": "payout", "退款": "refund"}
CLOCK_SKEW_SECONDS: Final = 300
NAME_FROM: Final = Decimal(2000)


class WechatPay:
    """One merchant."""

    def __init__(self, environment: Environment) -> None:
        self._set, self._secret, self._clock = environment.settings, environment.secret, environment.clock
        self._known: dict[str, x509.Certificate] = {}
        self._asked_at: float | None = None
        self._lock = threading.Lock()

    # -- payment_gateway ---------------------------------------------------------------------------------------------------

    def pay(self, request: PayRequest) -> PayReply:
        bill = {"appid": str(self._set["app_id"]), "out_bill_no": request.reference, "transfer_scene_id": str(self._set["scene_id"]),
                "openid": request.account_no, "transfer_amount": _cents(request.amount), "transfer_remark": (request.purpose or "transfer")[:32],
                "notify_url": str(self._set["notify_url"])}
        headers: dict[str, str] = {}
        if request.amount >= NAME_FROM:
            certificate = self._newest()
            bill["user_name"] = seal.hide(request.account_name, certificate)
            headers["Wechatpay-Serial"] = seal.serial_of(certificate)
        return self._moved("POST", TRANSFERS, bill, request.reference, headers)

    def refund(self, request: PayRequest) -> PayReply:
        total = request.original_amount if request.original_amount is not None else request.amount
        asked = {"out_trade_no": request.original, "out_refund_no": request.reference, "notify_url": str(self._set["notify_url"]),
                 "amount": {"refund": _cents(request.amount), "total": _cents(total), "currency": "CNY"}}
        return self._moved("POST", REFUNDS, asked, request.reference, {})

    def query(self, reference: str) -> PayReply:
        return self.inquire(Inquiry(reference=reference))

    def inquire(self, inquiry: Inquiry) -> PayReply:
        place = quote(inquiry.reference, safe="")
        path = f"{REFUNDS}/{place}" if inquiry.kind == "refund" else f"{TRANSFERS}/out-bill-no/{place}"
        status, said = self._ask("GET", path, None, {})
        code = str(said.get("code", ""))
        if status == 404 and code in ("NOT_FOUND", "RESOURCE_NOT_EXISTS"):
            return PayReply(outcome="unknown", reference=inquiry.reference, code="not_found", text="WeChat Pay has no such order, at least not yet")
        if status != 200:
            return PayReply(outcome="unknown", reference=inquiry.reference, code=code or f"http_{status}", text=str(said.get("message", ""))[:200])
        return _reply(said, inquiry.reference)

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        status, said = self._ask("GET", f"/v3/bill/fundflowbill?bill_date={day.isoformat()}&account_type=OPERATION", None, {})
        if status != 200:
            raise OSError(f"WeChat Pay gave no bill: {said.get('code')}")
        place = urlsplit(str(said.get("download_url", "")))
        if f"{place.scheme}://{place.netloc}" != self._set["base_url"]:
            raise OSError("the bill lies at a foreign address")
        answer = self._send("GET", f"{place.path}?{place.query}", b"", {})     # not signed by itself: its digest was
        digest = hashlib.sha1(answer.body).hexdigest()  # noqa: S324 - the digest that WeChat Pay signs
        if answer.status != 200 or said.get("hash_type") != "SHA1" or digest != str(said.get("hash_value", "")).lower():
            raise OSError("the bill is not the one that was promised")
        return _bill(answer.body.decode("utf-8-sig", "replace"), day)

    def _moved(self, method: str, path: str, asked: Mapping[str, Any], reference: str, headers: Mapping[str, str]) -> PayReply:
        status, said = self._ask(method, path, asked, headers)
        if status == 200:
            return _reply(said, reference)
        code, text = str(said.get("code", "")), str(said.get("message", ""))[:200]
        definite = 400 <= status < 500 and code in DEFINITE
        return PayReply(outcome="failed" if definite else "unknown", reference=reference, code=code or f"http_{status}", text=text)

    # -- signed_notice -----------------------------------------------------------------------------------------------------

    def read(self, call: SignedCall) -> Notice:
        try:
            self._check(call.headers, call.body)
            said = _object(call.body)
            inner = _object(seal.open_sealed(self._secret("api_v3_key"), said["resource"]))
            reference = str(inner.get("out_bill_no") or inner["out_refund_no"])
        except (seal.NotGenuine, OSError, KeyError, TypeError) as error:
            raise NoticeRefused("the notice is not genuine") from error
        if str(inner.get("mch_id", inner.get("mchid", ""))) != self._set["mch_id"]:
            raise NoticeRefused("the notice is for another merchant")
        reply = _reply(inner, reference)
        return Notice(event_no=str(said["id"]), topic="payment", values={
            "reference": reference, "outcome": reply.outcome, "gateway_no": reply.gateway_no, "amount": reply.amount, "code": reply.code, "text": reply.text})

    def answer(self, taken: bool) -> NoticeAnswer:
        said = {"code": "SUCCESS", "message": ""} if taken else {"code": "FAIL", "message": "later"}
        return NoticeAnswer(status=200 if taken else 503, body=json.dumps(said).encode(), content_type="application/json")

    # -- the wire ----------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, asked: Mapping[str, Any] | None, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and content of a signed answer; OSError for silence, faults and everything that WeChat Pay did not sign."""
        body = b"" if asked is None else json.dumps(asked, ensure_ascii=False).encode()
        answer = self._send(method, path, body, headers)
        if answer.status >= 500 or answer.status == 429:
            raise OSError(f"WeChat Pay answered {answer.status}")
        try:
            self._check(answer.headers, answer.body)
            return answer.status, _object(answer.body)
        except seal.NotGenuine as error:
            raise OSError(f"the answer is not WeChat Pay's: {error}") from error

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        stamp, nonce = str(int(self._clock.now().timestamp())), secrets.token_hex(16)
        signature = seal.sign(self._secret("merchant_key"), method, path, stamp, nonce, body.decode())
        token = (f'WECHATPAY2-SHA256-RSA2048 mchid="{self._set["mch_id"]}",nonce_str="{nonce}",signature="{signature}",'
                 f'timestamp="{stamp}",serial_no="{self._set["serial_no"]}"')
        given = {"Authorization": token, "Accept": "application/json", "Content-Type": "application/json", "User-Agent": "metaloom", **headers}
        return exchange(str(self._set["base_url"]), method, path, body, given, seconds=float(str(self._set["timeout_seconds"])))

    def _check(self, headers: Mapping[str, str], body: bytes) -> None:
        stamp, serial = headers.get("wechatpay-timestamp", ""), headers.get("wechatpay-serial", "")
        if not stamp.isdecimal() or abs(int(stamp) - self._clock.now().timestamp()) > CLOCK_SKEW_SECONDS:
            raise seal.NotGenuine("the message is too old or from the future")
        seal.check(self._certificate(serial), headers.get("wechatpay-signature", ""), stamp, headers.get("wechatpay-nonce", ""), body)

    # -- platform certificates ---------------------------------------------------------------------------------------------

    def _certificate(self, serial: str) -> x509.Certificate:
        """The platform certificate of a number; a new number is asked for, at most once a minute whoever writes to us."""
        with self._lock:
            now = self._clock.now().timestamp()
            if serial not in self._known and (self._asked_at is None or abs(now - self._asked_at) >= 60):
                self._asked_at = now
                self._learn()
            certificate = self._known.get(serial)
        if certificate is None or not certificate.not_valid_before_utc <= self._clock.now() <= certificate.not_valid_after_utc:
            raise seal.NotGenuine("no such certificate is in force")
        return certificate

    def _newest(self) -> x509.Certificate:
        with self._lock:
            if not self._known:
                self._learn()
            return max(self._known.values(), key=lambda one: one.not_valid_before_utc)

    def _learn(self) -> None:
        """Only WeChat Pay has our key besides us: what opens with it is genuine, and the answer must be signed with one of them."""
        answer = self._send("GET", CERTIFICATES, b"", {})
        if answer.status != 200:
            raise OSError(f"WeChat Pay gave no certificates: {answer.status}")
        sealed = [one["encrypt_certificate"] for one in _object(answer.body).get("data", ())]
        found = [seal.certificate_of(seal.open_sealed(self._secret("api_v3_key"), one)) for one in sealed]
        known = {seal.serial_of(one): one for one in found}
        signer = known.get(answer.headers.get("wechatpay-serial", ""))
        if signer is None:
            raise seal.NotGenuine("the certificates are not signed")
        seal.check(signer, answer.headers.get("wechatpay-signature", ""), answer.headers.get("wechatpay-timestamp", ""),
                   answer.headers.get("wechatpay-nonce", ""), answer.body)
        self._known = known


def _reply(said: Mapping[str, Any], reference: str) -> PayReply:
    """What a genuine word about a transfer or a refund means."""
    if str(said.get("out_bill_no") or said.get("out_refund_no") or "") != reference:
        return PayReply(outcome="unknown", reference=reference, code="other_payment", text="the answer is about another payment")
    refund = "out_refund_no" in said
    state = str(said.get("refund_status", said.get("status", ""))) if refund else str(said.get("state", ""))
    amount = said.get("amount")
    cents = amount.get("refund") if isinstance(amount, Mapping) else said.get("transfer_amount")
    return PayReply(outcome=(REFUND if refund else TRANSFER).get(state, "unknown"), reference=reference,
                    gateway_no=str(said.get("refund_id" if refund else "transfer_bill_no", "")), code=str(said.get("fail_reason", ""))[:60],
                    amount=Decimal(cents).scaleb(-2) if isinstance(cents, int) and not isinstance(cents, bool) else None)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise seal.NotGenuine("it is no JSON") from error
    if not isinstance(found, dict):
        raise seal.NotGenuine("it is no object")
    return found


def _bill(text: str, day: date) -> tuple[StatementLine, ...]:
    """Lines of the fund bill: every value begins with a grave accent; two lines at its end count them."""
    rows = [[cell.lstrip("`").strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    if len(rows) < 3 or not rows[-2][0].startswith("资金流水总笔数") or rows[-1][0] != str(len(rows) - 3):
        raise OSError("the bill broke off")
    named = [dict(zip(rows[0], row, strict=False)) for row in rows[1:-2]]
    fees = {row.get("业务凭证号", ""): _yuan(row) for row in named if "手续费" in row.get("业务类型", "")}
    return tuple(
        StatementLine(reference=row.get("业务凭证号", ""), gateway_no=row.get("微信支付业务单号", ""), amount=_yuan(row), outcome="succeeded", day=day,
                      kind=kind, fee=fees.get(row.get("业务凭证号", ""), Decimal(0)))
        for row in named if (kind := next((said for word, said in BILL_KINDS.items() if word in row.get("业务类型", "")), "")))


def _yuan(row: Mapping[str, str]) -> Decimal:
    try:
        return abs(Decimal(row.get("收支金额(元)", "")))
    except InvalidOperation as error:
        raise OSError("a line of the bill is damaged") from error


def _cents(amount: Decimal) -> int:
    numerator, denominator = (amount * 100).as_integer_ratio()
    if denominator != 1 or numerator <= 0:
        raise ValueError("an amount has at most two places")
    return numerator
