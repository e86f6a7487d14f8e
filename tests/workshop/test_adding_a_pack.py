"""A whole business is added by a folder of YAML and taken away again: nothing else differs, nobody else notices (decision 38).

A copy of the tree without the pack (and without the plugin that invents demonstration histories for it) compiles, starts and
serves a lender. The pack's folder is added: a workshop opens beside the lender. It is removed: the lender is as before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workshop.shop import PASSWORD, ROOT
from tests.workshop.test_genericity import DEMO

PACK = "workshop"
HELD = ("platform", "plugins", "templates")
CLIENTS = {"lender": ("lending", "lending.officer", "lending.customer"), "garage": (PACK, "workshop.reception", "workshop.client")}
PROBE = Path(__file__).with_name("probe.py")


class Tree:
    """A copy of the four folders that are the product, two clients beside it, and one home for their data."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home, self.tenants, self.path = folder / "tree", folder / "home", folder / "tenants", folder / "path"
        left_out = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules")
        for name in (*HELD, "metadata"):
            shutil.copytree(ROOT / name, self.root / name, ignore=left_out, symlinks=True)
        self.remove()
        shutil.rmtree(self.root / "plugins" / DEMO)
        for client, (pack, _, _) in CLIENTS.items():
            (self.tenants / client).mkdir(parents=True)
            (self.tenants / client / "tenant.yaml").write_text(f"tenant: {{label: {{zh: {client}, en: {client}}}, packs: [{pack}]}}\n")
        self.path.mkdir()
        for package, place in {"metaloom": "platform/metaloom", "metaloom_plugins": "plugins", "metaloom_packs": "metadata",
                               "metaloom_templates": "templates"}.items():
            (self.path / package).symlink_to(self.root / place)

    def add(self) -> None:
        shutil.copytree(ROOT / "metadata" / PACK, self.root / "metadata" / PACK)

    def remove(self) -> None:
        shutil.rmtree(self.root / "metadata" / PACK)

    def serve(self, *clients: str) -> dict[str, Any]:
        """Starts the copy's own application in a process of its own and works in it as one person of each client."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("METALOOM_")} | {
            "PYTHONPATH": str(self.path), "PYTHONDONTWRITEBYTECODE": "1", "METALOOM_HOME": str(self.home), "METALOOM_TENANTS": str(self.tenants),
            "METALOOM_METADATA": str(self.root / "metadata"), "METALOOM_PLUGINS": str(self.root / "plugins"),
            "METALOOM_TEMPLATES": str(self.root / "templates")}
        asked = json.dumps({client: {"role": CLIENTS[client][1], "entity": CLIENTS[client][2]} for client in clients})
        run = subprocess.run([sys.executable, str(PROBE), asked, PASSWORD], env=env, cwd=self.home.parent, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr[-3000:]
        told: dict[str, Any] = json.loads(run.stdout)
        assert all(Path(told[part]).resolve().is_relative_to(self.root.resolve()) for part in ("engine", "plugins")), told
        return told


def digests(root: Path, folders: tuple[str, ...] = HELD) -> dict[str, str]:
    """SHA-256 of every file by its path."""
    files = (path for folder in folders for path in sorted((root / folder).rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
            if not {"__pycache__", "node_modules", DEMO} & set(path.parts)}


@pytest.mark.timeout(600)
def test_a_pack_comes_and_goes_and_no_file_and_no_other_client_changes(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    before = digests(tree.root)
    print(f"{len(before)} files of {', '.join(HELD)}")
    assert len(before) >= 400

    alone = tree.serve("lender")
    assert alone["lender"]["packs"] == ["lending", "platform"] and alone["lender"]["created"] == 201
    assert not alone["lender"]["workshop_words"]

    tree.add()
    both = tree.serve("lender", "garage")
    assert both["lender"]["digest"] == alone["lender"]["digest"] and both["lender"]["revision"] == alone["lender"]["revision"] == 1
    assert both["garage"]["packs"] == ["platform", "workshop"] and both["garage"]["created"] == 201
    for client in both.values():
        if isinstance(client, dict):
            assert client["pages"] and set(client["pages"].values()) == {200}, client["pages"]
    assert not both["lender"]["workshop_words"] and both["garage"]["workshop_words"]
    assert digests(tree.root) == before

    tree.remove()
    after = tree.serve("lender")
    assert (after["lender"]["digest"], after["lender"]["revision"]) == (alone["lender"]["digest"], 1)
    assert not after["lender"]["workshop_words"]
    assert digests(tree.root) == before == digests(ROOT)
    assert digests(tree.root, ("metadata",)).keys() == {path for path in digests(ROOT, ("metadata",)) if not path.startswith(f"metadata/{PACK}/")}


def test_the_comparison_sees_one_byte(tmp_path: Path) -> None:
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform/a.py").write_text("x = 1\n")
    before = digests(tmp_path, ("platform",))
    (tmp_path / "platform/a.py").write_text("x = 2\n")
    assert before != digests(tmp_path, ("platform",))
    (tmp_path / "platform/a.py").write_text("x = 1\n")
    (tmp_path / "platform/b.py").touch()
    assert before != digests(tmp_path, ("platform",))
