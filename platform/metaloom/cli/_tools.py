"""Words that plugins bring: ``metaloom <group> <tool>`` reads JSON and prints JSON. See ``plugin/tools.py``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from metaloom.base.errors import Invalid
from metaloom.base.strict_json import parse
from metaloom.plugin import registry
from metaloom.plugin.asking import ask, told
from metaloom.plugin.faults import PluginFault
from metaloom.plugin.tools import Tool


def groups() -> list[str]:
    """The names of all groups of tools."""
    return sorted({group for group, _ in registry.installed().tools()})


def group_of(name: str) -> click.Group | None:
    """The click group of a plugin's tools; None where no plugin brings one."""
    tools = [tool for group, tool in registry.installed().tools() if group == name]
    if not tools:
        return None
    return click.Group(name, {tool.name: _word(name, tool) for tool in tools}, help="Tools of a plugin: JSON in, JSON out.")


def _word(group: str, tool: Tool) -> click.Command:
    source = click.Option(["--input", "file"], type=click.File("rb"), default="-", help="File with one JSON request, or a list of them; stdin without.")
    shown = click.Option(["--schema"], is_flag=True, help="Print the JSON Schema of a request instead.")
    return click.Command(tool.name, params=[source, shown], callback=_callback(group, tool), help=f"{tool.label.en} ({tool.label.zh}). {tool.help.en}")


def _callback(group: str, tool: Tool) -> Callable[..., None]:
    def run(file: BinaryIO, schema: bool) -> None:
        if schema:
            click.echo(json.dumps(tool.input, ensure_ascii=False, indent=1))
            return
        try:
            answers = ask(registry.installed(), group, tool.name, parse(file.read()))
        except Invalid as refusal:
            click.echo(_line(told(refusal)), err=True)
            raise SystemExit(1) from None
        except PluginFault as fault:
            raise click.ClickException(str(fault)) from fault
        click.echo(_line(answers))
        if isinstance(answers, list) and any("error" in one for one in answers):
            raise SystemExit(1)

    return run


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
