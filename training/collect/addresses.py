"""Which IP addresses a collector may connect to: the public ones, and those that an operator named.

Pure; knows no names and no sockets.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# NAT64 (RFC 6052) hides an IPv4 address in the last four bytes.
_NAT64 = IPv6Network("64:ff9b::/96")
# What Python 3.11 takes for public: addresses of protocols (a cloud keeps its metadata there), and local NAT64.
_NEVER = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("64:ff9b:1::/48"))


def networks(texts: list[str]) -> tuple[Network, ...]:
    """`10.1.2.3` or `10.1.2.0/24`. Raises ValueError for anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts if text.strip())


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def is_public(address: Address) -> bool:
    """No private, loopback, link-local, multicast, reserved or cloud metadata address."""
    meant = inner(address)
    if any(meant in network for network in _NEVER):
        return False
    return meant.is_global and not meant.is_multicast and not meant.is_reserved


class Addresses:
    """The public addresses and the allowed networks."""

    def __init__(self, allowed: tuple[Network, ...] = ()) -> None:
        self._allowed = allowed

    def may(self, text: str) -> bool:
        """Whether to connect to an address; a scope (`fe80::1%eth0`) is looked through."""
        address = ip_address(text.partition("%")[0])
        return is_public(address) or any(inner(address) in network for network in self._allowed)
