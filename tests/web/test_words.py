"""The two dictionaries hold the same keys, and exactly the words that the screens use."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES, WEB = ROOT / "templates", ROOT / "platform" / "metaloom" / "web"
WORDS = {name: json.loads((TEMPLATES / "i18n" / f"{name}.json").read_text(encoding="utf-8")) for name in ("zh", "en")}
# Keys put together at run time: what stands before the variable part.
BUILT = ("did.", "doer.", "channel.", "list.hint_", "detail.more", "detail.record", "note.channel.", "approval.did.", "approval.box.", "approval.empty.",
         "approval.time.", "approval.move.", "approval.help.", "approval.age_", "approval.node.", "approval.outcome.", "approval.opinion_rule.",
         "approval.text.", "chain.mode.", "chain.who.", "chain.kind.", "chain.changed.", "chain.do.", "chain.unit.", "simulate.sum.",
         "simulate.head.", "simulate.differs.", "simulate.why.", "changed.mode.", "changed.mode_help.", "approval.to_", "approval.then.", "job.count.",
         "job.verb.", "job.who.", "board.period.", "board.type.", "board.age.", "hook.event.",
         "timeline.kind.", "rights.scope.", "rights.level.", "rights.layer.", "process.type.", "process.event.", "process.outcome.", "voucher.", "view.",
         "calendar.day.", "calendar.span.", "calendar.mark.", "chart.unit.", "chart.shape.", "export.state.", "import.state.")


def used_keys():
    """Every literal key in t('…') of templates, _t("…") and _words_of("…") of Python, and words the scripts say."""
    found = set()
    for file in TEMPLATES.rglob("*.html"):
        found |= {key for call in re.findall(r"\bt\(([^()]*)", file.read_text(encoding="utf-8")) for key in re.findall(r"'([a-z0-9_.]+)'", call)}
    for file in WEB.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        found |= set(re.findall(r'translate\(.*?, "([a-z0-9_.]+)"', text))
        found |= {key for call in re.findall(r"\b(?:_t|_words_of)\(([^()]*)", text) for key in re.findall(r'"([a-z0-9_.]+)"', call)}
        if file.name == "i18n.py":
            found |= set(re.findall(r'"((?:js\.)?[a-z_]+)"', text.split("JS_WORDS")[1].split(")")[0]))
    return found


def test_both_languages_hold_the_same_keys():
    assert WORDS["zh"].keys() == WORDS["en"].keys()
    print(f"{len(WORDS['zh'])} keys in both languages")


def test_every_key_that_is_used_exists():
    used = used_keys()
    print(f"{len(used)} keys used")
    assert len(used) > 100
    assert not {k for k in used if k not in WORDS["zh"] and not k.endswith(("_", "."))}


def test_every_key_that_exists_is_used():
    used = used_keys()
    assert not {k for k in WORDS["zh"] if k not in used and not k.startswith(BUILT)}


def test_both_languages_fill_the_same_slots():
    slots = {name: {k: set(re.findall(r"{(\w+)}", v)) for k, v in words.items()} for name, words in WORDS.items()}
    assert slots["zh"] == slots["en"]


def test_english_holds_no_chinese_and_no_word_is_empty():
    known = {"list.count_before"}  # English says the number first
    assert not {k for k, v in WORDS["en"].items() if re.search(r"[一-鿿]", v)}
    assert not {k for words in WORDS.values() for k, v in words.items() if not v.strip()} - known
