"""What a page points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    own = [target.partition("#")[0] for target in targets if "://" not in target]
    missing = [target for target in own if target and not (page.parent / target).exists()]
    assert missing == []


def test_every_page_can_be_reached():
    """From the README, in any number of steps."""
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
        near = [(page.parent / link).resolve() for link in links if "://" not in link]
        waiting += [path for path in near if path.is_file()]
        waiting += [index for path in near if (index := path / "README.md").is_file()]
    assert {
        str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md") if p not in seen
    } == set()
