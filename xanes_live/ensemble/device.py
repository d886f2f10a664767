"""Which device computes: the same rule for predictions, training and theory."""

from __future__ import annotations

import torch

from xanes_live.errors import ConfigurationError


def choose_device(device: str = "auto", dtype: torch.dtype = torch.float32) -> torch.device:
    """Return the device to compute on; 'auto' is the first CUDA device if there is one.

    Parameters
    ----------
    device
        'auto', 'cpu', 'cuda', 'cuda:1', …
    dtype
        Numbers it has to have: some kinds of device know no complex ones.

    Raises
    ------
    ConfigurationError
        If the device is unknown, not there, or has no such numbers.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, dtype=dtype, device=chosen).cpu()
    except (RuntimeError, AssertionError, TypeError) as error:
        # unknown or without kernels; PyTorch built without CUDA; a kind without such numbers
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"device {device!r} cannot be used: {reason}. Give 'auto' or 'cpu'"
        ) from None
    return chosen
