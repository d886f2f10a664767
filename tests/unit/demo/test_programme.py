from __future__ import annotations

from typing import get_args

import pytest

from xanes_live.demo.programme import PROGRAMME, Plan, select
from xanes_live.demo.samples import FILES
from xanes_live.domain import Confidence
from xanes_live.errors import ConfigurationError
from xanes_live.flags import FLAGS


def test_names_are_unique() -> None:
    names = [entry.name for entry in PROGRAMME]
    assert len(set(names)) == len(names)


def test_every_plan_is_used() -> None:
    assert {entry.plan for entry in PROGRAMME} == set(get_args(Plan))


@pytest.mark.parametrize("entry", PROGRAMME, ids=lambda e: e.name)
def test_expectations_are_in_words_the_service_knows(entry) -> None:
    assert entry.sample in FILES
    assert entry.expected.flags <= FLAGS.keys()
    assert entry.expected.colours <= {c.value for c in Confidence}


def test_the_issues_list_is_covered() -> None:
    outcomes = [entry.expected.outcome for entry in PROGRAMME]
    assert outcomes.count("declined") == 2
    assert outcomes.count("ignored") == 1
    assert any(entry.repeats == 3 for entry in PROGRAMME)
    assert {"fe_foil", "feo", "fe2o3", "fe3o4", "fes2", "goethite", "siderite"} <= {
        entry.sample for entry in PROGRAMME
    }


def test_select() -> None:
    assert select("full") == PROGRAMME
    assert [e.name for e in select("feo-aborted,feo")] == ["feo", "feo-aborted"]
    with pytest.raises(ConfigurationError, match="no entry feoo"):
        select("feo,feoo")
