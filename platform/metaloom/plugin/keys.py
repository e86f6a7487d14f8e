"""Keys with which plugins sign what they send."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def own_rsa_key(pem: str) -> rsa.RSAPrivateKey:
    """Our own key from its PEM text; OSError when what was set is none: then nothing can be sent."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:
        raise OSError("the private key that was set cannot be read") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise OSError("the private key that was set is no RSA key")
    return key
