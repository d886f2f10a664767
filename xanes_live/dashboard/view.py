"""What the page shows of a result: read from its metadata, typed and bounded.

:func:`summary` is one row of the history, :func:`detail` everything a page about one result
draws. Both take any mapping at all and never raise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

from xanes_live.dashboard.repeats import repeats
from xanes_live.dashboard.safe import (
    SENTENCE,
    curve,
    integer,
    items,
    mapping,
    number,
    numbers,
    text,
    words,
)

COLOURS = ("green", "amber", "red")
SEVERITIES = ("error", "warning", "info")
CURVES = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
STACKS = ("mean", "sigma", "lower", "upper", "normalised", "flattened")
MAX_FLAGS = 40
MAX_SPECTRA = 2000
_DAY = 86_400.0

SELECT = (
    "{status: status, kind: kind, raw_uid: raw_uid, scan_id: scan_id, sample: sample,"
    " element: element, edge: edge, plan_name: plan_name, time: time, stop_time: stop_time,"
    " confidence: confidence, probability: probability, first_shell: first_shell, e0: e0,"
    " edge_step: edge_step, flag_codes: flag_codes, n_spectra: n_spectra, model: model,"
    " config_hash: config_hash, mode: mode, revised: revised}"
)
"""JMESPath with which Tiled returns no more than a summary needs."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of the history."""

    key: str
    raw_uid: str
    scan_id: int | None
    sample: str
    element: str
    edge: str
    plan: str
    time: float | None
    """Start of the run, s since the epoch."""
    stop_time: float | None
    colour: str
    """'green', 'amber', 'red', or '' for a scan that was not predicted."""
    probability: float | None
    r: float | None
    """First shell, Å."""
    low: float | None
    high: float | None
    e0: float | None
    edge_step: float | None
    codes: tuple[str, ...]
    n_spectra: int
    model: str
    config: str
    mode: str

    def row(self) -> tuple[Any, ...]:
        """Return the values in the order of :data:`FIELDS`."""
        return astuple(self)


FIELDS = tuple(field.name for field in fields(Summary))


def is_complete(metadata: object) -> bool:
    """Whether a node's document is final."""
    return mapping(metadata).get("status") == "complete"


def moment(value: object) -> float | None:
    """Return a time, s since the epoch, if it can be one: not before 1990, not in the future."""
    found = number(value)
    return found if found is not None and 6.3e8 < found < time.time() + _DAY else None


def colour(value: object) -> str:
    """Return the colour, '' when it is none of the three."""
    return value if isinstance(value, str) and value in COLOURS else ""


def summary(key: str, metadata: object) -> Summary:
    """Read one row of the history from a document or from what :data:`SELECT` leaves of it."""
    data = mapping(metadata)
    shell = mapping(data.get("first_shell"))
    model = mapping(data.get("model"))
    return Summary(
        key=text(key),
        raw_uid=text(data.get("raw_uid")),
        scan_id=integer(data.get("scan_id")),
        sample=text(data.get("sample")),
        element=text(data.get("element"), 4),
        edge=text(data.get("edge"), 4),
        plan=text(data.get("plan_name"), 80),
        time=moment(data.get("time")),
        stop_time=moment(data.get("stop_time")),
        colour=colour(data.get("confidence")),
        probability=_fraction(data.get("probability")),
        r=number(shell.get("r")),
        low=number(shell.get("low")),
        high=number(shell.get("high")),
        e0=number(data.get("e0")),
        edge_step=number(data.get("edge_step")),
        codes=tuple(text(c, 40) for c in items(data.get("flag_codes"), MAX_FLAGS)),
        n_spectra=integer(data.get("n_spectra")) or 0,
        model=f"{text(model.get('id'), 40)} {text(model.get('version'), 20)}".strip(),
        config=text(data.get("config_hash"), 40),
        mode=text(data.get("mode"), 20),
    )


def _fraction(value: object) -> float | None:
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def detail(key: str, metadata: object) -> dict[str, Any]:
    """Return everything the page about one result draws."""
    data = mapping(metadata)
    row = summary(key, data)
    return {
        **{name: getattr(row, name) for name in FIELDS},
        "kind": "declined" if data.get("kind") == "declined" else "prediction",
        "raw_path": text(data.get("raw_path"), SENTENCE),
        "exit_status": text(data.get("exit_status"), 20),
        "software": text(data.get("software"), 80),
        "model_hash": text(mapping(data.get("model")).get("hash"), 80),
        "flags": _flags(data.get("flags")),
        "shell": numbers(data.get("first_shell")),
        "peaks": _peaks(data.get("peaks")),
        "g2": _g2(data.get("g2")),
        "spectrum": _spectrum(data.get("spectrum")),
        "edge_step_sigma": number(data.get("edge_step_sigma")),
        "energy_shift": number(data.get("energy_shift")),
        "noise": number(data.get("noise")),
        "ranges": numbers(data.get("ranges")),
        "quality": words(data.get("quality")),
        "signals": numbers(data.get("signals")),
        "novelty": _fraction(data.get("novelty")),
        "rival": _rival(data.get("rival")),
        "nearest": _nearest(data.get("nearest")),
        "sensitivity": _sensitivity(data.get("sensitivity")),
        "cyclic": _cyclic(data.get("cyclic")),
        "sweeps": _sweeps(data.get("spectra")),
        "repeats": repeats(data.get("repeats")),
        "reprocessed": _reprocessed(data.get("reprocessed")),
    }


def _reprocessed(value: object) -> dict[str, Any] | None:
    """Return which result this one replaces, and what was changed."""
    origin = mapping(value)
    if not origin:
        return None
    return {"of": text(origin.get("of")), "changes": words(origin.get("changes"))}


def _flags(value: object) -> list[dict[str, str]]:
    found = [mapping(item) for item in items(value, MAX_FLAGS)]
    return [
        {
            "code": text(flag.get("code"), 40),
            "severity": _one_of(flag.get("severity"), SEVERITIES, "warning"),
            "message": text(flag.get("message"), SENTENCE),
            "remedy": text(flag.get("remedy"), SENTENCE),
        }
        for flag in found
        if flag
    ]


def _one_of(value: object, known: tuple[str, ...], otherwise: str) -> str:
    return value if isinstance(value, str) and value in known else otherwise


def _peaks(value: object) -> list[dict[str, Any]]:
    peaks = []
    for item in items(value, 20):
        peak = mapping(item)
        r, height = number(peak.get("r")), number(peak.get("height"))
        if r is not None and height is not None:
            peaks.append({"r": r, "height": height, "region": text(peak.get("region"), 10)})
    return peaks


def _equal_length(found: Mapping[str, list[float | None]], axis: str) -> dict[str, Any] | None:
    """Return the curves as long as the `axis`; None without an axis of finite numbers."""
    x = found.get(axis) or []
    if len(x) < 2 or any(v is None for v in x):
        return None
    return {name: y for name, y in found.items() if len(y) == len(x)}


def _g2(value: object) -> dict[str, Any] | None:
    g2 = mapping(value)
    band = mapping(g2.get("band95"))
    found = {name: curve(g2.get(name)) for name in ("radius", "mean", "sigma")}
    found |= {name: curve(band.get(name)) for name in ("lower", "upper")}
    shown = _equal_length(found, "radius")
    return None if shown is None else {**shown, "skill_to": number(g2.get("skill_to"))}


def _spectrum(value: object) -> dict[str, Any] | None:
    return _equal_length({name: curve(mapping(value).get(name)) for name in CURVES}, "energy")


def _rival(value: object) -> dict[str, float | None]:
    rival = mapping(value)
    return {"r": number(rival.get("r")), "probability": _fraction(rival.get("probability"))}


def _nearest(value: object) -> list[dict[str, Any]]:
    found = [mapping(item) for item in items(value, 10)]
    return [
        {
            "name": text(near.get("name")),
            "distance": number(near.get("distance")),
            "r": number(near.get("r")),
            "ligand": text(near.get("ligand"), 4),
        }
        for near in found
        if text(near.get("name"))
    ]


def _sensitivity(value: object) -> list[dict[str, Any]]:
    """Return the variants of the spectrum and how far each moves the first shell."""
    variants = []
    for item in items(value, 40):
        variant = mapping(item)
        size, r = number(variant.get("value")), number(variant.get("r"))
        if size is not None and r is not None:
            kind = text(variant.get("kind"), 20)
            variants.append({"kind": kind, "value": size, "r": r, "g2": number(variant.get("g2"))})
    return variants


def _cyclic(value: object) -> dict[str, Any] | None:
    cyclic = mapping(value)
    names = ("energy", "measured", "returned", "residual")
    found = _equal_length({name: curve(cyclic.get(name)) for name in names}, "energy")
    return None if found is None else {**found, "score": number(cyclic.get("score"))}


def _sweeps(value: object) -> dict[str, Any] | None:
    """Return what is said of each spectrum of a run of many."""
    sweeps = mapping(value)
    if not sweeps:
        return None
    lists = ("first_shell_r", "first_shell_low", "first_shell_high", "e0", "edge_step")
    found: dict[str, Any] = {name: curve(sweeps.get(name), MAX_SPECTRA) for name in lists}
    found["colours"] = [colour(c) for c in items(sweeps.get("confidence"), MAX_SPECTRA)]
    found["count"] = integer(sweeps.get("count")) or 0
    found["described"] = integer(sweeps.get("described"))
    found["by_colour"] = numbers(sweeps.get("colours"))
    found["flag_counts"] = numbers(sweeps.get("flag_counts"))
    found["grid"] = text(sweeps.get("grid"), SENTENCE)
    for name in STACKS:
        rows = [curve(row) for row in items(sweeps.get(name), MAX_SPECTRA)]
        if rows:
            found[name] = rows
    return found
