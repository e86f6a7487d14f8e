"""Revisions of a tenant: which one is published, and compiled catalogs shared by digest between tenants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

import sqlalchemy as sa

from metaloom.base.diagnostic import MetadataRefused
from metaloom.base.errors import Busy, MetaloomError, NotFound, NotPossible
from metaloom.base.messages import message, register
from metaloom.compile import PluginManifest, Source, compile_catalog
from metaloom.model import Catalog
from metaloom.storage.columns import table_name
from metaloom.storage.engine import layout, pointer, revision
from metaloom.storage.tables import Tables

if TYPE_CHECKING:
    from metaloom.storage.tenancy import Tenant

STAMP_SECONDS = 0.3
_LATELY_SECONDS = 10.0
REFUSED_SECONDS = 60.0
_KEPT = 64
_COMPILERS_KEPT = 8

register({
    "revision.none": ("该租户还没有发布任何版本。", "Nothing is published for this tenant yet."),
    "tenant.broken": ("“{name}”的配置或数据暂时无法读取，请联系系统管理员。",
                      "The metadata or the data of “{name}” cannot be read at present; please ask whoever runs the system."),
    "publish.running": ("另一位用户正在发布，请稍后再试。", "Someone else is publishing at this moment; please try again shortly."),
})


class TenantBroken(Busy):
    """What is stored of this tenant cannot be served (metadata that is refused here, tables that are gone); ``__cause__`` says why."""

    retry_after = 300


SourceText = tuple[str, str, str]          # layer, path, text
Compiler = Callable[[Sequence[SourceText]], Catalog]


def compiler_with(manifest: PluginManifest) -> Compiler:
    """The usual compiler, holding ``run:`` steps against the commands of these plugins. Equal manifests have one, so that every tenancy of a
    process finds what another one has compiled."""
    with _compiling:
        found = next((compiler for known, compiler in _compilers if known == manifest), None)
        if found is None:
            del _compilers[:-_COMPILERS_KEPT + 1]
            found = partial(_compile, manifest)
            _compilers.append((manifest, found))
    return found


def _compile(manifest: PluginManifest, sources: Sequence[SourceText]) -> Catalog:
    return compile_catalog(tuple(Source(*source) for source in sources), plugins=manifest)


@dataclass(frozen=True)
class Revision:
    """A published catalog with its number. ``origins``: field address → the address its ciphertexts are bound to."""

    number: int
    digest: str
    catalog: Catalog
    tables: Tables
    dialect: str
    origins: Mapping[str, str] = field(default_factory=dict)


class Revisions:
    """What one tenant has published. A new revision is compiled by one thread while the others serve the one before."""

    def __init__(self, tenant: Tenant, compiler: Compiler) -> None:
        self._tenant, self._compiler = tenant, compiler
        self._current: Revision | None = None
        self._stamp: tuple[int, int] | None = None
        self._refused: tuple[tuple[int, int], float, MetadataRefused] | None = None
        self._looked_at = 0.0
        self._switched_at = 0.0
        self._loading = Lock()

    def current(self) -> Revision:
        """TenantBroken when what is stored cannot be read or compiled here."""
        if self._current is not None and monotonic() - self._looked_at < STAMP_SECONDS:
            return self._current
        if not self._loading.acquire(blocking=self._current is None or self._looked_at == 0.0):
            return self._current  # type: ignore[return-value]
        try:
            return self._look()
        except MetaloomError:
            raise
        except Exception as error:
            raise TenantBroken(message("tenant.broken", name=self._tenant.name)) from error
        finally:
            self._loading.release()

    def numbered(self, number: int) -> Revision:
        if self._current is not None and self._current.number == number:
            return self._current
        with self._tenant.read() as conn:
            return self._load(conn, number)

    def setting(self, name: str) -> object:
        """A setting of the client as it was last seen, without looking; None before the first look."""
        return self._current.catalog.settings.get(name) if self._current is not None else None

    def refresh(self) -> None:
        self._looked_at = 0.0

    def switched_lately(self) -> bool:
        """Whether another revision came to be served within the last seconds, so that someone may still work under the old one."""
        if self._current is None:
            return False
        self.refresh()
        self.current()
        return monotonic() - self._switched_at < _LATELY_SECONDS

    def _look(self) -> Revision:
        with self._tenant.read() as conn:
            row = conn.execute(sa.select(pointer.c.revision_number, pointer.c.stamp)).one_or_none()
            if row is None:
                raise NotPossible(message("revision.none"))
            stamp = (row.revision_number, row.stamp)
            if self._current is None or stamp != self._stamp:
                found = self._compiled(conn, stamp)
                self._tenant.secrets.origins = found.origins
                if self._current is not None:
                    self._switched_at = monotonic()
                self._current, self._stamp = found, stamp
        self._looked_at = monotonic()
        return self._current

    def _compiled(self, conn: sa.Connection, stamp: tuple[int, int]) -> Revision:
        """Metadata that was refused is not compiled again by every page that asks: the refusal holds for a while, or till the next publish."""
        if self._refused is not None and self._refused[0] == stamp and monotonic() - self._refused[1] < REFUSED_SECONDS:
            raise MetadataRefused(self._refused[2].diagnostics)
        try:
            return self._load(conn, stamp[0])
        except MetadataRefused as refused:
            self._refused = (stamp, monotonic(), refused)
            raise

    def _load(self, conn: sa.Connection, number: int) -> Revision:
        row = conn.execute(
            sa.select(revision.c.digest, revision.c.sources).where(revision.c.number == number)
        ).one_or_none()
        if row is None:
            raise NotFound()
        sources = tuple((layer, path, text) for layer, path, text in row.sources)
        catalog, tables = shared(sources, self._compiler)
        return Revision(number, catalog.digest, catalog, tables, self._tenant.dialect, _origins(conn, catalog))


def _origins(conn: sa.Connection, catalog: Catalog) -> Mapping[str, str]:
    """For encrypted fields that were renamed: what their ciphertexts are bound to."""
    rows = conn.execute(sa.select(layout.c.table_name, layout.c.column_name, layout.c.origin).where(layout.c.origin.is_not(None)))
    by_column = {(row.table_name, row.column_name): row.origin for row in rows}
    found = {}
    for entity in catalog.entities.values():
        for one in entity.fields.values():
            address = one.address or f"{entity.address}/field/{one.name}"
            origin = by_column.get((table_name(entity), one.name)) if one.encrypted else None
            if origin and origin != address:
                found[address] = origin
    return found


_compilers: list[tuple[PluginManifest, Compiler]] = []
_shared: dict[tuple[str, Compiler], tuple[Catalog, Tables]] = {}
_compiling = Lock()


def shared(sources: Sequence[SourceText], compiler: Compiler) -> tuple[Catalog, Tables]:
    """The catalog of these sources and its tables; compiled once per process, whichever tenant asks."""
    key = (_fingerprint(sources), compiler)
    with _compiling:
        found = _shared.get(key)
        if found is None:
            catalog = compiler(sources)
            while len(_shared) >= _KEPT:
                _shared.pop(next(iter(_shared)))
            found = _shared[key] = (catalog, Tables(catalog))
    return found


def _fingerprint(sources: Sequence[SourceText]) -> str:
    digest = sha256()
    for parts in sources:
        for part in parts:
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
