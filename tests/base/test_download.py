"""The name of a downloaded file: whole for those who read RFC 8187, readable for those who do not."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from werkzeug.http import parse_options_header

from metaloom.base.download import disposition


@pytest.mark.parametrize(("name", "stand_in", "ascii"), [
    ("客户-20261123-101010.xlsx", "lending.customer", "lending.customer-20261123-101010.xlsx"),
    ("科目余额表_2026-01-01_2026-03-31.csv", "balances", "balances-2026-01-01_2026-03-31.csv"),
    ("客户.xlsx", "lending.customer", "lending.customer.xlsx"),
    ("身份证", "file-17", "file-17"),
    ("说明.附件", "file-17", "file-17"),
    ("Müller’s invoice.pdf", "file-17", "file-17-Mullers-invoice.pdf"),
    ("２０２６年.pdf", "file-17", "file-17-2026.pdf"),
    ("lending.customer.csv", "lending.customer", "lending.customer.csv"),
    ('a"b\\c/d%41;e.pdf', "file-17", "a_b_c_d_41;e.pdf"),
    ("", "file-17", "file-17"),
])
def test_both_names_are_given_and_the_plain_one_can_be_read(name: str, stand_in: str, ascii: str) -> None:
    said = disposition(name, stand_in)
    assert said.startswith("attachment; ") and said.isascii()
    assert re.search(r'filename="([^"]*)"', said)[1] == ascii
    whole = re.fullmatch(r".*; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*)", said)
    assert whole and unquote(whole[1]) == (name or stand_in)
    assert parse_options_header(said) == ("attachment", {"filename": name or stand_in})


def test_a_name_never_begins_another_header() -> None:
    said = disposition("甲\r\nSet-Cookie: a=b\x00\u2028.pdf", "file-1\r\nX: y", inline=True)
    assert said.startswith("inline; ") and not re.search(r"[\r\n\x00]", said)


def test_nobody_else_says_what_a_file_is_called() -> None:
    """One place names files: a name given to the web framework loses every character that is not ASCII."""
    engine = Path(__file__).resolve().parents[2] / "platform" / "metaloom"
    said = {str(path.relative_to(engine)) for path in engine.rglob("*.py") if re.search(r"send_file\(|Content-Disposition|download_name", path.read_text())}
    assert said == {"api/answer.py", "base/download.py", "web/download.py"}
