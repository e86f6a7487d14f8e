"""The e_signature and signed_notice doors, opened towards the sandbox's signing service.

The adapter knows the service only by its wire (as ``simulator.py`` documents it) and signs with code of its own. What it cannot
prove it calls unknown: a silent line, an error page, an answer with a wrong signature, an answer about another envelope.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from metaloom.plugin import Environment
from metaloom.plugin.e_signature import Envelope, EnvelopeReply, SignedFile
from metaloom.plugin.signed_notice import Notice, NoticeAnswer, SignedCall
from metaloom.plugin.wire import exchange

from .simulator import Signatures

Transport = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]
OUTCOME_OF_STATE: Final = {"SIGNING": "signing", "PARTLY": "partly_signed", "SIGNED": "signed", "REJECTED": "rejected", "EXPIRED": "expired",
                           "REVOKED": "revoked"}
SKEW_SECONDS: Final = 300


class NoProof(Exception):
    """What came back proves nothing."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class SandboxSignatures:
    """One client of the sandbox's signing service: in this process, or at ``base_url`` with the secret ``client_key``."""

    def __init__(self, environment: Environment) -> None:
        self._clock = environment.clock
        base_url = str(environment.settings.get("base_url", ""))
        if base_url:
            self._key = environment.secret("client_key")
            self._send = _over_http(base_url, float(str(environment.settings.get("timeout_seconds", 15))))
        else:
            folder = environment.folder or Path(tempfile.mkdtemp(prefix="esign-sandbox-"))
            service = Signatures(folder / "flows.sqlite", now=self._seconds, auto_sign=environment.settings.get("auto_sign", True) is True)
            self._key = service.client_key()
            self._send = _in_process(service)

    def create(self, envelope: Envelope) -> EnvelopeReply:
        asked = {
            "flow_ref": envelope.reference, "title": envelope.title, "days": envelope.days,
            "files": [{"name": document.name, "base64": base64.b64encode(document.content).decode()} for document in envelope.documents],
            "parties": [{"key": s.key, "name": s.name, "id_no": s.id_no, "mobile": s.mobile, "step": s.order, "seal": s.seal} for s in envelope.signers],
        }
        return self._reply("POST", "/flows", asked, envelope.reference)

    def query(self, reference: str) -> EnvelopeReply:
        return self._reply("GET", f"/flows/{quote(reference, safe='')}", None, reference)

    def revoke(self, reference: str, reason: str) -> EnvelopeReply:
        return self._reply("POST", f"/flows/{quote(reference, safe='')}/revoke", {"reason": reason}, reference)

    def download(self, reference: str) -> SignedFile:
        status, said = self._ask("GET", f"/flows/{quote(reference, safe='')}/file", None)
        if status != 200 or said.get("flow_ref") != reference:
            raise NoProof(str(said.get("code", f"http_{status}")), "the service gave no signed file")
        try:
            content = base64.b64decode(str(said["base64"]), validate=True)
        except (KeyError, binascii.Error) as odd:
            raise NoProof("odd_answer", "the answer holds no file") from odd
        return SignedFile(content=content, digest=str(said.get("sha256", "")), evidence_no=str(said.get("evidence_no", "")), reference=reference)

    def read(self, call: SignedCall) -> Notice:
        self._genuine(call.headers, "NOTICE", "/notice", call.body)
        said = _object(call.body)
        flow = said.get("flow")
        if not isinstance(flow, dict) or flow.get("state") not in OUTCOME_OF_STATE:
            raise NoProof("odd_notice", "the notice speaks of no envelope")
        return Notice(event_no=str(said.get("event_no", "")), topic="e_signature",
                      values={"reference": str(flow.get("flow_ref", "")), "state": OUTCOME_OF_STATE[flow["state"]]})

    def answer(self, taken: bool) -> NoticeAnswer:
        return NoticeAnswer(status=200 if taken else 503, body=b"ok" if taken else b"later")

    # -- the wire --------------------------------------------------------------------------------------------------------

    def _reply(self, method: str, path: str, asked: Mapping[str, Any] | None, reference: str) -> EnvelopeReply:
        try:
            status, said = self._ask(method, path, asked)
            return _judged(status, said, reference)
        except NoProof as wrong:
            return EnvelopeReply(outcome="unknown", reference=reference, code=wrong.code, text=str(wrong))
        except OSError as silence:
            return EnvelopeReply(outcome="unknown", reference=reference, code="no_answer", text=str(silence)[:200])

    def _ask(self, method: str, path: str, asked: Mapping[str, Any] | None) -> tuple[int, dict[str, Any]]:
        body = json.dumps(asked, ensure_ascii=False).encode() if asked is not None else b""
        stamp, nonce = str(int(self._seconds())), secrets.token_hex(16)
        headers = {"Content-Type": "application/json", "X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature": self._mac(stamp, nonce, method, path, body)}
        status, answered, content = self._send(method, path, headers, body)
        if status >= 500:
            raise NoProof(f"http_{status}", "the service has a fault of its own")
        self._genuine(answered, "ANSWER", path, content)
        return status, _object(content)

    def _genuine(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        stamp = given.get("x-timestamp", "")
        mac = self._mac(stamp, given.get("x-nonce", ""), method, path, body)
        if not hmac.compare_digest(mac.encode(), given.get("x-signature", "").encode()):
            raise NoProof("bad_signature", "the message is not from the service")
        if not (stamp.isascii() and stamp.isdecimal()) or abs(int(stamp) - self._seconds()) > SKEW_SECONDS:
            raise NoProof("stale_message", "the message is too old or from the future")

    def _mac(self, stamp: str, nonce: str, method: str, path: str, body: bytes) -> str:
        said = hmac.new(self._key.encode(), digestmod=hashlib.sha256)
        for word in (stamp, nonce, method, path):
            said.update(word.encode() + b"\n")
        said.update(body)
        return said.hexdigest()

    def _seconds(self) -> float:
        return self._clock.now().timestamp()


def _judged(status: int, said: Mapping[str, Any], reference: str) -> EnvelopeReply:
    """What a genuine answer means for the envelope with our reference."""
    code = str(said.get("code", ""))
    if status == 404 and code == "FLOW_NOT_FOUND":
        return EnvelopeReply(outcome="never_seen", reference=reference, code=code)
    if status == 422:
        return EnvelopeReply(outcome="refused", reference=reference, code=code, text=str(said.get("message", ""))[:200])
    if status != 200:
        raise NoProof(code.lower() or f"http_{status}", f"the service answered {status}")
    if said.get("flow_ref") != reference:
        raise NoProof("other_envelope", "the answer is about another envelope")
    if said.get("state") not in OUTCOME_OF_STATE:
        raise NoProof("odd_answer", "the answer has not the agreed words")
    return EnvelopeReply(outcome=OUTCOME_OF_STATE[said["state"]], reference=reference, envelope_no=str(said.get("flow_no", "")),
                         evidence_no=str(said.get("evidence_no", "")), signed_by=tuple(map(str, said.get("done", ()))), text=str(said.get("reason", ""))[:200])


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoProof("odd_answer", "the answer is no JSON") from error
    if not isinstance(said, dict):
        raise NoProof("odd_answer", "the answer is no object")
    return said


def _in_process(service: Signatures) -> Transport:
    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = service.handle(method, path, headers, body)
        return answer.status, answer.headers, answer.body

    return send


def _over_http(base_url: str, timeout: float) -> Transport:
    """One connection per call, the whole of it within the time however slowly it drips."""
    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = exchange(base_url, method, path, body, headers, seconds=timeout)
        return answer.status, answer.headers, answer.body

    return send
