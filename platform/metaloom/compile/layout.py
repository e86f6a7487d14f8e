"""Which kind may stand in which folder."""

from __future__ import annotations

import re
from dataclasses import dataclass

TENANT_KINDS = ("tenant",)
PACK_KINDS = ("roles", "choices", "menu", "quick_links", "number_series", "accounts", "accounting_rules",
              "messages", "webhooks", "tests", "jobs", "dashboards")  # maps by name, pack-wide
ENTITY_KINDS = ("entity", "lifecycle", "actions", "approval", "processes", "list", "lists", "form", "prints", "access", "warnings")
ENTITY_MAPS = ("actions", "approval", "processes", "lists", "prints", "access", "warnings")  # of the entity kinds those that a higher layer may extend by name
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a file: '' where the path is shorter."""

    pack: str = ""
    module: str = ""
    entity: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        if self.entity:
            return (*ENTITY_KINDS, *PACK_KINDS, "overlay")
        if self.module:
            return ("module", *PACK_KINDS, "overlay")
        if self.pack:
            return ("pack", *PACK_KINDS, "overlay")
        return TENANT_KINDS

    def __str__(self) -> str:
        return "/".join(filter(None, (self.pack, self.module, self.entity))) or "the top folder"


def place_of(path: str) -> Place | None:
    """The folder of ``path`` (relative to its layer); None where no metadata belongs."""
    parts = path.split("/")
    if len(parts) > 4:
        return None
    return Place(*parts[:-1])


def where_kind_belongs(kind: str) -> str:
    if kind in TENANT_KINDS:
        return "tenants/<client>/tenant.yaml"
    if kind == "pack":
        return "<pack>/pack.yaml"
    if kind == "module":
        return "<pack>/<module>/module.yaml"
    if kind in PACK_KINDS:
        return "any folder of the pack"
    return "<pack>/<module>/<entity>/"
