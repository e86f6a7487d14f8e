"""FileStore: the bytes of uploaded files in a local folder, named by their content.

Rows about files (name, type, owner record) are in ``ml_file`` and are written by commands; here are only bytes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import time
from typing import BinaryIO

import sqlalchemy as sa

from metaloom.base.errors import Invalid, NotFound, Problem
from metaloom.base.messages import message, register
from metaloom.storage.engine import file as file_table
from metaloom.storage.types import utc_now

_CHUNK = 256 * 1024
STAGING_SECONDS = 24 * 3600

register({
    "storage.file_too_large": ("文件超过 {limit} MB 的上限。", "The file is larger than {limit} MB."),
    "storage.file_empty": ("文件是空的。", "The file is empty."),
})


@dataclass(frozen=True)
class StoredFile:
    digest: str
    size: int


class FileStore:
    """Files of one tenant, at ``<root>/<tenant>/<first two>/<sha256>``; equal contents are stored once."""

    def __init__(self, root: Path, tenant: str, size_max: int) -> None:
        self._folder = root / tenant
        self._size_max = size_max

    def put(self, content: bytes | BinaryIO) -> StoredFile:
        """Store the bytes; they are durable when this returns. Invalid when empty or over the limit (nothing is kept then)."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = self._folder / f".{secrets.token_hex(8)}"
        digest, size = sha256(), 0
        try:
            with open(scratch, "xb") as out:
                for chunk in _chunks(content):
                    size += len(chunk)
                    if size > self._size_max:
                        raise _refused("storage.file_too_large", limit=self._size_max // 1024 // 1024)
                    digest.update(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            if not size:
                raise _refused("storage.file_empty")
            target = self._path(digest.hexdigest())
            target.parent.mkdir(exist_ok=True, mode=0o700)
            os.replace(scratch, target)
        finally:
            scratch.unlink(missing_ok=True)
        return StoredFile(digest.hexdigest(), size)

    def refuse_over_size(self, size: int) -> None:
        """Invalid when so many bytes are more than a file may have; for a look before they are read."""
        if size > self._size_max:
            raise _refused("storage.file_too_large", limit=self._size_max // 1024 // 1024)

    def open(self, digest: str) -> BinaryIO:
        """The bytes; NotFound when there are none (or ``digest`` is no digest)."""
        try:
            return open(self._path(digest), "rb")
        except FileNotFoundError:
            raise NotFound() from None

    def intact(self, digest: str, size_max: int) -> bool:
        """Whether the bytes are there, no more than ``size_max``, and still those of the digest."""
        try:
            with self.open(digest) as kept:
                content = kept.read(size_max + 1)
        except (NotFound, OSError):
            return False
        return len(content) <= size_max and sha256(content).hexdigest() == digest

    def path(self, digest: str) -> Path:
        """Where the bytes lie, for a server that sends files by path; NotFound when there are none."""
        found = self._path(digest)
        if not found.is_file():
            raise NotFound()
        return found

    def sweep(self, conn: sa.Connection, *, staging_seconds: int = STAGING_SECONDS) -> int:
        """Forget uploads that no record took for a day, and bytes that no row names; how many files of bytes went."""
        old = sa.and_(file_table.c.state == "staging", file_table.c.created_at <= utc_now(-staging_seconds))
        conn.execute(file_table.delete().where(old))
        kept = set(conn.scalars(sa.select(file_table.c.digest)))
        gone = [path for path in self._all() if path.name not in kept and time() - path.stat().st_mtime >= staging_seconds]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _all(self) -> Iterator[Path]:
        yield from self._folder.glob("??/*")

    def _path(self, digest: str) -> Path:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise NotFound()
        return self._folder / digest[:2] / digest


def _chunks(content: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    while chunk := content.read(_CHUNK):
        yield chunk


def _refused(code: str, **slots: object) -> Invalid:
    text = message(code, **slots)
    return Invalid([Problem("", text)], text)
