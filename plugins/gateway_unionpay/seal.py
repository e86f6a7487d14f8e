"""Signatures and encryption of UnionPay 5.1.0 (signMethod 01): RSA with SHA-256 over the hexadecimal digest of the sorted fields."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from metaloom.plugin.keys import own_rsa_key


class NotGenuine(Exception):
    """The message does not carry UnionPay's signature."""


def said(fields: Mapping[str, str]) -> str:
    """What is signed: every field but the signature, empty ones left out, sorted by name."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "signature" and fields[name] != "")


def sign(fields: Mapping[str, str], key_pem: str) -> str:
    key = own_rsa_key(key_pem)
    return base64.b64encode(key.sign(_digest(fields), padding.PKCS1v15(), hashes.SHA256())).decode()


def check(fields: Mapping[str, str], root_pem: str, common_name: str, at: datetime) -> None:
    """The message's own certificate must come from the root that we were given, belong to UnionPay and be in force; then the signature."""
    try:
        certificate = x509.load_pem_x509_certificate(fields.get("signPubKeyCert", "").encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root_pem.encode()))
        key = certificate.public_key()
        names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if not isinstance(key, rsa.RSAPublicKey) or not any(common_name in name.split("@") for name in names):
            raise NotGenuine("the certificate is another one's")
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise NotGenuine("the certificate is not in force")
        key.verify(base64.b64decode(fields.get("signature", ""), validate=True), _digest(fields), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, TypeError, InvalidSignature, binascii.Error) as error:
        raise NotGenuine("the signature does not hold") from error


def hide(text: str, certificate_pem: str) -> str:
    """An account number or a person, for UnionPay's eyes only."""
    key = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return base64.b64encode(key.encrypt(text.encode(), padding.PKCS1v15())).decode()


def _digest(fields: Mapping[str, str]) -> bytes:
    return hashlib.sha256(said(fields).encode()).hexdigest().encode()
