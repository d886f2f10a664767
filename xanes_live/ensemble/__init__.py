"""The ensemble of reverse networks: spectrum in, G2 with spread out; and its training."""

from xanes_live.ensemble.ensemble import Ensemble, choose_device
from xanes_live.ensemble.registry import find_model, known_models

__all__ = ["Ensemble", "choose_device", "find_model", "known_models"]
