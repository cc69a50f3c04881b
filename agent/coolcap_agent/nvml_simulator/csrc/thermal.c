/* Temperature of the GPU and its margin. */
#include "thermal.h"

#include <math.h>

int32_t thermal_margin_k(nvml_device handle, const struct hall_gpu_reading *reading)
{
    return (int32_t)lround(handle->model->operating_temp_max_c - reading->gpu_temp_c);
}

/* Begin a call on the GPU's sensor. */
static nvml_return read_sensor(nvml_device handle, uint32_t sensor, const void *answer,
                               struct hall_gpu_reading *reading)
{
    nvml_return result = device_read(handle, answer, reading);
    if (result != NVML_SUCCESS) {
        return result;
    }
    if (sensor >= NVML_TEMPERATURE_SENSOR_COUNT) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    bool is_measured = sensor == NVML_TEMPERATURE_GPU && !isnan(reading->gpu_temp_c);
    return is_measured ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

NVML_API nvml_return nvmlDeviceGetTemperature(nvml_device handle, uint32_t sensor,
                                              uint32_t *temp_c)
{
    struct hall_gpu_reading reading;
    nvml_return result = read_sensor(handle, sensor, temp_c, &reading);
    if (result == NVML_SUCCESS) {
        *temp_c = (uint32_t)lround(fmax(reading.gpu_temp_c, 0.0));
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetTemperatureV(nvml_device handle,
                                               struct nvml_temperature_v1 *answer)
{
    nvml_return result = device_check(handle, answer);
    if (result == NVML_SUCCESS && answer->version != NVML_VERSION(*answer, 1)) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    struct hall_gpu_reading reading;
    if (result == NVML_SUCCESS) {
        result = read_sensor(handle, (uint32_t)answer->sensor, answer, &reading);
    }
    if (result == NVML_SUCCESS) {
        answer->temperature = (int32_t)lround(reading.gpu_temp_c);
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetMarginTemperature(nvml_device handle,
                                                    struct nvml_margin_temperature_v1 *answer)
{
    nvml_return result = device_check(handle, answer);
    if (result == NVML_SUCCESS && answer->version != NVML_VERSION(*answer, 1)) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    struct hall_gpu_reading reading;
    if (result == NVML_SUCCESS) {
        result = read_sensor(handle, NVML_TEMPERATURE_GPU, answer, &reading);
    }
    if (result == NVML_SUCCESS) {
        answer->margin = thermal_margin_k(handle, &reading);
    }
    return result;
}

/* Since Ada, thresholds are fields: distances to the highest operating temperature. */
NVML_API nvml_return nvmlDeviceGetTemperatureThreshold(nvml_device handle, uint32_t threshold,
                                                       uint32_t *temp_c)
{
    nvml_return result = device_touch(handle, temp_c);
    if (result != NVML_SUCCESS) {
        return result;
    }
    return threshold < NVML_TEMPERATURE_THRESHOLD_COUNT ? NVML_ERROR_NOT_SUPPORTED
                                                        : NVML_ERROR_INVALID_ARGUMENT;
}
