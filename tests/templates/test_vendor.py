"""Vendored front-end files: licensed, unchanged since their build, and never fetching from outside."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "templates" / "static"
VENDOR = STATIC / "vendor"
BUILD = STATIC / "build"
SHIPPED = sorted(p for p in VENDOR.rglob("*") if p.is_file() and p.suffix in {".js", ".css", ".svg"})
LICENCES = ("LICENSE", "LICENCE", "icons.LICENSE")
# What a browser would load by itself: CSS urls and imports, module imports, added script and link tags.
LOADS = re.compile(
    r"""url\(\s*["']?(?:https?:)?//|@import\s|\bimport\(\s*["'`](?:https?:)?//|importScripts\(
    |\.src\s*=\s*["'`](?:https?:)?//|sourceMappingURL=""",
    re.VERBOSE,
)


def test_there_is_something_to_check():
    print(f"{len(SHIPPED)} vendored files")
    assert len(SHIPPED) >= 13


@pytest.mark.parametrize("file", SHIPPED, ids=lambda p: str(p.relative_to(VENDOR)))
def test_a_licence_lies_beside_every_vendored_file(file):
    beside = [p for p in file.parent.iterdir() if p.name.startswith(LICENCES)]
    assert beside, f"no licence beside {file.relative_to(VENDOR)}"
    assert all(p.stat().st_size > 500 for p in beside)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda p: str(p.relative_to(VENDOR)))
def test_no_vendored_file_loads_from_outside(file):
    found = LOADS.search(file.read_text(encoding="utf-8"))
    assert found is None, f"{file.name}: {found[0]!r}"


def test_the_pattern_finds_a_planted_load():
    assert LOADS.search("a{background:url(https://example.org/a.png)}")
    assert LOADS.search('@import "x.css";')
    assert LOADS.search("t.src='//example.org/x.js'")
    assert not LOADS.search("a{background:url(\"data:image/svg+xml,%3csvg xmlns='http://www.w3.org/2000/svg'\")}")


def test_files_and_versions_are_those_of_the_build():
    manifest = json.loads((VENDOR / "manifest.json").read_text())
    pins = json.loads((BUILD / "package.json").read_text())["dependencies"]
    for name, entry in manifest.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert entry["version"] == pins[entry["package"]], name
    assert {entry["package"] for entry in manifest.values()} == set(pins)


def test_the_lock_file_names_no_download_host():
    assert '"resolved"' not in (BUILD / "package-lock.json").read_text()


def test_the_sprite_has_exactly_the_listed_icons():
    listed = (BUILD / "icons.txt").read_text().split()
    drawn = re.findall(r'<symbol id="([^"]+)"', (VENDOR / "icons.svg").read_text())
    assert drawn == listed
    assert len(drawn) == len(set(drawn))


def test_first_visit_stays_light():
    """A page with charts, and a page with pickers, each with the common files: at most 400 KB on the wire."""
    common = ("tabler/tabler.min.css", "tabler/tabler.min.js", "htmx/htmx.min.js", "alpine/alpine.min.js", "icons.svg")
    charts = ("echarts/echarts.min.js",)
    pickers = ("tom-select/tom-select.min.css", "tom-select/tom-select.min.js", "flatpickr/flatpickr.min.css",
               "flatpickr/flatpickr.min.js", "flatpickr/zh.js", "decimal.js/decimal.min.js",
               "sortablejs/Sortable.min.js")  # fmt: skip
    for extra in (charts, pickers):
        weight = sum(len(gzip.compress((VENDOR / name).read_bytes())) for name in common + extra)
        print(f"{extra[0]} …: {weight // 1000} KB")
        assert weight <= 385_000  # leaves 15 KB for the page and our own files
