"""The simulated data centre: one device per file, fused into one batched kernel in ``hall``.

Start with :mod:`coolcap_envs.physics.gpu` and :mod:`coolcap_envs.physics.chiller` for the style of
a device, then read :mod:`coolcap_envs.physics.hall`. Nothing here reads config, time or randomness.
"""
