"""RSA2: SHA256withRSA over sorted parameters, over the raw node of an answer, over the sorted fields of a notice."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from metaloom.plugin.keys import own_rsa_key


class NotGenuine(Exception):
    """The message does not carry Alipay's signature."""


def sign(fields: Mapping[str, str], key_pem: str) -> str:
    key = own_rsa_key(key_pem)
    return base64.b64encode(key.sign(_said(fields, ("sign",)).encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def check(said: bytes, signature: str, public_pem: str) -> None:
    key = load_pem_public_key(public_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(base64.b64decode(signature, validate=True), said, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, TypeError, InvalidSignature, binascii.Error) as error:
        raise NotGenuine("the signature does not hold") from error


def check_notice(fields: Mapping[str, str], public_pem: str) -> None:
    check(_said(fields, ("sign", "sign_type")).encode(), fields.get("sign", ""), public_pem)


def node_of(body: bytes, name: str, public_pem: str) -> dict[str, object]:
    """The answer's node, its signature checked over the very bytes that came, as Alipay signed them."""
    text = body.decode("utf-8", "strict")
    mark = f'"{name}":'
    at = text.find(mark)
    if at < 0:
        raise NotGenuine("the answer has no such node")
    start = at + len(mark)
    start += len(text[start:]) - len(text[start:].lstrip())
    try:
        node, end = json.JSONDecoder().raw_decode(text, start)
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotGenuine("the answer is no JSON") from error
    if not isinstance(node, dict) or not isinstance(whole, dict) or whole.get(name) != node:
        raise NotGenuine("the answer is not of the agreed form")
    check(text[start:end].encode(), str(whole.get("sign", "")), public_pem)
    return node


def _said(fields: Mapping[str, str], without: tuple[str, ...]) -> str:
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name not in without and fields[name] != "")
