"""How far to trust a prediction: calibrated bands, flags, one colour."""

from xanes_live.confidence.assess import Calibration, assess, refuse

__all__ = ["Calibration", "assess", "refuse"]
