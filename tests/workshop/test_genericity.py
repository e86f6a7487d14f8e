"""The second pack needs nothing but its metadata, and leaves no word in the engine (decision 38)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from metaloom.compile import compile_catalog, read_sources
from tests.workshop.shop import ROOT, Shop

DEMO = "workshop_demo"  # invents histories for demonstration tenants through commands; the pack does not need it
ENGINE = ("platform", "templates")
# Words of lending: tests/architecture/test_hygiene.py.
BUSINESS = re.compile(r"\b(workshop|repair_order|spare_part|stock_move|technician|storekeeper)s?\b|维修|备件|库存", re.IGNORECASE)


def files(folder: str) -> list[Path]:
    return [p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix in (".py", ".html", ".json", ".css", ".js", ".txt", ".sql")
            and not {"vendor", "build", "__pycache__"} & set(p.parts)]


@pytest.mark.parametrize("folder", ENGINE)
def test_no_business_word_of_a_pack_stands_in_the_engine(folder: str) -> None:
    found = [f"{path.relative_to(ROOT)}: {hit[0]}" for path in files(folder) for hit in [BUSINESS.search(path.read_text(encoding="utf-8"))] if hit]
    assert len(files(folder)) >= 20
    assert not found, found


def test_no_entity_of_a_pack_is_named_in_the_engine_or_in_another_packs_plugin() -> None:
    names = {p.parent.name for p in (ROOT / "metadata/workshop").glob("*/*/entity.yaml")}
    assert len(names) == 9
    addresses = {f"workshop.{name}" for name in names}
    for folder in ("platform", "templates", "plugins"):
        for path in files(folder):
            if DEMO in path.parts:
                continue
            text = path.read_text(encoding="utf-8")
            assert not [a for a in addresses if a in text], path


def test_the_pack_is_metadata_alone() -> None:
    kinds = {p.suffix for p in (ROOT / "metadata/workshop").rglob("*") if p.is_file()}
    assert kinds == {".yaml"}
    catalog = compile_catalog(read_sources({"engine": ROOT / "metadata", "pack": ROOT / "metadata"}, ("workshop",)))  # without any plugin
    assert "workshop.repair_order" in catalog.entities
    for plugin in (ROOT / "plugins").glob("*/plugin.yaml"):
        assert plugin.parent.name == DEMO or "workshop" not in plugin.read_text(encoding="utf-8")


def test_the_engine_imports_no_pack_by_name() -> None:
    for path in (ROOT / "platform").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [w for w in words if w.startswith(("metaloom_packs.", "metadata."))], path


def test_a_tenant_without_lending_shows_nothing_of_it(shop: Shop) -> None:
    client, head = shop.token("boss")
    menu = client.get("/garage/api/v1/menu", headers=head).get_data(as_text=True)
    document = client.get("/garage/api/v1/openapi.json", headers=head)
    browser = shop.app.test_client()
    token = re.search(r'csrf-token" content="([^"]+)"', browser.get("/garage/login/").get_data(as_text=True))
    assert token is not None
    browser.post("/garage/login/", data={"username": "boss", "password": "correct-horse-7-battery", "csrf_token": token[1]})
    paths = ("/", "/e/workshop.repair_order/", "/e/workshop.spare_part/", "/e/workshop.purchase/new")
    pages = [browser.get(f"/garage{path}") for path in paths]
    assert [page.status_code for page in pages] == [200] * 4
    for text in (menu, document.get_data(as_text=True), *(page.get_data(as_text=True) for page in pages)):
        assert "workshop" in text
        assert not re.search(r"lending|loan|borrower|drawdown|贷款|放款|授信", text)
    assert {a.partition(".")[0] for a in shop.tenant.revision().catalog.entities} == {"platform", "workshop"}
    assert client.get("/garage/api/v1/lending.customer", headers=head).status_code == 404
    assert any(path.startswith("/workshop.repair_order") for path in document.json["paths"])
    tables = {name for name in shop.tenant.revision().tables.of("workshop.device").metadata.tables if "lending" in name}
    assert not tables
