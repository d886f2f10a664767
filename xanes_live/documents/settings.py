"""Settings of the configuration that a run does not meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xanes_live.documents.absorber import absorber
from xanes_live.documents.context import Context
from xanes_live.documents.lacking import unusable
from xanes_live.documents.reading import Reading, sweeps
from xanes_live.documents.run import RunRecord
from xanes_live.documents.streams import choose

_UNSET = {
    "stream": None,
    "energy": None,
    "energy_units": None,
    "i0": None,
    "it": None,
    "ir": None,
    "fluorescence": (),
}


def hide(record: RunRecord, context: Context) -> bool:
    """Tell whether the run would be read as an absorption scan, were no keys configured.

    Such a run is not to be passed over in silence: the configuration does not fit it.
    """
    config = context.config
    if all(getattr(config, name) == value for name, value in _UNSET.items()):
        return False
    free = replace(context, config=config.model_copy(update=_UNSET))
    choice = choose(record, free)
    if choice is None or not choice.best.complete or choice.best.guessed:
        return False
    edge = absorber(sweeps(choice.best, free), free)
    return edge is not None and bool(edge.element)


def no_stream(record: RunRecord, context: Context) -> str:
    """Say why none of the streams is read; '' where the run has none."""
    chosen = context.config.stream
    there = ", ".join(map(repr, sorted(record.streams)))
    if not there:
        return ""
    if chosen is None:
        return (
            f"by its name none of the streams holds spectra ({there}); set stream to one that does"
        )
    return f"the run has no stream {chosen!r}, which is configured; there are {there}"


def unmet(reading: Reading, context: Context) -> Iterator[str]:
    """Yield, in words, each channel that is configured and not used."""
    config, roles = context.config, reading.roles
    for role, key in (("it", config.it), ("ir", config.ir)):
        if key is not None and key not in roles.keys:
            yield unusable(role, key, reading.stream)
    gone = [key for key in config.fluorescence if key not in roles.fluorescence]
    if gone:
        yield unusable("fluorescence", " + ".join(gone), reading.stream)
