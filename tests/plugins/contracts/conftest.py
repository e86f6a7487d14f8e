"""Every provider of every door that is found: the suites run over what is installed, by name of nobody."""

from pathlib import Path

import pytest

from metaloom.plugin import Environment
from metaloom.plugin.doors import DOORS
from metaloom.plugin.registry import installed


def pytest_generate_tests(metafunc):
    """A test that asks for `<door>_name` runs once per provider of that door."""
    for door in DOORS:
        if f"{door}_name" in metafunc.fixturenames:
            metafunc.parametrize(f"{door}_name", installed().provider_names(door))


@pytest.fixture
def environment(tmp_path: Path):
    """An environment as commands give it: secrets are there, the folder is empty."""
    return Environment(tenant="contract", settings={}, secret=lambda name: "a-secret-of-32-characters-exactly", folder=tmp_path)


@pytest.fixture
def calculation(calculation_name, environment):
    return installed().provider("calculation", calculation_name, environment)


@pytest.fixture
def ledger_posting(ledger_posting_name, environment):
    return installed().provider("ledger_posting", ledger_posting_name, environment)


@pytest.fixture
def payment_gateway(payment_gateway_name, environment):
    return installed().provider("payment_gateway", payment_gateway_name, environment)


@pytest.fixture
def data_provider(data_provider_name, environment):
    return installed().provider("data_provider", data_provider_name, environment)


@pytest.fixture
def message_channel(message_channel_name, environment):
    return installed().provider("message_channel", message_channel_name, environment)


@pytest.fixture
def e_signature(e_signature_name, environment):
    return installed().provider("e_signature", e_signature_name, environment)


@pytest.fixture
def signed_notice(signed_notice_name, environment):
    return installed().provider("signed_notice", signed_notice_name, environment)
