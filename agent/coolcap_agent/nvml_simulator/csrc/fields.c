/* Field values: many readings of one frame in one call, each with its own result. */
#include <math.h>

#include "power.h"
#include "thermal.h"

#define US_PER_S 1e6
#define NS_PER_S 1e9

static nvml_return put_uint(struct nvml_field_value *field, uint32_t value)
{
    field->value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
    field->value.as_uint = value;
    return NVML_SUCCESS;
}

static nvml_return put_int(struct nvml_field_value *field, int32_t value)
{
    field->value_type = NVML_VALUE_TYPE_SIGNED_INT;
    field->value.as_int = value;
    return NVML_SUCCESS;
}

static nvml_return put_ulonglong(struct nvml_field_value *field, uint64_t value)
{
    field->value_type = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    field->value.as_ulonglong = value;
    return NVML_SUCCESS;
}

static nvml_return put_measured_w(struct nvml_field_value *field, double power_w)
{
    return isnan(power_w) ? NVML_ERROR_NOT_SUPPORTED : put_uint(field, milliwatts(power_w));
}

static nvml_return put_time(struct nvml_field_value *field, double span_s)
{
    return put_ulonglong(field, span_s > 0.0 ? (uint64_t)llround(NS_PER_S * span_s) : 0);
}

static nvml_return put_power(nvml_device handle, const struct hall_gpu_reading *reading,
                             struct nvml_field_value *field)
{
    const struct hall_gpu_info *info = device_info(handle);
    if (!has_power_scope(handle, field->scope_id)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    switch (field->field_id) {
    case NVML_FI_POWER_AVERAGE: return put_measured_w(field, reading->power_average_w);
    case NVML_FI_POWER_INSTANT: return put_measured_w(field, reading->power_w);
    case NVML_FI_POWER_MIN_LIMIT: return put_uint(field, milliwatts(info->power_limit_min_w));
    case NVML_FI_POWER_MAX_LIMIT: return put_uint(field, milliwatts(info->power_limit_max_w));
    case NVML_FI_POWER_DEFAULT_LIMIT:
        return put_uint(field, milliwatts(info->power_limit_default_w));
    case NVML_FI_POWER_CURRENT_LIMIT:
        return put_uint(field, milliwatts(limit_enforced_w(handle)));
    default: return put_uint(field, milliwatts(limit_requested_w(handle)));
    }
}

static nvml_return put_value(nvml_device handle, const struct hall_gpu_reading *reading,
                             struct nvml_field_value *field)
{
    switch (field->field_id) {
    case NVML_FI_POWER_AVERAGE:
    case NVML_FI_POWER_INSTANT:
    case NVML_FI_POWER_MIN_LIMIT:
    case NVML_FI_POWER_MAX_LIMIT:
    case NVML_FI_POWER_DEFAULT_LIMIT:
    case NVML_FI_POWER_CURRENT_LIMIT:
    case NVML_FI_POWER_REQUESTED_LIMIT: return put_power(handle, reading, field);
    case NVML_FI_TOTAL_ENERGY_CONSUMPTION:
    case NVML_FI_ENERGY:
        return isnan(reading->energy_kwh) ? NVML_ERROR_NOT_SUPPORTED
                                          : put_ulonglong(field, energy_mj(handle, reading));
    case NVML_FI_MEMORY_TEMP:
        return isnan(reading->hbm_temp_c)
                   ? NVML_ERROR_NOT_SUPPORTED
                   : put_uint(field, (uint32_t)lround(fmax(reading->hbm_temp_c, 0.0)));
    case NVML_FI_TEMPERATURE_SHUTDOWN_TLIMIT:
        return put_int(field, handle->model->shutdown_margin_k);
    case NVML_FI_TEMPERATURE_SLOWDOWN_TLIMIT:
        return put_int(field, handle->model->slowdown_margin_k);
    case NVML_FI_TEMPERATURE_MEM_MAX_TLIMIT:
    case NVML_FI_TEMPERATURE_GPU_MAX_TLIMIT: return put_int(field, 0);
    case NVML_FI_PERF_POLICY_POWER: return put_time(field, reading->sw_power_cap_s);
    case NVML_FI_PERF_POLICY_THERMAL:
    case NVML_FI_SW_THERMAL_SLOWDOWN: return put_time(field, reading->sw_thermal_slowdown_s);
    case NVML_FI_PERF_POLICY_SYNC_BOOST:
    case NVML_FI_HW_THERMAL_SLOWDOWN:
    case NVML_FI_HW_POWER_BRAKE: return put_time(field, 0.0); /* the plant model has none */
    default: return NVML_ERROR_NOT_SUPPORTED;
    }
}

/* Times are site time: that of the reading, so that differences of energy and time belong together
 * at any speed of the simulation. */
NVML_API nvml_return nvmlDeviceGetFieldValues(nvml_device handle, int32_t count,
                                              struct nvml_field_value *fields)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, count > 0 ? fields : NULL, &reading);
    if (result != NVML_SUCCESS) {
        return result;
    }
    for (int32_t i = 0; i < count; i++) {
        fields[i].timestamp_us = llround(US_PER_S * reading.measure_time_s);
        fields[i].latency_us = 0;
        fields[i].result = put_value(handle, &reading, &fields[i]);
    }
    return NVML_SUCCESS;
}

enum { PERF_POLICY_POWER = 0, PERF_POLICY_THERMAL = 1 };

NVML_API nvml_return nvmlDeviceGetViolationStatus(nvml_device handle, uint32_t policy,
                                                  struct nvml_violation_time *answer)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, answer, &reading);
    if (result == NVML_SUCCESS && policy > PERF_POLICY_THERMAL) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (result == NVML_SUCCESS) {
        double held_s = policy == PERF_POLICY_POWER ? reading.sw_power_cap_s
                                                    : reading.sw_thermal_slowdown_s;
        answer->reference_us = (uint64_t)llround(US_PER_S * reading.measure_time_s);
        answer->violation_ns = held_s > 0.0 ? (uint64_t)llround(NS_PER_S * held_s) : 0;
    }
    return result;
}
