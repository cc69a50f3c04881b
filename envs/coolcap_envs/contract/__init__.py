"""What simulation and production share: signals, telemetry, observation, action, setpoints, policy.

Start with ``signals.py`` and ``plant.py``. Everything here needs numpy only.
"""
