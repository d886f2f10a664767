"""Which data keys a scan is read from, and so whether it matters that one was lost."""

from __future__ import annotations

from collections.abc import Sequence

from xanes_live.config import BeamlineConfig
from xanes_live.documents.channels import MAX_ELEMENTS
from xanes_live.documents.context import Context
from xanes_live.documents.external import read_external
from xanes_live.documents.names import channel_points, energy_points
from xanes_live.documents.reading import Reading
from xanes_live.documents.run import RunRecord
from xanes_live.documents.streams import choose


class Needs:
    """Tells which keys a run cannot do without, as far as what is there of it tells.

    Parameters
    ----------
    record
        A run of which something is not there.
    config
        How to read this beamline's documents.
    """

    def __init__(self, record: RunRecord, config: BeamlineConfig) -> None:
        self._context = Context.of(record, config)
        self._choice = choose(read_external(record, config.path_map), self._context)

    def __call__(self, stream: str, key: str) -> bool:
        """Tell whether `key` of `stream` would be used, were it there; True where nobody knows."""
        choice = self._choice
        if choice is None or not choice.best.complete:
            return True
        reading = choice.reading_of(stream)
        if reading is None:
            return may_be_used(key, self._context)
        # a channel that was taken for want of a better one may give way to any that comes
        return reading.roles.guessed or is_needed(key, reading, self._context)


def is_needed(key: str, reading: Reading, context: Context) -> bool:
    """Tell whether a key that was lost would have been used beside what could be read.

    The spectra beside sums that were read are not: any fluorescence by name makes do. Of the
    chambers the one with the better name is wanted, unless the configuration names another.
    """
    roles, axis = reading.roles, reading.axis
    if key in configured(context) or key in roles.keys or (axis is not None and key == axis.key):
        return True
    if not may_be_used(key, context) or _is_spectrum(key, reading):
        return False
    named = set(channel_points(key))
    return roles.guessed or not named or not named <= _settled(reading, context)


def _settled(reading: Reading, context: Context) -> set[str]:
    """Return the roles for which no other key is wanted."""
    roles, config = reading.roles, context.config
    settled = {
        role
        for role, key_ in (("i0", config.i0), ("it", config.it), ("ir", config.ir))
        if key_ is not None and key_ in roles.keys
    }
    if roles.fluorescence:
        settled.add("fluorescence")
    return settled


def _is_spectrum(key: str, reading: Reading) -> bool:
    """Whether each point of a step scan has a spectrum, or more, of `key`: no use is made of it."""
    if reading.axis is None or reading.axis.energy.ndim != 1:
        return False
    shape = [n for n in reading.stream.shape(key) if n > 1]
    return len(shape) > 1 or max(shape, default=1) > MAX_ELEMENTS


def may_be_used(key: str, context: Context) -> bool:
    """Tell whether a key is an energy or a channel, by its name or by the configuration."""
    named = bool(channel_points(key)) or max(energy_points(key).values(), default=0.0) > 0
    return named or key in configured(context)


def configured(context: Context) -> Sequence[str]:
    """Return the data keys that the configuration names."""
    config = context.config
    single = (config.energy, config.i0, config.it, config.ir)
    return (*(key for key in single if key is not None), *config.fluorescence)
