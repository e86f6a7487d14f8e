"""Passwords: hashed in the format the login library checks, and a floor under what may be chosen."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message

LENGTH_MIN, LENGTH_MAX = 8, 200
COST = 2**15                      # scrypt's N: 32 MiB and some 60 ms for each guess
_R, _P = 8, 1
_SALT = string.ascii_letters + string.digits


def hashed(password: str) -> str:
    """``scrypt:32768:8:1$<salt>$<hex>``: what werkzeug makes and checks (the web framework itself stays outside this floor)."""
    salt = "".join(secrets.choice(_SALT) for _ in range(16))
    return f"scrypt:{COST}:{_R}:{_P}${salt}${_digest(password, salt)}"


def matches(stored: str, password: str) -> bool:
    """Whether the password is the stored one; False for hashes of another kind."""
    method, _, rest = stored.partition("$")
    salt, _, digest = rest.partition("$")
    return method == f"scrypt:{COST}:{_R}:{_P}" and hmac.compare_digest(_digest(password, salt), digest)


def _digest(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=COST, r=_R, p=_P, maxmem=132 * COST * _R * _P).hex()


def refuse_weak(password: str, username: str) -> None:
    """Invalid unless the password is long enough, has letters and digits, and does not hold the user name."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise Invalid([Problem("password", message("password.short", limit=LENGTH_MIN))])
    letters, digits = any(c.isalpha() for c in password), any(c.isdigit() for c in password)
    if not (letters and digits) or username.lower() in password.lower():
        raise Invalid([Problem("password", message("password.plain"))])
