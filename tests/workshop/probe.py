"""Run by test_adding_a_pack.py on a copy of the tree: publish each client, start the application, work in it, tell as JSON."""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from typing import Any

from stdnum.cn import ric

import metaloom
import metaloom_plugins
from metaloom import command
from metaloom.app import create_app
from metaloom.app.login_tables import make_login_tables
from metaloom.base.clock import SystemClock
from metaloom.compile import tenant_sources
from metaloom.plugin.registry import installed
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy

VALUES = {"lending.customer": {"customer_type": "personal", "name": "\u5f20\u4e09", "mobile": "13812345678"},
          "workshop.client": {"name": "Client", "phone": "13812345678"}}


def main(asked: dict[str, dict[str, str]], password: str) -> dict[str, Any]:
    settings, registry = Settings.from_env(), installed()
    assert not registry.diagnostics, registry.diagnostics
    tenancy = Tenancy(settings, manifest=registry.manifest())
    for name, client in asked.items():
        _open(tenancy, registry, name, client["role"], password)
    app = create_app(settings, tenancy=tenancy, registry=registry)
    told: dict[str, Any] = {"engine": metaloom.__file__, "plugins": metaloom_plugins.__file__}
    for name, client in asked.items():
        told[name] = _work(app, tenancy.open(name), client["entity"], password)
    tenancy.close()
    return told


def _open(tenancy: Any, registry: Any, name: str, role: str, password: str) -> None:
    sources = tenant_sources(tenancy.settings.metadata_root, tenancy.settings.tenants_root, name)
    if name in tenancy.names():
        publish(tenancy.open(name), sources)
        return
    tenant = tenancy.create(name, name, after_create=(make_login_tables,))
    publish(tenant, sources)
    ctx = command.system_context(tenant, plugins=registry, clock=SystemClock())
    company = command.create_record(ctx, "platform.company", {"code": "C1", "name": "Company 1", "business_date": date(2026, 11, 20)}).id
    unit = command.create_record(ctx, "platform.org_unit", {"code": "U1", "name": "Unit 1", "company": company}).id
    user = command.save_user(ctx, None, {"username": "worker", "display_name": "Worker", "email": f"w@{name}.example.cn", "company": company,
                                         "org_unit": unit}, password=password).id
    command.assign_role(ctx, user, role)


def _work(app: Any, tenant: Any, entity: str, password: str) -> dict[str, Any]:
    """One record by REST, four pages in the browser."""
    root, catalog = f"/{tenant.name}", tenant.revision().catalog
    api = app.test_client(use_cookies=False)
    token = api.post(f"{root}/api/v1/auth/login", json={"username": "worker", "password": password}).json["access_token"]
    head = {"Authorization": f"Bearer {token}", "Accept-Language": "en"}
    number = len(api.get(f"{root}/api/v1/{entity}", headers=head).json["items"])
    values = {**VALUES[entity], **({"id_no": _id_card(number)} if entity == "lending.customer" else {})}
    created = api.post(f"{root}/api/v1/{entity}", json=values, headers=head)
    browser = app.test_client()
    found = re.search(r'csrf-token" content="([^"]+)"', browser.get(f"{root}/login/").get_data(as_text=True))
    assert found is not None
    browser.post(f"{root}/login/", data={"username": "worker", "password": password, "csrf_token": found[1]})
    pages = {path: browser.get(root + path) for path in ("/", f"/e/{entity}/", f"/e/{entity}/new", f"/e/{entity}/{(created.json or {}).get('id', 1)}")}
    texts = " ".join(page.get_data(as_text=True) for page in pages.values()) + api.get(f"{root}/api/v1/openapi.json", headers=head).get_data(as_text=True)
    return {"digest": catalog.digest, "revision": tenant.revision().number, "packs": sorted({a.partition(".")[0] for a in catalog.entities}),
            "created": created.status_code, "said": created.get_data(as_text=True)[:500],
            "pages": {path: page.status_code for path, page in pages.items()}, "workshop_words": sorted(set(re.findall(r"workshop\.\w+|\u7ef4\u4fee", texts)))}


def _id_card(number: int) -> str:
    first = f"110101199003{number + 10}11{number}"
    return first + ric.calc_check_digit(first + "0")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]), sys.argv[2])))
