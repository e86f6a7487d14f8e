"""Metadata in, catalog out: load → validate → merge → compile → check → freeze.

    sources = tenant_sources(Path("metadata"), Path("tenants"), "demo")
    catalog = compile_catalog(sources, plugins=registry.manifest())      # MetadataRefused carries every finding
"""

from metaloom.compile.compiler import compile_catalog
from metaloom.compile.explain import Explanation, explain
from metaloom.compile.manifest import EMPTY, PluginCommand, PluginManifest
from metaloom.compile.scope import (
    IMPLICIT,
    IMPLICIT_LINKS,
    USER_NAMES,
    action_scope,
    entity_scope,
    field_type,
    implicit_links,
    link_filter_scope,
    prefixed_scopes,
    process_names,
    target_of,
    values_scope,
    where_scope,
    with_names,
)
from metaloom.compile.source import LAYERS, Source, read_sources, tenant_sources

__all__ = [
    "EMPTY", "Explanation", "IMPLICIT", "IMPLICIT_LINKS", "LAYERS", "USER_NAMES", "PluginCommand", "PluginManifest", "Source", "action_scope",
    "compile_catalog", "entity_scope", "explain", "field_type", "implicit_links", "link_filter_scope", "prefixed_scopes", "process_names", "read_sources",
    "target_of", "tenant_sources", "values_scope", "where_scope", "with_names",
]
