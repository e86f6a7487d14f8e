"""docs/plugins.md names every key, door, method and crash point there is, and no other."""

import json
import re
from pathlib import Path

from metaloom.base.crash import POINTS
from metaloom.plugin import registry
from metaloom.plugin.command import Work
from metaloom.plugin.doors import DOORS, methods_of

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
SCHEMA = json.loads((Path(registry.__file__).parent / "plugin.schema.json").read_text(encoding="utf-8"))


def test_every_key_of_plugin_yaml_is_told():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+\|$", TEXT, re.MULTILINE)
    assert set(rows) == set(SCHEMA["properties"])
    told = set(re.findall(r"`(\w+)`", TEXT.split("A command's declaration:")[1].split("From it the engine")[0]))
    assert set(SCHEMA["$defs"]["command"]["properties"]) <= told


def test_every_door_is_told_with_its_methods():
    rows = {name: methods.split() for name, methods in re.findall(r"^\| `(\w+)` \| `platform/[^`]+` \| `?([^|`]+)`? \|$", TEXT, re.MULTILINE)}
    assert set(rows) == set(DOORS)
    for name, door in DOORS.items():
        assert rows[name] in (list(methods_of(door.protocol)), ["see", "there"]), name
        assert (ROOT / "platform" / "metaloom" / "plugin" / f"{name}.py").is_file()


def test_every_word_of_work_is_told():
    told = re.findall(r"`(\w+)`", TEXT.split("`Work`:")[1].split("\n\n")[0])
    assert told == [name for name in vars(Work) if not name.startswith("_")]


def test_every_crash_point_is_told():
    assert set(re.findall(r"`(\w+\.\w+)`", TEXT.split("Crash points for tests")[1].split("\n\n")[0])) == set(POINTS)
