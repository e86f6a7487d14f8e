"""Effective document → lists, forms, menus, quick links; what nobody wrote is generated."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from metaloom.base.text import Text
from metaloom.compile.context import Context, entries, flag, string, strings, text, words
from metaloom.compile.expressions import FORM, QUERY, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import entity_scope
from metaloom.compile.shared import shared
from metaloom.model import (
    BoardView,
    CalendarView,
    Column,
    Entity,
    FieldType,
    Form,
    ListView,
    Menu,
    MenuItem,
    QuickLink,
    Section,
    Tab,
)

_BULKY = frozenset({FieldType.CHILD, FieldType.JSON, FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.ATTACHMENT, FieldType.IMAGE,
                    FieldType.SIGNATURE})
_SEARCHED = frozenset({FieldType.CHOICE, FieldType.STATE, FieldType.LINK, FieldType.DATE})
BASIC = Text("基本信息", "Basic information")


def build_lists(context: Context, folder: Folder, entity: Entity) -> dict[str, ListView]:
    """The entity's own list (``main``; generated where nobody wrote one) and its named ones, by ``<entity>/<name>``."""
    own = folder.kinds.get("list")
    main = shared(own, build_list(context, entity, "main", own)) if own else generated_list(entity)
    named = {name: shared(node, build_list(context, entity, name, node)) for name, node in entries(folder.kinds.get("lists"))}
    return {view.address: view for view in (main, *named.values())}


def build_list(context: Context, entity: Entity, name: str, node: Node) -> ListView:
    address = f"{entity.address}/{name}"

    def condition(of: Node) -> str:
        return want(context, of.get("filter"), address, lambda catalog: entity_scope(catalog, entity.address), targets=QUERY)

    columns = node.get("columns")
    shown = build_columns(columns) if columns else {path: Column(path) for path in generated_columns(entity)}
    tabs = {tab: Tab(tab, words(n.get("label")), condition(n)) for tab, n in entries(node.get("tabs"))}
    page_size = node.get("page_size")
    return ListView(
        address=address, entity=entity.address, name=name, label=text(node.get("label")) or entity.label, columns=MappingProxyType(shown),
        search=strings(node.get("search")), more=strings(node.get("more")), filter=condition(node), sort=strings(node.get("sort")) or default_sort(),
        totals=strings(node.get("totals")), tabs=MappingProxyType(tabs), actions=strings(node.get("actions")),
        page_size=int(page_size.value) if page_size else 20, empty=text(node.get("empty")), position=node.key, **_views(node.get("views")))


def _views(node: Node | None) -> dict[str, Any]:
    """The ways to look at a list besides the table."""
    found: dict[str, Any] = {}
    board = node.get("board") if node is not None else None
    if board is not None:
        cards = board.get("cards")
        found["board"] = BoardView(string(board.get("by")), strings(board.get("only")), strings(board.get("fields")), strings(board.get("sums")),
                                   int(cards.value) if cards else BoardView.cards)
    calendar = node.get("calendar") if node is not None else None
    if calendar is not None:
        found["calendar"] = CalendarView(string(calendar.get("date")), string(calendar.get("until")), strings(calendar.get("fields")))
    return found


def build_columns(node: Node) -> Mapping[str, Column]:
    """A list of paths, or a map path → settings."""
    if node.is_list:
        return {n.value: Column(n.value) for n in node.value}
    return {path: Column(path, text(n.get("label")), int(w.value) if (w := n.get("width")) else None, flag(n.get("hidden")))
            for path, n in node.items()}


def default_sort() -> tuple[str, ...]:
    """Newest first."""
    return ("-created_at",)


def generated_columns(entity: Entity) -> tuple[str, ...]:
    """Title first, then every compact field in order, at most eight."""
    names = [entity.title, *(f.name for f in entity.fields.values() if f.type not in _BULKY)]
    return tuple(dict.fromkeys(n for n in names if n in entity.fields))[:8]


def generated_list(entity: Entity) -> ListView:
    """The list of an entity for which nobody wrote one."""
    columns = generated_columns(entity)
    search = tuple(n for n in columns if n == entity.title and not entity.fields[n].encrypted or entity.fields[n].type in _SEARCHED)[:4]
    return ListView(
        address=f"{entity.address}/main", entity=entity.address, name="main", label=entity.label,
        columns=MappingProxyType({n: Column(n) for n in columns}), search=search, sort=default_sort(), position=entity.position)


def build_form(context: Context, folder: Folder, entity: Entity) -> Form:
    """The form as written, or one section with every field that can be entered."""
    node = folder.kinds.get("form")
    if node is None:
        fields = tuple(f.name for f in entity.fields.values() if entered(entity, f.name))
        sections = {"basic": Section("basic", BASIC, fields)} if fields else {}
        return Form(entity.address, MappingProxyType(sections), entity.position)
    sections = {name: _section(context, entity, name, n) for name, n in entries(node.get("sections"))}
    return Form(entity.address, MappingProxyType(sections), node.key)


def _section(context: Context, entity: Entity, name: str, node: Node) -> Section:
    columns = node.get("columns")
    visible = want(context, node.get("visible_when"), f"{entity.address}/form/{name}", lambda catalog: entity_scope(catalog, entity.address), targets=FORM)
    return Section(name, words(node.get("label")), strings(node.get("fields")), int(columns.value) if columns else 2, visible, text(node.get("help")))


def entered(entity: Entity, name: str) -> bool:
    """Whether people enter the field in a form of the entity."""
    field = entity.fields[name]
    return not field.read_only and not field.computed and field.type is not FieldType.STATE and name != entity.parent_field


def build_menu(context: Context, folder: Folder, name: str, node: Node) -> Menu:
    address = f"{folder.pack}.{name}"
    items = {item: _menu_item(context, folder, f"{address}/{item}", item, n) for item, n in entries(node.get("items"))}
    return Menu(address, words(node.get("label")), string(node.get("icon")), order_of(node), MappingProxyType(items), node.key)


def _menu_item(context: Context, folder: Folder, address: str, name: str, node: Node) -> MenuItem:
    return MenuItem(name, words(node.get("label")), string(node.get("icon")), list_address(context, node.get("list"), folder.pack, address),
                    string(node.get("page")), order_of(node))


def list_address(context: Context, node: Node | None, pack: str, address: str) -> str:
    """``customer`` or ``customer/overdue`` with its full entity address; '' and a finding where there is no such list."""
    if node is None:
        return ""
    written, _, name = str(node.value).partition("/")
    entity = context.find("entity", Node(written, node.position, node.key, node.layer), pack, address)
    if not entity or not name or name == "main":
        return entity
    return context.find("list", Node(f"{entity}/{name}", node.position, node.key, node.layer), pack, address)


def order_of(node: Node) -> int:
    """Its place among its neighbours; 100 where nothing is written."""
    order = node.get("order")
    return int(order.value) if order else 100


def build_quick_link(context: Context, folder: Folder, name: str, node: Node) -> QuickLink:
    address = f"{folder.pack}.{name}"
    roles = node.get("roles")
    return QuickLink(
        address, words(node.get("label")), string(node.get("icon")), context.find("entity", node.get("create"), folder.pack, address),
        list_address(context, node.get("list"), folder.pack, address),
        tuple(context.find("role", n, folder.pack, address) for n in roles.value) if roles else (), order_of(node), node.key)
