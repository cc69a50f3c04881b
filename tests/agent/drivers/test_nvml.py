"""The NVML driver passes the suite of all drivers, over a fake ``pynvml``, and knows the traps."""

import math

import pytest

from agent.drivers.driver_suite import GpuBench, GpuDriverSuite
from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    GpuEvent,
    NotCommandable,
    NotPermitted,
    ResetRequired,
    ValueRefused,
)
from coolcap_agent.drivers.nvml import NvmlDriver
from support.fake_nvml import (
    GPU_IS_LOST,
    LIBRARY_NOT_FOUND,
    NO_PERMISSION,
    NOT_SUPPORTED,
    RESET_REQUIRED,
    FakeGpu,
    FakeNvml,
)

SET = "nvmlDeviceSetPowerManagementLimit"


def opened(nvml: FakeNvml) -> NvmlDriver:
    driver = NvmlDriver(nvml, assume_rights=True)
    driver.now_s = lambda: nvml.time_s
    driver.open()
    return driver


def two_gpus() -> FakeNvml:
    return FakeNvml(FakeGpu("GPU-a"), FakeGpu("GPU-b"))


class TestNvmlDriver(GpuDriverSuite):
    """The shared suite on a fake NVML."""

    @pytest.fixture
    def bench(self) -> GpuBench:
        nvml = two_gpus()

        def lose(uuid: str) -> None:
            nvml.gpu(uuid).errors["*"] = GPU_IS_LOST

        def deny(uuid: str) -> None:
            nvml.gpu(uuid).errors[SET] = NO_PERMISSION

        def ignore_writes(uuid: str) -> None:
            nvml.gpu(uuid).ignores_writes = True

        def limit_elsewhere(uuid: str, limit_w: float) -> None:
            nvml.gpu(uuid).other_limit_mw = round(limit_w * 1000.0)

        return GpuBench(
            driver=opened(nvml),
            advance=nvml.advance,
            reopen=lambda: opened(nvml),
            lose=lose,
            deny=deny,
            ignore_writes=ignore_writes,
            limit_elsewhere=limit_elsewhere,
        )


def test_milliwatts_and_percent_stay_inside_the_driver() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a"))
    driver = opened(nvml)
    driver.set_power_limit("GPU-a", power_limit_w=412.3456)

    reading = driver.read_gpu("GPU-a")

    assert nvml.gpus[0].requested_mw == 412_346
    assert reading.power_limit_requested_w == 412.346
    assert (reading.gpu_util_ratio, reading.mem_util_ratio) == (0.8, 0.3)
    assert reading.energy_kwh == pytest.approx(1_000.0 / 3.6e6)
    assert (reading.gpu_temp_c, reading.hbm_temp_c) == (60.0, 70.0)
    assert reading.clocks_event_reasons == ("sw_power_cap",)


def test_power_is_energy_over_time_and_the_average_before_the_first_span() -> None:
    """
    The energy counter is the best signal at one second; averages lag behind it.
    """
    nvml = FakeNvml(FakeGpu("GPU-a"))
    driver = opened(nvml)
    assert driver.read_gpu("GPU-a").power_w == 400.0

    nvml.gpus[0].energy_mj += 250_000.0 * 2.0
    nvml.time_s += 2.0

    assert driver.read_gpu("GPU-a").power_w == pytest.approx(250.0)


def test_readings_in_quick_succession_do_not_alias() -> None:
    """
    A read-back right after a sample sees no refresh of the counter, or a whole one.
    """
    nvml = FakeNvml(FakeGpu("GPU-a"))
    driver = opened(nvml)
    driver.read_gpu("GPU-a")
    nvml.advance(1.0)
    before_w = driver.read_gpu("GPU-a").power_w

    nvml.time_s += 0.01
    assert driver.read_gpu("GPU-a").power_w == before_w
    nvml.gpus[0].energy_mj += 400_000.0 * 0.99
    nvml.time_s += 0.98
    assert driver.read_gpu("GPU-a").power_w == pytest.approx(400.0, rel=1e-3)


def test_counter_that_starts_again_gives_the_average_instead() -> None:
    """
    It does so when the driver is loaded again.
    """
    nvml = FakeNvml(FakeGpu("GPU-a"))
    driver = opened(nvml)
    driver.read_gpu("GPU-a")
    nvml.gpus[0].energy_mj = 5.0
    nvml.time_s += 1.0

    assert driver.read_gpu("GPU-a").power_w == 400.0


def test_work_is_clock_times_utilisation_and_is_counted() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a", sm_clock_mhz=1500, sm_clock_max_mhz=2000, util=(80, 0)))
    driver = opened(nvml)
    first = driver.read_gpu("GPU-a")
    for _ in range(35):
        nvml.advance(1.0)
        driver.read_gpu("GPU-a")
    nvml.advance(1.0)
    last = driver.read_gpu("GPU-a")

    assert first.work_rate_ratio == pytest.approx(0.6)
    assert last.work_gpu_h - first.work_gpu_h == pytest.approx(0.6 * 36.0 / 3600.0)


def test_what_a_gpu_does_not_support_is_nan_and_the_rest_is_read() -> None:
    """
    In MIG mode there is no utilisation; older GPUs lack fields and the energy counter.
    """
    gpu = FakeGpu("GPU-a", fields_unsupported={82, 185, 190, 192})
    for name in (
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetCurrentClocksEventReasons",
    ):
        gpu.errors[name] = NOT_SUPPORTED

    reading = opened(FakeNvml(gpu)).read_gpu("GPU-a")

    for value in (
        reading.gpu_util_ratio,
        reading.mem_util_ratio,
        reading.hbm_temp_c,
        reading.energy_kwh,
        reading.work_rate_ratio,
        reading.work_gpu_h,
    ):
        assert math.isnan(value)
    assert reading.power_w == 400.0
    assert (reading.power_limit_requested_w, reading.power_limit_enforced_w) == (700.0, 700.0)
    assert reading.clocks_event_reasons == ()


def test_names_may_come_as_bytes() -> None:
    info = opened(FakeNvml(FakeGpu(b"GPU-\xc3\xa4", name=b"NVIDIA \xff"))).inventory()[0]

    assert info.uuid == "GPU-ä"
    assert info.model.startswith("NVIDIA ")


def test_gpu_that_is_lost_at_the_start_is_left_out() -> None:
    nvml = two_gpus()
    nvml.gpus[0].errors["*"] = GPU_IS_LOST

    assert [gpu.uuid for gpu in opened(nvml).inventory()] == ["GPU-b"]


def test_no_gpu_at_all_is_an_error_and_closes_the_library() -> None:
    nvml = FakeNvml()

    with pytest.raises(DriverError, match="none of them answers"):
        opened(nvml)
    assert nvml.open_count == 0


def test_missing_library_says_what_to_install() -> None:
    nvml = two_gpus()
    nvml.init_error = LIBRARY_NOT_FOUND

    with pytest.raises(DriverError, match=r"libnvidia-ml.so.1 is not found: install"):
        opened(nvml)


def test_gpu_that_must_be_reset_counts_as_lost_and_says_so() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.gpus[0].errors["*"] = RESET_REQUIRED

    with pytest.raises(DeviceLost, match=r"GPU-a.*has to be reset"):
        driver.read_gpu("GPU-a")


def test_missing_permission_says_how_to_get_it() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.gpus[0].errors[SET] = NO_PERMISSION

    with pytest.raises(NotPermitted, match=r"GPU-a.*--cap-add=SYS_ADMIN"):
        driver.set_power_limit("GPU-a", power_limit_w=400.0)


def test_module_without_limits_of_its_own_can_be_read_only() -> None:
    """
    Grace Hopper is limited as a module; the GPU's scope is refused.
    """
    gpu = FakeGpu("GPU-a")
    gpu.errors["nvmlDeviceGetPowerManagementLimitConstraints"] = NOT_SUPPORTED
    driver = opened(FakeNvml(gpu))

    assert "limited as a whole" in driver.inventory()[0].read_only_reason
    with pytest.raises(ValueRefused):
        driver.set_power_limit("GPU-a", power_limit_w=400.0)


def test_fans_persistence_and_the_second_setter_are_never_touched() -> None:
    """
    The fake has none of them, so a call would fail; what is called is the first setter.
    """
    nvml = two_gpus()
    driver = opened(nvml)
    driver.set_power_limit("GPU-a", power_limit_w=400.0)
    driver.read_gpu("GPU-a")
    driver.close()

    assert SET in nvml.calls
    assert [name for name in nvml.calls if "Fan" in name or "Persistence" in name] == []
    assert [name for name in nvml.calls if name.endswith("_v2")] == []


def test_event_of_a_gpu_is_taken_once() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.events.put((nvml.gpus[1], 79))
    events: list[GpuEvent] = []
    while not events:
        events += driver.take_events()

    assert events == [GpuEvent(uuid="GPU-b", xid=79)]
    assert list(driver.take_events()) == []
    driver.close()


def test_gpu_that_came_back_is_asked_by_a_new_handle() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.gpu("GPU-a").errors["*"] = GPU_IS_LOST
    with pytest.raises(DeviceLost):
        driver.read_gpu("GPU-a")
    with pytest.raises(DeviceLost):
        driver.read_gpu("GPU-a")
    assert nvml.calls.count("nvmlDeviceGetHandleByUUID") == 1, "not at every reading"

    nvml.gpu("GPU-a").errors.clear()

    assert driver.read_gpu("GPU-a").uuid == "GPU-a"


def test_gpu_that_must_be_reset_is_told_apart_from_a_lost_one() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.gpu("GPU-a").errors["*"] = RESET_REQUIRED

    with pytest.raises(ResetRequired, match="reset"):
        driver.read_gpu("GPU-a")


def test_grace_hopper_is_read_only_and_grace_blackwell_is_not() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a", c2c=True), FakeGpu("GPU-b", c2c=True, architecture=10))

    hopper, blackwell = opened(nvml).inventory()

    assert "whole module" in hopper.read_only_reason
    assert blackwell.read_only_reason == ""


def test_setter_a_gpu_does_not_have_is_not_commandable() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.gpu("GPU-a").errors[SET] = NOT_SUPPORTED

    with pytest.raises(NotCommandable, match="module"):
        driver.set_power_limit("GPU-a", power_limit_w=400.0)


def test_partitioned_gpu_is_said_to_be() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a", mig=True), FakeGpu("GPU-b"))

    assert [gpu.partitioned for gpu in opened(nvml).inventory()] == [True, False]


def test_margin_of_a_gpu_that_does_not_tell_it_is_that_to_its_threshold() -> None:
    nvml = FakeNvml(FakeGpu("GPU-a", margin_k=None, temp_c=80), FakeGpu("GPU-b"))

    assert opened(nvml).read_gpu("GPU-a").temp_margin_k == 7.0


def test_lock_is_gone_when_the_clock_runs_above_it() -> None:
    """
    NVML tells no lock; a driver that was loaded again has lost it.
    """
    nvml = two_gpus()
    driver = opened(nvml)
    driver.set_sm_clock_max("GPU-a", sm_clock_max_mhz=1200.0)
    assert nvml.gpu("GPU-a").locked_mhz == (350, 1200)
    nvml.advance(2.0)
    assert driver.read_gpu("GPU-a").sm_clock_limit_mhz == 1200.0

    nvml.gpu("GPU-a").sm_clock_mhz = 1900
    limits_mhz = []
    for _ in range(2):
        nvml.advance(2.0)
        limits_mhz.append(driver.read_gpu("GPU-a").sm_clock_limit_mhz)

    assert limits_mhz[0] == 1200.0, "one reading may be from before the change"
    assert math.isnan(limits_mhz[1])


def test_clocks_that_somebody_else_holds_are_told() -> None:
    nvml = two_gpus()
    driver = opened(nvml)
    nvml.gpu("GPU-a").reasons = 0x2
    held = []
    for _ in range(2):
        nvml.advance(2.0)
        held.append(driver.read_gpu("GPU-a").clocks_held_by_other)

    assert held == [False, True]
    driver.set_sm_clock_max("GPU-a", sm_clock_max_mhz=1200.0)
    nvml.advance(2.0)
    assert not driver.read_gpu("GPU-a").clocks_held_by_other
