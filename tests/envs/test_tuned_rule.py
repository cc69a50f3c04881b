"""R and Rdr: the rule with numbers of its own, for one site or one candidate per member."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_envs.episode import Episodes
from coolcap_envs.site import load_site
from coolcap_envs.tuned_rule import (
    TUNED,
    TunedRule,
    TunedRuleController,
    load_rule,
    names,
    of_values,
    values_of,
)

SITE = load_site("lab-16")


def run(rules: list[TunedRule] | TunedRule, *, members: int, steps: int = 40) -> Episodes:
    episodes = Episodes(SITE, batch_size=members)
    episodes.start([np.random.default_rng(7) for _ in range(members)])
    controller = TunedRuleController(rules, layout=SITE.layout, limits=SITE.limits, name="R")
    for _ in range(steps):
        episodes.command(controller.decide(episodes.moment))
    return episodes


def test_without_tuning_it_asks_for_what_the_published_rule_asks() -> None:
    episodes = Episodes(SITE, batch_size=2)
    episodes.start([np.random.default_rng(s) for s in (1, 2)])
    controller = TunedRuleController(TunedRule(), layout=SITE.layout, limits=SITE.limits, name="R")
    controller.decide(episodes.moment)
    for _ in range(30):
        episodes.command(episodes.moment.baseline)
        asked = controller.decide(episodes.moment)
        np.testing.assert_allclose(asked.power_cap_w, episodes.moment.baseline.power_cap_w)
        np.testing.assert_allclose(asked.plant, episodes.moment.baseline.plant)


def test_a_ceiling_bounds_the_caps_of_its_class() -> None:
    low = replace(TunedRule(), ceiling_ratio=(0.6,) * len(WORKLOAD_SIGNALS))

    episodes = run(low, members=1)

    cap_w = episodes.truth.group("power_limit_w")
    assert (cap_w <= 0.6 * SITE.limits.power_cap_max_w + 1e-6).all()


def test_each_member_of_a_batch_follows_its_own_candidate() -> None:
    eager = TunedRule(tuning=replace(TunedRule().tuning, cap_trim_ratio=0.02, tower_approach_k=8.0))
    both = run([TunedRule(), eager], members=2)
    alone = [run(rule, members=1) for rule in (TunedRule(), eager)]

    for b, single in enumerate(alone):
        np.testing.assert_allclose(
            both.truth.group("power_limit_w")[b], single.truth.group("power_limit_w")[0]
        )
        np.testing.assert_allclose(both.truth.plant[b, :4], single.truth.plant[0, :4])
    assert not np.allclose(both.truth.plant[0, :4], both.truth.plant[1, :4])


def test_values_and_rules_are_two_forms_of_the_same_numbers() -> None:
    values = [float(i) for i in range(len(names()))]

    assert values_of(of_values(values)) == values
    assert of_values(values).tuning.inlet_target_below_max_k == 0.0
    assert len(names()) == len(TUNED) + len(WORKLOAD_SIGNALS)


def test_a_site_without_tuned_rules_says_how_to_find_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="coolcap-train rule --site my-site"):
        load_rule("R", site="my-site", path=tmp_path / "my-site.toml")


def test_all_mistakes_of_a_rule_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    lines = [f"{name} = 0.5" for name in names()[1:]]
    path.write_text("\n".join(["[R]", *lines, "colour = 1", "[Rdr]", *lines]))

    with pytest.raises(ConfigError) as refused:
        load_rule("R", site="bad", path=path)

    assert sum("inlet_target_below_max_k is missing" in p for p in refused.value.problems) == 2
    assert any("unknown key 'R.colour'" in p for p in refused.value.problems)
    assert any("R.cdu_margin_k = 0.5" in p for p in refused.value.problems)
