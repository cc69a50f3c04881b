"""The shared network: likelihood by hand, masks, scaling, and equal treatment of all groups."""

import math

import numpy as np
import torch

from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import (
    ACTION_WIDTH,
    GROUP_FEATURES,
    PLANT_FEATURES,
    ROW_FEATURES,
    Observation,
    Rows,
    agent_rows,
)
from coolcap_training.policy import ACTION_SPACE, ROW_SPACE, RowScaler, SharedPolicy

NAMES = [f.name for f in ROW_FEATURES]
HAS = [NAMES.index(f"plant_has_{lever.name}") for lever in PLANT_LEVERS]


def random_policy(seed: int = 0) -> SharedPolicy:
    torch.manual_seed(seed)
    policy = SharedPolicy(ROW_SPACE, ACTION_SPACE, lambda _: 1e-3, log_std_init=-1.0)
    with torch.no_grad():
        policy.outputs.weight.normal_(std=0.3)
    return policy


def rows_of(group_count: int, *, levers: tuple[float, ...] = (1, 1, 0, 1, 0, 0)) -> Rows:
    """Rows of a site with ``group_count`` groups and the given plant levers."""
    random = np.random.default_rng(group_count)
    low, high = (np.array([getattr(f, s) for f in PLANT_FEATURES]) for s in ("low", "high"))
    plant = random.uniform(low, high)
    columns = [i for i, f in enumerate(PLANT_FEATURES) if f.name.startswith("has_")]
    plant[columns] = levers
    low, high = (np.array([getattr(f, s) for f in GROUP_FEATURES]) for s in ("low", "high"))
    groups = random.uniform(low, high, size=(group_count, len(GROUP_FEATURES)))
    return agent_rows(Observation(groups=groups, plant=plant))


def test_likelihood_and_entropy_count_only_the_levers_a_row_has() -> None:
    """
    A group has one lever (its cap); this plant has three. The Gaussian is summed by hand.
    """
    policy = random_policy()
    rows = torch.as_tensor(rows_of(2))
    actions = torch.linspace(-1.0, 1.0, 3 * ACTION_WIDTH).reshape(3, ACTION_WIDTH)

    _, log_prob, entropy = policy.evaluate_actions(rows, actions)

    std = math.exp(-1.0)
    mean = policy.get_distribution(rows).mode()
    z = (actions - mean) / std
    each = -0.5 * z**2 - math.log(std) - 0.5 * math.log(2.0 * math.pi)
    levers = ([0], [0], [0, 1, 3])
    by_hand = torch.stack([each[i, own].sum() for i, own in enumerate(levers)])
    each_entropy = math.log(std) + 0.5 * math.log(2.0 * math.pi * math.e)
    torch.testing.assert_close(log_prob, by_hand)
    torch.testing.assert_close(entropy, torch.tensor([1.0, 1.0, 3.0]) * each_entropy)


def test_masked_outputs_get_no_gradient() -> None:
    policy = random_policy()
    rows = torch.as_tensor(rows_of(4))
    actions = torch.rand(5, ACTION_WIDTH)

    values, log_prob, entropy = policy.evaluate_actions(rows, actions)
    assert entropy is not None
    torch.autograd.backward([log_prob.sum() + entropy.sum() + values.sum()])

    weight, log_std = policy.outputs.weight.grad, policy.log_std.grad
    assert weight is not None
    assert log_std is not None
    moved = weight.abs().sum(dim=1).reshape(2, ACTION_WIDTH) > 0.0
    expected = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0]], dtype=torch.bool)
    assert torch.equal(moved, expected)
    assert torch.equal(log_std.abs() > 0.0, expected)


def test_masked_actions_are_zero_when_sampled_and_when_deterministic() -> None:
    policy = random_policy()
    rows = torch.as_tensor(rows_of(4))

    sampled, _, _ = policy(rows)

    absent = torch.ones(5, ACTION_WIDTH, dtype=torch.bool)
    absent[:4, 0] = False
    absent[4, [0, 1, 3]] = False
    assert torch.equal(sampled[absent], torch.zeros(int(absent.sum())))
    assert torch.equal(policy.mean_action(rows)[absent], torch.zeros(int(absent.sum())))
    assert (sampled[~absent] != 0.0).all()


def test_exchanging_groups_exchanges_their_actions_and_leaves_the_plant() -> None:
    policy = random_policy()
    rows = rows_of(16)
    order = np.random.default_rng(0).permutation(16)
    group_count = len(GROUP_FEATURES)
    groups = rows[:-1, :group_count]
    plant = rows[0, 3 * group_count : -2]
    shuffled = agent_rows(
        Observation(groups=groups[order].astype(np.float64), plant=plant.astype(np.float64))
    )

    with torch.no_grad():
        before = policy.mean_action(torch.as_tensor(rows))
        after = policy.mean_action(torch.as_tensor(shuffled))

    torch.testing.assert_close(after[:-1], before[:-1][order], atol=1e-5, rtol=0.0)
    torch.testing.assert_close(after[-1], before[-1], atol=1e-5, rtol=0.0)


def test_first_layer_maps_bounds_to_minus_one_and_one_and_clips_beyond() -> None:
    scaler = RowScaler(ROW_SPACE)
    low, high = torch.as_tensor(ROW_SPACE.low), torch.as_tensor(ROW_SPACE.high)

    scaled = scaler(torch.stack([low, high, (low + high) / 2.0, high + 1e6]))

    expected = torch.tensor([-1.0, 1.0, 0.0, 1.0])[:, None].expand(4, len(NAMES))
    torch.testing.assert_close(scaled, expected, atol=1e-5, rtol=0.0)


def test_presence_of_a_lever_is_read_from_the_row() -> None:
    policy = random_policy()
    none, every = rows_of(2, levers=(0,) * 6), rows_of(2, levers=(1,) * 6)

    without = policy.mean_action(torch.as_tensor(none))[-1]
    with_all = policy.mean_action(torch.as_tensor(every))[-1]

    assert torch.count_nonzero(without) == 0
    assert torch.count_nonzero(with_all) == len(HAS)
