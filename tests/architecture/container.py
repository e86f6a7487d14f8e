"""Follows the container file of ``docs/production.md`` without a container engine: each instruction, in a folder that holds a Debian.

    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm ROOT
    python -m tests.architecture.container ROOT CONTEXT

CONTEXT is what the image is built from: ``dist/metaloom-….whl`` and ``tenants/``. Wants root, for chroot and useradd. What it cannot see: the base
image itself (``python:3.11-slim`` has its Python under /usr/local; here it is Debian's), layers, volumes of an engine.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction of the file in the paper, continued lines put together."""
    block, = re.findall(r"```dockerfile\n(.*?)```", (ROOT / "docs" / "production.md").read_text(), re.S)
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip() and not line.startswith("#")]


def environment(found: list[tuple[str, str]]) -> dict[str, str]:
    return dict(pair.split("=", 1) for word, rest in found if word == "ENV" for pair in rest.split())


def copied(found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(source, target) of each COPY."""
    for word, rest in found:
        if word == "COPY":
            *sources, target = rest.split()
            yield from ((source, target) for source in sources)


def build(root: Path, context: Path) -> tuple[list[str], list[str]]:
    """The file system of the image in ``root``; the commands of CMD and HEALTHCHECK."""
    found = instructions()
    user, folder, start, health = "root", "/", [], []
    for word, rest in found:
        print(word, rest, flush=True)
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                paths = sorted(context.glob(source))
                assert paths, f"nothing to copy: {source}"
                for path in paths:
                    _copy(path, root, target)
        elif word == "RUN":
            run(root, user, folder, ["sh", "-c", rest], {"PIP_BREAK_SYSTEM_PACKAGES": "1"})
        elif word == "USER":
            user = rest
        elif word == "WORKDIR":
            folder = rest
            inside(root, rest).mkdir(parents=True, exist_ok=True)
        elif word == "VOLUME":
            inside(root, rest).mkdir(parents=True, exist_ok=True)         # as an engine does where the image has none: it is root's
        elif word == "CMD":
            start = json.loads(rest)
        elif word == "HEALTHCHECK":
            health = ["sh", "-c", rest.removeprefix("CMD ")]
        else:
            assert word in ("FROM", "ENV", "EXPOSE"), word
    return start, health


def _copy(path: Path, root: Path, target: str) -> None:
    if path.is_dir():
        shutil.copytree(path, inside(root, target), dirs_exist_ok=True)
    else:
        goal = inside(root, target)
        shutil.copy(path, goal / path.name if target.endswith("/") else goal)


def inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def run(root: Path, user: str, folder: str, command: list[str], more: dict[str, str] | None = None) -> None:
    subprocess.run(_command(root, user, folder, command), env=_env(user, more), check=True)


def _command(root: Path, user: str, folder: str, command: list[str]) -> list[str]:
    return ["chroot", f"--userspec={user}:{user}" if user != "root" else "--userspec=0:0", str(root), "sh", "-c", f'cd {folder} && exec "$@"', "sh", *command]


def _home(user: str) -> str:
    return "/root" if user == "root" else "/srv/metaloom"


def _env(user: str, more: dict[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    own = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": _home(user), "LANG": "C.UTF-8"}
    return {**own, **kept, **environment(instructions()), **(more or {})}


def alone() -> None:
    """From here on a network of its own, as a container has: nobody else's server answers on its port."""
    assert ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0, "no right to a network of its own"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main() -> None:
    root, context = Path(sys.argv[1]), Path(sys.argv[2])
    python = root / "usr/local/bin/python"
    if not python.exists():
        python.symlink_to("/usr/bin/python3")
    start, health = build(root, context)
    run(root, "metaloom", "/srv/metaloom", ["metaloom", "tenant", "create", "acme", *sys.argv[3:]])
    alone()

    def healthy() -> bool:
        return subprocess.run(_command(root, "metaloom", "/srv/metaloom", health), env=_env("metaloom"), stderr=subprocess.DEVNULL).returncode == 0

    assert not healthy(), "somebody else answers"
    server = subprocess.Popen(_command(root, "metaloom", "/srv/metaloom", start), env=_env("metaloom"))
    try:
        began = time.monotonic()
        while not healthy():
            assert server.poll() is None and time.monotonic() - began < 120
            time.sleep(0.5)
        print(f"healthy after {time.monotonic() - began:.1f} s")
        page = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/acme/login/').status)"
        run(root, "metaloom", "/srv/metaloom", ["python", "-c", page])
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main()
