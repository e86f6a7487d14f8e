"""Asking a tool: one question or a list of them, and how a refusal is said. Light on imports, because a terminal waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message, register
from metaloom.plugin.registry import Registry
from metaloom.plugin.tools import LIST_MAX

register({
    "tool.list": ("一次最多提交 {limit} 条。", "At most {limit} questions at once."),
    "tool.object": ("每条请求须为 JSON 对象。", "Every question must be a JSON object."),
    "tool.value": ("{reason}", "{reason}"),
})


def ask(plugins: Registry, group: str, name: str, request: Any) -> Any:
    """The answer to one question; to a list a list of answers, where a refused question has what :func:`told` says in its place."""
    provider = plugins.provider("tools", group)
    if not isinstance(request, list):
        return _one(provider, name, request)
    if len(request) > LIST_MAX:
        raise Invalid([Problem("", message("tool.list", limit=LIST_MAX))], message("tool.list", limit=LIST_MAX))
    return [_or_error(provider, name, one) for one in request]


def _one(provider: Any, name: str, request: Any) -> Mapping[str, Any]:
    if not isinstance(request, Mapping):
        raise Invalid([Problem("", message("tool.object"))], message("tool.object"))
    try:
        answer: Mapping[str, Any] = provider.run(name, request)
    except Invalid:
        raise
    except ValueError as refusal:
        said = message("tool.value", reason=str(refusal))
        raise Invalid([Problem("", said)], said) from refusal
    return answer


def _or_error(provider: Any, name: str, request: Any) -> Mapping[str, Any]:
    try:
        return _one(provider, name, request)
    except Invalid as refusal:
        return told(refusal)


def told(refusal: Invalid) -> dict[str, Any]:
    """A refusal as JSON: ``errors`` names every key at fault with its sentence in both languages, ``error`` is the first of them."""
    problems = refusal.problems or (Problem("", refusal.message),)
    errors = [{"key": one.field, "zh": one.message.say("zh"), "en": one.message.say("en")} for one in problems]
    return {"error": errors[0], "errors": errors}
