"""Four layers become one: documents are laid side by side, then each layer's overlays are applied in order.

An overlay says what it saw (``was``). Where a lower layer says something else by now, that is a conflict and stops; a neighbour
that is gone is only a warning. The trees that come in are shared and are never changed: an operation copies the containers
on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import NOWHERE, Position
from metaloom.compile.codes import finding
from metaloom.compile.document import Document
from metaloom.compile.layout import ENTITY_KINDS, ENTITY_MAPS, PACK_KINDS
from metaloom.compile.node import Node, at, child, index_in
from metaloom.compile.schema import _did_you_mean, knows, shape_of, validate
from metaloom.compile.source import LAYERS

Report = Callable[[Diagnostic], None]


@dataclass
class Folder:
    """What is known of one entity folder, or of a pack as a whole (``entity`` empty): kind → effective node."""

    pack: str
    module: str = ""
    entity: str = ""
    layer: str = ""
    position: Position = NOWHERE
    kinds: dict[str, Node] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"{self.pack}.{self.entity}" if self.entity else self.pack


@dataclass(frozen=True, slots=True)
class Applied:
    """One overlay operation that took effect."""

    address: str           # of the folder: pack or pack.entity
    path: tuple[str, ...]  # kind first
    verb: str
    layer: str
    position: Position
    before: Any
    after: Any


@dataclass
class Effective:
    """All layers together, before references and expressions are looked at."""

    packs: dict[str, Folder] = field(default_factory=dict)
    modules: dict[tuple[str, str], Node] = field(default_factory=dict)
    entities: dict[str, Folder] = field(default_factory=dict)
    tenant: Node | None = None
    history: list[Applied] = field(default_factory=list)
    authors: dict[str, str] = field(default_factory=dict)  # file → the pack in whose folder it lies

    def is_locked(self, folder: Folder) -> bool:
        """Whether the folder's pack, or its entity, says ``locked: true``."""
        return _says_locked(self.packs.get(folder.pack), "pack") or _says_locked(folder, "entity")


def _says_locked(folder: Folder | None, kind: str) -> bool:
    node = folder.kinds.get(kind) if folder else None
    locked = node.get("locked") if node else None
    return locked is not None and locked.value is True


def merge(documents: Iterable[Document], report: Report) -> Effective:
    """The effective document of all layers; what cannot be merged goes to ``report``."""
    by_layer: dict[str, list[Document]] = {layer: [] for layer in LAYERS}
    for document in sorted(documents, key=lambda d: d.source.path):
        by_layer[document.source.layer].append(document)
    effective = Effective()
    for layer in LAYERS:
        effective.authors.update((d.source.file, d.place.pack) for d in by_layer[layer])
        for document in by_layer[layer]:
            _lay(effective, document, report)
        for document in by_layer[layer]:
            if "overlay" in document.kinds:
                _overlay(effective, document, report)
    _validate_touched(effective, report)
    return effective


# -- documents ---------------------------------------------------------------------------------------------------------


def _lay(effective: Effective, document: Document, report: Report) -> None:
    for kind, node in document.kinds.items():
        if kind == "tenant":
            effective.tenant = node
        elif kind == "module":
            _lay_module(effective, document, node, report)
        elif kind == "pack":
            _lay_whole(effective, _pack(effective, document), kind, node, report)
        elif kind in PACK_KINDS:
            _lay_names(effective, _pack(effective, document), kind, node, report)
        elif kind in ENTITY_KINDS:
            folder = _entity(effective, document, report)
            if folder is not None:
                (_lay_names if kind in ENTITY_MAPS else _lay_whole)(effective, folder, kind, node, report)


def _pack(effective: Effective, document: Document) -> Folder:
    name = document.place.pack
    return effective.packs.setdefault(name, Folder(name, layer=document.source.layer, position=Position(document.source.file)))


def _entity(effective: Effective, document: Document, report: Report) -> Folder | None:
    place = document.place
    address = f"{place.pack}.{place.entity}"
    folder = effective.entities.get(address)
    if folder is None:
        folder = Folder(place.pack, place.module, place.entity, document.source.layer, Position(document.source.file))
        effective.entities[address] = folder
    elif folder.module != place.module:
        report(finding("ML-MERGE-001", Position(document.source.file), address=address, what=f"the entity {address}",
                       other=f"{folder.pack}/{folder.module}/{folder.entity}"))
        return None
    return folder


def _lay_module(effective: Effective, document: Document, node: Node, report: Report) -> None:
    key = (document.place.pack, document.place.module)
    if key in effective.modules:
        _collision(effective.modules[key], node, f"the module {key[1]}", report)
    else:
        effective.modules[key] = node


def _lay_whole(effective: Effective, folder: Folder, kind: str, node: Node, report: Report) -> None:
    """A kind that stands once per folder."""
    if kind in folder.kinds:
        _collision(folder.kinds[kind], node, f"{kind} of {folder.address}", report)
    elif kind == "entity" and node.layer in ("client", "site") and effective.is_locked(folder):
        report(finding("ML-PACK-008", node.key, address=folder.address, pack=folder.pack))
    else:
        folder.kinds[kind] = node


def _lay_names(effective: Effective, folder: Folder, kind: str, node: Node, report: Report) -> None:
    """A map kind: several files, and higher layers, may add names; no name twice."""
    present = folder.kinds.get(kind)
    if present is None:
        folder.kinds[kind] = node
        return
    entries = dict(present.value)
    for name, value in node.items():
        if name in entries:
            _collision(entries[name], value, f"{kind}/{name} of {folder.address}", report)
        else:
            entries[name] = value
    folder.kinds[kind] = replace(present, value=entries)


def _collision(first: Node, second: Node, what: str, report: Report) -> None:
    if first.layer == second.layer:
        report(finding("ML-MERGE-001", second.key, what=what, other=str(first.key)))
    else:
        report(finding("ML-MERGE-002", second.key, what=what, layer=first.layer, other=str(first.key)))


# -- overlays ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Op:
    """One overlay operation, taken apart. ``value`` and ``was`` are None where the author wrote none."""

    verb: str
    path: tuple[str, ...]
    node: Node
    value: Node | None
    was: Node | None
    after: str | None
    before: str | None

    @property
    def where(self) -> Position:
        said: Node = self.node.value[self.verb]
        return said.position

    @property
    def shown(self) -> str:
        return "/".join(self.path)


class _Impossible(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic


def _overlay(effective: Effective, document: Document, report: Report) -> None:
    for item in document.kinds["overlay"].value:
        op = _op(item)
        try:
            folder, op = _aim(effective, document, op)
            _check_lock(effective, folder, op)
            _apply(effective, folder, op, report)
        except _Impossible as stop:
            report(stop.diagnostic)


def _op(node: Node) -> Op:
    verb = next(v for v in ("add", "set", "remove", "move") if v in node.value)
    anchors = {k: n.value if (n := node.get(k)) else None for k in ("after", "before")}
    return Op(verb, _path(node.value[verb].value), node, node.get("value"), node.get("was"), anchors["after"], anchors["before"])


def _path(text: str) -> tuple[str, ...]:
    """The names of a path; a slash inside a name is written ~1, as in a JSON pointer."""
    return tuple(segment.replace("~1", "/").replace("~0", "~") for segment in text.split("/"))


def _aim(effective: Effective, document: Document, op: Op) -> tuple[Folder, Op]:
    """The folder an operation changes. In a pack's own folder the path may begin with an entity's address, or with another pack
    and one of its pack-wide kinds (``platform/choices/…``)."""
    place, first = document.place, op.path[0]
    if not place.entity and "." in first:
        folder = effective.entities.get(first)
        if folder is None:
            raise _Impossible(finding("ML-OVERLAY-001", op.where, path=op.shown, hint=_did_you_mean(first, effective.entities)))
        op = replace(op, path=op.path[1:])
        if not op.path or op.path[0] not in ENTITY_KINDS:
            raise _Impossible(finding("ML-OVERLAY-006", op.where, path=op.shown or first, kinds=", ".join(ENTITY_KINDS)))
        return folder, op
    if not place.entity and first in effective.packs and len(op.path) > 1 and op.path[1] in PACK_KINDS:
        return effective.packs[first], replace(op, path=op.path[1:])
    if first in PACK_KINDS or (first in ("pack", "module") and not place.entity):
        pack = effective.packs.get(place.pack)
        if pack is None:
            raise _Impossible(finding("ML-OVERLAY-001", op.where, path=op.shown, hint=f"there is no pack {place.pack}"))
        return (_module_folder(effective, place, op) if first == "module" else pack), op
    folder = effective.entities.get(f"{place.pack}.{place.entity}") if place.entity else None
    if place.entity and first in ENTITY_KINDS:
        if folder is None:
            near = [a.partition(".")[2] for a in effective.entities if a.startswith(f"{place.pack}.")]
            raise _Impossible(finding("ML-OVERLAY-001", op.where, path=f"{place}/{op.shown}", hint=_did_you_mean(place.entity, near)
                                      or f"no lower layer has the entity {place.pack}.{place.entity}"))
        return folder, op
    allowed = (*ENTITY_KINDS, *PACK_KINDS) if place.entity else ("module" if place.module else "pack", *PACK_KINDS, "<pack>.<entity>")
    raise _Impossible(finding("ML-OVERLAY-006", op.where, path=op.shown, kinds=", ".join(allowed), hint=_did_you_mean(first, allowed)))


def _module_folder(effective: Effective, place: Any, op: Op) -> Folder:
    """A module's document dressed as a folder, so that the same operations work; written back by ``_store``."""
    node = effective.modules.get((place.pack, place.module))
    if node is None:
        raise _Impossible(finding("ML-OVERLAY-001", op.where, path=op.shown, hint=f"there is no module {place.pack}/{place.module}"))
    return Folder(place.pack, place.module, kinds={"module": node})


PRESENTATION = frozenset({"label", "help", "unit", "icon", "colour", "order", "style", "confirm", "done", "header", "subtitle", "message"})
EXTENSIBLE = (("entity", "fields"), ("entity", "rules"), ("entity", "unique"), ("entity", "indexes"), ("entity", "related"),
              ("access",), ("actions",), ("approval",), ("processes",), ("roles",), ("choices",), ("menu",), ("quick_links",), ("number_series",),
              ("accounts",), ("accounting_rules",), ("messages",), ("webhooks",), ("tests",), ("warnings",), ("jobs",),
              ("dashboards",), ("prints",))


ITEMS = (("menu", "items"), ("choices", "items"), ("dashboards", "widgets"))


def _check_lock(effective: Effective, folder: Folder, op: Op) -> None:
    """What a locked pack or entity protects: everything but words and looks, its lists, form and prints, and names added to its maps."""
    if op.node.layer == folder.layer or not effective.is_locked(folder) or op.path[0] in ("list", "lists", "form", "prints"):
        return
    if _is_presentation(op.path):
        return
    if op.verb == "add" and (op.path[:-1] in EXTENSIBLE or (op.path[0], *op.path[2:-1]) in ITEMS):
        return
    raise _Impossible(finding("ML-OVERLAY-005", op.where, address=folder.address, path=op.shown, what=folder.address))


def _is_presentation(path: tuple[str, ...]) -> bool:
    """Whether the path passes through a property that only words or looks hang on (a field *named* icon is none)."""
    for depth in range(1, len(path)):
        shape = knows(path[0], path[1:depth])
        if path[depth] in PRESENTATION and shape and any(path[depth] in s.properties for s in shape.branches or (shape,)):
            return True
    return False


def _apply(effective: Effective, folder: Folder, op: Op, report: Report) -> None:
    root = Node(dict(folder.kinds), folder.position, folder.position, folder.layer)
    current = at(root, op.path)
    before = current.plain() if current else None
    changed = _WORK[op.verb](root, op, current, report)
    _store(effective, folder, op.path[0], changed.value)
    now = at(changed, op.path)
    effective.history.append(Applied(folder.address, op.path, op.verb, op.node.layer, op.where, before, now.plain() if now else None))


def _store(effective: Effective, folder: Folder, kind: str, kinds: dict[str, Node]) -> None:
    folder.kinds = kinds
    folder.touched.add(kind)
    if kind == "module":
        effective.modules[(folder.pack, folder.module)] = kinds["module"]


def _add(root: Node, op: Op, current: Node | None, report: Report) -> Node:
    root = _with_container(root, op)
    parent = at(root, op.path[:-1])
    if parent is None or not (parent.is_map or parent.is_list):
        raise _missing(root, op)
    if current is not None:
        if op.value is not None and current.plain() == op.value.plain():
            return root
        raise _Impossible(finding("ML-OVERLAY-004", op.where, path=op.shown, theirs=_show(current)))
    name = op.path[-1]
    if parent.is_map:
        value = op.value if op.value is not None else Node({}, op.where, op.where, op.node.layer)
        value = replace(value, key=op.where)
    elif _of_maps(parent):
        if op.value is None:
            raise _Impossible(finding("ML-OVERLAY-008", op.where, path=op.shown, why="value: is missing"))
        value = op.value
    else:
        if op.value is not None:
            raise _Impossible(finding("ML-OVERLAY-008", op.where, path=op.shown, why="a list of names takes the name from the path, not from value:"))
        value = Node(name, op.where, op.where, op.node.layer)
    return _edit(root, op.path[:-1], lambda node: _insert(node, name, value, op, report))


def _set(root: Node, op: Op, current: Node | None, report: Report) -> Node:
    assert op.value is not None  # the schema demands it
    if current is None:
        shape = knows(op.path[0], op.path[1:-1])
        if shape is None or not any(op.path[-1] in s.properties for s in shape.branches or (shape,)):
            raise _missing(root, op)
        root = _with_container(root, op)
        if at(root, op.path[:-1]) is None:
            raise _missing(root, op)
    theirs = current.plain() if current else None
    if theirs != op.value.plain():
        if op.was is None and current is not None:
            raise _Impossible(finding("ML-OVERLAY-007", op.where, op="set", path=op.shown, theirs=_show(current)))
        if op.was is not None and op.was.plain() != theirs:
            raise _conflict(op, op.value, current)
    name = op.path[-1]
    value = replace(op.value, key=op.where)
    return _edit(root, op.path[:-1], lambda node: _put(node, name, value))


def _remove(root: Node, op: Op, current: Node | None, report: Report) -> Node:
    if current is None:
        raise _missing(root, op)
    if op.was is not None and op.was.plain() != current.plain():
        raise _conflict(op, None, current)
    if len(op.path) == 1:
        return replace(root, value={k: v for k, v in root.value.items() if k != op.path[0]})
    return _edit(root, op.path[:-1], lambda node: _without(node, op.path[-1]))


def _move(root: Node, op: Op, current: Node | None, report: Report) -> Node:
    if current is None:
        raise _missing(root, op)
    if op.after is None and op.before is None:
        raise _Impossible(finding("ML-OVERLAY-008", op.where, path=op.shown, why="move needs after: or before:"))
    name = op.path[-1]
    return _edit(root, op.path[:-1], lambda node: _insert(_without(node, name), name, current, op, report))


_WORK = {"add": _add, "set": _set, "remove": _remove, "move": _move}


def _with_container(root: Node, op: Op) -> Node:
    """Make the optional containers on the way that the schema knows but nobody needed so far (``entity/rules``)."""
    for depth in range(1, len(op.path)):
        path = op.path[:depth]
        if at(root, path) is not None:
            continue
        if depth == 1:
            if path[0] not in (*ENTITY_MAPS, *PACK_KINDS):
                raise _missing(root, op)
        else:
            parent = knows(path[0], path[1:-1])
            if parent is None or not any(path[-1] in s.properties for s in parent.branches or (parent,)):
                raise _missing(root, op)
        shape = shape_of(path[0]) if depth == 1 else knows(path[0], path[1:])
        types = shape.types if shape else frozenset()
        empty: Any = [] if "array" in types or (shape and shape.branches and "array" in shape.branches[0].types) else {}
        if not empty and "array" not in types and "object" not in types and not (shape and shape.branches):
            raise _missing(root, op)
        made = Node(empty, op.where, op.where, op.node.layer)
        root = replace(root, value={**root.value, path[0]: made}) if depth == 1 else _edit(root, path[:-1], _putter(path[-1], made))
    return root


def _edit(node: Node, path: tuple[str, ...], change: Callable[[Node], Node]) -> Node:
    """A copy of ``node`` in which the node at ``path`` is what ``change`` makes of it."""
    if not path:
        return change(node)
    inner = child(node, path[0])
    assert inner is not None, path
    return _put(node, path[0], _edit(inner, path[1:], change))


def _put(node: Node, name: str, value: Node) -> Node:
    if node.is_map:
        return replace(node, value={**node.value, name: value})
    index = index_in(node, name)
    assert index is not None, name
    return replace(node, value=[*node.value[:index], value, *node.value[index + 1:]])


def _putter(name: str, value: Node) -> Callable[[Node], Node]:
    return lambda node: _put(node, name, value)


def _without(node: Node, name: str) -> Node:
    if node.is_map:
        return replace(node, value={k: v for k, v in node.value.items() if k != name})
    index = index_in(node, name)
    assert index is not None, name
    return replace(node, value=[*node.value[:index], *node.value[index + 1:]])


def _insert(node: Node, name: str, value: Node, op: Op, report: Report) -> Node:
    """``value`` at the place its anchor names; at the end, with a warning, where the anchor is gone."""
    anchor = op.after if op.after is not None else op.before
    if node.is_map:
        names = list(node.value)
        index = names.index(anchor) if anchor in node.value else None
        spot = _spot(index, len(names), anchor, op, report)
        pairs = list(node.value.items())
        pairs.insert(spot, (name, value))
        return replace(node, value=dict(pairs))
    index = index_in(node, anchor) if anchor is not None else None
    spot = _spot(index, len(node.value), anchor, op, report)
    return replace(node, value=[*node.value[:spot], value, *node.value[spot:]])


def _spot(index: int | None, end: int, anchor: str | None, op: Op, report: Report) -> int:
    if index is not None:
        return index + 1 if op.after is not None else index
    if anchor is not None:
        report(finding("ML-OVERLAY-003", op.where, path=op.shown, anchor=anchor))
    return end


def _of_maps(node: Node) -> bool:
    return bool(node.value) and all(item.is_map for item in node.value)


def _missing(root: Node, op: Op) -> _Impossible:
    node = root
    seen: list[str] = []
    for segment in op.path:
        inner = child(node, segment)
        if inner is None:
            known = list(node.value) if node.is_map else [str(i.value) for i in node.value] if node.is_list and not _of_maps(node) else []
            hint = _did_you_mean(segment, known) or (f"{'/'.join(seen) or 'the folder'} has: {', '.join(known[:12])}" if known else "")
            return _Impossible(finding("ML-OVERLAY-001", op.where, path=op.shown, hint=hint))
        node = inner
        seen.append(segment)
    return _Impossible(finding("ML-OVERLAY-001", op.where, path=op.shown))


def _conflict(op: Op, ours: Node | None, theirs: Node | None) -> _Impossible:
    return _Impossible(finding("ML-OVERLAY-002", op.where, path=op.shown, base=_show(op.was), ours=_show(ours) if ours else "(removed)",
                               theirs=_show(theirs)))


def _show(node: Node | None) -> str:
    """A value on one line, the way an author would write it."""
    if node is None or node.value is None:
        return "null"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    text = str(node.plain())
    return text if len(text) <= 120 else text[:117] + "…"


def _validate_touched(effective: Effective, report: Report) -> None:
    for folder in (*effective.packs.values(), *effective.entities.values()):
        for kind in sorted(folder.touched & folder.kinds.keys()):
            validate(shape_of(kind), folder.kinds[kind], report, f"{folder.address}/{kind}")
    touched = {(a.address) for a in effective.history if a.path[0] == "module"}
    for (pack, module), node in effective.modules.items():
        if pack in touched:
            validate(shape_of("module"), node, report, f"{pack}/{module}")
