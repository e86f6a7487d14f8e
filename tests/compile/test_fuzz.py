# ruff: noqa: E501 — a case stands on one line
"""Metadata that somebody typed at random: the compiler answers with findings, never with a crash, and soon."""

import random
import time
from collections.abc import Iterator

import pytest

from metaloom.base.diagnostic import MetadataRefused
from metaloom.compile import compile_catalog
from metaloom.compile.load import load
from tests.compile.shop import NO_PLUGINS, SHOP, shop, sources

VALUES = ("null", "true", "0", "-1", "1.5", "''", "x", "select", "[]", "{}", "[a, b]", "{zh: 甲, en: A}", "{zh: 甲}", "999999999999999999", "'{amount'", "'{{ 7*7 }}'",
          "customer", "platform.user", "shop.order_form", "'a.b.c.d.e.f'", "'1 +'", "\"name == 'x'\"", "lines", "sum(lines.amount)", "text", "link", "child", "state", "money",
          "draft", "2026-13-45", "<img src=x onerror=alert(1)>", "'=HYPERLINK(1)'", "../../etc/passwd", "é", "\U0001f600", "a" * 300)


def mutations(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Files of the shop, each with one to three changes that know the structure: keys, values and lines are swapped, dropped, doubled."""
    chance = random.Random(seed)
    keys = sorted({line.split(":")[0].strip(" -{") for text in SHOP.values() for line in text.splitlines() if ":" in line})
    for _ in range(count):
        path = chance.choice(sorted(SHOP))
        text = SHOP[path]
        for _ in range(chance.randint(1, 3)):
            text = _mutated(chance, text, keys)
        yield path, text


def _mutated(chance: random.Random, text: str, keys: list[str]) -> str:
    lines = text.splitlines()
    index = chance.randrange(len(lines))
    line = lines[index]
    kind = chance.randrange(9)
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines.insert(index, line)
    elif kind == 2 and ":" in line:
        lines[index] = line[:line.rindex(":") + 1] + " " + chance.choice(VALUES)
    elif kind == 3 and ":" in line:
        head = line[:len(line) - len(line.lstrip())]
        lines[index] = head + chance.choice(keys) + line[line.index(":"):]
    elif kind == 4:
        other = chance.randrange(len(lines))
        lines[index], lines[other] = lines[other], line
    elif kind == 5:
        lines[index] = "  " * chance.randrange(4) + line.strip()
    elif kind == 6 and "{" in line:
        spot = chance.choice([i for i, c in enumerate(line) if c in "{,:"]) + 1
        lines[index] = line[:spot] + chance.choice((" x: 1,", " ", " type: link,", " required: true,", " when: x,", " label: 5,")) + line[spot:]
    elif kind == 7:
        words = line.split(" ")
        words[chance.randrange(len(words))] = chance.choice(VALUES)
        lines[index] = " ".join(words)
    else:
        spot = chance.randrange(len(line) + 1)
        lines[index] = line[:spot] + chance.choice("{}[]:,'\"#&*!|>%@`\t -") + line[spot:]
    return "\n".join(lines or ["{}"]) + "\n"


def _try(seed: int, count: int) -> dict[str, int]:
    verdicts = {"accepted": 0, "refused": 0}
    for path, text in mutations(seed, count):
        begin = time.thread_time()
        try:
            compile_catalog(shop({path: text}), plugins=NO_PLUGINS)
            verdicts["accepted"] += 1
        except MetadataRefused as refused:
            verdicts["refused"] += 1
            assert refused.diagnostics and all(d.code.startswith("ML-") and d.position.line >= 1 for d in refused.diagnostics), text
        except Exception as error:
            raise AssertionError(f"{path} crashed with {error!r}:\n{text}") from error
        assert time.thread_time() - begin < 1, text
    return verdicts


@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_crashes_the_compiler(seed: int) -> None:
    verdicts = _try(seed, 125)
    assert verdicts["accepted"] >= 1 and verdicts["refused"] >= 60, verdicts


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 120))
def test_no_mutation_crashes_the_compiler_at_night(seed: int) -> None:
    _try(seed, 1_000)


def test_random_overlays_do_not_crash_either() -> None:
    chance = random.Random(5)
    paths = ["entity", "entity/fields", "entity/fields/name", "entity/fields/name/label", "entity/fields/name/label/zh", "entity/header", "entity/header/level", "list", "list/columns",
             "lists/x", "form/sections/a/fields/b", "access/clerk", "access/clerk/actions/list", "actions/x/steps/0", "lifecycle/states/a", "entity//x", "x", "entity/fields/~1"]
    for _ in range(400):
        verb = chance.choice(("add", "set", "remove", "move"))
        more = "".join(f", {k}: {chance.choice(VALUES)}" for k in ("value", "was", "after", "before") if chance.random() < 0.5)
        text = f"overlay:\n- {{{verb}: {chance.choice(paths)}{more}}}\n"
        if load(sources({"shop/sales/customer/x.yaml": text}, "client")[0], lambda d: None) is None:
            continue
        try:
            compile_catalog(shop(client={"shop/sales/customer/x.yaml": text}), plugins=NO_PLUGINS)
        except MetadataRefused as refused:
            assert refused.diagnostics
        except Exception as error:
            raise AssertionError(f"crashed with {error!r}:\n{text}") from error
