"""Dashboards over REST: the person's own, their figures, and nothing of another role's."""

import pytest

BOARD = "/dashboards/depot.desk"


@pytest.fixture(scope="module")
def sales(people):
    clerk = people["clerk"]
    buyer = clerk.buyer()
    return [clerk.post("/depot.sale", {"buyer": buyer, "amount": f"{n}.50"}).json["id"] for n in range(1, 5)]


def test_everybody_sees_their_own_dashboards(people, sales):
    clerk, cashier = people["clerk"], people["cashier"]
    board = next(one for one in clerk.get("/dashboards").json["items"] if one["name"] == "depot.desk")
    assert [(w["name"], w["type"]) for w in board["widgets"]] == [
        ("count", "number"), ("total", "number"), ("states", "pie"), ("trend", "trend"), ("latest", "table")]
    assert board["widgets"][3]["periods"][:2] == ["today", "this_week"] and board["widgets"][0]["periods"] == []
    assert "depot.desk" not in [one["name"] for one in cashier.get("/dashboards").json["items"]]


def test_figures_are_exact_and_those_of_the_list(people, sales):
    clerk = people["clerk"]
    listed = clerk.get("/depot.sale?count=true&totals=amount").json
    count, total = (clerk.get(f"{BOARD}/{name}").json for name in ("count", "total"))
    assert count["value"] == listed["count"]["number"] >= 4 and total["value"] == listed["totals"]["amount"]
    states = clerk.get(f"{BOARD}/states").json
    assert sum(group["value"] for group in states["groups"]) == count["value"] and all(group["label"] for group in states["groups"])
    trend = clerk.get(f"{BOARD}/trend?period=this_year").json
    assert trend["period"] == "this_year" and trend["since"].endswith("-01-01") and trend["bucket"] == "month" and len(trend["series"][0]["points"]) == 12
    assert [row["id"] for row in clerk.get(f"{BOARD}/latest").json["rows"]][0] in [row["id"] for row in listed["items"]]


@pytest.mark.parametrize(("path", "status"), [
    (f"{BOARD}/nothing", 404), ("/dashboards/depot.none/count", 404), ("/dashboards/platform.admin/runs", 404), (f"{BOARD}/trend?period=for_ever", 400),
    (f"{BOARD}/count?period=this_year", 400), (f"{BOARD}/count?limit=5", 400), ("/dashboards?x=1", 400), (f"{BOARD}/count/x", 404),
])
def test_what_is_not_there_or_not_understood_is_refused(people, sales, path, status):
    assert people["clerk"].get(path).status_code == status


def test_a_widget_of_another_role_is_unknown(people, sales):
    for who in ("cashier", "keeper"):
        assert people[who].get(f"{BOARD}/count").status_code == 404


def test_nobody_knows_nothing(world):
    client = world.app.test_client()
    assert client.get("/one/api/v1/dashboards").status_code == 401 and client.get(f"/one/api/v1{BOARD}/count").status_code == 401
