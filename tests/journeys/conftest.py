"""A lender on a real port, and windows in which its people work. One per test file: days that one story moves are its own."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.serving import make_server

from metaloom.app import create_app
from tests.journeys.desk import Desk
from tests.plugins.lender import Lender, open_lender


@dataclass(frozen=True)
class House:
    """The lender and the address it is served at."""

    lender: Lender
    address: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_lender(tmp_path_factory.mktemp("home"), "journey") as lender:
        app = create_app(lender.tenant.settings, tenancy=lender.tenant.tenancy, clock=lender.real, registry=lender.plugins)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield House(lender, f"http://127.0.0.1:{server.server_port}/journey")
        server.shutdown()
        thread.join()


@pytest.fixture
def desk(house: House, chromium: Any) -> Iterator[Callable[[str], Desk]]:
    """``desk("officer")``: a window of its own in which the person has logged in; the same one when asked again."""
    windows: dict[str, Desk] = {}

    def sit(username: str) -> Desk:
        if username not in windows:
            context = chromium.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900})
            windows[username] = Desk(context.new_page(), house.address)
            windows[username].log_in(username)
        return windows[username]

    yield sit
    for window in windows.values():
        window.close()
