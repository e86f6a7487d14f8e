"""Doors that other houses have: there are none here, and a new one is noticed."""

import re

import pytest

STRANGE = ("/swagger", "/swaggerview/v1", "/debug", "/console", "/__debugger__?cmd=resource&f=debugger.js",
           "/.git/config", "/.git/HEAD", "/.env", "/.svn/entries",
           "/.well-known/security.txt", "/server-status", "/phpinfo.php", "/actuator/env", "/api/v1/openapi/_openapi", "/static/../setup.cfg",
           "/static/%2e%2e/%2e%2e/setup.cfg", "/static/..%2f..%2fsetup.cfg", "/static//etc/passwd", "/static/app.js.map", "/static/i18n/../../platform/x.py",
           "/backup.sql", "/metaloom.db", "/config.json", "/var/master.key", "/master.key", "/secret.key", "/robots.txt~", "/wp-login.php")


@pytest.mark.parametrize("path", STRANGE)
def test_nothing_of_the_machine_or_the_source_is_given_out(world, path):
    for prefix in ("", "/one"):
        answer = world.app.test_client().get(prefix + path)
        assert answer.status_code in (302, 303, 308, 400, 401, 404), (prefix, answer.status_code)
        assert not re.search(r"Traceback|Werkzeug|werkzeug/|Flask/|Python/3|SECRET|BEGIN|\[core\]", answer.text), path
        assert not re.search(r"werkzeug|python|flask|gunicorn", answer.headers.get("Server", ""), re.I)
    inside = world.browser("admin").get(path)
    assert inside.status_code in (308, 400, 404), (path, inside.status_code)


def test_no_page_or_script_names_a_source_map(world):
    browser = world.browser("chief")
    page = browser.get("/").text
    scripts = set(re.findall(r'(?:src|href)="([^"]+\.(?:js|css)[^"]*)"', page))
    assert len(scripts) >= 2
    for address in scripts:
        assert b"sourceMappingURL" not in browser.client.get(address).data, address


def test_no_link_gives_entry(world):
    """Nobody is let in, invited or given a new password by a token in an address: there is no such route. A first password is told by who set
    it, opens one page, and is worth nothing once it was changed (``test_accounts.py``)."""
    rules = [rule.rule for rule in world.app.url_map.iter_rules()]
    assert len(rules) > 100
    assert [rule for rule in rules if re.search(r"invit|token|forgot|magic|activate|register|verify", rule)] == []
    assert [rule for rule in rules if "reset" in rule] == ["/resetmypassword/form"] * 2
    nobody = world.app.test_client()
    for path in ("/one/resetmypassword/form", "/one/resetmypassword/form?token=1&user=1", "/one/resetpassword/form?pk=1"):
        answer = nobody.get(path)
        assert answer.status_code in (302, 404) and "/one/login/" in answer.headers.get("Location", "/one/login/")


def test_a_login_leaves_no_secret_in_an_address_and_no_referer_leaves_the_house(world):
    browser = world.browser("chief")
    for path in ("/", "/userinfo/", "/login/"):
        answer = browser.get(path)
        assert answer.headers["Referrer-Policy"] in ("same-origin", "no-referrer", "strict-origin")
        assert "password=" not in answer.headers.get("Location", "")


def test_no_door_takes_a_package_or_an_archive_of_metadata(world):
    """Metadata come from folders of the machine (``metaloom apply``); nothing of a package is taken through the application."""
    rules = {rule.rule for rule in world.app.url_map.iter_rules()}
    assert [rule for rule in rules if re.search(r"packag|install|upload_pack|restore_tenant|backup|import_pack", rule)] == []
