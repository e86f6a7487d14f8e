"""Odd digits, bombs and foreign addresses: a refusal, never a breakdown, and nothing private in the log."""

import io
import zipfile

import pytest
import sqlalchemy as sa

HUGE = "9" * 30


@pytest.fixture(scope="module")
def chief(world):
    return world.browser("chief")


@pytest.fixture(scope="module")
def sale(people):
    return people["chief"].sale()


@pytest.mark.parametrize("digits", ["²", "①", "9" * 5000, HUGE])
def test_what_only_looks_like_a_number_is_no_breakdown(chief, sale, digits):
    """Unicode calls ² a digit, and no integer can be read from it."""
    for path in ("/e/depot.sale/?f.buyer={}", "/e/depot.sale/linked/buyer?id={}", "/e/depot.sale/new?buyer={}", "/e/depot.sale/?size={}",
                 f"/e/depot.sale/{sale}/tab/history?before={{}}", f"/e/depot.sale/{sale}/tab/info?cursor={{}}", "/lookup/depot.buyer?q={}"):
        assert chief.get(path.format(digits)).status_code < 500, path
    for path, fields in ((f"/e/depot.sale/{sale}/edit", {"_version": digits, "buyer": digits, "lines.0.id": digits,
                                                  "lines.0.row_version": digits, "lines.0.what": "x"}),
                         ("/e/depot.sale/new", {"buyer": digits, "amount": digits, "lines." + digits + ".what": "x", "lines.0.id": digits}),
                         ("/settings/list/depot.sale/main", {"size": digits}), (f"/e/depot.sale/{sale}/transfer", {"owner": digits}),
                         ("/e/depot.buyer/new", {"photo": digits}), ("/e/depot.sale/bulk/send", {"ids": f"{digits}:{digits}"})):
        assert chief.post(path, fields).status_code < 500, path


def test_the_way_back_leads_nowhere_else_and_is_plain_ascii(chief, sale):
    for wanted in ("https://evil.example", "//evil.example", "/two/", "/one/\\evil", "/one//evil.example", "/one/e/\u738b", "/one/../two/"):
        answer = chief.post("/settings/locale", {"locale": "zh", "next": wanted})
        assert answer.status_code == 302 and answer.headers["Location"] == "/one/", wanted


def test_a_spreadsheet_that_swells_is_refused_before_it_is_read():
    from metaloom.base.errors import NotPossible
    from metaloom.record.sheet import read_rows

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as page:
            for _ in range(130):
                page.write(b"0" * 1024 * 1024)
    assert made.tell() < 1024 * 1024
    with pytest.raises(NotPossible) as refused:
        read_rows("bomb.xlsx", made.getvalue())
    assert refused.value.message.code == "sheet.too_large"


def test_a_database_error_carries_no_values(world):
    """Errors are logged; the values of a statement are people's data. (A missing table is told otherwise just after a publish.)"""
    with pytest.raises(sa.exc.DBAPIError) as error, world.tenants["one"].read() as conn:
        conn.execute(sa.text("SELECT no_such_function(:secret)"), {"secret": "ZZ-private"})
    assert "ZZ-private" not in str(error.value)


def test_the_cookie_is_for_https_only_once_the_request_came_that_way(world):
    from tests.api.world import PASSWORD

    client = world.app.test_client()
    page = client.get("/one/login/", base_url="https://localhost").text
    token = page.split('name="csrf-token" content="')[1].split('"')[0]
    answer = client.post("/one/login/", base_url="https://localhost", data={"username": "chief", "password": PASSWORD, "csrf_token": token},
                         headers={"Referer": "https://localhost/one/login/"})
    assert answer.status_code == 302
    cookies = [c for c in answer.headers.getlist("Set-Cookie") if "session" in c or "ml" in c]
    assert cookies and all("Secure" in c for c in cookies if c.startswith(("ml_session", "__Secure-ml")))
    assert any("HttpOnly" in c and "SameSite=Lax" in c and "Path=/one" in c for c in cookies)
