"""What the compiler finds is said in both languages, with the same facts."""

import re
from string import Formatter

import pytest

from metaloom.base.position import NOWHERE
from metaloom.compile.codes import CODES, finding
from metaloom.compile.codes_zh import CODES_ZH
from tests.compile.shop import edited, findings, shop


def _slots(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_code_has_its_sentence_in_chinese() -> None:
    assert set(CODES_ZH) == set(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_both_sentences_speak_of_the_same_facts(code: str) -> None:
    zh, cure = CODES_ZH[code]
    assert _slots(zh) == _slots(CODES[code].message)
    assert bool(cure) == bool(CODES[code].hint) and _slots(cure) <= _slots(CODES[code].hint)
    if zh != "{detail}":
        assert re.search("[一-鿿]|：", zh), zh


def test_a_guess_is_made_in_the_language_of_the_reader() -> None:
    found = finding("ML-REF-001", NOWHERE, what="role", name="jugde", hint="did you mean judge?")
    sentence, cure = found.said
    assert (sentence.zh, cure.zh) == ("没有角色 jugde", "是否想写：judge？")
    assert (sentence.en, cure.en) == ("there is no role jugde", "did you mean judge?")


@pytest.mark.parametrize(("path", "old", "new"), [
    ("shop/basics.yaml", "    event: sold\n", "    event: sold\n    when: totl > 0\n"),
    ("shop/sales/customer/entity.yaml", "  rules:\n", "  rules:\n    odd: {check: totl > 0, message: {zh: 甲, en: A}}\n"),
])  # fmt: skip
def test_what_the_expression_language_says_in_chinese_is_said(path: str, old: str, new: str) -> None:
    found = [one for one in findings(shop(edited(path, old, new))) if one.code == "ML-EXPR-002"]
    assert len(found) == 1
    sentence, _ = found[0].said
    assert "totl" in sentence.zh and "totl" in sentence.en
    assert re.search("[一-鿿]", sentence.zh), sentence.zh
