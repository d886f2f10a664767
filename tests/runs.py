"""Documents of made-up runs, built with event-model and nothing of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import event_model
import numpy as np

Documents = list[tuple[str, dict[str, Any]]]
GRID = np.concatenate([np.arange(-150, -20, 5.0), np.arange(-20, 40, 0.5), np.arange(40, 300, 4.0)])


def absorption(energy: np.ndarray, e0: float = 7112.0) -> np.ndarray:
    """Return μ of a made-up edge: a step with a white line on a falling background."""
    x = energy - e0
    step = 0.5 + np.arctan(x / 1.5) / np.pi
    return 0.4 - 1e-4 * x + step * (1 + 0.8 * np.exp(-((x - 8) ** 2) / 20))


def readings(energy: np.ndarray, e0: float = 7112.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Return i0, it, ir and four fluorescence elements (f0 … f3) at `energy` (eV)."""
    rng = np.random.default_rng(seed)
    i0 = 1e6 * (1 + 1e-4 * (energy - e0)) * rng.normal(1, 2e-3, energy.shape)
    mu = absorption(energy, e0)
    it = i0 * np.exp(-mu) * rng.normal(1, 5e-4, energy.shape)
    ir = it * np.exp(-absorption(energy, e0)) * rng.normal(1, 5e-4, energy.shape)
    share = {f"f{k}": 0.01 * (1 + 0.2 * k) * i0 * mu for k in range(4)}
    noisy = {k: v * rng.normal(1, 1e-3, energy.shape) for k, v in share.items()}
    return {"i0": i0, "it": it, "ir": ir, **noisy}


def documents(
    columns: Mapping[str, Any],
    start: Mapping[str, Any] | None = None,
    *,
    keys: Mapping[str, Mapping[str, Any]] | None = None,
    stream: str = "primary",
    object_keys: Mapping[str, list[str]] | None = None,
    pages: int = 0,
    exit_status: str = "success",
    reason: str = "",
    before: Iterable[tuple[str, Mapping[str, Any]]] = (),
) -> Documents:
    """Return the documents of one run.

    `columns` holds one row an event by data key, `keys` what the descriptor says besides, `before`
    further streams by name that come first, `pages` > 0 makes that many event_pages of the events.
    """
    run = event_model.compose_run()
    found: Documents = [("start", {**run.start_doc, **(start or {})})]
    for name, rows in (*before, (stream, columns)):
        found += _stream(run, name, rows, keys or {}, object_keys or {}, pages)
    found.append(("stop", run.compose_stop(exit_status=exit_status, reason=reason)))
    return found


def _stream(run, name, columns, keys, object_keys, pages) -> Documents:
    described = {
        key: _described(values) | dict(keys.get(key, {})) for key, values in columns.items()
    }
    bundle = run.compose_descriptor(name=name, data_keys=described)
    descriptor = dict(bundle.descriptor_doc)
    owned = {key for keys_ in object_keys.values() for key in keys_}
    descriptor["object_keys"] = {
        **{k: v for k, v in object_keys.items() if set(v) <= set(columns)},
        **{key: [key] for key in columns if key not in owned},
    }
    n = len(next(iter(columns.values())))
    events = [
        bundle.compose_event(
            data={key: _plain(values[i]) for key, values in columns.items()},
            timestamps=dict.fromkeys(columns, 0.0),
            time=1000.0 + i,
            validate=False,
        )
        for i in range(n)
    ]
    if pages:
        chunks = np.array_split(np.arange(n), pages)
        made = [
            ("event_page", event_model.pack_event_page(*[events[i] for i in chunk]))
            for chunk in chunks
            if len(chunk)
        ]
    else:
        made = [("event", event) for event in events]
    return [("descriptor", descriptor), *made]


def _described(values) -> dict[str, Any]:
    shape = list(np.shape(values[0])) if len(values) else []
    return {"source": "TEST", "dtype": "array" if shape else "number", "shape": shape}


def _plain(value):
    return value if np.ndim(value) else float(value)


def xas(
    names: Mapping[str, str],
    start: Mapping[str, Any] | None = None,
    *,
    energy: np.ndarray | None = None,
    e0: float = 7112.0,
    **options: Any,
) -> Documents:
    """Return a step scan; `names` gives the data key of 'energy', 'i0', 'it', …, 'f0' … 'f3'."""
    grid = e0 + GRID if energy is None else energy
    values = {"energy": grid, **readings(grid, e0)}
    columns = {key: values[role] for role, key in names.items()}
    return documents(columns, start, **options)


FE = {"plan_name": "xas_scan", "element": "Fe", "edge": "K"}
PLAIN = {"energy": "energy", "i0": "i0", "it": "it"}
