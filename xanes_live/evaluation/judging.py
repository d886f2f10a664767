"""From unseen spectra to the table their confidence is scored by: judged as live scans would be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.assess import colour, opinion
from xanes_live.confidence.examined import Examined
from xanes_live.confidence.experience import KINDS
from xanes_live.confidence.limits import Kind
from xanes_live.confidence.signals import NAMES
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import Array, Evidence, FirstShell, Flag, Prediction
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation.fitting import CrossFitted, cross_fitted
from xanes_live.evaluation.judged import Judged
from xanes_live.evaluation.unseen import DAMAGED, MEASURED, Unseen
from xanes_live.flags import by_importance

_NOTHING = np.empty(0)


def read_unseen(path: Path, n_g2: int) -> Unseen:
    """Read what ``xanes-live calibrate`` kept.

    Raises
    ------
    ConfigurationError
        If it cannot be read or belongs to another kind of model.
    """
    try:
        unseen = Unseen.load(path)
    except KeyError as error:
        raise ConfigurationError(
            f"{path}: not a table of unseen spectra, or one of another version, without {error}; "
            "run xanes-live calibrate again"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: not a table of unseen spectra ({error})") from None
    if unseen.signals.shape[1] != len(NAMES) or unseen.g2_mean.shape[1] != n_g2:
        raise ConfigurationError(f"{path}: made for another model; run xanes-live calibrate again")
    return unseen


def judge_unseen(
    unseen: Unseen,
    radius: Array,
    config: ConfidenceConfig,
    told: Mapping[str, tuple[Flag, ...]] | None = None,
) -> Judged:
    """Judge each spectrum by a calibration not fitted to its structure or compound.

    Parameters
    ----------
    unseen
        Spectra examined by ensembles that had not seen them.
    radius
        Centres of the G2 functions, Å, shape (n_g2,).
    config
        Thresholds of the colours.
    told
        Flags of measured scans and of their reduction, by id of the spectrum; see
        :attr:`.MeasuredSet.told`.

    Returns
    -------
    Judged
        Measured spectra have the colours and flags that an operator gets, computed and spoiled ones
        those of prediction and theory alone: they were never reduced. What the range of a scan
        leaves open (:data:`.IN_DOUBT`) was not examined and lowers no probability here.
    """
    told = told or {}
    unseen = unseen.take(unseen.source != DAMAGED)
    found = cross_fitted(unseen)
    measured = unseen.source == MEASURED
    known = [told.get(str(unseen.id[i]), ()) if measured[i] else () for i in range(len(unseen))]
    flags = [
        by_importance((*known[i], *_opinion(unseen, found, i, config))) for i in range(len(unseen))
    ]
    source, detail = _sources(unseen)
    return Judged(
        id=unseen.id,
        parent=unseen.parent,
        source=source,
        detail=detail,
        scored=unseen.scored & np.isfinite(unseen.truth),
        first_shell_element=unseen.ligand,
        coordination=unseen.coordination,
        truth=unseen.truth,
        predicted=unseen.r,
        low=unseen.r - found.half_width,
        high=unseen.r + found.half_width,
        probability=found.probability,
        colour=np.array([str(colour(f)) for f in flags]),
        flags=tuple(tuple(flag.code for flag in f) for f in flags),
        signals=unseen.signals,
        signal_names=NAMES,
        peak_sigma=unseen.peak_sigma,
        radius=radius,
        g2_error=unseen.g2_mean - unseen.g2_truth,
        g2_half_width=found.g2_half_width,
    )


def _sources(unseen: Unseen) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return the kind of each source, and what follows its colon."""
    parts = [source.partition(":") for source in unseen.source.tolist()]
    return np.array([p[0] for p in parts]), np.array([p[2].strip() for p in parts])


def _opinion(
    unseen: Unseen, found: CrossFitted, i: int, config: ConfidenceConfig
) -> tuple[Flag, ...]:
    """Return the flags of what is predicted from one spectrum."""
    r, half = float(unseen.r[i]), float(found.half_width[i])
    shell = FirstShell(r, float(unseen.signals[i, 0]), r - half, r + half, _NOTHING)
    examined = Examined(
        prediction=Prediction(_NOTHING, _NOTHING, _NOTHING, _NOTHING[None], shell, (), 0.0),
        probability=float(found.probability[i]),
        signals=dict(zip(NAMES, unseen.signals[i].tolist(), strict=True)),
        blame=dict(zip(NAMES, found.blame[i].tolist(), strict=True)),
        strange=tuple(np.array(NAMES)[found.strange[i]].tolist()),
        kind=_kind(unseen.heads[i]),
        evidence=Evidence(),
    )
    return opinion(examined, config)


def _kind(heads: Array) -> Kind:
    """Return what the network says of the first shell, as far as it says it."""
    said = zip(KINDS, heads.tolist(), strict=True)
    return Kind.of({name: value for name, value in said if np.isfinite(value)})
