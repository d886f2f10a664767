"""What is published of one run: one metadata document and the arrays that go with it.

Everything an operator's page shows is in the document, so one request reads it. A run of many
sweeps is one node: its document describes the *median* spectrum, the one in the middle when all
are ordered from the most to the least trusted (of two, the less trusted), and summarises the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live import __version__
from xanes_live.config import Config, TiledConfig
from xanes_live.domain import (
    Assessment,
    Confidence,
    Cyclic,
    Declined,
    Evidence,
    Flag,
    NormalisedSpectrum,
    Prediction,
    Repeats,
    Result,
    Scan,
    SpectrumResult,
)
from xanes_live.publish.address import api_root, quoted, segments
from xanes_live.publish.jsonable import clean, rounded
from xanes_live.publish.keys import DECLINED, result_key
from xanes_live.publish.repeats import repeats_section
from xanes_live.publish.stacks import UNITS, arrays_of, fits, summary

SCHEMA = 1
"""Version of the document's layout; also of the spec `XanesPrediction`."""
MAX_POINTS = 2000
"""A longer spectrum is thinned out in the document; the arrays keep every point."""
CYCLIC_STEP = 0.4
"""The cyclic curves are drawn, not computed with: steps of so many eV are enough."""
_ORDER = {Confidence.GREEN: 0, Confidence.AMBER: 1, Confidence.RED: 2}


@dataclass(frozen=True, slots=True)
class Node:
    """One publishable result."""

    key: str
    """Name of the node in Tiled."""
    metadata: Mapping[str, Any]
    """JSON-safe; `status` is 'complete', the writer says otherwise while it is not."""
    arrays: Mapping[str, NDArray[Any]]
    """By name; shape (n,) for one spectrum, (n_spectra, …) for many."""
    units: Mapping[str, str]
    """Unit of each array, '' for numbers without."""
    whole: bool = True
    """Whether the document alone holds every number, so that it can be complete before the arrays
    are."""
    replaces: bool = False
    """Whether it takes the place of what was published under its key."""


def node(result: Result, config: Config, repeats: Repeats | None = None) -> Node:
    """Lay out the result of one run, and what it says together with repeats of its sample."""
    chosen = representative(result.spectra)
    arrays = {n: a for n, a in arrays_of(result.spectra, chosen).items() if a.size}
    many = len(result.spectra) > 1
    metadata = {
        "schema": SCHEMA,
        "kind": "prediction",
        "status": "complete",
        **_run(result.scan, config.tiled),
        "mode": result.scan.mode,
        "model": {
            "id": result.model.id,
            "version": result.model.version,
            "hash": result.model.hash,
        },
        "config_hash": result.config_hash,
        "software": result.software,
        **_verdict(chosen.assessment if chosen else None, result.scan.flags),
        "flag_codes": _all_flags(result),
        **_prediction(chosen),
        **_evidence(chosen.assessment.evidence if chosen else Evidence()),
        **_reduction(chosen.normalised if chosen else None),
        "n_spectra": len(result.spectra),
        "spectra": summary(result.spectra, chosen, arrays) if many else None,
        "repeats": repeats_section(repeats),
    }
    units = {name: UNITS.get(name, "") for name in arrays}
    thinned = chosen is not None and _stride(chosen.normalised) > 1
    whole = not thinned and (not many or fits(arrays))
    return Node(result.key, clean(metadata | {"units": units}), arrays, units, whole)


def declined_node(declined: Declined, config: Config) -> Node:
    """Lay out a scan that was recognised but not predicted, so that an operator sees why."""
    config_hash = config.hash()
    metadata = {
        "schema": SCHEMA,
        "kind": "declined",
        "status": "complete",
        **_run(declined, config.tiled),
        "model": None,
        "config_hash": config_hash,
        "software": f"xanes-live {__version__}",
        "confidence": None,
        "probability": None,
        "flags": [declined.flag.as_dict()],
        "flag_codes": [declined.flag.code],
        "first_shell": None,
        "g2": None,
        "spectrum": None,
        "n_spectra": 0,
        "spectra": None,
        "repeats": None,
    }
    key = result_key(declined.uid, None, DECLINED, config_hash)
    return Node(key, clean(metadata), {}, {})


def located(node: Node, uri: str, path: Sequence[str]) -> Node:
    """Return the node of a run that was read elsewhere than live runs are.

    Parameters
    ----------
    node
        As :func:`node` or :func:`declined_node` laid it out.
    uri
        Address of the Tiled server that has the run; '' where none has it.
    path
        Names along the way to the run on that server.
    """
    where = _where(uri, path) if uri else {"raw_path": None, "raw_uri": None}
    return replace(node, metadata={**node.metadata, **where})


def representative(spectra: Sequence[SpectrumResult]) -> SpectrumResult | None:
    """Return the spectrum in the middle of the order of trust; None if there are none."""
    ordered = sorted(spectra, key=_distrust)
    return ordered[len(ordered) // 2] if ordered else None


def _distrust(spectrum: SpectrumResult) -> tuple[int, float, int]:
    verdict = spectrum.assessment
    chance = verdict.probability if verdict.probability is not None else 0.0
    return (_ORDER[verdict.confidence], -chance, spectrum.index)


def _run(scan: Scan | Declined, tiled: TiledConfig) -> dict[str, Any]:
    plan = scan.plan_name if isinstance(scan, Scan) else scan.metadata.get("plan_name", "")
    return {
        "raw_uid": scan.uid,
        **_where(tiled.uri, (*segments(tiled.raw_path), scan.uid)),
        "scan_id": scan.scan_id,
        "sample": scan.sample,
        "element": scan.element,
        "edge": scan.edge,
        "plan_name": plan,
        "time": scan.time,
        "stop_time": scan.stop_time,
        "exit_status": scan.exit_status if isinstance(scan, Scan) else None,
    }


def _where(uri: str, path: Sequence[str]) -> dict[str, Any]:
    return {"raw_path": "/".join(path), "raw_uri": f"{api_root(uri)}/metadata/{quoted(*path)}"}


def _all_flags(result: Result) -> list[str]:
    """Return the codes of all spectra of the run, for searching."""
    flags: list[Flag] = list(result.scan.flags)
    for spectrum in result.spectra:
        flags += spectrum.assessment.flags
    return list(dict.fromkeys(flag.code for flag in flags))


def _verdict(verdict: Assessment | None, otherwise: Sequence[Flag]) -> dict[str, Any]:
    flags = verdict.flags if verdict else otherwise
    return {
        "confidence": verdict.confidence if verdict else Confidence.RED,
        "probability": verdict.probability if verdict else None,
        "flags": [flag.as_dict() for flag in flags],
        "signals": dict(verdict.signals) if verdict else {},
    }


def _prediction(spectrum: SpectrumResult | None) -> dict[str, Any]:
    said = spectrum.prediction if spectrum else None
    if spectrum is None or said is None:
        return {"first_shell": None, "peaks": [], "g2": None}
    shell = said.first_shell
    return {
        "first_shell": {"r": shell.r, "sigma": shell.sigma, "low": shell.low, "high": shell.high},
        "peaks": [{"r": p.r, "height": p.height, "region": p.region} for p in said.peaks],
        "g2": _g2(said, spectrum.assessment),
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    cyclic = evidence.cyclic
    return {
        "novelty": evidence.novelty,
        "nearest": [
            {"name": n.name, "distance": n.distance, "r": n.r, "ligand": n.ligand}
            for n in evidence.nearest
        ],
        "sensitivity": [
            {"kind": m.kind, "value": m.value, "r": m.r, "g2": m.g2} for m in evidence.sensitivity
        ],
        "rival": None
        if evidence.rival is None
        else {"r": evidence.rival.r, "probability": evidence.rival.probability},
        "cyclic": None if cyclic is None else _cyclic(cyclic),
    }


def _cyclic(cyclic: Cyclic) -> dict[str, Any]:
    step = float(np.diff(cyclic.energy[:2]).sum()) or CYCLIC_STEP
    stride = max(1, int(CYCLIC_STEP / step + 1e-6))
    curves = ("energy", "measured", "returned", "residual")
    thinned = {name: rounded(getattr(cyclic, name)[::stride], 7) for name in curves}
    return {**thinned, "score": cyclic.score}


def _g2(said: Prediction, verdict: Assessment) -> dict[str, Any]:
    band = {"lower": rounded(verdict.lower, 9), "upper": rounded(verdict.upper, 9)}
    return {
        "radius": rounded(said.radius, 9),
        "mean": rounded(said.mean, 9),
        "sigma": rounded(said.sigma, 9),
        "band95": band,
        "eta": said.eta,
        "n_members": len(said.members),
        "skill_to": verdict.skill_to,
    }


def _reduction(spectrum: NormalisedSpectrum | None) -> dict[str, Any]:
    if spectrum is None:
        return {"e0": None, "edge_step": None, "spectrum": None}
    return {
        "e0": spectrum.e0,
        "edge_step": spectrum.edge_step,
        "edge_step_sigma": spectrum.edge_step_sigma,
        "energy_shift": spectrum.energy_shift,
        "ranges": dict(spectrum.ranges),
        "mode": spectrum.spectrum.mode,
        "noise": spectrum.spectrum.noise,
        "quality": dict(spectrum.spectrum.quality),
        "spectrum": _curves(spectrum),
    }


def _curves(spectrum: NormalisedSpectrum) -> dict[str, Any]:
    stride = _stride(spectrum)
    names = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    digits = {"energy": 9}  # 0.01 meV: finer than any monochromator's steps
    curves = {n: rounded(getattr(spectrum, n)[::stride], digits.get(n, 7)) for n in names}
    return {**curves, "stride": stride}


def _stride(spectrum: NormalisedSpectrum | None) -> int:
    return 1 if spectrum is None else int(np.ceil(spectrum.energy.size / MAX_POINTS)) or 1
