"""Settings: where data lives and with which keys, read once from the environment by ``app`` and ``cli``."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ZONE = "Asia/Shanghai"


@dataclass(frozen=True)
class Settings:
    """``database_url`` empty: one SQLite file per tenant under ``home``; else one PostgreSQL schema per tenant there.

    ``master_key`` (32 bytes) wraps every tenant's data key; ``old_master_key`` is only for ``metaloom secret rotate``.
    ``secret_key`` signs sessions and tokens. ``front``: the tenant to which the bare address leads; '' asks for a name.
    """

    home: Path
    database_url: str | None = None
    redis_url: str | None = None
    master_key: bytes = b""
    old_master_key: bytes = b""
    secret_key: str = ""
    zone: str = ZONE
    metadata_root: Path = Path("metadata")
    tenants_root: Path = Path("tenants")
    plugins_root: Path = Path("plugins")
    file_size_max: int = 20 * 1024 * 1024
    front: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read METALOOM_*; keys that are not given are made once and kept in ``home`` with mode 0600."""
        env = os.environ if environ is None else environ
        home = Path(env.get("METALOOM_HOME") or "var").resolve()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(
            home=home,
            database_url=postgres_url(env.get("METALOOM_DATABASE_URL")),
            redis_url=env.get("METALOOM_REDIS_URL") or None,
            master_key=_master_key(env.get("METALOOM_MASTER_KEY"), home / "master.key"),
            old_master_key=_decode_key(env["METALOOM_OLD_MASTER_KEY"]) if env.get("METALOOM_OLD_MASTER_KEY") else b"",
            secret_key=_secret_key(env.get("METALOOM_SECRET_KEY") or env.get("SECRET_KEY"), home / "secret.key"),
            zone=env.get("METALOOM_ZONE") or ZONE,
            metadata_root=_root(env.get("METALOOM_METADATA"), "metadata", "metaloom_packs"),
            tenants_root=Path(env.get("METALOOM_TENANTS") or "tenants").resolve(),
            plugins_root=_root(env.get("METALOOM_PLUGINS"), "plugins", "metaloom_plugins"),
            file_size_max=int(env.get("METALOOM_FILE_SIZE_MAX") or 20 * 1024 * 1024),
            front=env.get("METALOOM_FRONT") or "",
        )


def postgres_url(url: str | None) -> str | None:
    """``postgres://`` and ``postgresql://`` spelled for the driver we ship; other databases are refused."""
    if not url:
        return None
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    raise ValueError(f"METALOOM_DATABASE_URL must begin with postgresql://, found {scheme}:// (leave it empty for SQLite)")


def new_key() -> str:
    """A fresh master key in the spelling METALOOM_MASTER_KEY takes."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _master_key(given: str | None, file: Path) -> bytes:
    return _decode_key(given or _kept(file, new_key))


def _decode_key(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text.strip().encode())
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("METALOOM_MASTER_KEY must be 32 bytes in URL-safe base64; make one with: metaloom secret new-key")
    return key


def _secret_key(given: str | None, file: Path) -> str:
    key = given or _kept(file, lambda: secrets.token_urlsafe(48))
    if len(key.encode()) < 32:
        raise ValueError("SECRET_KEY is shorter than 32 bytes; take at least 32 random bytes, or leave it out")
    return key


def _kept(file: Path, make: Callable[[], str]) -> str:
    """The key in ``file``; made by whoever comes first, also when several processes start at once."""
    if not file.exists():
        scratch = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(make() + "\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(scratch, file)
        except FileExistsError:
            pass
        finally:
            scratch.unlink()
    return file.read_text().strip()


def templates_root() -> Path:
    """``templates/`` of a checkout, or the folder that was installed as ``metaloom_templates``."""
    given = os.environ.get("METALOOM_TEMPLATES")
    if given:
        return Path(given).resolve()
    spec = find_spec("metaloom_templates")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return (Path(__file__).resolve().parents[3] / "templates").resolve()


def _root(given: str | None, folder: str, package: str) -> Path:
    """The folder given, else ``./<folder>`` of a checkout, else the one that was installed as ``package``."""
    if given:
        return Path(given).resolve()
    if Path(folder).is_dir():
        return Path(folder).resolve()
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else Path(folder).resolve()
