"""The report: one HTML file with everything in it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xanes_live.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#111}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;margin:1rem 0;font-size:.92rem}
td,th{padding:.25rem .8rem;border-bottom:1px solid #e5e5e5;text-align:left}
td+td,th+th{text-align:right}figure{margin:1rem 0}img{max-width:100%}
figcaption,.note{color:#555;font-size:.9rem}
"""


@dataclass
class Report:
    """Sections in the order they are added."""

    title: str
    parts: list[str] = field(default_factory=list)
    figures: dict[str, bytes] = field(default_factory=dict)
    """Figures by name, as PNG."""

    def heading(self, text: str, note: str = "") -> None:
        """Begin a section."""
        self.parts.append(f"<h2>{html.escape(text)}</h2>")
        if note:
            self.note(note)

    def note(self, text: str) -> None:
        """Add a remark."""
        self.parts.append(f'<p class="note">{html.escape(text)}</p>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table; numbers are written with three significant digits."""
        head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(written(v))}</td>" for v in row) + "</tr>"
            for row in rows
        )
        self.parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """Add a matplotlib figure, embedded."""
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=130, metadata={"Software": None})
        self.figures[name] = stream.getvalue()
        data = base64.b64encode(stream.getvalue()).decode()
        text = html.escape(caption)
        self.parts.append(
            f'<figure id="{html.escape(name)}"><img alt="{text}" '
            f'src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
        )

    def write(self, folder: Path) -> Path:
        """Write ``report.html`` and ``figures/*.png`` into `folder`; return the report's path."""
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, data in self.figures.items():
            (folder / "figures" / f"{name}.png").write_bytes(data)
        path = folder / "report.html"
        write_whole(path, self.html())
        return path

    def html(self) -> str:
        """Return the whole page; it refers to nothing outside itself."""
        title = html.escape(self.title)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1>{''.join(self.parts)}</body></html>"
        )


def written(value: object) -> str:
    """Return a table cell's text."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value != value:  # noqa: PLR0124 - NaN
        return "–"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def with_ends(value: float, ends: tuple[float, float]) -> str:
    """Return a share with its 95 % interval, which is not broken over lines."""
    if value != value:  # noqa: PLR0124 - NaN
        return "–"
    if ends[0] != ends[0]:
        return _three(value)
    return f"{_three(value)} ({_three(ends[0])}\u2060–\u2060{_three(ends[1])})"


def _three(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # never -0.000
