"""The host names that a server accepts in requests.

A web page can make its own host name resolve to 127.0.0.1 (DNS rebinding) and then read the responses of a server on
this machine. The browser still sends the host name of the page in the Host header, so a server that accepts only known
names is safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from tf_tokclf.errors import UserError

ANY = "*"
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{0,5})?", re.ASCII)


@dataclass(frozen=True)
class AllowedHosts:
    """Host names that are accepted, in lower case. Those of this machine are always accepted."""

    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, names: Iterable[str]) -> AllowedHosts:
        """Parse the values of --allowed-host. Raises UserError for an invalid name.

        >>> sorted(AllowedHosts.parse(["NER.example.org", "::2"]).names)
        ['[::2]', 'ner.example.org']
        """
        return cls(frozenset(map(_parsed, names)))

    @property
    def is_open(self) -> bool:
        """Whether any name is allowed."""
        return ANY in self.names

    def allow(self, header: str) -> bool:
        """Whether a request with this Host header is accepted.

        >>> hosts = AllowedHosts.parse(["ner.example.org"])
        >>> [hosts.allow(name) for name in ("localhost:8000", "[::1]:8000", "ner.example.org", "example.org", "")]
        [True, True, True, False, False]
        """
        found = _HOST.fullmatch(header.lower())
        if found is None:
            return False
        name = found["name"].removesuffix(".")
        return self.is_open or name in self.names or _is_of_this_machine(name)

    def check(self, address: str) -> None:
        """Raise UserError if a server at `address` is reachable from other machines and has no allowed names."""
        if not ip_address(address).is_loopback and not self.names:
            raise UserError(
                f"a server at {address} needs the host names that clients use to reach it.",
                hint=f"Add --allowed-host NAME for each of them, or --allowed-host '{ANY}' to accept any name.",
            )

    def url(self, address: str, port: int) -> str:
        """The URL to open in a browser, for a server that listens at `address`.

        >>> AllowedHosts().url("::1", 8000), AllowedHosts.parse(["ner.example.org"]).url("192.0.2.1", 80)
        ('http://[::1]:8000/', 'http://ner.example.org:80/')
        """
        found = ip_address(address)
        if found.is_unspecified:
            found = IPv6Address("::1") if found.version == 6 else IPv4Address("127.0.0.1")
        name = f"[{found}]" if found.version == 6 else str(found)
        if not self.allow(name):
            name = min(self.names)
        return f"http://{name}:{port}/"


THIS_MACHINE = AllowedHosts()


def _parsed(name: str) -> str:
    """The name in the form of a Host header."""
    try:
        return f"[{IPv6Address(name)}]"
    except ValueError:
        lower = name.lower().removesuffix(".")
    found = _HOST.fullmatch(lower)
    if name != ANY and (found is None or found["name"] != lower):
        raise UserError(
            f"--allowed-host {name[:99]!r} is not a host name.",
            hint="Give only the name, without scheme, port and path, for example ner.example.org.",
        )
    return lower


def _is_of_this_machine(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = IPv6Address(name[1:-1]) if name.startswith("[") else IPv4Address(name)
    except ValueError:
        return False
    return address.is_loopback
