"""Chinese sentences use the punctuation of Chinese: in the screens' dictionary, the registered messages, metadata and plugins."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import metaloom
from metaloom.base.messages import Message, known_codes

ROOT = Path(__file__).resolve().parents[2]
HAN = "\u3400-\u9fff"
# What a Chinese sentence may end a word with: a character, a closing quotation mark or bracket.
NARROW = re.compile(rf"(?<=[{HAN}\u201d\u300b\uff09])[,;:?!()]|[,;:?!] ?(?=[{HAN}\u201c\u300a\uff08])|[()](?=[{HAN}])")
# An example of the expression language inside a sentence, for example any(x, \u6761\u4ef6), is no Chinese.
CALL = re.compile(r"\b[a-z_]+\([^()]*\)")


def narrow(sentence: str) -> bool:
    """Whether a half-width sign stands beside a Chinese character."""
    return NARROW.search(CALL.sub("", sentence)) is not None


def spoken_in_dictionary() -> Iterator[tuple[str, str]]:
    yield from json.loads((ROOT / "templates/i18n/zh.json").read_text(encoding="utf-8")).items()


def spoken_in_messages() -> Iterator[tuple[str, str]]:
    for module in pkgutil.walk_packages(metaloom.__path__, "metaloom."):
        if not module.name.endswith(("__main__", ".wsgi")):
            importlib.import_module(module.name)
    for code in sorted(known_codes()):
        yield code, Message(code).say("zh")


def spoken_in_yaml() -> Iterator[tuple[str, str]]:
    for folder in ("metadata", "plugins", "tenants"):
        for file in sorted((ROOT / folder).rglob("*.yaml")):
            for sentence in values(yaml.safe_load(file.read_text(encoding="utf-8"))):
                yield str(file.relative_to(ROOT)), sentence


def values(node: object) -> Iterator[str]:
    """Every text of a document, keys left out."""
    if isinstance(node, dict):
        for value in node.values():
            yield from values(value)
    elif isinstance(node, list):
        for value in node:
            yield from values(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize(("spoken", "least"), [(spoken_in_dictionary, 100), (spoken_in_messages, 150), (spoken_in_yaml, 800)])
def test_chinese_sentences_use_full_width_punctuation(spoken, least):
    chinese = [(place, words) for place, words in spoken() if re.search(f"[{HAN}]", words)]
    print(f"{len(chinese)} Chinese texts")
    assert len(chinese) >= least
    assert not [f"{place}: {words}" for place, words in chinese if narrow(words)]


@pytest.mark.parametrize(("sentence", "expected"), [
    ("\u597d,\u518d\u89c1", True), ("{name},\u60a8\u597d", True), ("\u786e\u5b9a\u5417?", True), ("\u201c{a}\u201d: {b}", True),
    ("\u5bc6\u94a5(Key)\u3002", True), ("{name}(\u5143)", True), ("\u5bc6\u94a5\uff08Key\uff09", False),
    ("\u597d\uff0c\u518d\u89c1", False), ("10:30 \u5f00\u4f1a", False), ("\u8bf7\u7528 any(x, \u6761\u4ef6)", False), ("well, yes", False),
])  # fmt: skip
def test_the_check_tells_narrow_from_wide(sentence, expected):
    assert narrow(sentence) is expected
