"""The guard of this tier itself."""

import socket

import pytest


def test_a_unit_test_cannot_reach_the_network():
    with socket.socket() as client, pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        client.connect(("192.0.2.1", 80))


def test_a_unit_test_can_reach_its_own_machine():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
