"""The floors and walls of the house hold, and the checks that say so can fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOUNDATIONS = ("metaloom.base", "metaloom.model")

# One planted import per wall: (file that breaks it, its import, name of the contract that must notice).
PLANTED = (
    ("metaloom/record/rows.py", "import metaloom.approval", "A floor imports only floors below it"),
    ("metaloom/model/entity.py", "import metaloom.storage", "A floor imports only floors below it"),
    ("metaloom/attic/__init__.py", "", "A floor imports only floors below it"),
    ("metaloom/command/create.py", "from flask import g", "Only web, api and app know the web framework"),
    ("metaloom_plugins/one/pay.py", "import metaloom.storage", "Plugins import metaloom.plugin"),
    ("metaloom_plugins/one/pay.py", "import metaloom_plugins.two", "Plugins do not import each other"),
    ("metaloom/plugin/loader.py", "import metaloom_plugins.one", "The engine never imports a plugin"),
)


def lint_imports(cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the contracts of `cwd`/setup.cfg."""
    command = [Path(sys.executable).with_name("lint-imports"), "--config", "setup.cfg", "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_contracts_hold_on_a_graph_that_is_not_empty():
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
    analysed = re.search(r"Analyzed (\d+) files?, (\d+) dependenc", run.stdout)
    assert analysed is not None, run.stdout
    print(f"analysed {analysed[1]} files, {analysed[2]} imports")
    assert int(analysed[1]) > 0
    assert int(analysed[2]) > 0


@pytest.fixture
def small_house(tmp_path):
    """A house with a few empty rooms and two plugins, under the contracts of the real one."""
    for room in ("storage", "plugin", "model", "base", "record", "approval", "command", "web", "app"):
        (tmp_path / "metaloom" / room).mkdir(parents=True)
        (tmp_path / "metaloom" / room / "__init__.py").touch()
    for plugin in ("one", "two"):
        (tmp_path / "metaloom_plugins" / plugin).mkdir(parents=True)
        (tmp_path / "metaloom_plugins" / plugin / "__init__.py").touch()
    for package in ("metaloom", "metaloom_plugins"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "metaloom" / "web" / "views.py").write_text("import flask\nimport metaloom.record\n")
    (tmp_path / "metaloom_plugins" / "one" / "door.py").write_text("import metaloom.plugin\nimport metaloom.base\n")
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def test_contracts_hold_in_a_lawful_house(small_house):
    run = lint_imports(small_house, PYTHONPATH=str(small_house))
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(("file", "planted", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(small_house, file, planted, contract):
    target = small_house / file
    target.parent.mkdir(exist_ok=True)
    target.write_text(planted + "\n")
    run = lint_imports(small_house, PYTHONPATH=str(small_house))
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", run.stdout, re.MULTILINE), run.stdout


def test_model_and_base_import_the_standard_library_only():
    graph = grimp.build_graph("metaloom", include_external_packages=True, cache_dir=None)
    outside = {
        f"{module} imports {imported}"
        for module in graph.modules
        if module.startswith(tuple(f"{room}." for room in FOUNDATIONS)) or module in FOUNDATIONS
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.split(".")[0] not in sys.stdlib_module_names
        and not imported.startswith(FOUNDATIONS)
        and imported != "metaloom"
    }
    assert not outside


def test_the_folder_platform_does_not_hide_the_standard_module():
    assert not (ROOT / "platform" / "__init__.py").exists()
    answer = subprocess.run(
        [sys.executable, "-c", "import platform; print(platform.system())"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout.strip()
