"""Advantages: estimated as by hand, then standardised within each kind of row."""

import numpy as np
import torch
from gymnasium import spaces

from coolcap_training.buffer import RoleRolloutBuffer

STEPS, ROWS = 5, 4
GAMMA, LAM = 0.95, 0.9


def filled() -> tuple[RoleRolloutBuffer, np.ndarray]:
    """A buffer of random steps, and its advantages by hand before standardising."""
    random = np.random.default_rng(0)
    box = spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)
    buffer = RoleRolloutBuffer(
        STEPS,
        box,
        box,
        kinds=np.array([0, 0, 1, 1]),
        gae_lambda=LAM,
        gamma=GAMMA,
        n_envs=ROWS,
    )
    # Rows of the second kind earn a hundred times less.
    rewards = random.normal(size=(STEPS, ROWS)) * [1.0, 1.0, 0.01, 0.01]
    values = random.normal(size=(STEPS + 1, ROWS)) * [1.0, 1.0, 0.01, 0.01]
    starts = np.zeros((STEPS + 1, ROWS), dtype=bool)
    starts[3, 1] = True
    for t in range(STEPS):
        buffer.add(
            np.zeros((ROWS, 1)),
            np.zeros((ROWS, 1)),
            rewards[t],
            starts[t],
            torch.as_tensor(values[t], dtype=torch.float32),
            torch.zeros(ROWS),
        )
    buffer.compute_returns_and_advantage(
        torch.as_tensor(values[STEPS], dtype=torch.float32), starts[STEPS]
    )
    by_hand = np.zeros((STEPS, ROWS))
    running = np.zeros(ROWS)
    for t in reversed(range(STEPS)):
        goes_on = 1.0 - starts[t + 1]
        delta = rewards[t] + GAMMA * values[t + 1] * goes_on - values[t]
        running = delta + GAMMA * LAM * goes_on * running
        by_hand[t] = running
    return buffer, by_hand


def test_returns_are_those_of_generalised_advantage_estimation() -> None:
    buffer, by_hand = filled()

    np.testing.assert_allclose(buffer.returns - buffer.values, by_hand, rtol=1e-4, atol=1e-6)


def test_each_kind_of_row_is_standardised_on_its_own() -> None:
    buffer, by_hand = filled()

    for rows in (slice(0, 2), slice(2, 4)):
        own = by_hand[:, rows]
        expected = (own - own.mean()) / own.std()
        np.testing.assert_allclose(buffer.advantages[:, rows], expected, rtol=1e-3, atol=1e-4)
