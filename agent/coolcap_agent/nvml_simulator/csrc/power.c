/* Power: readings, energy and the limit. */
#include "power.h"

#include <math.h>

#define MJ_PER_KWH 3.6e9

uint32_t milliwatts(double watts)
{
    return watts > 0.0 ? (uint32_t)llround(1e3 * watts) : 0;
}

double limit_requested_w(nvml_device handle)
{
    return hall_load_double(&device_control(handle)->power_limit_requested_w);
}

double limit_enforced_w(nvml_device handle)
{
    double other_w = hall_load_double(&device_fault(handle)->power_limit_other_w);
    return fmin(limit_requested_w(handle), other_w);
}

uint64_t energy_mj(nvml_device handle, const struct hall_gpu_reading *reading)
{
    double zero_kwh = hall_load_double(&device_fault(handle)->energy_zero_kwh);
    return (uint64_t)llround(fmax(reading->energy_kwh - zero_kwh, 0.0) * MJ_PER_KWH);
}

bool has_power_scope(nvml_device handle, uint32_t scope)
{
    return scope == NVML_POWER_SCOPE_GPU ||
           (scope == NVML_POWER_SCOPE_MODULE && device_has_fault(handle, HALL_FAULT_MODULE_SCOPE));
}

/* The mean over about a second, as on Ampere (except GA100) and newer. */
NVML_API nvml_return nvmlDeviceGetPowerUsage(nvml_device handle, uint32_t *power_mw)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, power_mw, &reading);
    if (result == NVML_SUCCESS && isnan(reading.power_average_w)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (result == NVML_SUCCESS) {
        *power_mw = milliwatts(reading.power_average_w);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetTotalEnergyConsumption(nvml_device handle, uint64_t *mj)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, mj, &reading);
    if (result == NVML_SUCCESS && isnan(reading.energy_kwh)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (result == NVML_SUCCESS) {
        *mj = energy_mj(handle, &reading);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetPowerManagementLimit(nvml_device handle, uint32_t *limit_mw)
{
    nvml_return result = device_touch(handle, limit_mw);
    if (result == NVML_SUCCESS) {
        *limit_mw = milliwatts(limit_requested_w(handle));
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetEnforcedPowerLimit(nvml_device handle, uint32_t *limit_mw)
{
    nvml_return result = device_touch(handle, limit_mw);
    if (result == NVML_SUCCESS) {
        *limit_mw = milliwatts(limit_enforced_w(handle));
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetPowerManagementDefaultLimit(nvml_device handle,
                                                              uint32_t *limit_mw)
{
    nvml_return result = device_touch(handle, limit_mw);
    if (result == NVML_SUCCESS) {
        *limit_mw = milliwatts(device_info(handle)->power_limit_default_w);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetPowerManagementLimitConstraints(nvml_device handle,
                                                                  uint32_t *low_mw,
                                                                  uint32_t *high_mw)
{
    nvml_return result = device_touch(handle, low_mw && high_mw ? low_mw : NULL);
    if (result == NVML_SUCCESS) {
        *low_mw = milliwatts(device_info(handle)->power_limit_min_w);
        *high_mw = milliwatts(device_info(handle)->power_limit_max_w);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetPowerManagementMode(nvml_device handle, uint32_t *mode)
{
    nvml_return result = device_touch(handle, mode);
    if (result == NVML_SUCCESS) {
        *mode = NVML_FEATURE_ENABLED;
    }
    return result;
}

static nvml_return set_limit(nvml_device handle, uint32_t scope, uint32_t limit_mw)
{
    nvml_return result = device_touch_to_write(handle);
    if (result != NVML_SUCCESS) {
        return result;
    }
    bool is_module = device_has_fault(handle, HALL_FAULT_MODULE_SCOPE);
    if (scope != (is_module ? NVML_POWER_SCOPE_MODULE : NVML_POWER_SCOPE_GPU)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    const struct hall_gpu_info *info = device_info(handle);
    if (limit_mw < milliwatts(info->power_limit_min_w) ||
        limit_mw > milliwatts(info->power_limit_max_w)) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (!device_has_fault(handle, HALL_FAULT_IGNORED_SET)) {
        hall_store_double(&device_control(handle)->power_limit_requested_w, limit_mw / 1e3);
    }
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlDeviceSetPowerManagementLimit(nvml_device handle, uint32_t limit_mw)
{
    return set_limit(handle, NVML_POWER_SCOPE_GPU, limit_mw);
}

NVML_API nvml_return nvmlDeviceSetPowerManagementLimit_v2(nvml_device handle,
                                                          const struct nvml_power_value_v2 *limit)
{
    nvml_return result = device_check(handle, limit);
    if (result == NVML_SUCCESS && limit->version != NVML_VERSION(*limit, 2)) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    return result == NVML_SUCCESS ? set_limit(handle, (uint32_t)limit->scope, limit->milliwatts)
                                  : result;
}
