"""Who tries passwords gets ten, however many requests ask at the same moment and whatever address of the network they come from."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from metaloom.app.sessions import LOCK_AFTER, network_of
from metaloom.command import unlock_user
from metaloom.storage import rate
from tests.api.world import PASSWORD

NOW = datetime(2026, 11, 20, 1, tzinfo=UTC)


def login(world, username, password, address):
    return world.app.test_client(use_cookies=False).post(
        "/one/api/v1/auth/login", json={"username": username, "password": password}, environ_base={"REMOTE_ADDR": address}).status_code


@pytest.mark.parametrize(("address", "network"), [
    ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::1", "2001:db8:1:2::/64"), ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("fe80::1%eth0", "fe80::/64"), ("", ""), ("unix", "unix"),
])
def test_an_ipv6_address_counts_as_its_network(address, network):
    assert network_of(address) == network


def test_forty_tries_at_once_are_no_more_than_ten(world):
    person, answers, ready = world.person(), [], threading.Barrier(8)

    def tries():
        ready.wait()
        for _ in range(5):
            answers.append(login(world, person.username, "wrong horse 1", "198.51.100.7"))

    crowd = [threading.Thread(target=tries) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert len(answers) == 40 and set(answers) <= {401, 429, 503}
    assert answers.count(401) <= LOCK_AFTER
    assert login(world, person.username, PASSWORD, "198.51.100.7") == 429
    assert login(world, person.username, PASSWORD, "198.51.100.8") == 200


def test_a_neighbour_in_the_same_ipv6_network_gets_no_fresh_tries(world):
    person = world.person()
    for last in range(LOCK_AFTER):
        assert login(world, person.username, "wrong horse 1", f"2001:db8:5:6::{last:x}") == 401
    assert login(world, person.username, PASSWORD, "2001:db8:5:6:ffff::1") == 429
    assert login(world, person.username, PASSWORD, "2001:db8:5:7::1") == 200


def test_right_passwords_use_up_nothing_and_an_administrator_unlocks(world):
    person = world.person()
    for _ in range(LOCK_AFTER + 2):
        assert login(world, person.username, PASSWORD, "198.51.100.20") == 200
    for _ in range(LOCK_AFTER):
        assert login(world, person.username, "wrong horse 1", "198.51.100.20") == 401
    assert login(world, person.username, PASSWORD, "198.51.100.20") == 429
    unlock_user(world.ctx("admin"), person.id)
    assert login(world, person.username, PASSWORD, "198.51.100.20") == 200


def test_no_count_is_lost_and_a_window_ends(world):
    """Two hundred counts from eight threads; every process counts in the same row."""
    tenant, name, errors = world.tenants["two"], rate.counter("test", world.settings.database_url), []

    def work():
        try:
            for _ in range(25):
                with tenant.write() as conn:
                    rate.count(conn, name, NOW, timedelta(minutes=1))
        except Exception as error:
            errors.append(error)

    crowd = [threading.Thread(target=work) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert not errors
    with tenant.write() as conn:
        assert rate.standing(conn, [name])[name].hits == 200
        assert rate.count(conn, name, NOW + timedelta(minutes=1), timedelta(minutes=1)).hits == 1
        rate.sweep(conn, NOW + timedelta(days=3))
        assert rate.standing(conn, [name]) == {}
