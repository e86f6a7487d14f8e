"""What every builder needs: the effective document, the names that exist, a place for findings, and work for later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.compile.codes import finding
from metaloom.compile.manifest import PluginManifest
from metaloom.compile.merge import Effective, Folder
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.model import Catalog


@dataclass
class Context:
    """``later`` holds what can only be looked at when every entity is known: expressions, field paths."""

    effective: Effective
    plugins: PluginManifest
    report: Callable[[Diagnostic], None]
    later: list[Callable[[Catalog], object]] = field(default_factory=list)
    names: dict[str, dict[str, Position]] = field(default_factory=dict)

    def find(self, what: str, node: Node | None, pack: str, address: str) -> str:
        """The address that ``node`` refers to, short names taken in ``pack``; '' (and a finding) where nothing is there."""
        if node is None:
            return ""
        written = str(node.value)
        full = written if "." in written else f"{pack}.{written}"
        known = self.names[what]
        if full in known:
            self._check_depends(full, node, pack, address)
            return full
        hint = _did_you_mean(full, known)
        if hint.startswith(f"did you mean {pack}."):
            hint = hint.replace(f"{pack}.", "", 1)
        self.report(finding("ML-REF-001", node.position, address=address, what=what, name=written, hint=hint))
        return ""

    def _check_depends(self, full: str, node: Node, pack: str, address: str) -> None:
        other = full.partition(".")[0]
        pack = self.effective.authors.get(node.position.file, pack)  # an overlay may stand in another pack than what it changes
        if other == pack or other == "platform" or node.layer not in ("engine", "pack"):
            return
        if other not in depends_of(self.effective.packs.get(pack)):
            self.report(finding("ML-REF-004", node.position, address=address, name=full, pack=other))


def depends_of(folder: Folder | None) -> Mapping[str, Node]:
    """The ``depends`` of a pack as written."""
    node = folder.kinds.get("pack") if folder else None
    depends = node.get("depends") if node else None
    return depends.value if depends else {}


def text(node: Node | None) -> Text | None:
    """The words of a ``{zh, en}`` map."""
    return Text(node.value["zh"].value, node.value["en"].value) if node is not None else None


def words(node: Node | None) -> Text:
    """As ``text`` where the schema demands words."""
    assert node is not None
    return Text(node.value["zh"].value, node.value["en"].value)


def string(node: Node | None, default: str = "") -> str:
    return default if node is None else str(node.value)


def flag(node: Node | None, default: bool = False) -> bool:
    return default if node is None else bool(node.value)


def strings(node: Node | None) -> tuple[str, ...]:
    """A list of names, or one name, as a tuple."""
    if node is None:
        return ()
    return tuple(str(n.value) for n in node.value) if node.is_list else (str(node.value),)


def expression(node: Node | None) -> str:
    """An expression as text: ``default: 0`` and ``default: true`` are written without quotes."""
    if node is None:
        return ""
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return format(node.value, "f") if not isinstance(node.value, (str, int)) else str(node.value)


def entries(node: Node | None) -> Iterable[tuple[str, Node]]:
    """The entries of a map that may be missing."""
    return node.items() if node is not None and node.is_map else ()


def position_of(node: Node | None) -> Position:
    return node.key if node is not None else NOWHERE
