#include "device.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* How soon a blocked call notices that its fault was cleared. */
#define LOOK_AGAIN_S 0.005

double mono_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void sleep_s(double seconds)
{
    struct timespec span = {.tv_sec = (time_t)seconds};
    span.tv_nsec = (long)(1e9 * (seconds - (double)span.tv_sec));
    nanosleep(&span, NULL);
}

nvml_return text_out(char *to, uint32_t bytes, const char *text)
{
    if (!to) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    size_t needed = strlen(text) + 1;
    if (bytes < needed) {
        return NVML_ERROR_INSUFFICIENT_SIZE;
    }
    memcpy(to, text, needed);
    return NVML_SUCCESS;
}

const struct hall_gpu_info *device_info(nvml_device handle)
{
    return &handle->hall->gpu_info[handle->row];
}

struct hall_gpu_control *device_control(nvml_device handle)
{
    return &handle->hall->gpu_control[handle->row];
}

const struct hall_gpu_fault *device_fault(nvml_device handle)
{
    return &handle->hall->gpu_fault[handle->row];
}

bool device_has_fault(nvml_device handle, uint32_t flag)
{
    return (hall_load_uint(&device_fault(handle)->flags) & flag) != 0;
}

nvml_return device_check(nvml_device handle, const void *answer)
{
    const struct session *session = session_now();
    if (!session) {
        return NVML_ERROR_UNINITIALIZED;
    }
    uintptr_t place = (uintptr_t)handle - (uintptr_t)session->devices;
    bool is_ours = handle && place < session->device_count * sizeof *handle &&
                   place % sizeof *handle == 0;
    return is_ours && answer ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* Wait as long as the hall says that a call takes. False if the device never answered. */
static bool wait_for(nvml_device handle)
{
    const struct hall_gpu_fault *fault = device_fault(handle);
    bool hangs = device_has_fault(handle, HALL_FAULT_HANG);
    double start_s = mono_s();
    for (;;) {
        if (hangs && !device_has_fault(handle, HALL_FAULT_HANG)) {
            return true;
        }
        double left_s = start_s + hall_load_double(&fault->call_delay_s) - mono_s();
        if (!(left_s > 0.0)) {
            return !hangs;
        }
        sleep_s(fmin(left_s, LOOK_AGAIN_S));
    }
}

nvml_return device_touch(nvml_device handle, const void *answer)
{
    nvml_return result = device_check(handle, answer);
    if (result != NVML_SUCCESS) {
        return result;
    }
    const struct hall_gpu_fault *fault = device_fault(handle);
    bool answers = !device_has_fault(handle, HALL_FAULT_HANG);
    if (!answers || hall_load_double(&fault->call_delay_s) > 0.0) {
        answers = wait_for(handle);
    }
    uint32_t flags = hall_load_uint(&fault->flags);
    if (flags & HALL_FAULT_LOST) {
        return NVML_ERROR_GPU_IS_LOST;
    }
    if (!answers) {
        return NVML_ERROR_TIMEOUT;
    }
    return flags & HALL_FAULT_RESET_REQUIRED ? NVML_ERROR_RESET_REQUIRED : NVML_SUCCESS;
}

nvml_return device_touch_to_write(nvml_device handle)
{
    nvml_return result = device_touch(handle, handle);
    if (result == NVML_SUCCESS &&
        (!handle->hall->writable || device_has_fault(handle, HALL_FAULT_NO_PERMISSION))) {
        return NVML_ERROR_NO_PERMISSION;
    }
    return result;
}

nvml_return device_read(nvml_device handle, const void *answer, struct hall_gpu_reading *reading)
{
    nvml_return result = device_touch(handle, answer);
    return result == NVML_SUCCESS ? hall_read_gpu(handle->hall, handle->row, reading) : result;
}
