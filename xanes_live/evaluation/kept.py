"""What is done of an evaluation is kept: trainings to go on from, sections to be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from xanes_live.ensemble.data_files import read_columns
from xanes_live.errors import ReadError
from xanes_live.evaluation.report import Report
from xanes_live.evaluation.scores import Predictions
from xanes_live.publish.jsonable import clean
from xanes_live.whole import write_whole, written_whole

Say = Callable[[str], None]
Parts = Mapping[str, Predictions]
"""Predictions by what they are of."""
REPORT, METRICS = "report.html", "metrics.json"
UNFINISHED = "unfinished-"
NAMES = tuple(f.name for f in fields(Predictions))


@dataclass(frozen=True)
class Trainings:
    """Predictions of trainings, each kept as soon as there are any."""

    folder: Path | None = None
    """Where; None keeps nothing."""
    key: str = ""
    """What tells one recipe and data set from another."""
    say: Say = lambda _: None

    def once(self, name: str, told: str, train: Callable[[], Parts]) -> Parts:
        """Return what is kept of a training, or what `train` makes, and keep it.

        Parameters
        ----------
        name
            Of the training, part of the name of its file.
        told
            What is said of it.
        train
            Does it.
        """
        if self.folder is None:
            self.say(told)
            return train()
        path = self.folder / f"{name}-{self.key}.npz"
        found = self._found(path)
        self.say(told if found is None else f"{told}: found")
        if found is None:
            found = train()
            _write(path, found)
        return found

    def _found(self, path: Path) -> Parts | None:
        if not path.exists():
            return None
        try:
            columns = read_columns(path)
            names = {name.partition(".")[0] for name in columns}
            return {n: Predictions(*(columns[f"{n}.{f}"] for f in NAMES)) for n in names}
        except (ReadError, KeyError):
            self.say(f"{path} is damaged: made again")
            return None


def _write(path: Path, parts: Parts) -> None:
    arrays = {f"{n}.{f}": getattr(said, f) for n, said in parts.items() for f in NAMES}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


@dataclass
class Sections:
    """A report on its way: what there is of it can be read before it is finished."""

    page: Report
    folder: Path
    metrics: dict[str, Any] = field(default_factory=dict)

    def add(self, numbers: Mapping[str, Any]) -> None:
        """Take the numbers of a section that is on the page, and write what there is."""
        self.metrics |= numbers
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / f"{UNFINISHED}{METRICS}", self._numbers())
        write_whole(self.folder / f"{UNFINISHED}{REPORT}", self.page.html())

    def finish(self) -> None:
        """Write the report in place of what there was before."""
        self.page.write(self.folder)
        write_whole(self.folder / METRICS, self._numbers())
        for name in (REPORT, METRICS):
            (self.folder / f"{UNFINISHED}{name}").unlink(missing_ok=True)

    def _numbers(self) -> str:
        known = clean(self.metrics)  # what is not known is null
        return json.dumps(known, indent=2, allow_nan=False) + "\n"


@contextmanager
def told_what_is_kept(sections: Sections, say: Say) -> Iterator[None]:
    """Say where what was done is when something goes wrong; it is raised on."""
    try:
        yield
    except BaseException:
        if sections.metrics:
            say(f"broken off: what was done is in {sections.folder / (UNFINISHED + REPORT)}")
        raise
