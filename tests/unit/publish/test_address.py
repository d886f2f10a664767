import pytest

from xanes_live.publish.address import api_root, inside, quoted, segments


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/api/v1"),
        ("https://tiled.lab.org/api/v1", "https://tiled.lab.org/api/v1"),
        ("https://tiled.lab.org/api/v1/metadata/raw?x=1", "https://tiled.lab.org/api/v1"),
        ("https://lab.org/tiled/?api_key=secret", "https://lab.org/tiled/api/v1"),
        ("http://user:word@lab.org", "http://lab.org/api/v1"),
    ],
)
def test_the_api_is_found_and_no_secret_stays(uri, root):
    assert api_root(uri) == root


def test_paths():
    assert segments("/a//b/") == ("a", "b")
    assert segments("") == ()
    assert quoted("a b", "c/d", "é") == "a%20b/c%2Fd/%C3%A9"


@pytest.mark.parametrize(
    ("path", "other", "answer"),
    [
        ("raw/x", "raw", True),
        ("raw", "raw", True),
        ("rawish", "raw", False),
        ("sandbox/xanes_live", "raw", False),
        ("sandbox/xanes_live", "", False),
        ("/raw/x/", "raw/", True),
    ],
)
def test_inside(path, other, answer):
    assert inside(path, other) is answer
