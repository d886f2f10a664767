"""The page itself: small, from this machine only, and without a way for text to become markup."""

import re
from pathlib import Path

from xanes_live.dashboard.server import STATIC

OWN = [
    p for p in STATIC.rglob("*") if p.suffix in {".js", ".css", ".html"} and "vendor" not in p.parts
]


def test_the_page_weighs_less_than_300_kB():
    shipped = [p for p in STATIC.rglob("*") if p.is_file() and p.suffix != ".md"]
    assert sum(p.stat().st_size for p in shipped) < 300_000


def test_nothing_is_loaded_from_outside():
    for path in OWN:
        addresses = re.findall(r"""https?://[^\s"'`)]+|//[a-z0-9-]+\.[a-z]{2,}""", path.read_text())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path.name


def test_no_text_becomes_markup():
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    for path in OWN:
        assert not re.search(forbidden, path.read_text()), path.name


def test_no_inline_script_or_style():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)


def test_every_import_is_there():
    for path in OWN:
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text()):
            assert (STATIC / name).is_file(), f"{path.name} imports {name}"


def test_every_module_is_fetched_at_once():
    """Or else each level of imports costs another round trip before the first plot."""
    page = (STATIC / "index.html").read_text()
    named = set(re.findall(r'modulepreload" href="static/([\w.]+)"', page))
    assert named == {p.name for p in STATIC.glob("*.js")} - {"main.js"}


def test_vendored_code_carries_its_licence():
    folder = STATIC / "vendor" / "uplot"
    assert "MIT" in (folder / "LICENSE").read_text()
    assert "1.6.32" in (folder / "README.md").read_text()


def test_modules_are_short():
    assert all(len(Path(p).read_text().splitlines()) < 300 for p in OWN if p.suffix == ".js")
