"""What a benchmark gives, and how its samples become a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Sample = dict[str, float]  # "figure" is pcemu's own, "figure/peer" the peer's; what could not run is missing


class Unavailable(Exception):
    """A benchmark, or a peer, cannot run here; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Figure:
    """One figure: ``limit`` is its target, for the ratio to each of the peers ``against`` if any are named.

    Ratios are pcemu's value by the peer's. Without a limit the figure is shown for comparison only.
    """

    key: str
    title: str
    unit: str
    limit: float | None = None
    at_least: bool = False
    against: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The target as text."""
        if self.limit is None:
            return ""
        sign = "≥" if self.at_least else "≤"
        if self.against:
            return f"{sign} {self.limit:g} × {' and '.join(self.against)}"
        return f"{sign} {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class Benchmark:
    """``sample()`` measures all ``figures`` once."""

    name: str
    figures: tuple[Figure, ...]
    sample: Callable[[], Sample]


@dataclass(frozen=True)
class Result:
    """A figure with all its samples."""

    figure: Figure
    own: list[float]
    peers: dict[str, list[float]]

    @classmethod
    def of(cls, figure: Figure, samples: Sequence[Sample]) -> Result:
        """Collect what the samples say of ``figure``."""
        prefix = f"{figure.key}/"
        peers: dict[str, list[float]] = {}
        for sample in samples:
            for key, value in sample.items():
                if key.startswith(prefix):
                    peers.setdefault(key.removeprefix(prefix), []).append(value)
        return cls(figure, [sample[figure.key] for sample in samples], peers)

    @property
    def value(self) -> float:
        """The median."""
        return median(self.own)

    def ratio(self, peer: str) -> float:
        """The median of the paired ratios to ``peer``."""
        return median(own / other for own, other in zip(self.own, self.peers[peer], strict=True))

    @property
    def met(self) -> bool | None:
        """Is the target met? None where there is none, or no peer to tell."""
        figure = self.figure
        if figure.limit is None or any(peer not in self.peers for peer in figure.against):
            return None
        values = [self.ratio(peer) for peer in figure.against] or [self.value]
        return all(v >= figure.limit if figure.at_least else v <= figure.limit for v in values)

    def as_json(self) -> dict[str, object]:
        """All there is to say of the figure."""
        return {
            "title": self.figure.title,
            "unit": self.figure.unit,
            "target": self.figure.target,
            "met": self.met,
            "median": self.value,
            "samples": self.own,
            "peers": {
                peer: {"median": median(values), "ratio": self.ratio(peer), "samples": values}
                for peer, values in self.peers.items()
            },
        }
