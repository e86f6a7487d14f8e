"""The README points at things that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLACES = re.compile(r"`((?:platform|metadata|plugins|tenants|templates|tests|docs|bench|\.ci)/[^`\s<>*…]*|setup\.cfg|Makefile)`")


def test_paths_of_the_readme_exist():
    named = PLACES.findall(README)
    print(f"{len(named)} paths")
    assert len(named) >= 6
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("word", ["run", "test", "install", "shots", "bench", "lint"])
def test_the_words_of_make_are_targets_and_in_the_readme(word):
    assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"make {word}" in README
