"""Let Zeus sweep the power limit, as in a training loop, and print what it measured.

Run by ``test_clients.py`` in the environment that has Zeus. Zeus waits for the GPU's work through
the training framework; there is no CUDA here and no work to wait for, so a framework that does
nothing takes torch's place. Zeus itself is as published.
"""

import importlib
import json
import sys
import time
import types
from typing import Any

framework = types.ModuleType("torch")
framework.__dict__.update(
    Tensor=type("Tensor", (), {}),
    cuda=types.SimpleNamespace(is_available=lambda: True, synchronize=lambda device: None),
    distributed=types.SimpleNamespace(is_available=lambda: False),
)
sys.modules["torch"] = framework

device: Any = importlib.import_module("zeus.device")
monitor: Any = importlib.import_module("zeus.monitor")
power_limit: Any = importlib.import_module("zeus.optimizer.power_limit")

STEP_S = 0.1
STEPS_MAX = 200

gpus = device.get_gpus()
optimizer = power_limit.GlobalPowerLimitOptimizer(
    monitor.ZeusMonitor(gpu_indices=[0]),
    optimum_selector=power_limit.Energy(),
    wait_steps=1,
    warmup_steps=3,
    profile_steps=10,
    pl_step=100,
)
for _ in range(STEPS_MAX):
    optimizer.on_step_begin()
    time.sleep(STEP_S)
    optimizer.on_step_end()
    if type(optimizer.state).__name__ == "Done":
        break
try:
    gpus.set_power_management_limit(0, 50_000)
    OUT_OF_RANGE = ""
except Exception as error:  # noqa: BLE001 - the test looks at which one it is
    OUT_OF_RANGE = type(error).__name__
answer = {
    "power_w": {m.power_limit: m.energy / m.time for m in optimizer.measurements},
    "out_of_range": OUT_OF_RANGE,
    "limit_left_w": gpus.get_power_management_limit(0) // 1000,
}
sys.stdout.write(json.dumps(answer))
