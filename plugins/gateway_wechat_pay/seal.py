"""V3 of WeChat Pay: WECHATPAY2-SHA256-RSA2048 both ways, AEAD_AES_256_GCM for what is secret, RSA-OAEP for names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metaloom.plugin.keys import own_rsa_key


class NotGenuine(Exception):
    """The message does not carry WeChat Pay's signature, or cannot be opened with our key."""


def sign(key_pem: str, *parts: str) -> str:
    key = own_rsa_key(key_pem)
    return base64.b64encode(key.sign(_lines(parts).encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def check(certificate: x509.Certificate, signature: str, stamp: str, nonce: str, body: bytes) -> None:
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(base64.b64decode(signature, validate=True), _lines((stamp, nonce)).encode() + body + b"\n", padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, TypeError, InvalidSignature, binascii.Error) as error:
        raise NotGenuine("the signature does not hold") from error


def open_sealed(api_key: str, resource: Mapping[str, Any]) -> bytes:
    """What stands in an AEAD_AES_256_GCM resource."""
    try:
        if resource["algorithm"] != "AEAD_AES_256_GCM":
            raise NotGenuine("another way of sealing")
        return AESGCM(api_key.encode()).decrypt(str(resource["nonce"]).encode(), base64.b64decode(str(resource["ciphertext"]), validate=True),
                                                str(resource.get("associated_data") or "").encode())
    except (KeyError, ValueError, TypeError, InvalidTag, binascii.Error) as error:
        raise NotGenuine("it was not sealed with our key") from error


def certificate_of(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise NotGenuine("no certificate") from error


def serial_of(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:X}"


def hide(text: str, certificate: x509.Certificate) -> str:
    """A person's name, for WeChat Pay's eyes only. RSA-OAEP with SHA-1 is what V3 lays down."""
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
    return base64.b64encode(key.encrypt(text.encode(), oaep)).decode()


def _lines(parts: tuple[str, ...]) -> str:
    return "".join(f"{part}\n" for part in parts)
