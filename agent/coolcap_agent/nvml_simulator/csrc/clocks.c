/* Clocks: readings, what is supported, the lock, and what holds them back. */
#include <math.h>

#include "device.h"

static uint32_t sm_clock_max_mhz(nvml_device handle)
{
    return (uint32_t)lround(device_info(handle)->sm_clock_max_mhz);
}

NVML_API nvml_return nvmlDeviceGetClockInfo(nvml_device handle, uint32_t type, uint32_t *mhz)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, mhz, &reading);
    if (result != NVML_SUCCESS) {
        return result;
    }
    switch (type) {
    case NVML_CLOCK_GRAPHICS:
    case NVML_CLOCK_SM:
        if (isnan(reading.sm_clock_mhz)) {
            return NVML_ERROR_NOT_SUPPORTED;
        }
        *mhz = (uint32_t)lround(reading.sm_clock_mhz);
        return NVML_SUCCESS;
    case NVML_CLOCK_MEM: *mhz = handle->model->memory_clock_mhz; return NVML_SUCCESS;
    case NVML_CLOCK_VIDEO: return NVML_ERROR_NOT_SUPPORTED;
    default: return NVML_ERROR_INVALID_ARGUMENT;
    }
}

NVML_API nvml_return nvmlDeviceGetClock(nvml_device handle, uint32_t type, uint32_t which,
                                        uint32_t *mhz)
{
    return which == NVML_CLOCK_ID_CURRENT ? nvmlDeviceGetClockInfo(handle, type, mhz)
                                          : NVML_ERROR_NOT_SUPPORTED;
}

NVML_API nvml_return nvmlDeviceGetMaxClockInfo(nvml_device handle, uint32_t type, uint32_t *mhz)
{
    nvml_return result = device_touch(handle, mhz);
    if (result != NVML_SUCCESS) {
        return result;
    }
    switch (type) {
    case NVML_CLOCK_GRAPHICS:
    case NVML_CLOCK_SM: *mhz = sm_clock_max_mhz(handle); return NVML_SUCCESS;
    case NVML_CLOCK_MEM: *mhz = handle->model->memory_clock_mhz; return NVML_SUCCESS;
    case NVML_CLOCK_VIDEO: return NVML_ERROR_NOT_SUPPORTED;
    default: return NVML_ERROR_INVALID_ARGUMENT;
    }
}

NVML_API nvml_return nvmlDeviceGetSupportedMemoryClocks(nvml_device handle, uint32_t *count,
                                                        uint32_t *mhz)
{
    nvml_return result = device_touch(handle, count);
    if (result != NVML_SUCCESS) {
        return result;
    }
    bool fits = *count >= 1 && mhz;
    *count = 1;
    if (!fits) {
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    mhz[0] = handle->model->memory_clock_mhz;
    return NVML_SUCCESS;
}

/* Lists from the highest down, in steps. */
NVML_API nvml_return nvmlDeviceGetSupportedGraphicsClocks(nvml_device handle, uint32_t memory_mhz,
                                                          uint32_t *count, uint32_t *mhz)
{
    nvml_return result = device_touch(handle, count);
    if (result != NVML_SUCCESS) {
        return result;
    }
    const struct gpu_model *model = handle->model;
    if (memory_mhz != model->memory_clock_mhz) {
        return NVML_ERROR_NOT_FOUND;
    }
    uint32_t high = sm_clock_max_mhz(handle);
    uint32_t low = high < model->sm_clock_min_mhz ? high : model->sm_clock_min_mhz;
    uint32_t needed = (high - low) / model->sm_clock_step_mhz + 1;
    bool fits = *count >= needed && mhz;
    *count = needed;
    if (!fits) {
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    for (uint32_t i = 0; i < needed; i++) {
        mhz[i] = high - i * model->sm_clock_step_mhz;
    }
    return NVML_SUCCESS;
}

static nvml_return lock_clocks(nvml_device handle, double ceiling_mhz)
{
    if (!device_has_fault(handle, HALL_FAULT_IGNORED_SET)) {
        hall_store_double(&device_control(handle)->sm_clock_limit_mhz, ceiling_mhz);
    }
    return NVML_SUCCESS;
}

/* The plant model knows a ceiling; the floor of the range is checked and has no effect. */
NVML_API nvml_return nvmlDeviceSetGpuLockedClocks(nvml_device handle, uint32_t low_mhz,
                                                  uint32_t high_mhz)
{
    nvml_return result = device_touch_to_write(handle);
    if (result != NVML_SUCCESS) {
        return result;
    }
    if (low_mhz > high_mhz || high_mhz < handle->model->sm_clock_min_mhz ||
        high_mhz > sm_clock_max_mhz(handle)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    return lock_clocks(handle, high_mhz);
}

NVML_API nvml_return nvmlDeviceResetGpuLockedClocks(nvml_device handle)
{
    nvml_return result = device_touch_to_write(handle);
    return result == NVML_SUCCESS ? lock_clocks(handle, NAN) : result;
}

NVML_API nvml_return nvmlDeviceGetCurrentClocksEventReasons(nvml_device handle, uint64_t *reasons)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, reasons, &reading);
    if (result == NVML_SUCCESS) {
        *reasons = reading.clocks_event_reasons;
    }
    return result;
}

/* The name before NVML 12. */
NVML_API nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(nvml_device handle,
                                                               uint64_t *reasons)
{
    return nvmlDeviceGetCurrentClocksEventReasons(handle, reasons);
}

/* What the plant model can report: idle, clock setting, power cap, thermal slowdown by software. */
#define SUPPORTED_REASONS 0x27u

NVML_API nvml_return nvmlDeviceGetSupportedClocksEventReasons(nvml_device handle,
                                                              uint64_t *reasons)
{
    nvml_return result = device_touch(handle, reasons);
    if (result == NVML_SUCCESS) {
        *reasons = SUPPORTED_REASONS;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetSupportedClocksThrottleReasons(nvml_device handle,
                                                                 uint64_t *reasons)
{
    return nvmlDeviceGetSupportedClocksEventReasons(handle, reasons);
}

NVML_API nvml_return nvmlDeviceGetPerformanceState(nvml_device handle, uint32_t *state)
{
    nvml_return result = device_touch(handle, state);
    if (result == NVML_SUCCESS) {
        *state = NVML_PSTATE_0; /* data-centre GPUs stay there */
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetPowerState(nvml_device handle, uint32_t *state)
{
    return nvmlDeviceGetPerformanceState(handle, state);
}
