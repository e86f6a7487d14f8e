"""Secrets of a tenant: encrypted fields, blind indexes for searching them, and named secrets of plugins.

Envelope: the master key wraps the tenant's keys, which lie in the tenant's own database (``ml_data_key``). A ciphertext
names its key (``m1.<key id>.<base64>``) and is bound to tenant and field, so it opens nowhere else. Blind indexes use a
key of their own that data key rotation leaves alone: equality search goes on working.
"""

from __future__ import annotations

import hmac
import secrets as randomness
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from metaloom.storage.engine import data_key, secret, setting

BOUND_TO = "secrets.bound_to"        # a restored tenant: the name to which its ciphertexts are bound
_NONCE_BYTES = 12
Door = Callable[[], AbstractContextManager[sa.Connection]]


class WrongKey(Exception):
    """The ciphertext does not open: another master key, another tenant or field, or it was changed."""


def seal(key: bytes, text: bytes, bound_to: str) -> str:
    """AES-256-GCM, fresh nonce; ``bound_to`` must be given again to open it."""
    nonce = randomness.token_bytes(_NONCE_BYTES)
    return urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, text, bound_to.encode())).decode()


def unseal(key: bytes, sealed: str, bound_to: str) -> bytes:
    """The text that was sealed; WrongKey when anything differs."""
    try:
        raw = urlsafe_b64decode(sealed.encode())
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise WrongKey(f"cannot open what is bound to {bound_to}") from error


@dataclass(frozen=True)
class _Keys:
    name: str
    data: Mapping[str, bytes]
    active: str
    blind: bytes


class Secrets:
    """The secrets of one tenant; keys are read once and kept in memory."""

    def __init__(self, tenant: str, master_key: bytes, read: Door, write: Door) -> None:
        self._tenant, self._master_key, self._read, self._write = tenant, master_key, read, write
        self._known: _Keys | None = None
        self._lock = Lock()
        self._blind_keys: dict[str, hmac.HMAC] = {}
        self.origins: Mapping[str, str] = {}

    def fits(self) -> bool:
        """Whether the master key of this process opens the tenant's keys."""
        try:
            self._keys()
        except WrongKey:
            return False
        return True

    def encrypt(self, field_address: str, text: str) -> str:
        """Ciphertext of ``text`` for this field of this tenant."""
        keys = self._keys()
        return f"m1.{keys.active}.{seal(keys.data[keys.active], text.encode(), self._bound(field_address))}"

    def decrypt(self, field_address: str, ciphertext: str) -> str:
        """The text; WrongKey when the ciphertext belongs to another field, tenant or master key."""
        version, _, rest = ciphertext.partition(".")
        key_id, _, sealed = rest.partition(".")
        key = self._keys().data.get(key_id)
        if version != "m1" or key is None:
            raise WrongKey(f"{field_address}: no key {key_id or '?'} in tenant {self._tenant}")
        return unseal(key, sealed, self._bound(field_address)).decode()

    def blind(self, field_address: str, text: str) -> str:
        """A keyed fingerprint: equal texts of one field have equal fingerprints, and nothing else can be read from it."""
        origin = self.origins.get(field_address, field_address)
        key = self._blind_keys.get(origin)
        if key is None:
            keys = self._keys()
            info = f"{keys.name}|{origin}".encode()
            key = hmac.new(HKDF(SHA256(), 32, salt=None, info=info).derive(keys.blind), digestmod="sha256")
            self._blind_keys[origin] = key
        made = key.copy()           # what HMAC makes of the key alone takes longer than the digest of a short text
        made.update(text.encode())
        return made.hexdigest()

    def set(self, name: str, text: str) -> None:
        """Store the named secret (``gateway.key``), replacing an earlier one."""
        sealed = self.encrypt(f"secret/{name}", text)
        with self._write() as conn:
            if conn.execute(secret.update().where(secret.c.name == name).values(ciphertext=sealed)).rowcount == 0:
                conn.execute(secret.insert().values(name=name, ciphertext=sealed))

    def get(self, name: str) -> str | None:
        """The named secret, or None."""
        with self._read() as conn:
            found = conn.scalar(sa.select(secret.c.ciphertext).where(secret.c.name == name))
        return None if found is None else self.decrypt(f"secret/{name}", found)

    def names(self) -> tuple[str, ...]:
        """Names of the stored secrets; never their values."""
        with self._read() as conn:
            return tuple(conn.scalars(sa.select(secret.c.name).order_by(secret.c.name)))

    def rotate(self) -> str:
        """A new data key for everything written from now on (older ones still open); named secrets are sealed anew."""
        named = {name: self.get(name) for name in self.names()}
        with self._write() as conn:
            conn.execute(data_key.update().where(data_key.c.purpose == "data").values(active=False))
            key_id = _insert_key(conn, bound_name(conn, self._tenant), self._master_key, "data")
        self._known = None
        for name, text in named.items():
            self.set(name, text or "")
        return key_id

    def rewrap(self, old_master_key: bytes) -> int:
        """Wrap every key of the tenant with the present master key instead of ``old_master_key``; how many were."""
        with self._write() as conn:
            rows = conn.execute(sa.select(data_key.c.id, data_key.c.key_id, data_key.c.wrapped)).all()
            name = bound_name(conn, self._tenant)
            for row in rows:
                plain = unseal(old_master_key, row.wrapped, f"{name}|{row.key_id}")
                wrapped = seal(self._master_key, plain, f"{name}|{row.key_id}")
                conn.execute(data_key.update().where(data_key.c.id == row.id).values(wrapped=wrapped))
        self._known = None
        return len(rows)

    def _bound(self, field_address: str) -> str:
        return f"{self._keys().name}|{self.origins.get(field_address, field_address)}"

    def _keys(self) -> _Keys:
        known = self._known
        if known is None:
            with self._lock:
                known = self._known or self._load()
                self._known = known
        return known

    def _load(self) -> _Keys:
        with self._read() as conn:
            rows = conn.execute(sa.select(data_key).order_by(data_key.c.id)).all()
            name = bound_name(conn, self._tenant)
        plain = {row.key_id: unseal(self._master_key, row.wrapped, f"{name}|{row.key_id}") for row in rows}
        data = {row.key_id: plain[row.key_id] for row in rows if row.purpose == "data"}
        active = [row.key_id for row in rows if row.purpose == "data" and row.active]
        blind = [plain[row.key_id] for row in rows if row.purpose == "blind"]
        if not active or not blind:
            raise WrongKey(f"tenant {self._tenant} has no keys")
        return _Keys(name, data, active[-1], blind[-1])


def bound_name(conn: sa.Connection, tenant: str) -> str:
    """The name to which the tenant's ciphertexts are bound: its own, or that of the tenant from whose archive it was restored."""
    return str(conn.scalar(sa.select(setting.c.value).where(setting.c.name == BOUND_TO)) or tenant)


def make_keys(conn: sa.Connection, tenant: str, master_key: bytes) -> None:
    """The first keys of a new tenant."""
    for purpose in ("data", "blind"):
        _insert_key(conn, tenant, master_key, purpose)


def _insert_key(conn: sa.Connection, tenant: str, master_key: bytes, purpose: str) -> str:
    key_id = randomness.token_hex(4)
    wrapped = seal(master_key, randomness.token_bytes(32), f"{tenant}|{key_id}")
    conn.execute(data_key.insert().values(key_id=key_id, purpose=purpose, wrapped=wrapped, active=True))
    return key_id
