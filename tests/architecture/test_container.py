"""The container file of the paper, as far as it can be seen without a container engine."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.architecture.container import copied, environment, instructions
from tests.architecture.test_wheel import pip, wheel  # noqa: F401 - the fixture

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_copied_is_made_by_the_words_of_the_paper_or_is_in_the_tree():
    found = instructions()
    assert [word for word, _ in found][0] == "FROM" and {word for word, _ in found} >= {"COPY", "RUN", "USER", "WORKDIR", "CMD", "HEALTHCHECK"}
    assert dict(copied(found)).keys() == {"dist/metaloom-*.whl", "tenants"}
    assert (ROOT / "tenants").is_dir() and "`pip wheel --no-deps --wheel-dir dist .`" in (ROOT / "docs" / "production.md").read_text()


def test_the_folder_of_uploads_belongs_to_who_runs_before_it_is_a_volume():
    """An engine makes a volume that the image does not have as root's: then the first upload fails, and before it the keys."""
    found = instructions()
    volume, = (rest for word, rest in found if word == "VOLUME")
    before = [rest for word, rest in found[:[word for word, _ in found].index("USER")] if word == "RUN"]
    assert any(re.search(rf"install -d -o metaloom -g metaloom {re.escape(volume)}\b", rest) for rest in before)
    assert environment(found)["METALOOM_HOME"] == volume


@pytest.fixture
def image(wheel, tmp_path):  # noqa: F811
    """The installed wheel in a Python of its own, and the folder in which its process begins; third-party packages are those of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "python"], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "python"), "platbase": str(tmp_path / "python")}))
    pip("install", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    (site / "others.pth").write_text("".join(f"{path}\n" for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    home = tmp_path / "srv"
    shutil.copytree(ROOT / "tenants", home / "tenants")
    (home / "var").mkdir()
    return tmp_path / "python" / "bin" / "python", home


def test_the_command_of_the_image_serves_and_its_health_is_seen(image):
    python, home = image
    found = dict(instructions())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METALOOM_", "PYTHONPATH"))}
    environ = {**kept, **environment(instructions()), "METALOOM_HOME": str(home / "var")}
    word, *rest = json.loads(found["CMD"])
    assert word == "gunicorn"
    command = [{"4": "1", "0.0.0.0:8000": f"127.0.0.1:{port}"}.get(part, part) for part in rest]
    where = subprocess.run([python, "-c", "import metaloom; print(metaloom.__file__)"], cwd=home, env=environ, capture_output=True, text=True, check=True)
    assert where.stdout.startswith(str(home.parent)), where.stdout
    make = [python, "-c", "from metaloom.cli import main; main()", "tenant", "create", "acme", "--client", "demo"]
    subprocess.run(make, cwd=home, env=environ, check=True, timeout=240)
    server = subprocess.Popen([python, "-m", "gunicorn", *command], cwd=home, env=environ)
    health = [python, "-c", re.fullmatch(r'CMD python -c "(.*)"', found["HEALTHCHECK"])[1].replace(":8000", f":{port}")]
    try:
        until = time.monotonic() + 120
        while subprocess.run(health, env=environ, stderr=subprocess.DEVNULL, cwd=home).returncode:
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.2)
    finally:
        server.terminate()
        assert server.wait(60) == 0
    assert list((home / "var").iterdir()), "keys and data stand in the volume"
