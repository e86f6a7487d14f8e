"""Effective document → packs, roles, grants, choices, number series, accounts, accounting rules."""

from __future__ import annotations

from types import MappingProxyType

from metaloom.compile.context import Context, entries, expression, flag, string, strings, text, words
from metaloom.compile.expressions import EVERYWHERE, want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import entity_scope
from metaloom.compile.shared import shared
from metaloom.model import (
    AccessGrant,
    Account,
    AccountingRule,
    Choice,
    Choices,
    FieldLevel,
    LedgerLeg,
    NumberSeries,
    Pack,
    Role,
)

LEVELS = {"hidden": FieldLevel.HIDDEN, "masked": FieldLevel.MASKED, "read": FieldLevel.READ, "write": FieldLevel.WRITE}


def build_pack(context: Context, folder: Folder) -> Pack:
    node = folder.kinds["pack"]
    modules = {m: words(n.get("label")) for (pack, m), n in context.effective.modules.items() if pack == folder.pack}
    format = node.get("format")
    return Pack(folder.pack, string(node.get("version")), int(format.value) if format else 1, words(node.get("label")),
                MappingProxyType({name: string(n) for name, n in entries(node.get("depends"))}), MappingProxyType(modules),
                flag(node.get("locked")), node.key)


def build_role(folder: Folder, name: str, node: Node) -> Role:
    return Role(f"{folder.pack}.{name}", words(node.get("label")), text(node.get("help")), node.key)


def build_grants(context: Context, folder: Folder) -> tuple[AccessGrant, ...]:
    """Every grant on an entity in file order; a role with ``scope:`` directly below it has one grant called ``main``."""
    out = []
    for role, node in entries(folder.kinds.get("access")):
        address = context.find("role", Node(role, node.key, node.key, node.layer), folder.pack, f"{folder.address}/access/{role}")
        if not address:
            continue
        grants = {"main": node} if node.get("scope") is not None else dict(node.items())
        out += [shared(n, _grant(context, folder, address, name, n)) for name, n in grants.items()]
    return tuple(out)


def _grant(context: Context, folder: Folder, role: str, name: str, node: Node) -> AccessGrant:
    address = f"{folder.address}/access/{role}/{name}"
    condition = want(context, node.get("condition"), address, lambda catalog: entity_scope(catalog, folder.address), targets=EVERYWHERE)
    return AccessGrant(
        address, folder.address, role, name, string(node.get("scope")), frozenset(strings(node.get("actions"))),
        MappingProxyType({f: LEVELS[string(n)] for f, n in entries(node.get("fields"))}), condition,
        string(node.get("assigned_field")), strings(node.get("units")), node.key)


def build_choices(folder: Folder, name: str, node: Node) -> Choices:
    items = {code: Choice(code, words(n.get("label")), string(n.get("colour")), flag(n.get("hidden")), text(n.get("help")))
             for code, n in entries(node.get("items"))}
    return Choices(f"{folder.pack}.{name}", words(node.get("label")), MappingProxyType(items), node.key)


def build_series(folder: Folder, name: str, node: Node) -> NumberSeries:
    per = node.get("per")
    return NumberSeries(f"{folder.pack}.{name}", string(node.get("pattern")), strings(per) if per else ("company", "day"),
                        string(node.get("mode"), "gapless"), text(node.get("label")), node.key)


def build_account(folder: Folder, code: str, node: Node) -> Account:
    return Account(f"{folder.pack}.{code}", code, words(node.get("label")), string(node.get("normal")), flag(node.get("off_book")),
                   string(node.get("closes_to")), node.key)


def build_accounting_rule(folder: Folder, name: str, node: Node) -> AccountingRule:
    legs = node.get("legs")
    assert legs is not None  # the schema demands it
    return AccountingRule(
        f"{folder.pack}.{name}", string(node.get("event")), words(node.get("label")),
        tuple(LedgerLeg(string(n.get("account")), string(n.get("side")), string(n.get("amount"))) for n in legs.value),
        expression(node.get("when")), MappingProxyType({fact: string(kind) for fact, kind in entries(node.get("facts"))}), node.key)
