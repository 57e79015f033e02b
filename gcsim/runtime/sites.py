"""Where a program allocates and spends its time: counts per site, for profiles.

A site is a step of a request class, the building of a retained set, or something of the runtime's.  What it allocated
is counted when a request ends (`Share`, effects), not sampled, so that the sites add up to all that was allocated once
the requests under way are added.  CPU times are those of a processor alone: marking beside and memory contention
stretch them, and what they are stretched by is not told apart by site.
"""

from __future__ import annotations

from typing import NamedTuple


class SiteKey(NamedTuple):
    """Identity of a site; None where it belongs to no request class or no step."""

    request_class: str | None
    step: int | None
    kind: str
    name: str


class Site:
    """Counts of one site since process start."""

    __slots__ = ("alloc_ns", "bytes", "code_ns", "objects")

    def __init__(self) -> None:
        self.bytes = 0
        self.objects = 0
        self.alloc_ns = 0.0
        self.code_ns = 0.0

    def add(self, bytes_: int, objects: int, alloc_ns: float = 0.0, code_ns: float = 0.0) -> None:
        """It allocated so much and spent so long in the allocator and in its own code."""
        self.bytes += bytes_
        self.objects += objects
        self.alloc_ns += alloc_ns
        self.code_ns += code_ns


class Share(NamedTuple):
    """What one request of a class does at a site, the same for each request."""

    site: Site
    bytes: int
    objects: int
    alloc_ns: float
    code_ns: float


class Shares:
    """The same for all sites of a class, and how many requests have done it since it was last booked."""

    __slots__ = ("_rest", "_shares", "booked", "ns", "requests")

    def __init__(self, shares: list[Share], rest: Site) -> None:
        self._shares = shares
        self._rest = rest
        self.requests = 0
        self.booked = 0  # requests before these
        self.ns = 0.0
        """CPU time of these requests, less what has been booked at sites directly."""

    def book(self) -> None:
        """Move the counts to the sites.  Time that no step accounts for is the request's own."""
        known = 0.0
        for share in self._shares:
            n = self.requests
            share.site.add(share.bytes * n, share.objects * n, share.alloc_ns * n, share.code_ns * n)
            known += (share.alloc_ns + share.code_ns) * n
        self._rest.code_ns += self.ns - known
        self.booked += self.requests
        self.requests, self.ns = 0, 0.0


class Sites:
    """All sites by key, in order of their first mention."""

    def __init__(self) -> None:
        self.by_key: dict[SiteKey, Site] = {}

    def get(
        self, kind: str, name: str = "", *, request_class: str | None = None, step: int | None = None
    ) -> Site:
        """The site; a new one if nobody has asked for it."""
        return self.by_key.setdefault(SiteKey(request_class, step, kind, name), Site())
