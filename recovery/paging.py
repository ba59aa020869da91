"""Tells people while a host can still serve, but hears too few tables to do so for long."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recovery.cloud import topics
from recovery.cloud.client import Region
from recovery.engine.errors import OutsideError
from recovery.tenure import Held, Tenure

if TYPE_CHECKING:
    from recovery.topology import Product, Site

SHARE_LEFT = 1 / 3
"""Share of the TTL that is left when people are told; a tenure that is renewed has two thirds."""


@dataclass(slots=True, kw_only=True)
class Pager:
    """One message for each time that the tenure runs down, whatever becomes of it."""

    product: Product
    site: Site
    tenure: Tenure
    tables: int
    ttl: float
    _told: bool = False

    def look(self, now: float) -> str | None:
        """Tell people if it is time to; return what came of it, None where there was nothing to do.

        It may take seconds, as the topic may be what does not answer.
        """
        held = self.tenure.at(now)
        if not isinstance(held, Held):
            return None  # what ended the tenure is known by now, or was told before
        left = held.until - now
        if left > self.ttl * SHARE_LEFT:
            self._told = False
            return None
        if self._told:
            return None
        self._told = True
        return self._tell(left, self.tenure.answering(now))

    def _tell(self, left: float, answering: int) -> str:
        host = socket.gethostname()
        subject = f"{self.product.title} at {self.site.name} stops in {left:.0f} s on {host}"
        text = (
            f"The guard of {self.product.name} on {host} ({self.site.name}, {self.site.region}) "
            f"hears {answering} of {self.tables} control tables and needs 2. In {left:.0f} s it "
            f"stops the product here, unless they answer again.\n\n"
            f"Do: see whether {self.site.region} reaches DynamoDB in the other two regions (route "
            "tables, endpoints, credentials of the host's role, AWS's status). If this region is "
            "cut off and stays so, its customers are not served: fail over to the other site, "
            f"python -m recovery.failover --product {self.product.name} (RUNBOOK.md). If a table "
            "answers again, this host starts the product by itself."
        )
        began = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        message = f"{self.product.name}-{self.site.name}-{host}-tenure-{began}"
        try:
            topics.publish(
                Region(self.site.region, once=True), self.site.topic, subject, text, message
            )
        except OutsideError as error:
            return f"people were not told: {error}"
        return "people were told"
