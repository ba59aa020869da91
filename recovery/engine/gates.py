"""Where an operator asked a plan to stop, and a person's word that lets it go on.

The word comes from the operator's terminal, or from wherever `look` finds it: a place that other
machines can write to. While a plan waits its lease is renewed, so nobody else takes it over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from recovery.engine.budget import span
from recovery.engine.errors import OutsideError, RefusedError, StepFailedError, UsageError
from recovery.engine.terminal import Terminal

LOOK_SECONDS = 2.0
"""Between two looks for a word given elsewhere, and two renewals of the lease."""
_KEYS_SECONDS = 0.2
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What the operator asked of a plan beforehand, by the names of its steps."""

    pause_before: tuple[str, ...] = ()
    approve_at: tuple[str, ...] = ()
    skips: Mapping[str, str] = field(default_factory=dict[str, str])
    """Step → why."""

    def check(self, steps: Sequence[str], *, may_be_skipped: Sequence[str]) -> None:
        """Raise UsageError for a step that the plan has not, RefusedError for a forbidden skip."""
        for step in (*self.pause_before, *self.approve_at, *self.skips):
            if step not in steps:
                raise UsageError(f"no step {step!r}; the steps are {', '.join(steps)}")
        for step in self.skips:
            if step not in may_be_skipped:
                allowed = ", ".join(may_be_skipped) or "none"
                raise RefusedError(
                    f"{step} proves safety, or the plan is meaningless without it: it may not be "
                    f"skipped. Those that may: {allowed}"
                )

    def stops_at(self, step: str) -> bool:
        """Say whether somebody has to say go before this step acts."""
        return step in self.pause_before or step in self.approve_at

    def told(self, step: str) -> str | None:
        """Say what will be done at a step because of them; None: nothing."""
        if step in self.skips:
            return f"is skipped: {self.skips[step]}"
        if step in self.approve_at:
            return "waits for an approval by name"
        return "waits for a go" if step in self.pause_before else None


NO_CONTROLS = Controls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A person's word to go on."""

    step: str
    by: str
    """The name that was given; empty where none was."""
    identity: str
    """Who it was by the credentials in use."""

    @property
    def text(self) -> str:
        """Say who gave it."""
        return f"by {self.by} ({self.identity})" if self.by else f"by {self.identity}"


class Token(Protocol):
    """The right to act: the execution lease."""

    def renew(self) -> None:
        """Hold the lease still, or raise RecoveryError."""
        ...


class Voice(Protocol):
    """How a gate speaks."""

    def record(self, step: str, event: str, text: str) -> None:
        """Tell the operator and the journal."""
        ...

    def show(self, step: str, event: str, text: str) -> None:
        """Tell the operator only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One product's stops in one execution."""

    product: str
    operator: str
    """Who answers at the terminal, by the credentials in use."""
    look: Callable[[str], Go | None]
    """Returns the word that was given elsewhere for a step, if one was; may raise OutsideError."""
    elsewhere: Callable[[str], str]
    """Returns the command by which to give it for a step."""
    approved: Callable[[Go], object]
    """Is told each approval by name."""
    patience: timedelta
    """How long an approval is waited for before the point of no return."""
    terminal: Terminal | None = None

    def wait(self, step: str, *, named: bool, committed: bool, token: Token, voice: Voice) -> Go:
        """Return once a person says go, with a name where it has to be an approval.

        StepFailedError where the lease was lost meanwhile, or no approval came within the patience
        before the point of no return. After that it waits on, and says so.
        """
        return _Waiting(self, step, token, voice, named=named, committed=committed).go()


class _Waiting:
    """One stop."""

    def __init__(
        self, gate: Gate, step: str, token: Token, voice: Voice, *, named: bool, committed: bool
    ) -> None:
        self._gate, self._step, self._token, self._voice = gate, step, token, voice
        self._named, self._committed = named, committed
        self._asker = f"{gate.product}/{step}"
        self._began = time.monotonic()
        self._said = set[str]()

    def go(self) -> Go:
        needs = "an approval by name" if self._named else "a go"
        command = self._gate.elsewhere(self._step)
        self._voice.record(
            self._step, "paused", f"waits for {needs} before it acts; elsewhere: {command}"
        )
        terminal = self._gate.terminal
        try:
            while True:
                if found := self._elsewhere():
                    return found
                self._mind_the_time()
                if found := self._from_keys(terminal) if terminal else self._idle():
                    return found
        finally:
            if terminal:
                terminal.leave(self._asker)

    def _elsewhere(self) -> Go | None:
        """Renew the lease, then look; what cannot be asked now is asked again."""
        try:
            self._token.renew()
            found = self._gate.look(self._step)
        except OutsideError as error:
            self._say_once(f"cannot look for a go given elsewhere: {error}; looking again")
            return None
        if found is None or not self._named:
            return found
        return found if name_in(found.by) else self._say_once(f"the approval {_NAMELESS}")

    def _from_keys(self, terminal: Terminal) -> Go | None:
        end = time.monotonic() + LOOK_SECONDS
        while (left := end - time.monotonic()) > 0:
            typed = terminal.line(self._asker, min(left, _KEYS_SECONDS), self._ask)
            if typed is None:
                continue
            name = name_in(typed)
            if name or not self._named:
                return Go(step=self._step, by=name or "", identity=self._gate.operator)
            self._voice.record(self._step, "says", f"what was typed {_NAMELESS}")
            self._ask()
        if terminal.gone:
            self._say_once("nothing more can be typed at this terminal; give the go elsewhere")
        return None

    def _idle(self) -> None:
        time.sleep(LOOK_SECONDS)

    def _ask(self) -> None:
        how = "type your name and press Enter to approve" if self._named else "press Enter to go on"
        self._voice.show(self._step, "paused", f"{how} (Ctrl-C ends it here)")

    def _mind_the_time(self) -> None:
        patience = self._gate.patience.total_seconds()
        if not self._named or time.monotonic() - self._began < patience:
            return
        said = f"nobody approved it within the RTO ({span(patience)})"
        if not self._committed:
            raise StepFailedError(f"{said}; find who may")
        self._say_once(f"{said}, which is exceeded; past the point of no return it waits on")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._voice.record(self._step, "says", text)


_NAMELESS = "carries no name, which is refused: somebody must answer for it"


def name_in(text: str) -> str | None:
    """Return the name of a person in what was given as one; None where it is none."""
    name = text.strip()
    return name if name and name.isprintable() and len(name) <= _LONGEST_NAME else None
