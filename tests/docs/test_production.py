"""What docs/production.md gives to copy can be read by what it is for, and names what exists."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def test_units_are_whole_and_start_what_there_is(tmp_path: Path) -> None:
    units = {re.search(r"# /etc/systemd/system/(\S+)", text)[1]: text for text in blocks("ini")}  # type: ignore[index]
    assert set(units) == {"metaloom-web.service", "metaloom-worker@.service"}
    for name, text in units.items():
        unit = configparser.ConfigParser(interpolation=None, strict=True)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(text)
        assert set(unit.sections()) == {"Unit", "Service", "Install"} and unit["Service"]["EnvironmentFile"] and unit["Service"]["User"] == "metaloom"
        assert re.search(r"/(gunicorn -c python:metaloom\.app\.gunicorn|metaloom worker)", unit["Service"]["ExecStart"])
        (tmp_path / name.replace("@.", "@1.")).write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text).replace("User=metaloom", "User=root"))
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False)
        assert "metaloom" not in done.stderr, done.stderr


def test_the_settings_of_gunicorn_are_settings_of_gunicorn() -> None:
    from gunicorn.config import KNOWN_SETTINGS

    from metaloom.app import gunicorn

    known = {setting.name for setting in KNOWN_SETTINGS}
    ours = {name for name in vars(gunicorn) if not name.startswith("_") and name not in ("Any", "annotations")}
    assert ours <= known and {"preload_app", "post_fork", "wsgi_app"} <= ours


def test_compose_starts_one_image_with_the_words_that_there_are() -> None:
    compose = next(found for text in blocks("yaml") if "services" in (found := yaml.safe_load(text)))
    services = compose["services"]
    assert set(services) == {"web", "worker", "database", "redis"}
    assert services["web"]["image"] == services["worker"]["image"] and services["worker"]["command"] == ["metaloom", "worker"]
    assert "noeviction" in services["redis"]["command"] and "yes" in services["redis"]["command"]
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert used == set(compose["volumes"])


@pytest.mark.parametrize("wanted", ["FROM python:", "USER metaloom", "HEALTHCHECK", "metaloom.app.gunicorn"])
def test_the_container_file_runs_as_nobody_special(wanted: str) -> None:
    container, = blocks("dockerfile")
    assert wanted in container and not re.search(r"(?i)(password|secret|key)\s*=", container)
    assert [line.split()[0] for line in container.splitlines() if line and not line.startswith(("#", " "))][0] == "FROM"


def test_nginx_hides_the_figures_and_hands_on_who_asks() -> None:
    text, = blocks("nginx")
    assert text.count("{") == text.count("}") and "location = /metrics { deny all; }" in text
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    assert [line for line in lines if line and not line.endswith((";", "{", "}"))] == []
    assert all(f"proxy_set_header {name}" in text for name in ("Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Request-Id"))
    assert "$proxy_add_x_forwarded_for" not in text, "what the browser says of itself is not handed on"
