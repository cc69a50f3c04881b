"""Losses between the facility's meter and the IT equipment."""

from coolcap_envs.physics.jit import law


@law
def ups_loss_w(
    load_w: float, rated_w: float, fixed_share: float, linear_share: float, square_share: float
) -> float:
    """Return the loss of an uninterruptible power supply, ``Prated*(a + b*x + c*x**2)``.

    ``x`` is load over rating: magnetising and control power, conduction with constant voltage drop,
    conduction with resistance.
    """
    x = load_w / rated_w
    return rated_w * (fixed_share + x * (linear_share + x * square_share))


@law
def distribution_loss_w(load_w: float, loss_share: float) -> float:
    """Return the loss of transformers and cables between UPS and racks, a share of the load."""
    return loss_share * load_w
