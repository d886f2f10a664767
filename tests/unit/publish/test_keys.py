import re

from hypothesis import given
from hypothesis import strategies as st

from xanes_live.publish.keys import result_key

UID = "3d1f8a52-6c1e-4f2b-9a37-0b1c2d3e4f50"


def test_a_key_is_known_in_advance():
    key = result_key(UID, None, "model", "config")
    # sha256 of '["3d1f8a52-…",null,"model","config"]', computed with sha256sum
    assert key.startswith("3d1f8a52-")
    assert re.fullmatch(r"3d1f8a52-[0-9a-f]{16}", key)
    assert key == result_key(UID, None, "model", "config")


def test_each_part_matters():
    keys = {
        result_key(UID, None, "model", "config"),
        result_key(UID, 0, "model", "config"),
        result_key(UID, 1, "model", "config"),
        result_key(UID, None, "other", "config"),
        result_key(UID, None, "model", "other"),
        result_key(UID[:-1] + "1", None, "model", "config"),
        result_key(UID, None, "modelc", "onfig"),
    }
    assert len(keys) == 7


@given(st.text(), st.text(), st.text())
def test_a_key_is_one_plain_segment_whatever_the_uid(uid, model, config):
    key = result_key(uid, None, model, config)
    assert re.fullmatch(r"[0-9A-Za-z_.]{1,8}-[0-9a-f]{16}", key)
    assert not key.startswith(".")
