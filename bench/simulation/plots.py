"""Draws docs/images/simulation-*.png."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, ScalarFormatter

from .experiments import OUTAGE
from .measures import Outcome, quantile
from .report import Row, rows

__all__ = ["draw"]

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#777777"
Outcomes = dict[str, list[Outcome]]


def draw(outcomes: Outcomes, folder: Path) -> None:
    """All of the plots, into ``folder``."""
    mpl.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "legend.frameon": False, "axes.titlesize": 10})
    for name, plot in (("mints", _mints), ("waits", _waits), ("outage", _outage), ("cache", _cache)):
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
        plot(outcomes, *axes)
        figure.savefig(folder / f"simulation-{name}.png", dpi=110, metadata={"Software": None})
        plt.close(figure)


def _mints(outcomes: Outcomes, left: Any, right: Any) -> None:
    for name, label, style in (
        ("steady", "steady: crashes, restarts, clocks ±0.1 s", {"color": BLUE, "marker": "o"}),
        ("holder", "1 lease holder in 10 killed", {"color": ORANGE, "marker": "s"}),
    ):
        found = rows(outcomes[name])
        left.plot(_sizes(found), [row.mints_per_lifetime for row in found], label=label, **style)
    _goal(left, "goal: 1.01")
    left.set(title="Mints per token lifetime", ylim=(0.98, 1.12))
    _by_hosts(left)
    clocks, faults = rows(outcomes["clocks"]), rows(outcomes["faults"])
    for found, shares, label, style in (
        (clocks, [row.world.wrong_clocks for row in clocks], "share of clocks wrong by up to ±5 min", (RED, "o")),
        (faults, [row.world.cache_faults for row in faults], "share of cache operations that time out", (PURPLE, "s")),
    ):
        values = [row.mints_per_lifetime for row in found]
        right.plot(shares, values, label=label, color=style[0], marker=style[1])
    _goal(right, "goal: 1.01")
    size = clocks[0].world.hosts
    right.set(title=f"The same under worse conditions, {size:,} hosts", xscale="log", yscale="log", xlabel="share")
    right.yaxis.set_major_formatter(ScalarFormatter())
    right.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g}"))
    right.legend(loc="upper left")


def _waits(outcomes: Outcomes, left: Any, right: Any) -> None:
    series = (
        ("steady", "steady: first start, and restarts after crashes", BLUE),
        ("cold", "all hosts start within 1 s", GREEN),
        ("holder", "1 lease holder in 10 killed", ORANGE),
    )
    for name, label, color in series:
        found = rows(outcomes[name])
        sizes = _sizes(found)
        left.plot(sizes, [max(row.without) for row in found], color=color, marker="^", linestyle="--")
        left.plot(sizes, [quantile(row.without, 0.99) for row in found], color=color, marker="o", label=label)
        waits = sorted(found[-1].without)
        shares = [1 - rank / len(waits) for rank in range(len(waits))]
        right.step(waits, shares, where="post", color=color, label=f"{name}, {found[-1].world.hosts:,} hosts")
    left.set(title="Added wait of calls without a token: p99 (●), maximum (▲)", yscale="log", ylabel="seconds")
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left.set_ylim(0.002, 100)
    _by_hosts(left)
    right.set(title="Share of those calls that waited longer than …", xscale="log", yscale="log", xlabel="seconds")
    right.axvline(15, color=GREY, linestyle=":")
    right.annotate(
        "lease 15 s", (15, 1.0), color=GREY, ha="right", va="bottom", xytext=(-3, 0), textcoords="offset points"
    )
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.legend(loc="lower left")


def _outage(outcomes: Outcomes, left: Any, right: Any) -> None:
    found = rows(outcomes["outage"])
    sizes = _sizes(found)
    left.plot(sizes, [row.attempts for row in found], color=BLUE, marker="o", label="in the whole outage")
    left.plot(sizes, [row.attempts_due for row in found], color=RED, marker="s", label="once every host is due")
    left.set(title="Token requests during an outage of 1,300 s", ylim=(0, None), ylabel="requests, mean over the seeds")
    _by_hosts(left)
    first = {outcome.world.hosts: outcome for outcome in reversed(outcomes["outage"])}
    for line, size in enumerate(sorted(first)):
        outcome = first[size]
        when = [when for when in outcome.attempts if OUTAGE[0] <= when < OUTAGE[1]]
        right.plot(when, [line] * len(when), "|", color=BLUE, markersize=14)
    right.axvspan(*OUTAGE, color=GREY, alpha=0.12)
    for when, what in ((2700, "due"), (3600, "expired")):
        right.axvline(when, color=GREY, linestyle=":")
        right.annotate(what, (when, line + 0.6), xytext=(3, 0), textcoords="offset points", color=GREY)
    right.set(title="When they were made (seed 1)", xlabel="seconds since the start", xlim=(2550, 4000))
    right.set_yticks(range(len(first)), [f"{size:,} host{'s' * (size > 1)}" for size in sorted(first)])
    right.set_ylim(-0.6, line + 1.0)
    right.grid(visible=False, axis="y")


def _cache(outcomes: Outcomes, left: Any, right: Any) -> None:
    for name, label, style in (
        ("steady", "steady", {"color": BLUE, "marker": "o"}),
        ("cold", "all start within 1 s", {"color": GREEN, "marker": "v"}),
        ("outage", "outage, 503", {"color": RED, "marker": "s"}),
        ("hanging", "outage, no answer", {"color": PURPLE, "marker": "D"}),
    ):
        found = rows(outcomes[name])
        left.plot(_sizes(found), [row.peak for row in found], label=label, **style)
    left.set(title="Cache operations in the busiest second", yscale="log")
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    _by_hosts(left)
    outcome = outcomes["outage"][-1]
    begin, end = 2500, int(outcome.world.duration)
    counts = [outcome.operations.get(second, 0) for second in range(begin, end)]
    right.plot(range(begin, end), [max(count, 0.5) for count in counts], color=RED, linewidth=0.7)
    right.axvspan(*OUTAGE, color=GREY, alpha=0.12)
    right.set(title=f"Cache operations per second in the outage, {outcome.world.hosts:,} hosts", yscale="log")
    right.set(xlabel="seconds since the start", ylim=(0.5, None))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _sizes(found: Iterable[Row]) -> list[int]:
    return [row.world.hosts for row in found]


def _goal(axes: Any, words: str) -> None:
    axes.axhline(1.01, color=GREEN, linestyle="--", linewidth=1)
    axes.annotate(words, (1, 1.01), xycoords=("axes fraction", "data"), color=GREEN, ha="right", va="bottom")


def _by_hosts(axes: Any) -> None:
    axes.set(xscale="log", xlabel="hosts")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.legend(loc="best")
