"""Tools that plugins bring: ``POST /<group>/<tool>``, one question or a list; the same answers as at a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response

from metaloom.api.answer import answer
from metaloom.api.body import json_value
from metaloom.api.door import pinned
from metaloom.api.question import no_other_parameters
from metaloom.api.records import plugins
from metaloom.command.ask_tool import tool_for
from metaloom.plugin.asking import ask
from metaloom.plugin.tools import Tool


def run_tool(group: str, tool: str) -> Response:
    """The tool's answer, for someone who holds one of its rights."""
    no_other_parameters()
    here = pinned()
    tool_for(plugins(), here.plan, group, tool)
    given: Any = json_value()
    here.release()
    return answer(ask(plugins(), group, tool, given))


def mount(blueprint: Blueprint, tools: Iterable[tuple[str, Tool]]) -> None:
    """A route of its own for every tool; more exact than those of entities, whose addresses have a dot."""
    for group, tool in tools:
        blueprint.add_url_rule(f"/{group}/{tool.name}", "run_tool", run_tool, methods=["POST"], defaults={"group": group, "tool": tool.name})


