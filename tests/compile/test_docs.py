"""docs/metadata.md says what the schemas and the codes say, or this is red."""

import re
from pathlib import Path

import yaml

from metaloom.compile.codes import CODES
from metaloom.compile.reference import BLOCK, rewritten, wanted
from metaloom.compile.schema import kinds

DOCS = Path(__file__).parents[2] / "docs" / "metadata.md"
ROOM = Path(__file__).parents[2] / "platform" / "metaloom"


def test_the_tables_are_those_of_the_schemas() -> None:
    text = DOCS.read_text("utf-8")
    assert rewritten(text) == text, "run: python -m metaloom.compile.reference docs/metadata.md"


def test_every_kind_part_and_code_has_its_place() -> None:
    text = DOCS.read_text("utf-8")
    blocks = BLOCK.findall(text)
    assert sorted(blocks) == sorted(wanted()) and len(blocks) > 20
    assert all(f"`{kind}`" in text for kind in kinds()) and all(f"`{code}`" in text for code in CODES)


def test_every_code_in_use_is_listed_and_every_listed_code_is_in_use() -> None:
    used = {code for file in (ROOM / "compile").rglob("*.py") if file.name != "codes.py" for code in re.findall(r"ML-[A-Z]+-\d{3}", file.read_text("utf-8"))}
    assert used == CODES.keys()


def test_the_overlay_example_is_true_to_the_schema() -> None:
    from metaloom.base.diagnostic import Diagnostic
    from metaloom.compile.load import load
    from metaloom.compile.schema import shape_of, validate
    from metaloom.compile.source import Source

    example = next(b for b in re.findall(r"```yaml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL) if b.startswith("overlay:"))
    found: list[Diagnostic] = []
    node = load(Source("client", "x.yaml", example), found.append)
    assert node is not None
    validate(shape_of("overlay"), node.value["overlay"], found.append, "overlay")
    assert found == [] and len(yaml.safe_load(example)["overlay"]) == 6
