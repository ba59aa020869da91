"""How a product's plan went."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from recovery.engine.budget import Spending
from recovery.engine.errors import RECOVERED
from recovery.engine.gates import Go


@dataclass(slots=True, kw_only=True)
class StepOutcome:
    """How one step went; `seconds` covers observing and acting, not what it waited for a person."""

    name: str
    skipped: bool
    """Whether it did not act: its outcome held already, or it was left out."""
    ended_at: datetime
    seconds: float
    text: str
    left_out: bool = False
    """Whether the operator had it left out."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a product's plan went."""

    product: str
    epoch: int | None = None
    exit_code: int = RECOVERED
    error: str | None = None
    recorded_error: str | None = None
    """What the journal keeps in its place: what a bug says may quote anything, a password too."""
    steps: list[StepOutcome] = field(default_factory=list[StepOutcome])
    deviations: list[str] = field(default_factory=list[str])
    approvals: list[Go] = field(default_factory=list[Go])
    """Those by name."""
    spending: Spending | None = None
    """Where the RTO stood at the end, or when the service was back."""
    forecast_seconds: float = 0.0
    over_budget: str | None = None
    """What was said when it was seen that the RTO could not be kept."""
