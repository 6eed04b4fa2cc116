"""Each invariant can be broken on purpose, by its own name."""

from __future__ import annotations

import pytest

from epost.foundation.errors import ConfigError
from epost.simulation.defects import DEFECTS, SOUND, defect_for
from epost.simulation.invariants.violations import Invariant
from epost.simulation.run import SCENARIOS, describe_scenarios


@pytest.mark.parametrize("invariant", Invariant, ids=lambda invariant: invariant.title)
def test_each_invariant_is_broken_by_its_name_in_some_scenario(invariant: Invariant) -> None:
    families = {family for d in DEFECTS if d.breaks is invariant for family in d.shows_in}
    assert families
    for family in families:
        assert defect_for(invariant.title, family).breaks is invariant
    for family in {kind.family for kind in SCENARIOS.values()} - families:
        with pytest.raises(ConfigError, match="these do"):
            defect_for(invariant.title, family)


def test_a_defect_is_asked_for_by_its_own_name_anywhere() -> None:
    names = [defect.name for defect in DEFECTS]
    assert len({*names, *(invariant.title for invariant in Invariant)}) == len(names) + len(
        Invariant
    )
    for kind in SCENARIOS.values():
        assert [defect_for(name, kind.family).name for name in names] == names
        assert defect_for(None, kind.family) is SOUND
    with pytest.raises(ConfigError, match="drop-replica"):
        defect_for("nonsense", "mail")


def test_the_list_names_all_that_can_be_asked_for() -> None:
    text = describe_scenarios()
    for name in (*SCENARIOS, *(d.name for d in DEFECTS), *(i.title for i in Invariant)):
        assert f"\n  {name} " in text
