"""What lint and types find ends the whole run, and the rooms that are asked are those that are strict."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The script without what it installs and starts; ``make`` says what it is asked and fails as the test wishes.
MACHINE = """
install_missing_packages() {{ :; }}
start_postgresql() {{ :; }}
start_redis() {{ :; }}
second_look() {{ echo "second look"; }}
make() {{ echo "make $*"; [ "$1" != "{fails}" ]; }}
main
"""


@pytest.mark.parametrize(("fails", "asked", "green"), [
    ("nothing", ["make lint", "make test"], True),
    ("lint", ["make lint"], False),
    ("test", ["make lint", "make test", "second look"], True),
])  # fmt: skip
def test_the_run_ends_where_lint_is_red(tmp_path, fails, asked, green):
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().splitlines()
    assert lines[-1] == "main"
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_text("\n".join(lines[:-1]) + MACHINE.format(fails=fails), encoding="utf-8")
    run = subprocess.run(["bash", script], capture_output=True, text=True, timeout=30, check=False)
    assert run.stdout.splitlines() == asked, run.stderr
    assert (run.returncode == 0) is green


def test_the_rooms_that_lint_asks_are_those_whose_types_are_strict():
    asked = re.search(r"^TYPED := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert asked is not None
    strict = [table["module"] for table in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
              if table.get("disallow_untyped_defs")]
    assert strict == [[f"metaloom.{room}.*" for room in asked[1].split()]]
    assert not [room for room in asked[1].split() if not (ROOT / "platform/metaloom" / room / "__init__.py").is_file()]
