"""``metaloom new plugin``."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import click

from metaloom.cli.new._writing import label, name, write
from metaloom.plugin.doors import DOORS
from metaloom.plugin.registry import DOORS_VERSION, PACKAGE, Place, load

_COMMAND = "command"


@click.command("plugin")
@click.argument("door", type=click.Choice([_COMMAND, *DOORS]))
@click.argument("plugin")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), help="The plugins folder (default: the one of this checkout).")
@click.option("--en", help="English label.")
@click.option("--zh", help="Chinese label.")
def command(door: str, plugin: str, root: Path | None, en: str | None, zh: str | None) -> None:
    """Write a plugin with a provider for DOOR (or a first command), a README and a test; it loads as it is."""
    base = root or _plugins_root()
    folder = base / name(plugin)
    write({
        folder / "__init__.py": f'"""{plugin}: {_said(door)}."""\n',
        folder / "plugin.yaml": _declaration(door, plugin, label(plugin, zh, en)),
        folder / ("commands.py" if door == _COMMAND else "provider.py"): _command_module() if door == _COMMAND else _provider_module(door, plugin),
        folder / "README.md": _readme(door, plugin),
    })
    found = load([Place(folder, f"{PACKAGE}.{plugin}")]) if root is None else None
    for diagnostic in found.diagnostics if found else ():
        raise click.ClickException(str(diagnostic))
    click.secho("metaloom: the plugin loads" if found else "written; it is found when its folder is in the plugins package", fg="green")


def _plugins_root() -> Path:
    return Path(import_module(PACKAGE).__path__[0])


def _said(door: str) -> str:
    return "a command" if door == _COMMAND else f"a provider of the door {door}"


def _class_name(plugin: str) -> str:
    return "".join(part.capitalize() for part in plugin.split("_"))


def _declaration(door: str, plugin: str, words: str) -> str:
    head = f"name: {plugin}\nversion: 0.1.0\nengine: \">={DOORS_VERSION}\"\nlabel: {words}\n"
    if door == _COMMAND:
        return head + """commands:
  hello:
    on: none                     # or the address of an entity: then it is a button of its records
    label: {zh: 问好, en: Say hello}
    input:
      whom: {type: text, required: true, length: 60, label: {zh: 对象, en: Whom}}
    output:
      words: {type: text, label: {zh: 问候语, en: Words}}
    handler: "commands:hello"
"""
    return head + f"""provides:
  {door}:
    {plugin}: "provider:{_class_name(plugin)}"
settings:
  type: object
  additionalProperties: false
"""


def _command_module() -> str:
    return '''"""Commands: functions of the work, the locked record (None without one) and the checked input."""

from __future__ import annotations

from metaloom.plugin import Values, Work


def hello(work: Work, record: Values | None, input: Values) -> Values:
    """Says hello, and to whom."""
    work.require(input["whom"].strip(), ("请填写对象", "Say whom to greet"))
    return {"words": f"你好，{input['whom']}"}
'''


def _provider_module(door: str, plugin: str) -> str:
    """The door's methods with their signatures and docstrings, each refusing until it is written."""
    protocol = DOORS[door].protocol
    source = inspect.getsource(protocol)
    methods = re.split(r"\n(?=    def )", source)[1:]
    module = protocol.__module__
    names = sorted(n for n in vars(inspect.getmodule(protocol)) if re.search(rf"\b{n}\b", "".join(methods)) and n[0].isupper() and n != protocol.__name__)
    own = [n for n in names if getattr(vars(inspect.getmodule(protocol))[n], "__module__", "") == module]
    imports = [line for line in inspect.getsource(inspect.getmodule(protocol)).splitlines()  # type: ignore[arg-type]
               if line.startswith("from ") and "__future__" not in line and not line.startswith("from metaloom")
               and any(re.search(rf"\b{word}\b", "".join(methods)) for word in line.partition("import ")[2].replace(",", " ").split())]
    body = "\n\n".join(f'{method.rstrip()}\n        raise NotImplementedError("{plugin}")' for method in methods)
    return (f'"""The provider of {plugin}."""\n\nfrom __future__ import annotations\n\n' + "\n".join(imports)
            + f"\n\nfrom metaloom.plugin import Environment\nfrom {module} import {', '.join(own)}\n\n\n"
            + f'class {_class_name(plugin)}:\n    """One object per client and settings."""\n\n'
            + "    def __init__(self, environment: Environment) -> None:\n        self.environment = environment\n\n" + body + "\n")


def _readme(door: str, plugin: str) -> str:
    return f"""# {plugin}

{_said(door).capitalize()}. What each method promises stands in `platform/metaloom/plugin/{door}.py`; every provider of a door
passes the suite in `tests/plugins/contracts/`. See `docs/plugins.md`.
"""
