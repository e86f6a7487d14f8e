"""Who may ask which tool of a plugin. Nothing is written."""

from __future__ import annotations

from metaloom.access import AccessPlan
from metaloom.base.errors import NotAllowed, NotFound
from metaloom.base.messages import message, register
from metaloom.plugin.registry import Registry
from metaloom.plugin.tools import Tool

register({
    "tool.missing": ("您没有使用“{tool}”的权限。", "You may not use “{tool}”."),
})


def offered(plugins: Registry, plan: AccessPlan) -> tuple[tuple[str, Tool], ...]:
    """(group, tool) of everything this person may ask."""
    return tuple((group, tool) for group, tool in plugins.tools() if may_ask(plan, tool))


def may_ask(plan: AccessPlan, tool: Tool) -> bool:
    """Whether the person holds one of the rights that the tool names."""
    return any(entity in plan.catalog.entities and bool(plan.may(entity, action)) for entity, action in tool.rights)


def tool_for(plugins: Registry, plan: AccessPlan, group: str, name: str) -> Tool:
    """The tool, for someone who may ask it; NotFound where this tenant has none, NotAllowed where the person has no right."""
    tool = {(found, one.name): one for found, one in plugins.tools()}.get((group, name))
    if tool is None or not any(entity in plan.catalog.entities for entity, _ in tool.rights):
        raise NotFound()
    if not may_ask(plan, tool):
        raise NotAllowed(message("tool.missing", tool=tool.label))
    return tool
