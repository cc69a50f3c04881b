/* Modes of the device, and its errors. */
#include "device.h"

static nvml_return tell(nvml_device handle, uint32_t *answer, uint32_t value)
{
    nvml_return result = device_touch(handle, answer);
    if (result == NVML_SUCCESS) {
        *answer = value;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetPersistenceMode(nvml_device handle, uint32_t *mode)
{
    nvml_return result = device_touch(handle, mode);
    if (result == NVML_SUCCESS) {
        *mode = hall_load_uint(&device_control(handle)->persistence_mode);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceSetPersistenceMode(nvml_device handle, uint32_t mode)
{
    nvml_return result = device_touch_to_write(handle);
    if (result == NVML_SUCCESS && mode > NVML_FEATURE_ENABLED) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (result == NVML_SUCCESS && !device_has_fault(handle, HALL_FAULT_IGNORED_SET)) {
        hall_store_uint(&device_control(handle)->persistence_mode, mode);
    }
    return result;
}

/* A GPU whose limit holds for a module is joined to its CPU chip to chip, as in Grace Hopper. */
NVML_API nvml_return nvmlDeviceGetC2cModeInfoV(nvml_device handle, struct nvml_c2c_mode_v1 *answer)
{
    nvml_return result = device_touch(handle, answer);
    if (result == NVML_SUCCESS) {
        answer->enabled = device_has_fault(handle, HALL_FAULT_MODULE_SCOPE);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetMigMode(nvml_device handle, uint32_t *now, uint32_t *pending)
{
    nvml_return result = device_touch(handle, now && pending ? now : NULL);
    if (result == NVML_SUCCESS) {
        *now = *pending = device_has_fault(handle, HALL_FAULT_MIG);
    }
    return result;
}

#define MIG_DEVICES_MAX 7u

NVML_API nvml_return nvmlDeviceGetMaxMigDeviceCount(nvml_device handle, uint32_t *count)
{
    return tell(handle, count, MIG_DEVICES_MAX);
}

/* Partitioned GPUs have their mode, which is what matters for power; parts are not simulated. */
NVML_API nvml_return nvmlDeviceGetMigDeviceHandleByIndex(nvml_device handle, uint32_t index,
                                                         nvml_device *part)
{
    nvml_return result = device_touch(handle, part);
    if (result != NVML_SUCCESS) {
        return result;
    }
    return index < MIG_DEVICES_MAX ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT;
}

NVML_API nvml_return nvmlDeviceIsMigDeviceHandle(nvml_device handle, uint32_t *answer)
{
    nvml_return result = device_check(handle, answer);
    if (result == NVML_SUCCESS) {
        *answer = 0;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetComputeMode(nvml_device handle, uint32_t *mode)
{
    return tell(handle, mode, NVML_COMPUTEMODE_DEFAULT);
}

NVML_API nvml_return nvmlDeviceGetDisplayMode(nvml_device handle, uint32_t *mode)
{
    return tell(handle, mode, NVML_FEATURE_DISABLED);
}

NVML_API nvml_return nvmlDeviceGetDisplayActive(nvml_device handle, uint32_t *active)
{
    return tell(handle, active, NVML_FEATURE_DISABLED);
}

NVML_API nvml_return nvmlDeviceGetEccMode(nvml_device handle, uint32_t *now, uint32_t *pending)
{
    nvml_return result = device_touch(handle, now && pending ? now : NULL);
    if (result == NVML_SUCCESS) {
        *now = *pending = NVML_FEATURE_ENABLED;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetTotalEccErrors(nvml_device handle, uint32_t type,
                                                 uint32_t counter, uint64_t *count)
{
    (void)type;
    (void)counter;
    nvml_return result = device_touch(handle, count);
    if (result == NVML_SUCCESS) {
        *count = 0;
    }
    return result;
}
