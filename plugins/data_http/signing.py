"""Signatures of requests and answers: HMAC-SHA256 with a shared key, or RSA (PKCS #1 v1.5, SHA-256) with two key pairs.

What is signed: the words, each ended by a line feed, then the SHA-256 of the body in hexadecimal. The words of a request are
method, path, time and nonce; those of an answer are ``ANSWER``, the path, the time and the nonce *of the request*, so that an
answer to another question never fits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from metaloom.plugin.keys import own_rsa_key


@dataclass(frozen=True)
class Signer:
    """``sign`` gives the text of a signature; ``holds`` says whether one is the service's."""

    sign: Callable[[Sequence[str], bytes], str]
    holds: Callable[[Sequence[str], bytes, str], bool]


def by_hmac(key: str) -> Signer:
    """Both sides share ``key`` (at least 16 characters)."""
    if len(key) < 16:
        raise ValueError("hmac_key: shorter than 16 characters")

    def sign(words: Sequence[str], body: bytes) -> str:
        return hmac.new(key.encode(), _signed(words, body), hashlib.sha256).hexdigest()

    return Signer(sign, lambda words, body, given: hmac.compare_digest(sign(words, body).encode(), given.encode()))


def by_rsa(private_key: str, service_key: str) -> Signer:
    """Ours signs the question, the service's the answer. Keys in PEM, 2048 bits at least; OSError for what is no such key: nothing can be
    asked, and the fault names the key, never its text."""
    mine, theirs = own_rsa_key(private_key), _service_key(service_key)
    if min(mine.key_size, theirs.key_size) < 2048:
        raise OSError("RSA keys of 2048 bits or more are needed")

    def sign(words: Sequence[str], body: bytes) -> str:
        return base64.b64encode(mine.sign(_signed(words, body), padding.PKCS1v15(), SHA256())).decode()

    def holds(words: Sequence[str], body: bytes, given: str) -> bool:
        try:
            theirs.verify(base64.b64decode(given, validate=True), _signed(words, body), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    return Signer(sign, holds)


def _service_key(pem: str) -> rsa.RSAPublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise OSError("the service_key that was set cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise OSError("the service_key that was set is no RSA key")
    return key


def _signed(words: Sequence[str], body: bytes) -> bytes:
    return "".join(f"{word}\n" for word in words).encode() + hashlib.sha256(body).hexdigest().encode()
