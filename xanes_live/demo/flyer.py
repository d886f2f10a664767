"""Fly scans: the monochromator moves through, the counters are read out in blocks meanwhile.

Two ways in which such data reach Bluesky: as `event_page`, and as an HDF5 file that is announced by
`stream_resource` and followed by `stream_datum`.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from ophyd import Component, Device, Kind, Signal
from ophyd.status import DeviceStatus

from xanes_live import log
from xanes_live.demo.devices import JITTER_EV, Bench
from xanes_live.demo.simulation import ELEMENT_SHARE
from xanes_live.domain import Array

BLOCKS: Final = 8
"""Read-outs a fly scan."""
CHUNK: Final = 256
"""Points a chunk of the HDF5 datasets."""

_log = log.get(__name__)


class Flyer(Device):  # type: ignore[misc]  # ophyd has no type information
    """Base of the fly scans: moves on a thread of its own and hands each block to `_store`.

    Parameters
    ----------
    name
        Device name.
    bench
        Where the experiment stands.
    energy
        Energies of the trajectory, eV, shape (n_points,).
    duration_s
        Duration of the whole sweep, s of beamtime.
    """

    integration_time = Component(Signal, value=0.0, kind=Kind.config)
    dark_current = Component(Signal, value=0.0, kind=Kind.config)

    def __init__(self, name: str, bench: Bench, energy: Array, duration_s: float) -> None:
        self._bench, self._grid, self._duration_s = bench, energy, duration_s
        self._done: DeviceStatus | None = None
        super().__init__(name=name)
        self.integration_time.put(duration_s / energy.size)
        self.dark_current.put(bench.experiment.electronics["i0"].dark_rate)

    def kickoff(self) -> DeviceStatus:
        """Start moving."""
        self._done = DeviceStatus(self)
        threading.Thread(target=self._fly, args=(self._done,), daemon=True).start()
        started = DeviceStatus(self)
        started.set_finished()
        return started

    def complete(self) -> DeviceStatus:
        """Return the status that is done when the trajectory is."""
        if self._done is None:
            raise RuntimeError(f"{self.name}: complete() before kickoff()")
        return self._done

    def _fly(self, done: DeviceStatus) -> None:
        experiment = self._bench.experiment
        dwell = self._duration_s / self._grid.size
        try:
            for block in np.array_split(self._grid, BLOCKS):
                time.sleep(block.size * dwell * experiment.time_scale)
                true = block + experiment.rng.normal(0.0, JITTER_EV, block.size)
                self._store(true, experiment.sweep(true, dwell))
            self._close()
        except Exception as error:  # noqa: BLE001  the status takes it to the RunEngine
            log.event(_log, logging.ERROR, "fly scan failed", device=self.name, error=repr(error))
            done.set_exception(error)
        else:
            done.set_finished()

    @abstractmethod
    def _store(self, energy: Array, counts: dict[str, Array]) -> None:
        """Take one block: energies (eV) and counts by channel, each of shape (n_block,)."""

    def _close(self) -> None:
        """End the storage; called once, when the trajectory ends."""


class PageFlyer(Flyer):
    """Reads out `event_page` documents; keys `name`_energy, _i0, _it, _ir, _if1 … _if4."""

    def __init__(self, name: str, bench: Bench, energy: Array, duration_s: float) -> None:
        self._pages: list[dict[str, Any]] = []
        self._keys = {"i0": f"{name}_i0", "it": f"{name}_it", "ir": f"{name}_ir"}
        self._keys |= {f"fluorescence[{k}]": f"{name}_if{k + 1}" for k in range(len(ELEMENT_SHARE))}
        super().__init__(name, bench, energy, duration_s)

    def _store(self, energy: Array, counts: dict[str, Array]) -> None:
        data = {key: counts[channel].tolist() for channel, key in self._keys.items()}
        data[f"{self.name}_energy"] = energy.tolist()
        now = [time.time()] * energy.size
        self._pages.append({"data": data, "timestamps": dict.fromkeys(data, now), "time": now})

    def describe_collect(self) -> dict[str, Any]:
        """Describe one event."""
        key: dict[str, Any] = {"source": "SIM:fly", "dtype": "number", "shape": []}
        described = {name: dict(key) for name in self._keys.values()}
        return {f"{self.name}_energy": {**key, "units": "eV"}, **described}

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """Yield and forget the blocks read out so far."""
        while self._pages:
            yield self._pages.pop(0)


class HDF5Flyer(Flyer):
    """Writes one HDF5 file a scan; keys energy, i0, it, ir (scalars) and fluo (one per element).

    Parameters
    ----------
    directory
        Where the files go; the Tiled server must be allowed to read it.
    """

    def __init__(
        self,
        name: str,
        bench: Bench,
        energy: Array,
        duration_s: float,
        directory: Path,
    ) -> None:
        self._directory = directory
        self._path = directory
        self._datasets: dict[str, h5py.Dataset] = {}
        self._lock = threading.Lock()
        self._resources: dict[str, str] = {}
        self._written = self._announced = 0
        self._keys: dict[str, tuple[int, ...]] = {
            **{f"{name}_{key}": () for key in ("energy", "i0", "it", "ir")},
            f"{name}_fluo": (len(ELEMENT_SHARE),),
        }
        super().__init__(name, bench, energy, duration_s)

    def kickoff(self) -> DeviceStatus:
        """Open the file and start moving."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._path = self._directory.resolve() / f"{uuid.uuid4()}.h5"
        self._resources, self._written, self._announced = {}, 0, 0
        # The latest format, so that the server may read while the file grows.
        file = h5py.File(self._path, "w", libver="latest")
        for key, shape in self._keys.items():
            size: dict[str, Any] = {"maxshape": (None, *shape), "chunks": (CHUNK, *shape)}
            path = f"entry/{key}"
            self._datasets[key] = file.create_dataset(path, (0, *shape), dtype="f8", **size)
        file.swmr_mode = True
        self._file = file
        return super().kickoff()

    def _store(self, energy: Array, counts: dict[str, Array]) -> None:
        values = {f"{self.name}_{key}": counts[key] for key in ("i0", "it", "ir")}
        elements = [counts[f"fluorescence[{k}]"] for k in range(len(ELEMENT_SHARE))]
        values |= {
            f"{self.name}_energy": energy,
            f"{self.name}_fluo": np.stack(elements, axis=1),
        }
        with self._lock:
            stop = self._written + energy.size
            for key, block in values.items():
                dataset = self._datasets[key]
                dataset.resize(stop, axis=0)
                dataset[self._written :] = block
                dataset.flush()
            self._written = stop

    def _close(self) -> None:
        with self._lock:
            self._file.close()

    def describe_collect(self) -> dict[str, Any]:
        """Describe one event, all of it in the file."""
        described: dict[str, Any] = {}
        for key, shape in self._keys.items():
            described[key] = {
                "source": "SIM:hdf5",
                "dtype": "array" if shape else "number",
                "dtype_numpy": "<f8",
                "shape": list(shape) or [1],
                "external": "STREAM:",
            }
        described[f"{self.name}_energy"]["units"] = "eV"
        return described

    def get_index(self) -> int:
        """Return how many points are in the file."""
        with self._lock:
            return self._written

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield `stream_resource` once for each key, then `stream_datum` for what is new."""
        stop = self.get_index() if index is None else min(index, self.get_index())
        if stop == self._announced:
            return
        if not self._resources:
            yield from self._announce()
        for resource in self._resources.values():
            yield "stream_datum", self._datum(resource, stop)
        self._announced = stop

    def _announce(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for key, shape in self._keys.items():
            self._resources[key] = str(uuid.uuid4())
            yield (
                "stream_resource",
                {
                    "uid": self._resources[key],
                    "data_key": key,
                    "mimetype": "application/x-hdf5",
                    "uri": f"file://localhost{self._path.as_posix()}",
                    "parameters": {
                        "dataset": f"/entry/{key}",
                        "chunk_shape": [CHUNK, *shape],
                        "swmr": True,
                    },
                },
            )

    def _datum(self, resource: str, stop: int) -> dict[str, Any]:
        indices = {"start": self._announced, "stop": stop}
        # The RunEngine fills in descriptor and seq_nums.
        return {
            "uid": f"{resource}/{self._announced}",
            "stream_resource": resource,
            "descriptor": "",
            "indices": indices,
            "seq_nums": {"start": 0, "stop": 0},
        }
