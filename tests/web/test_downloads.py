"""Every file that a page offers has a name that can be read, by browsers and by whoever reads ASCII alone."""

from __future__ import annotations

import io
import re
from typing import Any
from urllib.parse import unquote

import pytest

ROWS = "编号\nX1\n"


def named(answer: Any) -> tuple[str, str]:
    """(``filename``, ``filename*``)"""
    assert answer.status_code == 200, answer.text
    said = answer.headers["Content-Disposition"]
    found = re.fullmatch(r"(?:attachment|inline); filename=\"([\x20-\x7e]+)\"; filename\*=UTF-8''(\S+)", said)
    assert found, said
    return found[1], unquote(found[2])


@pytest.mark.parametrize(("path", "ascii", "whole"), [
    ("/e/shop.sale/export?format=csv", r"shop\.sale-\d{8}-\d{6}\.csv", r"[^!-~]+-\d{8}-\d{6}\.csv"),
    ("/e/shop.sale/export?format=xlsx", r"shop\.sale-\d{8}-\d{6}\.xlsx", r"[^!-~]+-\d{8}-\d{6}\.xlsx"),
    ("/e/shop.buyer/import/template", r"shop\.buyer-import\.xlsx", r"[^!-~]+\.xlsx"),
    ("/e/shop.buyer/print", r"shop\.buyer\.pdf", r"[^!-~]+\.pdf"),
    ("/e/shop.buyer/3/print", r"shop\.buyer-3\b.*\.pdf", r"[^!-~]+.*\.pdf"),
])
def test_pages_name_their_files_twice(visitor: Any, path: str, ascii: str, whole: str) -> None:
    plain, full = named(visitor("li").get(path))
    assert re.fullmatch(ascii, plain), plain
    assert re.fullmatch(whole, full), full


def test_an_uploaded_file_keeps_its_name(visitor: Any) -> None:
    person = visitor("li")
    sent = person.post("/files", data={"file": (io.BytesIO(b"%PDF-1.4\n%%EOF\n"), "王芳 身份证2026.pdf")}).json
    id = sent["id"]
    assert named(person.get(f"/file/{id}")) == (f"file-{id}-2026.pdf", "王芳 身份证2026.pdf")
