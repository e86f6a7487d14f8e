"""The words check, explain, new of the command line, as a person types them."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from metaloom.cli import main
from tests.compile.shop import METADATA, SHOP


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the engine's pack, the shop and one client."""
    for path, text in SHOP.items():
        file = tmp_path / "metadata" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for file in (METADATA / "platform").rglob("*.yaml"):
        copy = tmp_path / "metadata" / "platform" / file.relative_to(METADATA / "platform")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text("utf-8"), encoding="utf-8")
    card = tmp_path / "tenants" / "first" / "tenant.yaml"
    card.parent.mkdir(parents=True)
    card.write_text("tenant: {label: {zh: 甲, en: A}, packs: [platform, shop]}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METALOOM_METADATA", raising=False)
    monkeypatch.delenv("METALOOM_TENANTS", raising=False)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_check_says_good_with_counts(house: Path) -> None:
    result = run("check")
    assert result.exit_code == 0, result.output
    assert re.search(r"2 packs, [1-9]\d+ entities", result.output) and "client first: good" in result.output


def test_check_prints_file_line_column_and_leaves_with_1(house: Path) -> None:
    file = house / "metadata/shop/sales/product/entity.yaml"
    file.write_text(file.read_text("utf-8").replace("title: name", "titel: name"), encoding="utf-8")
    result = run("check", "--tenant", "first")
    assert result.exit_code == 1
    assert "metadata/shop/sales/product/entity.yaml:3:3 ML-SCHEMA-003" in result.output and "did you mean title?" in result.output


def test_check_speaks_json(house: Path) -> None:
    (house / "metadata/shop/sales/module.yaml").write_text("module: {lable: {zh: 甲, en: A}}\n", encoding="utf-8")
    result = run("check", "--path", "metadata", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert {"ML-SCHEMA-002", "ML-SCHEMA-003"} == {d["code"] for d in told["results"][0]["errors"]}
    assert told["results"][0]["errors"][0]["line"] == 1


def test_check_of_one_pack_folder_finds_its_neighbours(house: Path) -> None:
    result = run("check", "--path", "metadata/shop")
    assert result.exit_code == 0 and "pack shop: good" in result.output


def test_check_of_a_client_that_is_not_there(house: Path) -> None:
    result = run("check", "--tenant", "second")
    assert result.exit_code == 1 and "ML-PATH-005" in result.output


def test_strict_refuses_warnings(house: Path) -> None:
    lists = house / "tenants/first/shop/sales/customer/x.yaml"
    lists.parent.mkdir(parents=True)
    lists.write_text("overlay:\n- {add: entity/header/credit, after: gone}\n", encoding="utf-8")
    assert run("check", "--tenant", "first").exit_code == 0
    assert run("check", "--tenant", "first", "--strict").exit_code == 1


def test_explain_shows_value_and_place(house: Path) -> None:
    over = house / "tenants/first/shop/sales/customer/x.yaml"
    over.parent.mkdir(parents=True)
    over.write_text("overlay:\n- {set: entity/fields/name/label/zh, was: 客户名称, value: 客户姓名}\n", encoding="utf-8")
    vendor = run("explain", "shop.customer/field/name/label/zh")
    assert '"客户名称"' in vendor.output and "pack layer, metadata/shop/sales/customer/entity.yaml:11" in vendor.output
    client = run("explain", "shop.customer/field/name/label/zh", "--tenant", "first")
    assert '"客户姓名"' in client.output and "client layer, tenants/first/shop/sales/customer/x.yaml:2" in client.output and '"客户名称"' in client.output
    told = json.loads(run("explain", "shop.customer/field/credit", "--json").stdout)
    assert told["value"]["max"] == 100000 and told["layer"] == "pack"


def test_explain_of_nothing_leaves_with_1(house: Path) -> None:
    result = run("explain", "shop.customer/field/nmae")
    assert result.exit_code == 1 and "did you mean name?" in result.output


def test_new_things_pass_the_check(house: Path) -> None:
    for words in (("pack", "clinic", "--zh", "诊所"), ("module", "clinic", "desk"), ("entity", "clinic", "desk", "patient", "--zh", "病人:'复杂'")):
        result = run("new", *words)
        assert result.exit_code == 0, result.output
    checked = run("check", "--strict")
    assert checked.exit_code == 0, checked.output
    assert "病人:'复杂'" in run("explain", "clinic.patient/label/zh").output


@pytest.mark.parametrize(("words", "code"), [
    (("entity", "shop", "sales", "product"), 1), (("entity", "shop", "sales", "select"), 2), (("entity", "shop", "nowhere", "thing"), 1),
    (("module", "nowhere", "thing"), 1), (("pack", "../evil"), 2), (("pack", "Bad"), 2), (("pack", "shop"), 1),
])
def test_new_refuses_and_writes_nothing(house: Path, words: tuple[str, ...], code: int) -> None:
    before = sorted(house.rglob("*"))
    assert run("new", *words).exit_code == code
    assert sorted(house.rglob("*")) == before
