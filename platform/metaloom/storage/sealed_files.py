"""Files that lie encrypted in the tenant's folder, each under a key of its own: whoever has the folder alone reads nothing.

A file is a row of pieces of at most 1 MiB, each ``length (4 bytes) + AES-256-GCM``. A piece is bound to the file's name and its place, the
last one says that it is the last: a piece that is changed, moved, missing or cut off is found, and found before it is given out.
Forgetting the key destroys the file, wherever copies of it lie.
"""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Collection
from pathlib import Path
from time import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metaloom.base.errors import NotFound

PIECE = 1 << 20
_TAG = 16
_NAME = re.compile(r"[0-9a-z-]{1,80}", re.ASCII)


class Damaged(Exception):
    """The file is not what was written under this key."""


class SealedFiles:
    """The sealed files of one tenant. Names are made here; which file is whose stands in the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, stem: str) -> tuple[str, bytes, SealedWriter]:
        """A new file: its name, its key, and where to write. Nothing of it counts before the writer is closed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name, key = f"{stem}-{secrets.token_hex(8)}", secrets.token_bytes(32)
        return name, key, SealedWriter(self._path(name), name, key)

    def open(self, name: str, key: bytes) -> SealedReader:
        """The bytes in the clear, piece by piece; NotFound when there is no such file."""
        try:
            return SealedReader(open(self._path(name), "rb"), name, key)  # noqa: SIM115 - the reader closes it
        except FileNotFoundError:
            raise NotFound() from None

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def sweep(self, kept: Collection[str], older_than: float) -> int:
        """Forgets files that nobody names and that were last written ``older_than`` seconds ago; how many."""
        gone = [path for path in self._folder.glob("*") if path.name not in kept and time() - path.stat().st_mtime >= older_than]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound()
        return self._folder / name


class SealedWriter(io.BufferedIOBase):
    """Takes bytes and writes pieces; ``close`` writes the last one and makes the file durable. ``size``: bytes taken so far."""

    def __init__(self, path: Path, name: str, key: bytes) -> None:
        self._file, self._cipher, self._name = open(path, "xb", opener=_only_mine), AESGCM(key), name  # noqa: SIM115 - closed in close
        self._rest, self._number, self.size = bytearray(), 0, 0

    def writable(self) -> bool:
        return True

    def write(self, content: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self._rest += content
        self.size += len(content)
        while len(self._rest) > PIECE:
            self._piece(bytes(self._rest[:PIECE]), last=False)
            del self._rest[:PIECE]
        return len(content)

    def close(self) -> None:
        if self.closed:
            return
        self._piece(bytes(self._rest), last=True)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        super().close()

    def abandon(self) -> None:
        """Ends without a last piece: what was written is no file."""
        self._file.close()
        super().close()

    def _piece(self, text: bytes, *, last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number), text, _place(self._name, last))
        self._file.write(len(sealed).to_bytes(4, "big") + sealed)
        self._number += 1


class SealedReader(io.RawIOBase):
    """Gives the bytes in order; Damaged as soon as a piece does not fit."""

    def __init__(self, file: io.BufferedReader, name: str, key: bytes) -> None:
        self._file, self._cipher, self._name = file, AESGCM(key), name
        self._number, self._text, self._at, self._over = 0, b"", 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while self._at >= len(self._text) and not self._over:
            self._next()
        given = self._text[self._at:self._at + len(buffer)]
        buffer[:len(given)] = given
        self._at += len(given)
        return len(given)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _next(self) -> None:
        length = int.from_bytes(self._file.read(4), "big")
        if not _TAG <= length <= PIECE + _TAG:
            raise Damaged(self._name)
        sealed = self._file.read(length)
        self._over = not self._file.peek(1)
        try:
            self._text = self._cipher.decrypt(_nonce(self._number), sealed, _place(self._name, self._over))
        except InvalidTag as wrong:
            raise Damaged(self._name) from wrong
        self._number, self._at = self._number + 1, 0


def _only_mine(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _nonce(number: int) -> bytes:
    """The key is used for one file alone, so counting is enough."""
    return number.to_bytes(12, "big")


def _place(name: str, last: bool) -> bytes:
    return f"{name}|{'last' if last else 'more'}".encode()
