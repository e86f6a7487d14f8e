"""README and docs name only what is there: paths, words of the command, settings, rooms, functions of the answers."""

import ast
import re
from pathlib import Path

import click
import pytest

from metaloom.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAPERS = ("README.md", "docs/production.md", "docs/scaling.md")
FOLDERS = "platform|metadata|plugins|tenants|templates|tests|docs|bench|\\.ci"
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w/?)")
# Examples that a reader is asked to make, and folders named as a shape.
TO_BE_MADE = {"tenants/demo/lending/customer_centre/customer/wechat.yaml", "tenants/acme/", "tenants/acme"}
WORDS = re.compile(r"(?:`|^ {4}|/bin/)metaloom ((?:[a-z][\w-]*)(?: [a-z][\w-]*)?)", re.MULTILINE)
NAMED = re.compile(r"`([\w./-]+\.py)` ?\n?\(((?:`[\w.]+`(?:, )?)+)\)|`(\w+)\.(\w+)` in\n`([\w./-]+\.py)`")
QUESTIONS = ("Where is the approval chain", "What code runs when an officer clicks Approve", "How do I add a payment gateway",
             "How do I add a field for one client", "How do I change a chain while cases are running", "How do I see why user X",
             "How do I write a test for my metadata", "How do I upgrade a client")  # fmt: skip


def table(name: str) -> list[list[str]]:
    """The rows of a marked table, cell by cell, without its head."""
    inside = re.search(rf"<!-- table: {name} -->\n(.*?)\n<!-- end -->", README, re.DOTALL)
    assert inside is not None, name
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in inside[1].splitlines()[2:]]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_path_exists(paper):
    found = set(PATH.findall((ROOT / paper).read_text(encoding="utf-8")))
    print(f"{paper}: {len(found)} paths")
    assert found
    assert not [path for path in sorted(found - TO_BE_MADE) if not (ROOT / path).exists()]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_word_of_the_command_exists(paper):
    found = set(WORDS.findall((ROOT / paper).read_text(encoding="utf-8")))
    print(f"{paper}: {sorted(found)}")
    assert len(found) >= 1
    assert not [words for words in sorted(found) if not known(words.split())]


def known(words: list[str]) -> bool:
    """A word of ``metaloom``; behind a group its own word must follow, behind any other an argument may."""
    context = click.Context(main)
    first = main.get_command(context, words[0])
    if not isinstance(first, click.Group) or len(words) == 1:
        return first is not None
    return first.get_command(context, words[1]) is not None


def test_the_settings_are_those_of_the_code():
    read = {name for file in (ROOT / "platform").rglob("*.py") for name in re.findall(r"METALOOM_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8"))}
    listed = [row[0].strip("`") for row in table("settings")]
    print(f"{len(listed)} settings")
    assert len(listed) == len(set(listed))
    assert set(listed) == read - {"METALOOM_CRASH_POINT"}  # tests kill processes with it


def test_the_rooms_are_those_of_the_house():
    rooms = {folder.name for folder in (ROOT / "platform" / "metaloom").iterdir() if (folder / "__init__.py").is_file()}
    assert {row[1].strip("`") for row in table("rooms")} == rooms


def test_the_questions_are_answered_with_functions_that_exist():
    answers = README.partition("## Questions a newcomer asks")[2].partition("\n## ")[0]
    assert [question for question in QUESTIONS if f"**{question}" not in answers] == []
    assert answers.count("\n**") == len(QUESTIONS)
    asked = []
    for file, names, owner, method, where in NAMED.findall(answers):
        asked += [(file, name) for name in re.findall(r"`([\w.]+)`", names)] if file else [(where, owner), (where, method)]
    print(f"{len(asked)} names")
    assert len(asked) >= 7
    assert not [(file, name) for file, name in asked if name not in defined(ROOT / file)]


def defined(file: Path) -> set[str]:
    """Functions, methods and classes of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_the_overlay_of_the_readme_compiles():
    from metaloom.compile import Source, compile_catalog, tenant_sources

    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = "lending/customer_centre/customer/wechat.yaml"
    catalog = compile_catalog((*tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"), Source("client", path, example)))
    assert "wechat" in catalog.entities["lending.customer"].fields


def test_the_logins_of_the_readme_are_those_of_the_demo():
    from metaloom.app.demo import PASSWORD
    from metaloom.cli.demo import LOGINS

    assert f"`{PASSWORD}`" in README
    assert not [login for login, *_ in LOGINS if f"`{login}`" not in README]


def test_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert 2 <= len(pictures) <= 4
    for picture in pictures:
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
        assert (ROOT / picture).stat().st_size <= 250 * 1024


@pytest.mark.parametrize("word", ["run", "test", "install", "shots", "bench", "lint"])
def test_the_words_of_make_are_targets_and_in_the_readme(word):
    assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"make {word}" in README
