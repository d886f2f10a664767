"""What is known of a run besides its data: from its start document and the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xanes_live.config import BeamlineConfig
from xanes_live.documents import metadata
from xanes_live.documents.leaves import clean, flat
from xanes_live.documents.names import energy_points, words
from xanes_live.documents.run import RunRecord, Stream

CLEAR = 6.0
"""Points from which a name alone says that a key is the energy."""
_STAGE = re.compile(
    r"_(?:x|y|z|sam|sample|stage|slit\w*|table|pitch|roll|yaw|th|theta|phi|chi|piezo|pin|mirror|time|"
    r"temp\w*|temperature|volt\w*|current|i0|it|ir|if|det\w*|gap|height|pos|position)_"
)


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a run besides its data."""

    config: BeamlineConfig
    start: Mapping[str, Any]
    """The start document, JSON-safe and of bounded size; {} after a late subscription."""
    leaves: Mapping[str, Any]
    """The start document by dotted lower-case path."""
    element: str
    """Announced or configured, '' if neither."""
    edge: str
    edge_energy: float | None
    """Tabulated, eV; None when element and edge are not both known."""
    scanned: frozenset[str]
    """Devices and data keys the plan says it scans (motors, hints.dimensions)."""
    baseline: Stream
    """What was read before and after; empty where nothing was."""
    xas_plan: bool
    """The plan's name says that it is an absorption scan."""

    @classmethod
    def of(cls, record: RunRecord, config: BeamlineConfig) -> Context:
        """Collect what the start document and the configuration say."""
        start = clean(record.start)
        leaves = flat(start)
        element = metadata.element(leaves) or metadata.symbol_of(config.element)
        edge = metadata.edge(leaves) or metadata.edge_of(config.edge)
        plan = start.get("plan_name")
        return cls(
            config=config,
            start=start,
            leaves=leaves,
            element=element,
            edge=edge,
            edge_energy=metadata.known_edge(element, edge),
            scanned=frozenset(_scanned(start)),
            baseline=record.streams.get("baseline", Stream("baseline")),
            xas_plan=plan in config.plans or metadata.is_xas_plan(start),
        )

    @property
    def scans_energy(self) -> bool:
        """Whether the plan says that it scans something named like an energy."""
        return any(max(energy_points(name).values(), default=0) >= CLEAR for name in self.scanned)

    @property
    def announced(self) -> bool:
        """Whether the start document alone makes this an absorption scan."""
        elsewhere = self.scanned and all(is_stage(name) for name in self.scanned)
        named = bool(self.element and self.edge and self.scans_energy)
        return named or (self.xas_plan and not elsewhere)


def is_stage(name: str) -> bool:
    """Tell whether a name is that of a position, a time or a detector."""
    return _STAGE.search(words(name)) is not None


def _scanned(start: Mapping[str, Any]) -> Iterable[str]:
    motors = start.get("motors")
    for motor in motors if isinstance(motors, list | tuple) else ():
        if isinstance(motor, str):
            yield motor
    hints = start.get("hints")
    dimensions = hints.get("dimensions") if isinstance(hints, Mapping) else None
    for dimension in dimensions if isinstance(dimensions, list | tuple) else ():
        fields = dimension[0] if isinstance(dimension, list | tuple) and dimension else ()
        for name in fields if isinstance(fields, list | tuple) else (fields,):
            if isinstance(name, str):
                yield name
