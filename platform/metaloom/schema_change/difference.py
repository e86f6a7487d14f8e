"""What differs between two catalogs, by address: entities, lists, forms, chains, roles, rules and all else, not only tables.

Pure: two catalogs in, lines out. Addresses are those that ``metaloom explain`` takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from metaloom.base.text import Text
from metaloom.model import Catalog

# Part of the catalog → (what it is called, the kind below an entity's or a pack's address; '' where the address holds it all).
PARTS: Mapping[str, tuple[str, str]] = {
    "entities": ("entity", "entity"), "lists": ("list", ""), "forms": ("form", "form"),
    "lifecycles": ("lifecycle", "lifecycle"), "actions": ("action", "actions"),
    "chains": ("approval chain", "approval"), "warning_rules": ("warning rule", "warnings"), "grants": ("rights", "access"), "roles": ("role", "roles"),
    "choices": ("choices", "choices"), "series": ("number series", "number_series"), "menus": ("menu", "menu"), "quick_links": ("quick link", "quick_links"),
    "accounts": ("account", "accounts"), "accounting_rules": ("accounting rule", "accounting_rules"), "messages": ("message", "messages"),
    "webhooks": ("webhook", "webhooks"), "dashboards": ("dashboard", "dashboards"),
    "jobs": ("job", "jobs"), "processes": ("process", "processes"), "prints": ("print", "prints"),
    "trials": ("test", "tests"), "packs": ("pack", ""), "settings": ("setting", ""),
}
# Said by another line already, or no meaning of its own.
SILENT = frozenset({"position", "address", "name", "entity", "digest", "format"})
SHOWN = 60


@dataclass(frozen=True)
class Difference:
    """``verb``: added | removed | changed. ``what``: the sort of thing in words; ``before`` and ``after`` in short, of a change."""

    what: str
    address: str
    verb: str
    before: str = ""
    after: str = ""

    def say(self) -> str:
        """One line for people."""
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.verb]
        return f"{sign} {self.what} {self.address}" + (f": {self.before} → {self.after}" if self.verb == "changed" else "")


def differences(before: Catalog | None, after: Catalog) -> tuple[Difference, ...]:
    """Everything that ``after`` says otherwise than ``before`` (None: nothing was published yet), in the order of the parts."""
    found: list[Difference] = []
    for part, (what, kind) in PARTS.items():
        old, new = getattr(before, part) if before is not None else {}, getattr(after, part)
        for key in dict.fromkeys((*old, *new)):
            address = _address(part, kind, str(key))
            if key not in old or key not in new:
                found.append(Difference(what, address, "added" if key in new else "removed"))
            else:  # equal maps may still differ in their order, which screens show
                found += _inside(what, address, old[key], new[key])
    return tuple(found)


def _address(part: str, kind: str, key: str) -> str:
    """``shop.sale/main`` of the lists is ``shop.sale/list``; ``shop.clerk`` of the roles is ``shop/roles/clerk``."""
    holder, _, name = key.partition("/")
    if part == "lists":
        return f"{holder}/list" if name == "main" else f"{holder}/lists/{name}"
    if part == "settings":
        return f"tenant/settings/{key}"
    if name:
        return f"{holder}/{kind}/{name}"
    if part in ("entities", "forms", "lifecycles", "grants"):
        return f"{key}/{kind}"
    pack, _, own = key.partition(".")
    return f"{pack}/{kind}/{own}" if own and kind else key


def _inside(what: str, address: str, old: Any, new: Any) -> Iterator[Difference]:
    """The differences below one thing: named things by name, a changed order of names as one line, anything else as values."""
    if dataclasses.is_dataclass(old) and type(old) is type(new) and not isinstance(old, Text):
        for one in dataclasses.fields(old):
            if one.name not in SILENT and not one.name.startswith("_") and one.compare:
                yield from _inside(what, f"{address}/{one.name}", getattr(old, one.name), getattr(new, one.name))
        return
    old, new = _named(old), _named(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            if key not in old or key not in new:
                yield Difference(what, f"{address}/{key}", "added" if key in new else "removed")
            else:
                yield from _inside(what, f"{address}/{key}", old[key], new[key])
        if list(old) != list(new) and set(old) == set(new):
            yield Difference(what, f"{address} (order)", "changed", _short(list(old)), _short(list(new)))
    elif _plain(old) != _plain(new):
        yield Difference(what, address, "changed", _short(old), _short(new))


def _named(value: Any) -> Any:
    """A tuple of named things as a map by name."""
    if isinstance(value, tuple) and value and all(dataclasses.is_dataclass(one) and not isinstance(one, Text) for one in value):
        names: dict[str, Any] = {}
        for i, one in enumerate(value):
            name = "/".join(str(said) for said in (getattr(one, "role", ""), getattr(one, "name", "")) if said and said != "main") or str(i)
            names[name if name not in names else f"{name} ({i})"] = one  # a role may hold several grants on one entity
        return names
    return value


def _plain(value: Any) -> Any:
    """Without positions: where something is written does not change what it means."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, tuple((f.name, _plain(getattr(value, f.name))) for f in dataclasses.fields(value) if f.name != "position" and f.compare)
    if isinstance(value, Mapping):
        return tuple((key, _plain(inner)) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_plain(inner) for inner in value)
    return frozenset(map(_plain, value)) if isinstance(value, (set, frozenset)) else value


def _short(value: Any) -> str:
    if isinstance(value, Text):
        text = value.zh
    elif isinstance(value, Enum):
        text = value.name.lower()
    elif isinstance(value, (list, tuple, frozenset)):
        text = "[" + ", ".join(_short(one) for one in (sorted(value, key=str) if isinstance(value, frozenset) else value)) + "]"
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        text = "{" + ", ".join(f"{f.name}: {_short(getattr(value, f.name))}" for f in dataclasses.fields(value)
                               if f.name not in SILENT and getattr(value, f.name) not in (None, "", (), False)) + "}"
    else:
        text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= SHOWN else text[:SHOWN - 1] + "…"
