"""The e_signature door: documents signed by people with a service outside, which holds the evidence.

Called by a worker only, outside every transaction. The reference is chosen and stored before the first call and names one
envelope for ever: a repeated ``create`` with it is the same envelope. A signature binds people, so nothing is guessed: an
accident is ``unknown`` and asked about with ``query``; a notice that comes in (door ``signed_notice``) is only a reason to ask.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from metaloom.plugin.faults import PluginFault, Promise

STATES = frozenset({"draft", "signing", "partly_signed", "signed", "rejected", "expired", "revoked"})
OUTCOMES = STATES | {"refused", "unknown", "never_seen"}
FINAL = frozenset({"signed", "rejected", "expired", "revoked", "refused"})
FILE_MAX = 10 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A PDF to be signed; ``content`` is what ``digest`` (SHA-256, hexadecimal) says."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """Who signs, in rising ``order``; equal numbers sign side by side. ``key`` tells the signers of one envelope apart. ``seal``: the
    house's own seal, which the service sets by itself."""

    key: str
    name: str
    id_no: str = ""
    mobile: str = ""
    order: int = 1
    seal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """``days``: how long it may be signed."""

    reference: str
    title: str
    documents: tuple[Document, ...]
    signers: tuple[Signer, ...]
    days: int = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvelopeReply:
    """``outcome``: one of the states, or refused (there is and will be no envelope), unknown (nobody can say), never_seen (``query``
    only, on the service's definite word). ``signed_by``: keys of those who have signed. ``text``: why it was rejected."""

    outcome: str
    reference: str = ""
    envelope_no: str = ""
    evidence_no: str = ""
    signed_by: tuple[str, ...] = ()
    code: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedFile:
    """The signed document as the service keeps it. ``digest`` is what the service says of the content (SHA-256)."""

    content: bytes
    digest: str
    evidence_no: str = ""
    reference: str = ""


def perform(service: ESignature, method: str, payload: Mapping[str, Any]) -> dict[str, object]:
    """One call out of the outbox. ``create``: fields of :class:`Envelope`, documents as ``{name, content}`` with the content in
    base64; ``query``, ``download``: ``reference``; ``revoke``: ``reference``, ``reason``. Anything else raises ValueError."""
    if method == "create":
        documents = tuple(Document(name=d["name"], content=base64.b64decode(d["content"], validate=True)) for d in payload["documents"])
        signers = tuple(Signer(**s) for s in payload["signers"])
        return _plain(service.create(Envelope(**{**payload, "documents": documents, "signers": signers})))
    if method == "query":
        return _plain(service.query(str(payload["reference"])))
    if method == "revoke":
        return _plain(service.revoke(str(payload["reference"]), str(payload.get("reason", ""))))
    if method == "download":
        file = service.download(str(payload["reference"]))
        return {"outcome": "signed", "reference": file.reference, "content": file.content, "digest": file.digest,
                "evidence_no": file.evidence_no}
    raise ValueError(f"e_signature has no method {method!r} to send to; known are create, query, revoke, download")


def accident(payload: Mapping[str, Any], error: Exception) -> dict[str, object]:
    """The reply when nothing came back in time: nobody can say."""
    return _plain(_unknown(str(payload.get("reference", "")), error))


def _plain(reply: EnvelopeReply) -> dict[str, object]:
    return {**asdict(reply), "signed_by": ",".join(reply.signed_by)}


@runtime_checkable
class ESignature(Protocol):
    """Binds people; moves no money."""

    def create(self, envelope: Envelope) -> EnvelopeReply:
        """Make the envelope and ask the signers. The same reference again is the same envelope. A time-out, a 5xx or a page of HTML
        raises or returns ``unknown``; ``refused`` only on the service's definite word."""

    def query(self, reference: str) -> EnvelopeReply:
        """What became of an envelope. May be repeated at will. ``never_seen`` only on the service's definite word."""

    def revoke(self, reference: str, reason: str) -> EnvelopeReply:
        """Take an envelope back before it is signed. One that is signed stays signed, and the reply says so."""

    def download(self, reference: str) -> SignedFile:
        """The signed document. Only when ``query`` said ``signed``; raises otherwise. May be repeated: the same bytes."""


class CheckedESignature:
    """A service behind the engine's checks: whatever it raises or misspells becomes ``unknown``, never a signature."""

    def __init__(self, service: ESignature, name: str) -> None:
        self._service, self._promise = service, Promise(name)

    def create(self, envelope: Envelope) -> EnvelopeReply:
        return self._asked(envelope.reference, lambda: self._service.create(envelope), OUTCOMES - {"never_seen"},
                           frozenset(signer.key for signer in envelope.signers))

    def query(self, reference: str) -> EnvelopeReply:
        return self._asked(reference, lambda: self._service.query(reference), OUTCOMES - {"refused"})

    def revoke(self, reference: str, reason: str) -> EnvelopeReply:
        return self._asked(reference, lambda: self._service.revoke(reference, reason), OUTCOMES - {"refused"})

    def download(self, reference: str) -> SignedFile:
        """PluginFault unless it is a PDF of bearable size whose content is what its digest says."""
        file = self._service.download(reference)
        self._promise.is_a("file", file, SignedFile)
        self._promise.is_a("content", file.content, bytes)
        self._promise.that(file.reference in ("", reference), "the file is about another reference")
        self._promise.that(0 < len(file.content) <= FILE_MAX, "content: empty, or larger than 10 MB")
        self._promise.that(file.content.startswith(b"%PDF-"), "content: not a PDF")
        self._promise.that(hashlib.sha256(file.content).hexdigest() == file.digest, "content: not what its digest says")
        self._promise.text("evidence_no", file.evidence_no, longest=100)
        return file

    def _asked(self, reference: str, call: Any, allowed: frozenset[str], keys: frozenset[str] | None = None) -> EnvelopeReply:
        try:
            reply = call()
            self._promise.is_a("reply", reply, EnvelopeReply)
            self._promise.one_of("outcome", reply.outcome, allowed)
            self._promise.that(reply.reference in ("", reference), "the reply is about another reference")
            self._promise.is_a("signed_by", reply.signed_by, tuple)
            self._promise.that(keys is None or keys.issuperset(reply.signed_by), "signed_by: somebody who was not asked")
            for key in ("envelope_no", "evidence_no", "code"):
                self._promise.text(key, getattr(reply, key), longest=100)
            self._promise.text("text", reply.text)
        except Exception as error:  # an accident must not look like an answer
            return _unknown(reference, error)
        checked: EnvelopeReply = reply
        return checked


def _unknown(reference: str, error: Exception) -> EnvelopeReply:
    fault = error.fault if isinstance(error, PluginFault) else f"{type(error).__name__}: {error}"
    return EnvelopeReply(outcome="unknown", reference=reference, code=type(error).__name__[:100], text=fault[:500])
