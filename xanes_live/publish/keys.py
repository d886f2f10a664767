"""Names of nodes: the same run, model and configuration always give the same key."""

from __future__ import annotations

import hashlib
import json
import re

DECLINED = "declined"
"""Stands for the model's hash in the key of a scan that no model was applied to."""


def result_key(raw_uid: str, index: int | None, model_hash: str, config_hash: str) -> str:
    """Return the key of a result: the run's first eight characters, a dash, sixteen hex digits.

    Parameters
    ----------
    raw_uid
        Of the raw run, or a stable identifier of a file.
    index
        One spectrum of the run; None for the run as a whole.
    model_hash
        Of the ensemble, or :data:`DECLINED`.
    config_hash
        :meth:`xanes_live.config.Config.hash`.
    """
    text = json.dumps([raw_uid, index, model_hash, config_hash], separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    # A key is one segment of a URL and of a file name, whatever a uid or file name holds.
    head = re.sub(r"[^0-9A-Za-z_.]", "_", raw_uid[:8]).lstrip(".") or "_"
    return f"{head}-{digest}"
