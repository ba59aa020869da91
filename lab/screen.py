"""The lab's report for people: tables on a terminal, plain columns elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.report import Story, View, Wait


def show(story: Story) -> None:
    """Print the story for people."""
    heads = (
        ("outage", "back after", "lost", "predicted") if story.killed else ("longest gap", "lost")
    )
    _table(
        "What customers saw (the lab's own ledger)",
        ("product", "acknowledged", *heads, "twice", "misread"),
        [_view_row(view, planned=not story.killed) for view in story.views],
    )
    regions = sorted({region for step in story.calls for region in step.by_region})
    _table(
        f"Calls to AWS by recovery's steps ({story.killed or 'nothing'} is dead)",
        ("step", *regions, "to the dead", "answered"),
        [
            (
                step.step,
                *(str(step.by_region.get(region, "")) for region in regions),
                str(step.to_dead or ""),
                str(step.dead_answered) if step.to_dead else "",
            )
            for step in story.calls
        ],
    )
    for view in story.views:
        _show_durations(view, story.speed)
        for complaint in view.complaints:
            print(f"{view.experience.product}: {complaint}")
    for product, said in story.protection.items():
        print(f"{product}: {said}")
    well = "recovered, no unforeseen loss" if story.killed else "moved, no acknowledged write lost"
    verdict = well if story.succeeded else "NOT recovered as promised"
    print(f"\n{verdict}; recovery ended with {story.recovery_exit}")


def _view_row(view: View, *, planned: bool) -> tuple[str, ...]:
    seen = view.experience
    lost = str(len(seen.lost)) if seen.compared else "unknown"
    gap = "< 0.5 s" if planned and view.outage is None else _seconds(view.outage)
    rest = (_seconds(view.back_after), lost, f"≤ {_seconds(view.predicted_loss)}")
    return (
        seen.product,
        str(seen.acknowledged),
        gap,
        *((lost,) if planned else rest),
        str(len(seen.duplicated)) if seen.compared else "unknown",
        str(seen.misread),
    )


def _show_durations(view: View, speed: float) -> None:
    """Print the modelled waits apart from what was measured."""
    if view.aws_outage is None or not view.waited:
        return
    pace = f"at {speed:g} times AWS's pace" if speed else "with no waits"
    print(
        f"\n{view.experience.product}: {_seconds(view.outage)} measured {pace}; modelled: "
        f"{view.aws_outage / 60:.1f} min with AWS's own durations"
    )
    longest: dict[str, Wait] = {}
    for wait in view.waited:
        known = longest.setdefault(wait.operation, wait)
        if wait.aws_seconds > known.aws_seconds:
            longest[wait.operation] = wait
    for wait in longest.values():
        print(f"  {wait.operation:<20} {wait.aws_seconds:>5.0f} s  {wait.source}")


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, plain columns elsewhere."""
    print()
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415  # 0.1 s that only a terminal repays
        from rich.table import Table  # noqa: PLC0415

        drawn = Table(*heads, title=title, title_justify="left")
        for row in rows:
            drawn.add_row(*row)
        Console().print(drawn)
        return
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    print(title)
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())
