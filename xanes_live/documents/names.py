"""What a data key measures, from its name: a table of scored rules.

The names are those met at NSLS-II (ISS, BMM, QAS, TES, SST, SRX), APS, Diamond, SOLEIL, ESRF, ALS,
SSRL, CLS, PETRA III and in the XDI dictionary. A rule is a pattern on the words of the key, written
between underscores: 'sclr_i0' is '_sclr_i0_', 'lnI0It' is '_ln_i0_it_'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Rule:
    """Names that match `pattern` have `role` with so many points."""

    role: str
    points: float
    pattern: re.Pattern[str]


def _rules(*rows: tuple[str, float, str]) -> tuple[Rule, ...]:
    """Compile rows; a pattern that begins with '^' is for a whole name, others for some words."""
    return tuple(
        Rule(role, points, re.compile(f"^_(?:{p[1:]})_$" if p.startswith("^") else f"_(?:{p})_"))
        for role, points, p in rows
    )


_SOURCE = r"undulator|und|id|gap|epu|ivu\d*|u\d{2}"
"""Insertion devices: their energy follows the monochromator's, some electronvolts off."""
ENERGY = _rules(
    ("energy", 10, r"(?:mono|photon|dcm|pgm|hhm)?_?energy(?:dcm|mono|ev|kev)?|energydcm"),
    ("energy", 8, r"en|ene|enrg|nrj|hv|eev|ekev"),
    ("energy", 6, r"ev|kev|e_v|ke_v"),
    ("energy", 6, r"^e"),
    ("energy", 3, r"mono\d?|dcm|hhm|pgm|monochromator"),
    ("angle", 10, r"bragg\d?|(?:mono|dcm|hhm)_(?:theta|angle|th)|theta_?z?c|dcmtheta|braggangle"),
    ("angle", 4, r"theta|angle"),
    # an energy that the motor of the Bragg angle reports; 'energy_bragg' is the angle of an energy
    ("energy", 30, r"bragg_(?:energy|en|ev|kev|e|erdbk(?:_ao)?)"),
    ("angle", -40, r"bragg_(?:energy|en|ev|kev|e|erdbk(?:_ao)?)"),
    # the readback is what was measured, the rest what was wished for
    ("energy", -3, r"setpoint|sp|demand|target|requested|request|cmd|nominal|user_setpoint"),
    ("energy", 1, r"readback|rbv|achieved|actual|measured|encoder|enc\d?"),
    # other things that have an energy
    (
        "energy",
        -20,
        r"emission|spectrometer|analy[sz]er|xes|ring|storage|loss|transfer",
    ),
    # the storage ring's, unless it is scanned
    ("energy", -14, r"beam_energy"),
    (
        "energy",
        -20,
        r"resolution|offset|shift|calibration|cal|edge|e0|threshold|velocity|step|speed",
    ),
    ("energy", -20, r"bragg\d?|theta|angle|pitch|roll|yaw|crystal|temperature|temp|height|bend"),
    ("energy", -6, _SOURCE),
)
_AGAINST = -4.0
"""Points from which a rule says that a name is not that of the monochromator's energy."""
CHANNELS = _rules(
    ("i0", 10, r"i0|io|izero|i00|i_0|ic0|i0up|ion0|i0detector|itot0"),
    ("i0", 10, r"ion(?:ization|isation)?_?(?:chamber|ch)?_?0|chamber_?0"),
    ("i0", 8, r"(?:ic|ion|chamber)_(?:up|us)"),
    ("it", 8, r"(?:ic|ion|chamber)_(?:down|dn|ds)"),
    ("it", 10, r"i_t"),
    ("ir", 10, r"i_r"),
    ("fluorescence", 10, r"i_f"),
    ("i0", 9, r"apb_(?:\w+_)?ch1"),  # ISS and QAS: analogue pizza box, in the order of the beam
    ("i0", 7, r"incident|incoming|upstream|before|monitor|mon|pre|front"),
    ("it", 10, r"it|itr|itrans|trans|transmission|transmitted|itransmission|i1|ic1|ion1"),
    ("it", 10, r"ion(?:ization|isation)?_?(?:chamber|ch)?_?1|chamber_?1"),
    ("it", 9, r"apb_(?:\w+_)?ch2"),
    ("it", 7, r"downstream|after|behind|rear|post"),
    ("ir", 12, r"(?:it)?ref|iref|irefer|irefoil|refer|reference|foil|ireference"),
    ("ir", 10, r"ir|i2|ic2|ion2|ion(?:ization|isation)?_?(?:chamber|ch)?_?2|chamber_?2"),
    ("ir", 9, r"apb_(?:\w+_)?ch3"),
    (
        "fluorescence",
        10,
        r"if\d*|iff|ifl|ifluo|ifluor\w*|fluor?\d*|fluorescence|fl|ff\d*|pips|lytle",
    ),
    ("fluorescence", 10, r"fy|tfy|pfy|ipfy|herfd\w*|fyc"),
    ("fluorescence", 9, r"apb_(?:\w+_)?ch4"),
    (
        "fluorescence",
        8,
        r"vortex\w*|sdd\d*|xs\d?|xsp\d?|xspress\d?\w*|xmap\d?|dxp\d?|mercury\d?|falcon\w*",
    ),
    ("fluorescence", 8, r"roi\d*|rois|sca\d*|mca\d*|ketek|gedet\w*|germanium|ge\d+|dtc\d+"),
    ("fluorescence", 6, r"tey|sc|pey|eyield|drain|drain_current|sample_current"),
    ("mu", 10, r"mu|xmu|mutrans|mufluor|mu_e|absorption|absorbance|xanes"),
    (
        "mu",
        14,
        r"(?:ln|log)_?i[0o]_?(?:it|i1)|ff_?i0|if_?(?:over_)?i0|lni0it|ffi0|mu_(?:t|f|trans|fluo)",
    ),
    # statistics of one detector
    ("*", 0.5, r"mean|sum|total|corr|corrected|dtc"),
    ("*", -0.5, r"raw|volts?|uncorrected"),
)
_NOT_A_READING = re.compile(
    r"_(?:gain|range|offset|offs|suffix|setpoint|sp|preset|exposure|dwell|integration|acquire|status|"
    r"state|stat|std|sigma|rms|err|error|var|min|max|timestamp|ts|time|dark|bkg|background|"
    r"temperature|temp|pressure|hv|bias|velocity|acceleration|x|y|z|pos|position|pitch|roll|yaw|"
    r"centroid|deadtime|dead|dt|dtfactor|icr|ocr|inttime|live|realtime|real|clock|ready|alarm|egu|"
    r"precision|enabled|shutter|valve|current_time|index|frame|frames|acquired|counter_id|"
    r"seconds|sec|ms|us|timebase|filename|path)_"
)
_ELEMENT_ROI = re.compile(r"^([a-z]{1,2})(?:_?[kl][ab]?\d?)?_?\d{0,2}$")


@lru_cache(maxsize=4096)
def words(name: str) -> str:
    """Return the words of a key, lower case, each between underscores: '_sclr_i0_'."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:200])
    return "_" + re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_") + "_"


@lru_cache(maxsize=4096)
def energy_points(name: str, owner: str = "") -> Mapping[str, float]:
    """Return points for being the 'energy' or the monochromator's 'angle'.

    Parameters
    ----------
    name
        Data key.
    owner
        Name of the device it belongs to, which counts for less.
    """
    return _points(ENERGY, name, owner)


def is_source(name: str) -> bool:
    """Tell whether a name is that of an insertion device."""
    return re.search(f"_(?:{_SOURCE})_", words(name)) is not None


def is_other_energy(name: str) -> bool:
    """Tell whether a name is that of an angle, a setting, or the energy of something else."""
    found = words(name)
    against = (
        r.points if r.role == "energy" else -r.points for r in ENERGY if r.pattern.search(found)
    )
    return min(against, default=0.0) <= _AGAINST


def is_reading(name: str) -> bool:
    """Tell whether a key may be a detector's reading, and not a setting, a position or a time."""
    return _NOT_A_READING.search(words(name)) is None


@lru_cache(maxsize=4096)
def channel_points(name: str, owner: str = "", element: str = "") -> Mapping[str, float]:
    """Return points for being i0, it, ir, fluorescence or mu ({} for none).

    Parameters
    ----------
    name
        Data key.
    owner
        Name of the device it belongs to, which counts for less.
    element
        Symbol of the absorbing element: 'Fe3' and 'FeKa1' are regions of its fluorescence.
    """
    if not is_reading(name):
        return {}
    points = _points(CHANNELS, name, owner)
    roi = _ELEMENT_ROI.match(name.strip().lower())
    if element and roi and roi[1] == element.lower():
        points["fluorescence"] = points.get("fluorescence", 0.0) + 9.0
    return {role: p for role, p in points.items() if p > 0}


def _points(rules: Sequence[Rule], name: str, owner: str) -> dict[str, float]:
    own = _score(rules, words(name))
    if owner and owner != name:
        for role, points in _score(rules, words(owner)).items():
            own.setdefault(role, 0.6 * points)
    return own


def _score(rules: Sequence[Rule], text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    extra: dict[str, float] = {}
    for rule in rules:
        if rule.pattern.search(text):
            if rule.points >= 2:
                found[rule.role] = max(found.get(rule.role, 0.0), rule.points)
            else:
                extra[rule.role] = extra.get(rule.role, 0.0) + rule.points
    return {role: p + extra.get(role, 0.0) + extra.get("*", 0.0) for role, p in found.items()}


def family(name: str) -> str:
    """Return `name` with its numbers replaced, so that the elements of one detector agree."""
    return re.sub(r"\d+", "#", name)


def best_owner(object_keys: Mapping[str, object] | None, key: str) -> str:
    """Return the device that owns `key` according to a descriptor's object_keys, or ''."""
    for owner, keys in (object_keys or {}).items():
        if isinstance(keys, list | tuple) and key in keys:
            return str(owner)
    return ""
