"""Keeps a collector out of private networks: every request, every redirect, and the address behind every name.

`GuardedResolver` hands on only addresses that may be connected to. Twisted connects to exactly those and looks the
name up no second time, so that a name that changes its mind (DNS rebinding) gains nothing. `GuardMiddleware` refuses
what is no web address, says why, and looks at the address that an answer really came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import CannotResolveHostError, IgnoreRequest
from scrapy.http import Response
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from training.collect.addresses import Addresses


class Refused(IgnoreRequest):
    """Raised when a request may not be sent; `reason` is a code of training.collect.reasons."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Door:
    """What one process may reach, and which names it was kept from. There is one reactor, so there is one of these."""

    addresses = Addresses()
    refused: set[str] = set()


@implementer(IResolutionReceiver)
class _Sieve:
    """Hands on what may be reached; notes the name when that is nothing."""

    def __init__(self, receiver: Any, name: str) -> None:
        self._receiver = receiver
        self._name = name
        self._passed = self._held = 0

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: IAddress) -> None:
        if Door.addresses.may(address.host):
            self._passed += 1
            self._receiver.addressResolved(address)
        else:
            self._held += 1

    def resolutionComplete(self) -> None:
        if self._held and not self._passed:
            Door.refused.add(self._name.lower())
        else:
            Door.refused.discard(self._name.lower())
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class GuardedResolver:
    """The reactor's own resolver behind a sieve. Numbers in an address come through here too, however written."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._inner = reactor.nameResolver

    @classmethod
    def from_crawler(cls, _crawler: Crawler, reactor: Any) -> Self:
        return cls(reactor)

    def install_on_reactor(self) -> None:
        self._reactor.installNameResolver(self)

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        sieve = _Sieve(resolutionReceiver, hostName)
        inner: IHostResolution = self._inner.resolveHostName(
            sieve, hostName, portNumber, addressTypes, transportSemantics
        )
        return inner


class GuardMiddleware:
    """Next to the network: no retry and no redirect comes between it and the site."""

    def process_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("not_web")

    def process_response(self, request: Request, response: Response) -> Response:
        if response.ip_address is not None and not Door.addresses.may(str(response.ip_address)):
            raise Refused("private_address")
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        name = (urlsplit(request.url).hostname or "").lower()
        if isinstance(exception, CannotResolveHostError) and name in Door.refused:
            raise Refused("private_address") from exception
