"""docs/api.md: its endpoints are the endpoints, its example client works."""

import re
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from metaloom.api import ROUTES
from metaloom.api.approval import BOXES, DECIDE_KEYS
from metaloom.api.question import LIST_KEYS, OPERATORS
from metaloom.command.decide_task import DECISIONS
from metaloom.command.move_case import CASE_MOVES, DATA, WHOLE

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_table_of_endpoints_is_the_truth():
    told = re.findall(r"^\| (GET|POST|PATCH|DELETE) \| `([^`]+)` \|", TEXT, re.MULTILINE)
    assert told == [(method, path) for method, path, _ in ROUTES.values()]


def test_every_move_of_an_approval_is_told_where_it_is_asked_for():
    for path, moves in (("/task/<id>/<verb>", DATA.keys() - WHOLE), ("/case/<id>/<verb>", CASE_MOVES)):
        (row,) = re.findall(rf"^\| POST \| `{path}` \| [^`]+`([^`]+)`", TEXT, re.MULTILINE)
        assert sorted(row.split()) == sorted(moves), path
    (row,) = re.findall(r"^\| POST \| `/task/<id>/decide` \| `\{(.+?)\}` \|$", TEXT, re.MULTILINE)
    assert set(re.findall(r"\w+", row)) == {*DECIDE_KEYS, *DECISIONS}
    (row,) = re.findall(r"^\| GET \| `/task` \| (.+)$", TEXT, re.MULTILINE)
    assert {name.removeprefix("box=") for name in re.findall(r"`([^`]+)`", row)} == set(BOXES)


def test_every_operator_and_parameter_is_told():
    assert [op for op in OPERATORS if not re.search(rf"\b{op}\b", TEXT)] == []
    assert [key for key in LIST_KEYS if f"`{key}" not in TEXT and f"{key}=" not in TEXT] == []


def test_the_example_client_works(world, people):
    space: dict = {}
    exec(re.search(r"```python\n(.+?)```", TEXT, re.DOTALL)[1], space)
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        clerk = space["Metaloom"](f"http://127.0.0.1:{server.port}", "one")
        clerk.login("clerk", "correct horse 7 battery")
        buyer = people["clerk"].buyer()
        made = [clerk.call("POST", "/depot.sale", {"buyer": buyer, "amount": str(n)})[0]["id"] for n in range(1, 4)]
        assert [row["id"] for row in clerk.rows("depot.sale", f"buyer={buyer}&sort=amount")] == made
        assert clerk.change("depot.sale", made[0], lambda record: {"note": record["title"]})["row_version"] == 2
        with pytest.raises(space["Refused"]) as refused:
            clerk.call("GET", "/depot.sale/999999999")
        assert refused.value.problem["status"] == 404
        cashier = space["Metaloom"](f"http://127.0.0.1:{server.port}", "one", people["cashier"].token)
        assert cashier.pay("depot.sale", made[1], "pay", {"amount": "1.00"})["results"] == {"paid": "1.00"}
    finally:
        server.shutdown()
        server.server_close()
