"""Archive: everything one tenant holds, in one file that either kind of database reads back.

    manifest.json            which tenant, when, which revision and engine, every table with its columns, number and print of rows
    rows/<table>.jsonl       one JSON list per row: exact decimals, dates and instants as text, so that no database's spelling matters
    files/<sha256>           uploads, under the print of their bytes
    seal.json                a keyed print of the manifest: who has not the master key cannot make or change an archive

Rows are read in one read-only transaction: one picture of the data while others go on working. Encrypted fields and named
secrets stay encrypted, their keys stay wrapped; what is not encrypted in the database is not encrypted here either, so the
file is as private as the database. Logins and counters of the last minutes stay behind.
"""

from __future__ import annotations

import hmac
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from metaloom import __version__
from metaloom.base.errors import Conflict, NotFound, NotPossible
from metaloom.base.messages import message, register
from metaloom.storage import engine
from metaloom.storage.columns import ColumnSpec
from metaloom.storage.secrets import bound_name
from metaloom.storage.types import BigInt, ExactDecimal, Flag, IsoDate, LongText, Time, UtcDateTime, instant_text

if TYPE_CHECKING:
    from metaloom.storage.tenancy import Tenant

FORMAT = 1
LEFT_BEHIND = frozenset({"ml_session", "ml_rate"})       # logins, and how often somebody tried something
_CHUNK = 1_000
_BYTES = 1024 * 1024

register({
    "archive.none": ("没有备份文件“{file}”，或它不是备份文件。", "There is no archive {file}, or it is none."),
    "archive.exists": ("文件“{file}”已经存在。", "The file {file} exists already."),
    "archive.broken": ("备份文件已损坏：{fault}。", "The archive is damaged: {fault}."),
    "archive.format": ("备份文件的格式 {found} 比本版本新。", "The archive has format {found}, which is newer than this version knows."),
    "archive.key": (
        "备份文件由另一主密钥（{print}）封存：请把它设为 METALOOM_MASTER_KEY 或 METALOOM_OLD_MASTER_KEY。",
        "The archive is sealed with another master key ({print}): set it as METALOOM_MASTER_KEY or METALOOM_OLD_MASTER_KEY.",
    ),
    "archive.forged": ("备份文件的封印不符：它被改动过。", "The seal of the archive does not fit: somebody changed it."),
    "archive.column": ("本版本不认识备份文件中的 {table}.{column}。", "This version does not know {table}.{column} of the archive."),
})  # fmt: skip

_KINDS: Mapping[str, Callable[[], Any]] = {
    "text": LongText, "integer": BigInt, "boolean": Flag, "date": IsoDate, "time": Time, "instant": UtcDateTime, "naive": sa.DateTime,
}  # fmt: skip


@dataclass(frozen=True)
class ArchivedTable:
    """``columns``: name and kind of each. ``next_id``: numbers below were given out, also those of rows that are gone."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    print: str
    next_id: int


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself. ``bound_to``: the name to which its ciphertexts are bound; ``missing``: files of which
    rows speak and whose bytes were not there."""

    format: int
    tenant: str
    label: tuple[str, str]
    bound_to: str
    taken_at: str
    engine_version: str
    dialect: str
    revision: int | None
    digest: str
    key_print: str
    tables: tuple[ArchivedTable, ...]
    files: int
    files_print: str
    missing: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


# ---- writing

def write(tenant: Tenant, target: Path, now: datetime) -> Manifest:
    """The tenant as it is at this moment, as one file that only its owner reads; Conflict when the file is there already.

    Nobody publishes meanwhile (that is refused as if somebody else published); everything else goes on. A file that could not
    be written whole is not there.
    """
    if target.exists():
        raise Conflict(message("archive.exists", file=str(target)))
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                manifest = _written(tenant, archive, now)
            out.flush()
            os.fsync(out.fileno())
        os.link(scratch, target)
    except FileExistsError:
        raise Conflict(message("archive.exists", file=str(target))) from None
    finally:
        scratch.unlink(missing_ok=True)
    return manifest


def _written(tenant: Tenant, archive: zipfile.ZipFile, now: datetime) -> Manifest:
    with tenant.publishing(), tenant.read() as conn:
        tables = tuple(_write_table(conn, archive, name, columns) for name, columns in _shape(conn))
        served = conn.execute(sa.select(engine.revision.c.number, engine.revision.c.digest).join(
            engine.pointer, engine.pointer.c.revision_number == engine.revision.c.number)).one_or_none()
        digests = sorted(set(conn.scalars(sa.select(engine.file.c.digest))))
        bound_to = bound_name(conn, tenant.name)
    missing = tuple(digest for digest in digests if not _write_file(tenant, archive, digest))
    kept = [digest for digest in digests if digest not in set(missing)]
    key = tenant.settings.master_key
    manifest = Manifest(
        FORMAT, tenant.name, (tenant.label.zh, tenant.label.en), bound_to, instant_text(now), __version__, tenant.dialect,
        served.number if served else None, served.digest if served else "", key_print(key), tables, len(kept), _print(kept), missing,
    )  # fmt: skip
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode()
    archive.writestr("manifest.json", text)
    archive.writestr("seal.json", json.dumps({"key": key_print(key), "seal": _seal(key, text)}))
    return manifest


def _write_table(conn: sa.Connection, archive: zipfile.ZipFile, name: str, columns: Sequence[tuple[str, str]]) -> ArchivedTable:
    table = _table(name, columns)
    order = [table.c.id] if "id" in table.c else list(table.c)
    found = () if name in LEFT_BEHIND else conn.execution_options(yield_per=_CHUNK).execute(sa.select(table).order_by(*order))
    digest, rows, kinds = sha256(), 0, [kind for _, kind in columns]
    with archive.open(f"rows/{name}.jsonl", "w", force_zip64=True) as out:
        for row in found:
            line = (json.dumps([_plain(value, kind) for value, kind in zip(row, kinds, strict=True)], ensure_ascii=False) + "\n").encode()
            digest.update(line)
            out.write(line)
            rows += 1
    return ArchivedTable(name, tuple(columns), rows, digest.hexdigest(), _next_id(conn, name))


def _plain(value: Any, kind: str) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        if kind == "instant":
            return instant_text(value)
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value).isoformat()
    return value.isoformat() if isinstance(value, (date, time)) else value


def _write_file(tenant: Tenant, archive: zipfile.ZipFile, digest: str) -> bool:
    try:
        source = tenant.files.open(digest)
    except NotFound:
        return False
    info = zipfile.ZipInfo(f"files/{digest}")
    with source, archive.open(info, "w", force_zip64=True) as out:
        while chunk := source.read(_BYTES):
            out.write(chunk)
    return True


# ---- which tables there are

def _shape(conn: sa.Connection) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Every table with its columns, parents before children; what the engine itself keeps comes before entities. Columns by name: each database,
    and each table that grew, has an order of its own, and the prints of the same rows are the same."""
    inspector = sa.inspect(conn)
    known: dict[str, dict[str, ColumnSpec]] = {}
    for row in conn.execute(sa.select(engine.layout).where(engine.layout.c.spec.is_not(None))):
        known.setdefault(row.table_name, {})[row.column_name] = ColumnSpec(**row.spec)
    for name in tables_in_order(conn):
        specs, own = known.get(name, {}), engine.METADATA.tables.get(name)
        columns = []
        for column in inspector.get_columns(name):
            said = own.columns.get(column["name"]) if own is not None else None
            spec = specs.get(column["name"])
            type_ = said.type if said is not None else spec.sa_type() if spec is not None else column["type"]
            columns.append((column["name"], _kind(type_)))
        yield name, sorted(columns)


def tables_in_order(conn: sa.Connection) -> tuple[str, ...]:
    """Every table that is there, parents before children where that is possible; engine tables first."""
    ordered = [name for name, _ in sa.inspect(conn).get_sorted_table_and_fkc_names() if name and not name.startswith("sqlite_")]
    first = [name for name in ordered if name.startswith(("ml_", "ab_"))]
    return (*first, *(name for name in ordered if name not in set(first)))


def _kind(type_: Any) -> str:
    if isinstance(type_, ExactDecimal):
        return f"exact({type_.precision},{type_.scale})"
    for kind, class_ in (("instant", UtcDateTime), ("date", IsoDate), ("time", Time), ("boolean", sa.Boolean), ("integer", sa.Integer),
                         ("naive", sa.DateTime)):
        if isinstance(type_, class_):
            return kind
    if isinstance(type_, (sa.types.TypeDecorator, sa.String)):
        return "text"
    raise TypeError(f"an archive holds no {type_!r}")


def type_of(kind: str) -> Any:
    """The column type of an archived kind."""
    if kind.startswith("exact("):
        precision, scale = kind[6:-1].split(",")
        return ExactDecimal(int(precision), int(scale))
    return _KINDS[kind]()


def _table(name: str, columns: Sequence[tuple[str, str]]) -> sa.Table:
    return sa.Table(name, sa.MetaData(), *(sa.Column(column, type_of(kind)) for column, kind in columns))


def _next_id(conn: sa.Connection, name: str) -> int:
    """One more than the highest number that was ever given out."""
    if conn.dialect.name == "sqlite":
        return int(conn.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": name}) or 0) + 1
    sequence = _sequence(conn, name)
    if sequence is None:
        return 1
    return int(conn.scalar(sa.text("SELECT pg_sequence_last_value(CAST(:sequence AS regclass))"), {"sequence": sequence}) or 0) + 1


def _sequence(conn: sa.Connection, name: str) -> str | None:
    """PostgreSQL: the quoted sequence of the table's ids; the login library's are called after their table."""
    quoted = conn.dialect.identifier_preparer.quote(name)
    own = conn.scalar(sa.text("SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = 'id') "
                              "THEN pg_get_serial_sequence(:table, 'id') END"), {"table": quoted})
    return own or conn.scalar(sa.text("SELECT to_regclass(:name)::text"), {"name": conn.dialect.identifier_preparer.quote(f"{name}_id_seq")})


# ---- reading

class Archive:
    """An archive that was opened and whose seal fits; ``keys``: the master keys it may be sealed with."""

    def __init__(self, file: zipfile.ZipFile, manifest: Manifest, key: bytes) -> None:
        self._file, self.manifest, self.key = file, manifest, key

    def verify(self) -> None:
        """NotPossible unless every row and every file is what the manifest says."""
        for table in self.manifest.tables:
            digest, rows = sha256(), 0
            with self._member(f"rows/{table.name}.jsonl") as lines:
                for line in lines:
                    digest.update(line)
                    rows += 1
            if (rows, digest.hexdigest()) != (table.rows, table.print):
                raise _broken(f"the rows of {table.name}")
        names = sorted(self.files())
        if (len(names), _print(names)) != (self.manifest.files, self.manifest.files_print):
            raise _broken("files are missing")
        for name in names:
            digest = sha256()
            with self.open(name) as content:
                while chunk := content.read(_BYTES):
                    digest.update(chunk)
            if digest.hexdigest() != name:
                raise _broken(f"file {name}")

    def files(self) -> Iterator[str]:
        """The prints of all files."""
        return (name.removeprefix("files/") for name in self._file.namelist() if name.startswith("files/"))

    @contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """The bytes of one file."""
        with self._member(f"files/{digest}") as content:
            yield content

    def rows(self, table: ArchivedTable) -> Iterator[list[dict[str, Any]]]:
        """The rows in portions, as values that any of our databases takes."""
        names = [name for name, _ in table.columns]
        readers = [_READ.get(kind, _exact if kind.startswith("exact(") else _same) for _, kind in table.columns]
        with self._member(f"rows/{table.name}.jsonl") as lines:
            while chunk := list(islice(lines, _CHUNK)):
                yield [{name: None if value is None else read(value) for name, read, value in zip(names, readers, json.loads(line), strict=True)}
                       for line in chunk]

    def load(self, conn: sa.Connection, table: ArchivedTable, *, leave_out: Callable[[Mapping[str, Any]], bool] = lambda _: False,
             instead: Mapping[str, Any] | None = None, without: Sequence[str] = ()) -> None:  # fmt: skip
        """Insert the rows (``instead``: values for all of them; ``without``: columns the database fills), and go on counting where the
        archive ended."""
        target = _table(table.name, table.columns)
        for rows in self.rows(table):
            kept = [{name: value for name, value in {**row, **(instead or {})}.items() if name not in without} for row in rows if not leave_out(row)]
            if kept:
                conn.execute(target.insert(), kept)
        if "id" not in without:
            _count_on(conn, table)

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._file.open(name) as content:
                yield content
        except (KeyError, zipfile.BadZipFile, EOFError, ValueError) as error:
            raise _broken(name) from error


@contextmanager
def opened(path: Path, keys: Sequence[bytes]) -> Iterator[Archive]:
    """The archive at ``path``; NotFound when it is none, NotPossible when it is newer, sealed with another key, or changed."""
    try:
        file = zipfile.ZipFile(path)
        text, seal = file.read("manifest.json"), json.loads(file.read("seal.json"))
        said = json.loads(text)
        number = int(said["format"])
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise NotFound(message("archive.none", file=str(path))) from error
    with file:
        if number > FORMAT:
            raise NotPossible(message("archive.format", found=number))
        key = next((key for key in keys if key and key_print(key) == seal.get("key")), None)
        if key is None:
            raise NotPossible(message("archive.key", print=str(seal.get("key"))[:16]))
        if not hmac.compare_digest(_seal(key, text), str(seal.get("seal"))):
            raise NotPossible(message("archive.forged"))
        tables = tuple(ArchivedTable(**{**table, "columns": tuple((name, kind) for name, kind in table["columns"])}) for table in said.pop("tables"))
        yield Archive(file, Manifest(**{**said, "label": tuple(said["label"]), "missing": tuple(said["missing"])}, tables=tables), key)


def _count_on(conn: sa.Connection, table: ArchivedTable) -> None:
    if table.next_id <= 1 or "id" not in dict(table.columns):
        return
    if conn.dialect.name == "postgresql":
        sequence = _sequence(conn, table.name)
        if sequence is not None:
            conn.execute(sa.text("SELECT setval(CAST(:sequence AS regclass), :last)"), {"sequence": sequence, "last": table.next_id - 1})
        return
    values = {"name": table.name, "seq": table.next_id - 1}
    automatic = conn.scalar(sa.text("SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE type = 'table' AND name = :name"), {"name": table.name})
    if automatic and conn.execute(sa.text("UPDATE sqlite_sequence SET seq = :seq WHERE name = :name"), values).rowcount == 0:
        conn.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), values)


def _same(value: Any) -> Any:
    return value


def _exact(value: str) -> Decimal:
    return Decimal(value)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "date": date.fromisoformat, "time": time.fromisoformat, "instant": lambda text: datetime.fromisoformat(text).astimezone(UTC),
    "naive": datetime.fromisoformat,
}  # fmt: skip


def key_print(key: bytes) -> str:
    """By which a master key is recognised; says nothing of the key."""
    return _derived(key, b"metaloom archive key print").hex()[:16]


def _seal(key: bytes, manifest: bytes) -> str:
    return hmac.new(_derived(key, b"metaloom archive seal"), manifest, sha256).hexdigest()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(key)


def _print(digests: Sequence[str]) -> str:
    return sha256("\n".join(digests).encode()).hexdigest()


def _broken(fault: str) -> NotPossible:
    return NotPossible(message("archive.broken", fault=fault))
