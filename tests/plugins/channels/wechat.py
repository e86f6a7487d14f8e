"""A WeChat Pay V3 that runs on this machine: signed requests and answers, sealed certificates and notices, bills with a digest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.plugins.channels.channel import Channel, Payment
from tests.plugins.channels.keys import Pair, pair

MCH, API_KEY = "1900001109", "0123456789abcdef0123456789ABCDEF"


class WechatServer(Channel):
    """``handle`` is the wire. The merchant's key is the pair ``wx-merchant``, the platform's ``wx-platform``."""

    aside = ("/v3/certificates",)

    def __init__(self, now: Any) -> None:
        super().__init__()
        self.merchant, self.platform, self.now = pair("wx-merchant"), pair("wx-platform"), now
        self.base, self.cut_statement, self.names = "", False, []

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        said = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("authorization", "")))
        text = f"{method}\n{path}\n{said.get('timestamp')}\n{said.get('nonce_str')}\n{body.decode()}\n"
        try:
            assert headers["authorization"].startswith("WECHATPAY2-SHA256-RSA2048 ") and said["mchid"] == MCH
            assert said["serial_no"] == f"{self.merchant.certificate.serial_number:X}"
            self.merchant.key.public_key().verify(base64.b64decode(said["signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except Exception:
            return self.signed(401, {"code": "SIGN_ERROR", "message": "wrong signature"})
        self.asked.append((method, path))
        if path == "/v3/certificates":
            return self.signed(200, {"data": [{"serial_no": self.serial(self.platform), "encrypt_certificate": self.sealed(self.platform.pem, "certificate")}]})
        if path.startswith("/v3/bill/fundflowbill"):
            whole = self.bill()
            return self.signed(200, {"hash_type": "SHA1", "hash_value": hashlib.sha1(whole).hexdigest(), "download_url": f"{self.base}/download?token=x"})
        if path.startswith("/download"):
            return 200, {}, self.bill()[:-30] if self.cut_statement else self.bill()
        return self.query(path) if method == "GET" else self.order(path, json.loads(body), headers)

    @staticmethod
    def serial(one: Pair) -> str:
        return f"{one.certificate.serial_number:X}"

    def sealed(self, text: str, kind: str) -> dict[str, str]:
        nonce = secrets.token_hex(6)
        secret = AESGCM(API_KEY.encode()).encrypt(nonce.encode(), text.encode(), kind.encode())
        return {"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": kind, "ciphertext": base64.b64encode(secret).decode()}

    def headers(self, body: bytes, forged: bool = False, at: float | None = None) -> dict[str, str]:
        stamp, nonce = str(int(self.now() if at is None else at)), secrets.token_hex(16)
        signer = pair("somebody-else") if forged else self.platform
        sign = signer.key.sign(f"{stamp}\n{nonce}\n".encode() + body + b"\n", padding.PKCS1v15(), hashes.SHA256())
        return {"Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": self.serial(self.platform),
                "Wechatpay-Signature": base64.b64encode(sign).decode()}

    def signed(self, status: int, content: dict[str, Any], forged: bool = False) -> Any:
        body = json.dumps(content, ensure_ascii=False).encode()
        return status, {"Content-Type": "application/json", **self.headers(body, forged)}, body

    def order(self, path: str, asked: dict[str, Any], headers: dict[str, str]) -> Any:
        before = self.fault("silence_before", "error_before")
        if before:
            return None if before == "silence_before" else (502, {}, b"<html></html>")
        if self.fault("refuse"):
            return self.signed(400, {"code": "PARAM_ERROR", "message": "no such openid"})
        refund = path.endswith("/refunds")
        number = asked["out_refund_no" if refund else "out_bill_no"]
        if refund and asked["out_trade_no"] not in self.books:
            return self.signed(404, {"code": "RESOURCE_NOT_EXISTS", "message": "no such order"})
        if refund and (asked["amount"]["total"] != self.books[asked["out_trade_no"]].cents
                       or asked["amount"]["refund"] > self.refundable(asked["out_trade_no"], number)):
            return self.signed(400, {"code": "INVALID_REQUEST", "message": "more than was paid"})
        if "user_name" in asked:
            assert headers["wechatpay-serial"] == self.serial(self.platform)
            oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
            self.names.append(self.platform.key.decrypt(base64.b64decode(asked["user_name"]), oaep).decode())
        made = self.take(number, "refund" if refund else "payout", asked["amount"]["refund"] if refund else asked["transfer_amount"],
                         **({"original": asked["out_trade_no"]} if refund else {}))
        after = self.fault("silence_after", "error_after")
        if after:
            return None if after == "silence_after" else (500, {}, b"")
        told = self.told(made)
        if self.fault("other_order"):
            told["out_refund_no" if refund else "out_bill_no"] = "OTHER00001"
        return self.signed(200, told, bool(self.fault("forged")))

    def query(self, path: str) -> Any:
        made = self.books.get(path.rpartition("/")[2])
        if self.fault("not_found") or made is None:
            return self.signed(404, {"code": "NOT_FOUND", "message": "no such bill"})
        return self.signed(200, self.told(made), bool(self.fault("forged")))

    def told(self, made: Payment) -> dict[str, Any]:
        if made.kind == "refund":
            return {"out_refund_no": made.number, "refund_id": made.gateway_no, "status": {"paid": "SUCCESS", "failed": "CLOSED"}[made.state],
                    "amount": {"refund": made.cents, "total": self.books[made.more["original"]].cents, "currency": "CNY"}}
        state = {"paid": "SUCCESS", "failed": "FAIL", "waiting": "WAIT_USER_CONFIRM"}[made.state]
        return {"out_bill_no": made.number, "transfer_bill_no": made.gateway_no, "state": state, "transfer_amount": made.cents}

    def notice(self, number: str, *, forged: bool = False, cents: int | None = None, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """A notice about an order, as it is posted."""
        inner = {"mch_id": MCH, **self.told(self.books[number])}
        refund = self.books[number].kind == "refund"
        if refund:
            inner["refund_status"], inner["mchid"] = inner.pop("status"), inner.pop("mch_id")
        if cents is not None and refund:
            inner["amount"]["refund"] = cents
        elif cents is not None:
            inner["transfer_amount"] = cents
        body = json.dumps({"id": f"EV-{number}", "event_type": "REFUND.SUCCESS" if refund else "MCHTRANSFER.BILL.FINISHED", "resource_type": "encrypt-resource",
                           "resource": self.sealed(json.dumps(inner), "mch_payment")}).encode()
        return {name.lower(): value for name, value in self.headers(body, forged, at).items()}, body

    def bill(self) -> bytes:
        rows = ["记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号"]
        for made in self.books.values():
            word = "退款" if made.kind == "refund" else "商家转账"
            rows.append(f"`2025-01-15 10:00:00,`{made.gateway_no},`1,`{word},`{word},`支出,`{made.cents / 100:.2f},`1.00,`system,`x,`{made.number}")
        rows += ["资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额", f"`{len(self.books)},`0,`0.00,`{len(self.books)},`0.00"]
        return "\n".join(rows).encode()
