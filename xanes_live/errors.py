"""Exceptions: for programming errors and broken configuration only.

Anything that can be wrong with a *scan* is a :class:`xanes_live.domain.Flag`, never an exception.
Each exception also is the fitting builtin, so that callers may catch either.
"""

from __future__ import annotations


class XanesLiveError(Exception):
    """Base of every exception this package raises on purpose."""


class ConfigurationError(XanesLiveError, ValueError):
    """The configuration cannot be used as it is; the message says what to change."""


class MissingDependencyError(XanesLiveError, ImportError):
    """An optional dependency is needed; the message says what to install."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'xanes-live[{extra}]'"
        )


class UnknownModelError(XanesLiveError, KeyError):
    """No model of that name is installed or at that path."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name, self.known = name, known
        super().__init__(f"no model {name!r}; available: {', '.join(known) or 'none'}")

    def __str__(self) -> str:
        """Plain message (KeyError would show its repr)."""
        return str(self.args[0])


class ModelFormatError(XanesLiveError, ValueError):
    """A model folder is damaged or of a version this code does not read."""


class EdgeNotCoveredError(XanesLiveError, ValueError):
    """A spectrum does not reach the energies a step needs."""

    def __init__(self, edge: str, needed: tuple[float, float], given: tuple[float, float]) -> None:
        self.edge, self.needed, self.given = edge, needed, given
        super().__init__(
            f"{edge}: needs {needed[0]:.1f} to {needed[1]:.1f} eV, "
            f"spectrum covers {given[0]:.1f} to {given[1]:.1f} eV"
        )


class ReadError(XanesLiveError, ValueError):
    """A file or an archive entry could not be understood as XAS data."""


class TheoryError(XanesLiveError, RuntimeError):
    """A theory calculation failed; carries the stage and the program's own words."""

    def __init__(self, stage: str, reason: str) -> None:
        self.stage, self.reason = stage, reason
        super().__init__(f"{stage}: {reason}")
