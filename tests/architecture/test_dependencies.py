"""docs/dependencies.md tells the truth about setup.cfg, about the front end and about this environment."""

import configparser
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\S+) \| (\S+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, str, str]]:
    """{package: (pin, licence, why)} from the tables."""
    rows = ROW.findall((ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"))
    return {name: (pin, licence.strip(), why.strip()) for name, pin, licence, why in rows if name != "package"}


def python_pins() -> dict[str, str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    return dict(line.split("==") for text in lists for line in text.split())


def front_end_pins() -> dict[str, str]:
    return json.loads((ROOT / "templates/static/build/package.json").read_text())["dependencies"]


def test_the_paper_lists_every_pin_and_no_other():
    pins = {name: pin for name, (pin, _, _) in documented().items()}
    print(f"{len(pins)} dependencies")
    assert pins == python_pins() | front_end_pins()


def test_every_dependency_has_a_licence_and_a_reason():
    assert all(licence and len(why) >= 4 for _, licence, why in documented().values())


def test_the_pins_are_what_is_installed():
    wrong = {}
    for name, pin in python_pins().items():
        try:
            installed = importlib.metadata.version(name.partition("[")[0])
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that this environment leaves out
        if installed != pin:
            wrong[name] = installed
    assert not wrong


def test_the_installed_packages_fit_together():
    run = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
