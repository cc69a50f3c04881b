"""A module like ``pynvml`` over GPUs in memory, with NVML's units, codes and habits."""

import math
import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

NOT_SUPPORTED, NO_PERMISSION, INVALID_ARGUMENT = 3, 4, 2
LIBRARY_NOT_FOUND, GPU_IS_LOST, RESET_REQUIRED = 12, 15, 16
TIMEOUT = 10
UNSIGNED_INT, UNSIGNED_LONG_LONG = 1, 3
DEMAND_MW = 400_000


class NVMLError(Exception):
    """As pynvml's: the code is in ``value``."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass
class FakeGpu:
    """One GPU; ``errors`` makes functions fail with a code, by name or ``*`` for all."""

    uuid: str | bytes
    name: str | bytes = "NVIDIA Fake 100"
    limits_mw: tuple[int, int] = (200_000, 700_000)
    default_mw: int = 700_000
    requested_mw: int = 700_000
    other_limit_mw: int = 10**9
    energy_mj: float = 1_000_000.0
    sm_clock_mhz: int = 1500
    sm_clock_max_mhz: int = 2000
    util: tuple[int, int] = (80, 30)
    temp_c: int = 60
    hbm_temp_c: int = 70
    reasons: int = 0x4
    errors: dict[str, int] = field(default_factory=dict[str, int])
    fields_unsupported: set[int] = field(default_factory=set[int])
    ignores_writes: bool = False
    locked_mhz: tuple[int, int] | None = None
    margin_k: int | None = 27
    mig: bool = False
    c2c: bool = False
    architecture: int = 9

    @property
    def power_mw(self) -> int:
        return min(DEMAND_MW, self.requested_mw, self.other_limit_mw)

    @property
    def enforced_mw(self) -> int:
        return min(self.requested_mw, self.other_limit_mw)


def told(value: int | None) -> int:
    """Return a value, or fail as a GPU that does not have it."""
    if value is None:
        raise NVMLError(NOT_SUPPORTED)
    return value


class FakeNvml(ModuleType):
    """The functions the driver uses. ``calls`` keeps the names of all calls."""

    NVMLError = NVMLError
    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *gpus: FakeGpu) -> None:
        super().__init__("pynvml")
        self.gpus = gpus
        self.calls: list[str] = []
        self.init_error = 0
        self.open_count = 0
        self.time_s = 5000.0
        self.events: queue.SimpleQueue[tuple[FakeGpu, int]] = queue.SimpleQueue()
        reads: dict[str, Callable[[FakeGpu], object]] = {
            "nvmlDeviceGetUUID": lambda gpu: gpu.uuid,
            "nvmlDeviceGetName": lambda gpu: gpu.name,
            "nvmlDeviceGetPowerManagementLimitConstraints": lambda gpu: list(gpu.limits_mw),
            "nvmlDeviceGetPowerManagementDefaultLimit": lambda gpu: gpu.default_mw,
            "nvmlDeviceGetPowerManagementLimit": lambda gpu: gpu.requested_mw,
            "nvmlDeviceGetEnforcedPowerLimit": lambda gpu: gpu.enforced_mw,
            "nvmlDeviceGetTotalEnergyConsumption": lambda gpu: int(gpu.energy_mj),
            "nvmlDeviceGetPowerUsage": lambda gpu: gpu.power_mw,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda gpu: gpu.reasons,
            "nvmlDeviceGetMarginTemperature": lambda gpu: told(gpu.margin_k),
            "nvmlDeviceGetMigMode": lambda gpu: [int(gpu.mig), int(gpu.mig)],
            "nvmlDeviceGetC2cModeInfoV": lambda gpu: SimpleNamespace(isC2cEnabled=int(gpu.c2c)),
            "nvmlDeviceGetArchitecture": lambda gpu: gpu.architecture,
            "nvmlDeviceGetSupportedMemoryClocks": lambda gpu: [2619, 1593],
            "nvmlDeviceGetUtilizationRates": lambda gpu: SimpleNamespace(
                gpu=gpu.util[0], memory=gpu.util[1]
            ),
        }
        for name, read in reads.items():
            setattr(self, name, self._reader(name, read))

    def advance(self, span_s: float) -> None:
        self.time_s += span_s
        for gpu in self.gpus:
            gpu.energy_mj += gpu.power_mw * span_s

    def gpu(self, uuid: str) -> FakeGpu:
        return next(gpu for gpu in self.gpus if gpu.uuid in (uuid, uuid.encode()))

    def nvmlInit(self) -> None:  # noqa: N802 - name of pynvml
        if self.init_error:
            raise NVMLError(self.init_error)
        self.open_count += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open_count -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        self._enter("nvmlDeviceGetHandleByIndex", self.gpus[index])
        return self.gpus[index]

    def nvmlDeviceGetClockInfo(self, gpu: FakeGpu, kind: int) -> int:  # noqa: N802
        self._enter("nvmlDeviceGetClockInfo", gpu)
        assert kind == self.NVML_CLOCK_SM
        return gpu.sm_clock_mhz

    def nvmlDeviceGetMaxClockInfo(self, gpu: FakeGpu, kind: int) -> int:  # noqa: N802
        self._enter("nvmlDeviceGetMaxClockInfo", gpu)
        assert kind == self.NVML_CLOCK_SM
        return gpu.sm_clock_max_mhz

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, sensor: int) -> int:  # noqa: N802
        self._enter("nvmlDeviceGetTemperature", gpu)
        assert sensor == self.NVML_TEMPERATURE_GPU
        return gpu.temp_c

    def nvmlDeviceGetFieldValues(self, gpu: FakeGpu, ids: list[int]) -> list[object]:  # noqa: N802
        self._enter("nvmlDeviceGetFieldValues", gpu)
        known = {82: gpu.hbm_temp_c, 185: gpu.power_mw, 190: gpu.enforced_mw, 192: gpu.requested_mw}
        return [
            SimpleNamespace(
                fieldId=i,
                nvmlReturn=NOT_SUPPORTED if i in gpu.fields_unsupported else 0,
                valueType=UNSIGNED_INT,
                value=SimpleNamespace(uiVal=known[i], dVal=math.nan),
            )
            for i in ids
        ]

    def nvmlDeviceSetPowerManagementLimit(self, gpu: FakeGpu, limit_mw: int) -> None:  # noqa: N802
        self._enter("nvmlDeviceSetPowerManagementLimit", gpu)
        if not gpu.limits_mw[0] <= limit_mw <= gpu.limits_mw[1]:
            raise NVMLError(INVALID_ARGUMENT)
        if not gpu.ignores_writes:
            gpu.requested_mw = limit_mw

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:  # noqa: N802
        gpu = self.gpu(uuid)
        self._enter("nvmlDeviceGetHandleByUUID", gpu)
        return gpu

    def nvmlDeviceGetTemperatureThreshold(self, gpu: FakeGpu, kind: int) -> int:  # noqa: N802
        self._enter("nvmlDeviceGetTemperatureThreshold", gpu)
        return {1: 92, 3: 87}[kind]

    def nvmlDeviceGetSupportedGraphicsClocks(  # noqa: N802
        self, gpu: FakeGpu, memory_mhz: int
    ) -> list[int]:
        self._enter("nvmlDeviceGetSupportedGraphicsClocks", gpu)
        assert memory_mhz == 2619
        return list(range(gpu.sm_clock_max_mhz, 344, -15))

    def nvmlDeviceSetGpuLockedClocks(self, gpu: FakeGpu, low: int, high: int) -> None:  # noqa: N802
        self._enter("nvmlDeviceSetGpuLockedClocks", gpu)
        if not gpu.ignores_writes:
            gpu.locked_mhz = (low, high)
            gpu.sm_clock_mhz = min(gpu.sm_clock_mhz, high)

    def nvmlDeviceResetGpuLockedClocks(self, gpu: FakeGpu) -> None:  # noqa: N802
        self._enter("nvmlDeviceResetGpuLockedClocks", gpu)
        if not gpu.ignores_writes:
            gpu.locked_mhz = None

    def nvmlEventSetCreate(self) -> str:  # noqa: N802
        return "events"

    def nvmlDeviceRegisterEvents(self, gpu: FakeGpu, types: int, events: str) -> None:  # noqa: N802
        self._enter("nvmlDeviceRegisterEvents", gpu)
        assert (types, events) == (0x8, "events")

    def nvmlEventSetWait_v2(self, events: str, timeout_ms: int) -> object:  # noqa: N802
        try:
            gpu, xid = self.events.get(timeout=timeout_ms / 1000.0)
        except queue.Empty:
            raise NVMLError(TIMEOUT) from None
        return SimpleNamespace(device=gpu, eventType=0x8, eventData=xid)

    def _reader(self, name: str, read: Callable[[FakeGpu], object]) -> Callable[[FakeGpu], object]:
        def call(gpu: FakeGpu) -> object:
            self._enter(name, gpu)
            return read(gpu)

        return call

    def _enter(self, name: str, gpu: FakeGpu) -> None:
        self.calls.append(name)
        code = gpu.errors.get(name, gpu.errors.get("*", 0))
        if code:
            raise NVMLError(code)
