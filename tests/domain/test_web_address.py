"""Where the ledger may send to by itself: judged as it is written, and by the addresses that a name leads to."""

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runfold.domain.web_address import AddressRules, denied, networks_and_hosts
from runfold.errors import InvalidEvent

PLAIN = AddressRules()
METADATA = "169.254.169.254"

REFUSED = {
    "http://hooks.example.com/": "not https",
    "ftp://hooks.example.com/": "no https:// or http:// address",
    "file:///etc/passwd": "no https:// or http:// address",
    "gopher://hooks.example.com/": "no https:// or http:// address",
    "//hooks.example.com/": "no https:// or http:// address",
    "hooks.example.com": "no https:// or http:// address",
    "javascript:alert(1)": "no https:// or http:// address",
    "": "no https:// or http:// address",
    "https://": "no valid host",
    "https:///path": "no valid host",
    "https://user@hooks.example.com/": "user name",
    "https://user:secret@hooks.example.com/": "user name",
    "https://hooks.example.com@127.0.0.1/": "user name",
    "https://hooks.example.com:22/": "port 22",
    "https://hooks.example.com:6379/": "port 6379",
    "https://hooks.example.com:/": "no valid port",
    "https://hooks.example.com:0/": "no valid port",
    "https://hooks.example.com:65536/": "no valid port",
    "https://hooks.example.com:4 43/": "characters",
    "https://hooks.example.com:+443/": "no valid port",
    "https://hooks.example.com/#part": "fragment",
    "https://hooks.example.com/#": "fragment",
    "https://hooks.example.com\\@127.0.0.1/": "characters",
    "https://hooks.example.com/\r\nHost: evil": "characters",
    "https://hooks.example.com\t/": "characters",
    "https://h\u00f6oks.example.com/": "characters",
    "https://\uff11\uff12\uff17.0.0.1/": "characters",
    "https://127.0.0.1%2f@x/": "user name",
    "https://%31%32%37.0.0.1/": "no valid host",
    "https://a..b/": "no valid host",
    "https://-a.example/": "no valid host",
    "https://localhost/": "names localhost",
    "https://LOCALHOST./": "names localhost",
    "https://api.localhost/": "names api.localhost",
    "https://printer.local/": "names printer.local",
    "https://metadata.google.internal/": "names metadata.google.internal",
    "https://intranet/": "names intranet",
    "https://db/": "without a domain",
    "https://127.0.0.1/": "loopback",
    "https://127.1/": "unusual spelling",
    "https://2130706433/": "unusual spelling",
    "https://0x7f000001/": "unusual spelling",
    "https://0x7f.0.0.1/": "unusual spelling",
    "https://0177.0.0.1/": "unusual spelling",
    "https://017700000001/": "unusual spelling",
    "https://127.0.0.1./": "loopback",
    "https://127.0.0.0x1/": "unusual spelling",
    "https://0/": "unusual spelling",
    "https://1.2.3.4.5/": "unusual spelling",
    "https://0.0.0.0/": "this network",
    "https://10.1.2.3/": "private",
    "https://172.16.0.1/": "private",
    "https://172.31.255.255/": "private",
    "https://192.168.0.1/": "private",
    f"https://{METADATA}/latest/meta-data/": "link-local",
    "https://100.64.0.1/": "CGNAT",
    "https://100.100.100.200/": "CGNAT",
    "https://168.63.129.16/": "a cloud's own",
    "https://192.0.0.192/": "reserved",
    "https://198.18.0.1/": "benchmarks",
    "https://224.0.0.1/": "multicast",
    "https://255.255.255.255/": "reserved",
    "https://[::1]/": "loopback",
    "https://[::]/": "no address",
    "https://[0:0:0:0:0:0:0:1]/": "loopback",
    "https://[::ffff:127.0.0.1]/": "mapped",
    "https://[::ffff:7f00:1]/": "mapped",
    "https://[::ffff:8.8.8.8]/": "mapped",
    "https://[::127.0.0.1]/": "IPv4 address in IPv6",
    "https://[64:ff9b::a9fe:a9fe]/": "NAT64",
    "https://[64:ff9b:1::a9fe:a9fe]/": "NAT64",
    "https://[2002:7f00:1::]/": "6to4",
    "https://[2001:0:7f00:1::]/": "Teredo",
    "https://[2001:db8::1]/": "documentation",
    "https://[2600::5efe:7f00:1]/": "ISATAP",
    "https://[fc00::1]/": "private",
    "https://[fd00:ec2::254]/": "private",
    "https://[fe80::1]/": "link-local",
    "https://[fe80::1%25eth0]/": "no valid host",
    "https://[fec0::1]/": "site-local",
    "https://[ff02::1]/": "multicast",
    "https://[4000::1]/": "outside of the public network",
    "https://[::1/": "no valid host",
    "https://[::1]x/": "no valid host",
    "https://[v1.fe80::a]/": "no valid host",
    "https://" + "a" * 64 + ".example/": "no valid host",
    "https://example.com/" + "a" * 2000: "longer than",
}


@pytest.mark.fault("I11")
@pytest.mark.parametrize(("url", "reason"), REFUSED.items())
def test_an_address_that_leads_nowhere_public_is_refused_as_it_is_written(url: str, reason: str) -> None:
    with pytest.raises(InvalidEvent, match=reason) as refused:
        PLAIN.read(url, "callback_url")
    assert refused.value.path == "callback_url"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://hooks.example.com/runs?x=1", "hooks.example.com", 443),
        ("HTTPS://Hooks.Example.Com.:8443", "hooks.example.com", 8443),
        ("https://xn--hks-snac.example/", "xn--hks-snac.example", 443),
        ("https://8.8.8.8/", "8.8.8.8", 443),
        ("https://[2606:4700::1111]:443/", "2606:4700::1111", 443),
        ("https://1e100.net/", "1e100.net", 443),
        ("https://hook_1.example.com/", "hook_1.example.com", 443),
    ],
)
def test_a_public_address_is_taken_apart(url: str, host: str, port: int) -> None:
    found = PLAIN.read(url, "url")
    assert (found.url, found.host, found.port) == (url, host, port)


def test_a_setting_allows_what_is_private_and_another_denies_what_is_public() -> None:
    networks, hosts = networks_and_hosts(["127.0.0.0/8", "fd00::/8", "Dev-Box"])
    rules = AddressRules(allowed_networks=networks, allowed_hosts=hosts, denied_networks=(ip_network("127.0.0.9/32"),))
    for url in ("http://127.0.0.1:9999/", "https://[fd00::1]/", "http://dev-box:3000/hook"):
        assert rules.read(url, "url").url == url
    assert rules.fault("10.1.2.3", "dev-box") is None, "it is the name that is allowed"
    assert "RUNFOLD_WEBHOOK_DENY" in str(rules.fault("127.0.0.9", "dev-box")), "and one's own denials come before all else"
    for url in ("https://10.0.0.1/", "http://localhost/", "https://[::ffff:127.0.0.1]/", "http://127.0.0.9/"):
        with pytest.raises(InvalidEvent):
            rules.read(url, "url")
    with pytest.raises(ValueError, match="neither a network"):
        networks_and_hosts(["10.0.0.0/33"])


@given(st.integers(0, 2**32 - 1))
@example(int(IPv4Address(METADATA)))
@example(int(IPv4Address("8.8.8.8")))
def test_an_ipv4_address_that_is_not_global_is_denied_and_so_is_each_of_its_ipv6_spellings(number: int) -> None:
    plain = IPv4Address(number)
    if not plain.is_global or plain.is_multicast:
        assert denied(plain)
    for spelling in (0xFFFF << 32, 0, 0x64FF9B << 96, 0x64FF9B0001 << 80, 0xFE80 << 112, 0x2606 << 112 | 0x5EFE << 32):
        assert denied(IPv6Address(spelling | number))
    assert denied(IPv6Address(0x2002 << 112 | number << 80))
    assert denied(IPv6Address(0x20010000 << 96 | number))


@given(st.integers(0, 2**128 - 1))
def test_an_ipv6_address_outside_of_the_public_network_is_denied(number: int) -> None:
    address = IPv6Address(number)
    if address.is_multicast or address.is_private or not 0x2000 <= number >> 112 <= 0x3FFF:
        assert denied(address)


@given(st.text(max_size=60) | st.from_regex(r"https?://[a-z0-9.:@\[\]%-]{0,40}(/.*)?", fullmatch=True))
def test_whatever_is_given_is_refused_in_words_or_leads_to_a_public_host(url: str) -> None:
    with contextlib.suppress(InvalidEvent):
        found = PLAIN.read(url, "url")
        assert found.literal is None or denied(found.literal) is None
