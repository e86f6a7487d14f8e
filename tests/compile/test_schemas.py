"""The published schemas: what editors read, what the compiler enforces, one and the same."""

import json

import jsonschema
import pytest
import yaml

from metaloom.compile.load import load
from metaloom.compile.schema import SCHEMAS, bundle, documents, kinds, shape_of, validate
from metaloom.compile.source import Source
from tests.compile.shop import ENGINE, SHOP, sources
from tests.compile.test_fuzz import mutations

ALL = (*ENGINE, *sources(SHOP))


def test_every_schema_is_one() -> None:
    for document in documents().values():
        jsonschema.Draft202012Validator.check_schema(document)


def test_the_combined_file_is_the_sum_of_the_kinds() -> None:
    assert json.loads((SCHEMAS / "file.schema.json").read_text("utf-8")) == bundle()
    assert set(bundle()["properties"]) == set(kinds())


def test_every_key_explains_itself() -> None:
    silent = [path for name, document in documents().items() for path in _silent(document, name)]
    assert silent == []


def _silent(value: object, path: str) -> list[str]:
    found = []
    if isinstance(value, dict):
        for name, inner in value.get("properties", {}).items() if isinstance(value.get("properties"), dict) else ():
            if "$ref" not in inner and not inner.get("description"):
                found.append(f"{path}/{name}")
        for name, inner in value.items():
            found += _silent(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _silent(inner, f"{path}/{index}")
    return found


def test_no_schema_lets_unknown_keys_pass() -> None:
    """Every map either lists its keys or says what its names are."""
    for name, document in documents().items():
        for schema in _objects(document):
            assert "additionalProperties" in schema, (name, schema)


def _objects(value: object) -> list[dict]:
    found = []
    if isinstance(value, dict):
        if value.get("type") == "object":
            found.append(value)
        for inner in value.values():
            found += _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            found += _objects(inner)
    return found


def test_an_editor_accepts_what_the_compiler_accepts() -> None:
    validator = jsonschema.Draft202012Validator(bundle())
    for source in ALL:
        node = load(source, lambda d: pytest.fail(str(d)))
        assert node is not None
        assert [e.message for e in validator.iter_errors(node.plain())] == [], source.path


def test_our_verdict_is_that_of_the_library() -> None:
    """Over mutated files: both refuse, or both accept. (The library finds a bad branch where we name the key; only verdicts count.)"""
    validator = jsonschema.Draft202012Validator(bundle())
    agreed = {True: 0, False: 0}
    for path, text in mutations(seed=11, count=500):
        try:
            plain = yaml.safe_load(text)
        except yaml.YAMLError:
            continue
        node = load(Source("pack", path, text), lambda d: None)
        if node is None or not isinstance(plain, dict) or not set(node.value) <= set(kinds()):
            continue
        found: list = []
        for kind, inner in node.items():
            validate(shape_of(kind), inner, found.append, kind)
        theirs = validator.is_valid(node.plain())
        assert (not found) == theirs, (path, [str(d) for d in found], [e.message for e in validator.iter_errors(node.plain())][:3], text)
        agreed[theirs] += 1
    assert agreed[True] > 20 and agreed[False] > 40, agreed
