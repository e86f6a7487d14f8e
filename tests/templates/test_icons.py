"""Every icon that metadata, plugins and templates name is drawn: a name that the sprite lacks leaves a hole on the button, in silence."""

import re
from pathlib import Path

from metaloom.compile import compile_catalog, tenant_sources

ROOT = Path(__file__).resolve().parents[2]
SPRITE = frozenset(re.findall(r'id="([a-z0-9-]+)"', (ROOT / "templates/static/vendor/icons.svg").read_text()))
CALL = re.compile(r"icon\(((?:[^()]|\([^()]*\))*)\)")
WORD = re.compile(r"'([a-z0-9-]+)'(?!\s*:)")


def written() -> dict[str, str]:
    """Icon → where it is named, in every pack, client, plugin and template."""
    found: dict[str, str] = {}
    for folder in ("metadata", "tenants", "plugins"):
        for path in (ROOT / folder).rglob("*.yaml"):
            found |= dict.fromkeys(re.findall(r"\bicon: ([a-z0-9-]+)", path.read_text()), str(path))
    for path in (ROOT / "templates").rglob("*.html"):
        for call in CALL.findall(path.read_text()):
            named = WORD.findall(re.sub(r"(?:[=!]=\s*|\bin\s*|count\()'[^']*'|,\s*'[^']*'$", "", call))  # not what is compared, nor the second argument
            found |= dict.fromkeys(named, str(path))
    return found


def test_every_icon_that_is_named_is_drawn():
    named = written()
    print(f"{len(named)} icons named, {len(SPRITE)} drawn")
    assert len(named) > 120
    assert {name: place for name, place in named.items() if name not in SPRITE} == {}


def test_every_icon_of_a_catalog_is_drawn():
    """Also what stands in overlays, and what the engine writes by itself."""
    catalog = compile_catalog(tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo"))
    icons = {one.icon for group in (catalog.entities, catalog.actions) for one in group.values() if one.icon}
    assert len(icons) > 40 and icons <= SPRITE
