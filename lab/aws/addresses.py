"""Where the lab serves what AWS would serve elsewhere: everything on Linux's loopback network."""

from __future__ import annotations

import itertools


def loopback(private: str) -> str:
    """Return the loopback address at which the private address 10.a.b.c is served: 127.a.b.c."""
    return "127." + private.partition(".")[2]


class Balancers:
    """Addresses of balancers: 127.100.<region>.<n>, given in the order of their creation."""

    def __init__(self, regions: tuple[str, ...]) -> None:
        self._indices = {region: index for index, region in enumerate(regions, 1)}
        self._numbers = {region: itertools.count(1) for region in regions}
        self._given: dict[str, str] = {}

    def address(self, arn: str, region: str) -> str:
        """Return the address of a balancer, the same for as long as the lab runs."""
        if arn not in self._given:
            index, number = self._indices[region], next(self._numbers[region])
            self._given[arn] = f"127.100.{index}.{number}"
        return self._given[arn]
