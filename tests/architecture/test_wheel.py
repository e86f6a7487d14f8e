"""A wheel carries the whole application: every package, pack, template, schema and plugin description."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"platform/metaloom": "metaloom", "metadata": "metaloom_packs",
           "plugins": "metaloom_plugins", "templates": "metaloom_templates"}  # fmt: skip
LEFT_OUT = ("templates/static/build/",)
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules", ".*")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built in a copy of the tree so that the checkout stays clean: <copy>/dist/metaloom-….whl."""
    copy = tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=NOT_SHIPPED)
    for file in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, copy)
    plant_late_room(copy)
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", "dist", ".", cwd=copy)
    (built,) = (copy / "dist").glob("metaloom-*.whl")
    return built


def plant_late_room(copy: Path) -> None:
    """What a colleague adds tomorrow, without a line in setup.cfg."""
    room = copy / "platform" / "metaloom" / "late_room" / "schemas"
    room.mkdir(parents=True)
    (room.parent / "__init__.py").write_text('"""Late."""\n')
    (room / "kind.json").write_text("{}\n")


def pip(*arguments: object, cwd: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--disable-pip-version-check"],
        cwd=cwd, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_the_wheel_carries_every_file_of_the_four_folders(wheel):
    carried = set(zipfile.ZipFile(wheel).namelist())
    expected = set()
    for folder, package in FOLDERS.items():
        base = wheel.parents[1] / folder
        for file in base.rglob("*"):
            inside = file.relative_to(base)
            hidden = any(part.startswith(".") or part in {"__pycache__", "node_modules"} for part in inside.parts)
            if file.is_file() and not hidden and not f"{folder}/{inside}".startswith(LEFT_OUT):
                expected.add(f"{package}/{inside}")
    print(f"{len(expected)} files expected, {len(carried)} carried")
    assert len(expected) > 20
    assert expected <= carried, sorted(expected - carried)
    assert {"metaloom/late_room/__init__.py", "metaloom/late_room/schemas/kind.json"} <= carried
    assert not [name for name in carried if "/static/build/" in name or name.endswith(".pyc")]


def test_the_installed_wheel_runs_outside_the_checkout(wheel, tmp_path):
    pip("install", "--no-deps", "--target", "site", wheel, cwd=tmp_path)
    script = (
        "import importlib.resources as r, metaloom, metaloom.late_room, metaloom_packs, metaloom_plugins\n"
        "print(metaloom.__file__)\n"
        "assert (r.files('metaloom_templates') / 'static' / 'vendor' / 'icons.svg').is_file()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(tmp_path / "site"))
