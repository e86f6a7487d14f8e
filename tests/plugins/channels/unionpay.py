"""A UnionPay that runs on this machine: forms, certificates, encrypted accounts, fixed-width statements; written from its interface paper."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
import zlib
from typing import Any
from urllib.parse import parse_qs, quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.plugins.channels.channel import Channel, Payment
from tests.plugins.channels.keys import pair

CN = "041@Z12@00040000:SIGN@中国银联股份有限公司@00000001"


class UnionPayServer(Channel):
    """``handle`` is the wire. The merchant's key is the pair ``merchant``."""

    def __init__(self) -> None:
        super().__init__()
        self.root, self.own, self.hidden, self.merchant = pair("up-root"), pair(CN, "up-root"), pair("up-enc", "up-root"), pair("merchant")
        self.seen_accounts: list[str] = []
        self.times: dict[str, str] = {}
        self.cut_statement = False

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True).items()}
        if not self.is_the_merchants(form):
            return self.signed({"respCode": "11", "respMsg": "verify sign failed"})
        self.asked.append((form["txnType"], form.get("orderId", "")))
        if form["txnType"] == "00":
            return self.query(form)
        if form["txnType"] == "76":
            return self.statement(form)
        return self.order(form)

    def is_the_merchants(self, form: dict[str, str]) -> bool:
        try:
            self.merchant.certificate.public_key().verify(base64.b64decode(form["signature"]), self.digest(form), padding.PKCS1v15(), hashes.SHA256())
            return form["certId"] == str(self.merchant.certificate.serial_number) and form["version"] == "5.1.0"
        except Exception:
            return False

    @staticmethod
    def digest(form: dict[str, str]) -> bytes:
        words = "&".join("=".join(item) for item in sorted(form.items()) if item[0] != "signature" and item[1])
        return hashlib.sha256(words.encode()).hexdigest().encode("ascii")

    def signed(self, fields: dict[str, str], forged: bool = False) -> Any:
        return 200, {"Content-Type": "text/html;charset=UTF-8"}, "&".join(f"{k}={v}" for k, v in self.seal(fields, forged).items()).encode()

    def seal(self, fields: dict[str, str], forged: bool = False) -> dict[str, str]:
        signer = pair("somebody-else") if forged else self.own
        whole = {**fields, "version": "5.1.0", "encoding": "UTF-8", "signMethod": "01", "signPubKeyCert": signer.pem}
        whole["signature"] = base64.b64encode(signer.key.sign(self.digest(whole), padding.PKCS1v15(), hashes.SHA256())).decode()
        return whole

    def order(self, form: dict[str, str]) -> Any:
        before = self.fault("silence_before", "error_before")
        if before:
            return None if before == "silence_before" else (503, {}, b"<html>busy</html>")
        kind = {"12": "payout", "11": "collect", "04": "refund"}[form["txnType"]]
        if form["orderId"] in self.times and self.times[form["orderId"]] != form["txnTime"]:
            return self.signed({"orderId": form["orderId"], "respCode": "12", "respMsg": "the number is taken"})
        if kind != "refund":
            self.seen_accounts.append(self.hidden.key.decrypt(base64.b64decode(form["accNo"]), padding.PKCS1v15()).decode())
            assert base64.b64decode(form["customerInfo"]).decode().startswith("{customerNm=")
        elif not any(one.gateway_no == form["origQryId"] for one in self.books.values()):
            return self.signed({"orderId": form["orderId"], "respCode": "33", "respMsg": "no original"})
        elif int(form["txnAmt"]) > self.refundable(form["origQryId"], form["orderId"]):
            return self.signed({"orderId": form["orderId"], "respCode": "36", "respMsg": "more than was paid"})
        if self.faults[:1] == ["refuse"]:
            self.faults.pop(0)
            return self.signed({"orderId": form["orderId"], "respCode": "61", "respMsg": "over the limit"})
        self.times[form["orderId"]] = form["txnTime"]
        made = self.take(form["orderId"], kind, int(form["txnAmt"]), time=form["txnTime"],
                         **({"original": self.number_of(form["origQryId"])} if kind == "refund" else {}))
        after = self.fault("silence_after", "error_after")
        if after:
            return None if after == "silence_after" else (500, {}, b"")
        shown = "OTHER00001" if self.fault("other_order") else made.number
        return self.signed({"orderId": shown, "queryId": made.gateway_no, "respCode": "00", "respMsg": "ok"}, bool(self.fault("forged")))

    def query(self, form: dict[str, str]) -> Any:
        made = self.books.get(form["orderId"])
        if self.fault("not_found") or made is None or made.more["time"] != form["txnTime"]:
            return self.signed({"orderId": form["orderId"], "respCode": "34", "respMsg": "no such order"})
        return self.signed({"respCode": "00", **self.told(made, "orig")}, bool(self.fault("forged")))

    def told(self, made: Payment, prefix: str = "") -> dict[str, str]:
        code = {"paid": "00", "failed": "61", "waiting": "05"}[made.state]
        name = f"{prefix}RespCode" if prefix else "respCode"
        return {"orderId": made.number, "queryId": made.gateway_no, "txnAmt": str(made.cents), name: code, "merId": "777290058110097",
                "txnType": {"payout": "12", "collect": "11", "refund": "04"}[made.kind]}

    def notice(self, number: str, *, forged: bool = False, cents: int | None = None) -> tuple[dict[str, str], bytes]:
        """A back notice about an order, as it is posted."""
        told = self.told(self.books[number])
        if cents is not None:
            told["txnAmt"] = str(cents)
        fields = self.seal(told, forged)
        return {"content-type": "application/x-www-form-urlencoded"}, "&".join(f"{k}={quote(v, safe='')}" for k, v in fields.items()).encode()

    def statement(self, form: dict[str, str]) -> Any:
        rows = []
        for made in self.books.values():
            if made.state != "paid":
                continue
            widths = (3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6)
            words = ["S22", "0", "0", "000001", form["settleDate"] + "101010", "6222", f"{made.cents:012d}", "4900", "07", made.gateway_no, "", made.number,
                     "01", "", "", "D000000000050", "C000000000000", "0001", "", self.told(made)["txnType"], "00", "000401"]
            rows.append(" ".join(word.ljust(width) for word, width in zip(words, widths, strict=True)))
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"INN{form['settleDate']}ZM_777290058110097", "\r\n".join(rows).encode("gbk"))
        content = zlib.compress(packed.getvalue())
        if self.cut_statement:
            content = content[:-20]
        return self.signed({"respCode": "00", "fileName": "x.zip", "fileContent": base64.b64encode(content).decode()})
