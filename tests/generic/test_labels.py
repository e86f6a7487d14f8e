"""Words: every definition of every pack and every sentence of the engine speaks Chinese and English."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any

import metaloom
from metaloom.base import messages
from metaloom.base.clock import SystemClock
from metaloom.base.text import Text
from metaloom.plugin.registry import installed
from metaloom.worker import handlers
from tests.generic.world import World

CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Words that are the same in Chinese: names of standards and formats.
SAME_IN_BOTH = {"URL", "ID", "CSV", "Excel", "UTF-8", "JSON"}


def texts(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Text]]:
    """Every Text reachable from a definition."""
    if isinstance(value, Text):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts(inner, f"{path}/{key}", seen)
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from texts(inner, f"{path}/{index}", seen)
    elif dataclasses.is_dataclass(value) and id(value) not in seen:
        seen.add(id(value))
        for one in dataclasses.fields(value):
            yield from texts(getattr(value, one.name), f"{path}.{one.name}", seen)


def test_every_label_help_and_message_of_the_packs_is_said_in_both_languages(world: World) -> None:
    found = list(texts(world.catalog, "", set()))
    wrong = [f"{path}: {text}" for path, text in found if not text.zh.strip() or not text.en.strip() or CHINESE.search(text.en)
             or (not CHINESE.search(text.zh) and not _sign(text.zh))]
    slots = [path for path, text in found if _slots(text.zh) != _slots(text.en)]
    print(f"labels: {len(found)} texts of definitions")
    assert not wrong, "\n".join(wrong[:20])
    assert not slots, slots
    assert len(found) >= 1_250


def _sign(text: str) -> bool:
    """No words besides slots, or a name that is the same everywhere."""
    return not re.search(r"[A-Za-z]{3,}", re.sub(r"\{[^}]*\}", "", text)) or text in SAME_IN_BOTH or text.isupper()


def _slots(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_nothing_of_a_definition_that_needs_a_label_lacks_one(world: World) -> None:
    catalog = world.catalog
    named = [*catalog.entities.values(), *(f for e in catalog.entities.values() for f in e.fields.values()), *catalog.roles.values(),
             *(s for lc in catalog.lifecycles.values() for s in (*lc.states.values(), *lc.transitions.values())), *catalog.actions.values(),
             *(f for a in catalog.actions.values() for f in a.input.fields.values()), *(c for cs in catalog.choices.values() for c in (cs, *cs.items.values())),
             *catalog.series.values(), *(m for menu in catalog.menus.values() for m in (menu, *menu.items.values())), *catalog.quick_links.values(),
             *catalog.dashboards.values(), *(w for d in catalog.dashboards.values() for w in d.widgets.values() if w.rows and w.type != "alerts"),
             *(r for d in catalog.dashboards.values() for w in d.widgets.values() for r in w.rows if r.name),
             *(t for v in catalog.lists.values() for t in v.tabs.values()), *(s for f in catalog.forms.values() for s in f.sections.values())]  # fmt: skip
    assert all(isinstance(one.label, Text) and one.label.zh and one.label.en for one in named)
    print(f"labels: {len(named)} definitions carry one")
    assert len(named) >= 900


def test_every_kind_of_work_has_its_words(world: World) -> None:
    assert set(handlers(installed(), SystemClock())) <= set(world.catalog.choices["platform.outbox_kind"].items)


def test_every_sentence_of_the_engine_and_of_its_parts_is_said_in_both_languages_with_the_same_slots() -> None:
    for module in pkgutil.walk_packages(metaloom.__path__, "metaloom."):
        if module.name.rpartition(".")[2] in ("messages", "errors", "failure"):
            importlib.import_module(module.name)
    wrong = []
    for code in sorted(messages.known_codes()):
        text = messages._SENTENCES[code]
        chinese = CHINESE.search(text.zh) or not re.search(r"[a-z]{3,}", re.sub(r"\{[^}]*\}", "", text.zh))
        if not text.zh.strip() or not text.en.strip() or not chinese or CHINESE.search(text.en) or _slots(text.zh) != _slots(text.en):
            wrong.append(f"{code}: {text}")
    print(f"sentences: {len(messages.known_codes())} codes")
    assert not wrong, "\n".join(wrong[:20])
    assert len(messages.known_codes()) >= 150
