"""Which addresses count as one client, and which are of this machine."""

import pytest

from runfold.access.addresses import is_loopback, neighbourhood


def test_one_site_of_ipv6_counts_as_one_client() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:2") != neighbourhood("2001:db8:0:1::1")
    assert (neighbourhood("203.0.113.9"), neighbourhood(None)) == ("203.0.113.9", None)


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("192.0.2.7", False),
        ("::ffff:192.0.2.7", False),
        ("2001:db8::1", False),
    ],
)
def test_an_address_is_of_this_machine_only_where_it_says_so(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own
