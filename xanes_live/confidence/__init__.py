"""How far to trust a prediction: signals, verdict, flags, colour."""

from xanes_live.confidence.assess import Calibration, assess, judge_examined, refuse
from xanes_live.confidence.examined import Examined
from xanes_live.confidence.judge import Judge

__all__ = ["Calibration", "Examined", "Judge", "assess", "judge_examined", "refuse"]
