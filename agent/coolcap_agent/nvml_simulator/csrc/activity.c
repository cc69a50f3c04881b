/* What the GPU is used for: utilisation, memory, processes. */
#include <math.h>

#include "device.h"

#define BYTES_PER_MIB (UINT64_C(1) << 20)

/* Parts of a partitioned GPU have no common utilisation. */
NVML_API nvml_return nvmlDeviceGetUtilizationRates(nvml_device handle,
                                                   struct nvml_utilization *answer)
{
    struct hall_gpu_reading reading;
    nvml_return result = device_read(handle, answer, &reading);
    if (result != NVML_SUCCESS) {
        return result;
    }
    if (device_has_fault(handle, HALL_FAULT_MIG) || isnan(reading.gpu_util_ratio)) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    double memory_ratio = isnan(reading.mem_util_ratio) ? 0.0 : reading.mem_util_ratio;
    answer->gpu = (uint32_t)lround(1e2 * reading.gpu_util_ratio);
    answer->memory = (uint32_t)lround(1e2 * memory_ratio);
    return NVML_SUCCESS;
}

#define CODEC_SAMPLING_US 167000u

/* The plant model encodes and decodes no video. */
static nvml_return codec_utilisation(nvml_device handle, uint32_t *percent, uint32_t *period_us)
{
    nvml_return result = device_touch(handle, percent && period_us ? percent : NULL);
    if (result == NVML_SUCCESS) {
        *percent = 0;
        *period_us = CODEC_SAMPLING_US;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetEncoderUtilization(nvml_device handle, uint32_t *percent,
                                                     uint32_t *period_us)
{
    return codec_utilisation(handle, percent, period_us);
}

NVML_API nvml_return nvmlDeviceGetDecoderUtilization(nvml_device handle, uint32_t *percent,
                                                     uint32_t *period_us)
{
    return codec_utilisation(handle, percent, period_us);
}

/* The plant model has no memory contents: nothing beyond what the driver reserves is used. */
NVML_API nvml_return nvmlDeviceGetMemoryInfo_v2(nvml_device handle, struct nvml_memory_v2 *answer)
{
    nvml_return result = device_touch(handle, answer);
    if (result == NVML_SUCCESS && answer->version != NVML_VERSION(*answer, 2)) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    if (result == NVML_SUCCESS) {
        answer->total = BYTES_PER_MIB * handle->model->memory_mib;
        answer->reserved = BYTES_PER_MIB * handle->model->reserved_mib;
        answer->free = answer->total - answer->reserved;
        answer->used = 0;
    }
    return result;
}

/* In the first version of this record, what the driver reserves counts as used. */
NVML_API nvml_return nvmlDeviceGetMemoryInfo(nvml_device handle, struct nvml_memory *answer)
{
    nvml_return result = device_touch(handle, answer);
    if (result == NVML_SUCCESS) {
        answer->total = BYTES_PER_MIB * handle->model->memory_mib;
        answer->used = BYTES_PER_MIB * handle->model->reserved_mib;
        answer->free = answer->total - answer->used;
    }
    return result;
}

/* Simulated work has no processes on this host. */
static nvml_return no_processes(nvml_device handle, uint32_t *count)
{
    nvml_return result = device_touch(handle, count);
    if (result == NVML_SUCCESS) {
        *count = 0;
    }
    return result;
}

#define PROCESS_LIST(function)                                                                     \
    NVML_API nvml_return function(nvml_device handle, uint32_t *count, void *processes)            \
    {                                                                                              \
        (void)processes;                                                                           \
        return no_processes(handle, count);                                                        \
    }

PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2)
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3)

NVML_API nvml_return nvmlDeviceGetProcessUtilization(nvml_device handle, void *samples,
                                                     uint32_t *count, uint64_t since_us)
{
    (void)samples;
    (void)since_us;
    nvml_return result = no_processes(handle, count);
    return result == NVML_SUCCESS ? NVML_ERROR_NOT_FOUND : result;
}
