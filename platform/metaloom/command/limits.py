"""How much of a thing is allowed: the numbers a tenant may set, with those that hold where it sets none."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from metaloom.model import Catalog

LIMITS: Mapping[str, int] = MappingProxyType({
    "export_rows_max": 100_000,
    "export_rows_at_once": 10_000,
    "export_keep_hours": 72,
    "import_rows_max": 50_000,
    "import_rows_at_once": 1_000,
    "import_keep_hours": 168,
    "print_rows_max": 2_000,
    "prints_per_hour": 300,
    "bulk_read_rows": 1_000,
    "masked_searches_per_hour": 60,
    "unique_refusals_per_hour": 20,
    "unmasks_per_hour": 60,
    "upload_mb_per_person": 500,
    "upload_mb_per_tenant": 51_200,
})


def limit(catalog: Catalog, name: str) -> int:
    """The tenant's own number (``settings`` of its ``tenant.yaml``), else the one above."""
    found = catalog.settings.get(name)
    return found if isinstance(found, int) else LIMITS[name]
