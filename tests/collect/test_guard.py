"""What a collector must never reach: private networks, this machine, other protocols; also in roundabout ways."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address

from tests.collect.child import collect
from tests.collect.site import HOST, Answer, Site, as_html, redirect
from training.collect.addresses import Addresses, networks
from training.collect.guard import Door, GuardedResolver

PAGE = as_html("<h1>标题</h1><p>正文</p>")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "100.64.0.1",
        "192.0.0.192",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:0:0:0:0:80ff:fffe",
    ],
)
def test_addresses_that_are_not_public_are_refused(address):
    assert not Addresses().may(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "114.114.114.114", "2400:3200::1", "64:ff9b::101:101"])
def test_public_addresses_may_be_reached(address):
    assert Addresses().may(address)


def test_only_the_named_private_network_is_opened():
    allowed = Addresses(networks(["10.1.2.0/24", "::1"]))

    reached = [allowed.may(address) for address in ("10.1.2.9", "::ffff:10.1.2.9", "::1", "10.1.3.9", "127.0.0.1")]

    assert reached == [True, True, True, False, False]


def pages(site: Site, tmp_path: Any, *urls: str, **more: Any) -> Any:
    return collect(tmp_path, "pages", urls=[url if ":" in url else site.url + url for url in urls], text="p", **more)


def test_a_redirect_into_a_private_network_is_refused(site, tmp_path):
    port = site.url.rpartition(":")[2]
    site.answers |= {
        "/machine": redirect(f"http://127.0.0.1:{port}/"),
        "/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
        "/twice": redirect(f"{site.url}/machine"),
        "/good": PAGE,
    }

    done = pages(site, tmp_path, "/machine", "/metadata", "/twice", "/good")

    assert done.refused == {"private_address": 3}
    assert done.texts() == [["正文"]]


def test_nothing_local_is_reached_unless_it_is_allowed(site, tmp_path):
    site.answers["/"] = PAGE

    done = pages(site, tmp_path, "/", allow=["10.0.0.0/8"])

    assert (done.refused, done.rows, site.asked) == ({"private_address": 1}, [], [])


def loopback_spellings(port: str) -> Iterator[str]:
    for host in ("localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"):
        yield f"http://{host}:{port}/"


def test_a_name_or_number_that_stands_for_this_machine_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0)
        urls = list(loopback_spellings(str(door.getsockname()[1])))

        done = collect(tmp_path, "pages", urls=urls, text="p")

        with pytest.raises(BlockingIOError):
            door.accept()
    assert done.refused == {"private_address": len(urls)}


def test_a_redirect_to_another_protocol_is_not_followed(site, tmp_path):
    site.answers |= {"/file": redirect("file:///etc/passwd"), "/ftp": redirect("ftp://127.0.0.1/x")}

    done = pages(site, tmp_path, "/file", "/ftp")

    assert done.rows == []
    assert sum(done.refused.values()) == 2


class _Names:
    """A name server that changes its mind; stands for the one outside."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.nameResolver = self

    def resolveHostName(self, receiver: Any, _name: str, port: int, *_: Any) -> None:
        receiver.resolutionBegan(None)
        for host in self.answers.pop(0):
            receiver.addressResolved(IPv4Address("TCP", host, port))
        receiver.resolutionComplete()


class _Caller:
    def __init__(self) -> None:
        self.hosts: list[str] = []

    def resolutionBegan(self, _: Any) -> None:
        pass

    def addressResolved(self, address: Any) -> None:
        self.hosts.append(address.host)

    def resolutionComplete(self) -> None:
        self.hosts.append("end")


def test_a_name_that_turns_private_between_two_requests_leads_nowhere():
    resolver = GuardedResolver(_Names(["93.184.216.34"], ["127.0.0.1"], ["10.0.0.1", "93.184.216.34"]))
    callers = [_Caller() for _ in range(3)]

    for caller in callers:
        resolver.resolveHostName(caller, "rebind.example", 80)

    assert [caller.hosts for caller in callers] == [["93.184.216.34", "end"], ["end"], ["93.184.216.34", "end"]]
    Door.refused.clear()


def test_robots_is_obeyed_unless_the_operator_says_otherwise(site, tmp_path):
    site.answers |= {
        "/robots.txt": Answer("User-agent: *\nDisallow: /private\n"),
        "/private": PAGE,
        "/open": PAGE,
    }

    obeyed = pages(site, tmp_path / "1", "/private", "/open")
    ignored = pages(site, tmp_path / "2", "/private", "/open", robots=False)

    assert (obeyed.refused, len(obeyed.rows)) == ({"robots": 1}, 1)
    assert (ignored.refused, len(ignored.rows)) == ({}, 2)


def test_robots_may_name_this_collector(site, tmp_path):
    site.answers |= {"/robots.txt": Answer("User-agent: Chatsite\nDisallow: /\n\nUser-agent: *\nAllow: /\n"), "/": PAGE}

    assert pages(site, tmp_path, "/").refused == {"robots": 1}


def test_the_user_agent_names_the_site(site, tmp_path):
    site.answers["/"] = PAGE

    pages(site, tmp_path, "/", contact="https://chat.example.org/")

    agents = {asked.headers["User-Agent"] for asked in site.asked}
    assert agents == {"Chatsite-collector/1.0 (+https://chat.example.org/)"}


def test_an_answer_that_is_too_large_is_dropped_said_or_not(site, tmp_path):
    large = b"x" * (11 << 20)
    site.answers |= {"/said": Answer(large), "/unsaid": Answer(large, headers={"Content-Length": "", "X": "1"})}

    done = pages(site, tmp_path, "/said", "/unsaid")

    assert done.refused.get("too_large", 0) >= 1
    assert done.rows == []


def test_a_host_that_does_not_exist_is_told(tmp_path):
    done = collect(tmp_path, "pages", urls=["http://no-such-host.invalid/"], text="p")

    assert done.refused == {"no_host": 1}


def test_the_allowed_host_is_the_only_one_of_its_network(site):
    assert HOST in site.url
    assert not Addresses(networks([HOST])).may("127.0.0.1")
