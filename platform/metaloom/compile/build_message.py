"""Effective document → message templates and webhooks."""

from __future__ import annotations

from types import MappingProxyType

from metaloom.compile.build_entity import build_field
from metaloom.compile.context import Context, entries, flag, string, strings, text, words
from metaloom.compile.expressions import want
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.scope import entity_scope, values_scope
from metaloom.model import ChannelText, Field, HookIn, HookOut, MessageTemplate, Webhook


def build_template(context: Context, folder: Folder, name: str, node: Node) -> MessageTemplate:
    address = f"{folder.pack}.{name}"
    channels = {channel: _words_on(n) for channel, n in entries(node.get("channels"))}
    return MessageTemplate(
        address, words(node.get("label")), MappingProxyType(channels),
        context.find("entity", node.get("entity"), folder.pack, address), flag(node.get("important")), strings(node.get("outside")), node.key)


def _words_on(node: Node) -> ChannelText:
    fields = {name: words(n) for name, n in entries(node.get("fields"))}
    return ChannelText(words(node.get("body")), text(node.get("subject")), string(node.get("template_code")), MappingProxyType(fields))


def build_webhook(context: Context, folder: Folder, name: str, node: Node) -> Webhook:
    address = f"{folder.pack}.{name}"
    out, into = node.get("out"), node.get("in")
    return Webhook(address, name, words(node.get("label")), flag(node.get("enabled"), True),
                   _out(context, folder, address, out) if out is not None else None,
                   _into(context, folder, address, into) if into is not None else None, node.key)


def _out(context: Context, folder: Folder, address: str, node: Node) -> HookOut:
    entity = context.find("entity", node.get("entity"), folder.pack, address)
    when = want(context, node.get("when"), address, lambda catalog: entity_scope(catalog, entity)) if entity else ""
    return HookOut(string(node.get("url")), string(node.get("secret_ref")), entity, strings(node.get("on")),
                   context.find("role", node.get("role"), folder.pack, address), strings(node.get("fields")), when)


def _into(context: Context, folder: Folder, address: str, node: Node) -> HookIn:
    entity, _, action = string(node.get("action")).partition("/")
    body: dict[str, Field] = {field: build_field(context, folder.pack, f"{address}/body/{field}", field, n, lambda catalog: values_scope(catalog, body))
                              for field, n in entries(node.get("body"))}
    window, rate = node.get("window"), node.get("per_minute")
    return HookIn(
        string(node.get("secret_ref")), entity if "." in entity else f"{folder.pack}.{entity}", action,
        context.find("role", node.get("role"), folder.pack, address), MappingProxyType(body),
        MappingProxyType({f: string(n) for f, n in entries(node.get("find"))}),
        MappingProxyType({f: string(n) for f, n in entries(node.get("input"))}),
        int(window.value) if window else 300, int(rate.value) if rate else 60, string(node.get("signed_by")))
