"""Two tenants on SQLite with the small shop, built once per process; each test gets browsers of its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.serving import make_server

from metaloom.app import create_app
from metaloom.base.text import Text
from metaloom.storage import Tenancy
from metaloom.storage.tables import ENGINE
from tests.web import site as shop


class Visitor:
    """A browser without scripts: keeps cookies, knows the CSRF token of the last page."""

    def __init__(self, app: Any, tenant: str) -> None:
        self.client = app.test_client()
        self.tenant = tenant

    def url(self, path: str) -> str:
        return f"/{self.tenant}{path}"

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(self.url(path), **more)

    def token(self) -> str:
        page = self.client.get(self.url("/login/"), follow_redirects=True).text
        return re.search(r'name="csrf-token" content="([^"]+)"', page)[1]  # type: ignore[index]

    def post(self, path: str, data: Any = None, *, token: bool = True, **more: Any) -> Any:
        fields = dict(data or {})
        if token:
            fields["csrf_token"] = self.token()
        return self.client.post(self.url(path), data=fields, **more)

    def log_in(self, username: str = "li", password: str = shop.PASSWORD) -> Any:
        return self.post("/login/", {"username": username, "password": password})


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return shop.settings_at(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def tenancy(settings: Any) -> Iterator[Tenancy]:
    made = Tenancy(settings)
    shop.build_tenant(made, "alpha", Text("阿尔法商行", "Alpha Trading"))
    shop.build_tenant(made, "beta", Text("贝塔商行", "Beta Trading"), sales=3)
    yield made
    made.close()


@pytest.fixture(scope="session")
def app(settings: Any, tenancy: Tenancy) -> Any:
    return create_app(settings, tenancy=tenancy)


@pytest.fixture
def unsaid(tenancy: Tenancy) -> Iterator[None]:
    """What people say during the test is forgotten after it: the shop is the same for every module of the process."""
    yield
    with tenancy.open("alpha").write() as conn:
        for table in (ENGINE.comment, ENGINE.message):
            conn.execute(table.delete())


@pytest.fixture
def visitor(app: Any) -> Callable[..., Visitor]:
    """``visitor()`` nobody yet; ``visitor("li")`` logged in; ``visitor("li", "beta")`` in the other tenant."""

    def make(username: str = "", tenant: str = "alpha") -> Visitor:
        made = Visitor(app, tenant)
        if username:
            assert made.log_in(username).status_code == 302
        return made

    return make


@pytest.fixture(scope="session")
def live(app: Any) -> Iterator[str]:
    """The address of the application on a real port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
