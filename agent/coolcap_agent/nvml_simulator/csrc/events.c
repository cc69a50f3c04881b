/* Events: critical errors of the driver (Xid), waited for in sets. */
#include <math.h>
#include <stdlib.h>

#include "device.h"

/* How soon a waiting call notices an event. */
#define LOOK_AGAIN_S 0.02

struct event_set {
    uint32_t count;
    struct watched {
        nvml_device device;
        uint32_t seen; /* the device's xid_count when it was last looked at */
    } *watched;
};

NVML_API nvml_return nvmlEventSetCreate(nvml_event_set *set)
{
    if (!session_now()) {
        return NVML_ERROR_UNINITIALIZED;
    }
    if (!set) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *set = calloc(1, sizeof **set);
    return *set ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

NVML_API nvml_return nvmlEventSetFree(nvml_event_set set)
{
    if (!session_now()) {
        return NVML_ERROR_UNINITIALIZED;
    }
    if (!set) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    free(set->watched);
    free(set);
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlDeviceGetSupportedEventTypes(nvml_device handle, uint64_t *types)
{
    nvml_return result = device_touch(handle, types);
    if (result == NVML_SUCCESS) {
        *types = NVML_EVENT_XID_CRITICAL_ERROR;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceRegisterEvents(nvml_device handle, uint64_t types,
                                              nvml_event_set set)
{
    nvml_return result = device_touch(handle, set);
    if (result != NVML_SUCCESS) {
        return result;
    }
    if (types & ~(uint64_t)NVML_EVENT_XID_CRITICAL_ERROR) {
        return NVML_ERROR_NOT_SUPPORTED;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->watched[i].device == handle) {
            return NVML_SUCCESS;
        }
    }
    struct watched *more = realloc(set->watched, (set->count + 1) * sizeof *more);
    if (!more) {
        return NVML_ERROR_MEMORY;
    }
    more[set->count].device = handle;
    more[set->count].seen = hall_load_uint(&device_fault(handle)->xid_count);
    set->watched = more;
    set->count++;
    return NVML_SUCCESS;
}

/* Take the next event of the set, if there is one. */
static bool take(nvml_event_set set, struct nvml_event_data *event)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct watched *watched = &set->watched[i];
        const struct hall_gpu_fault *fault = device_fault(watched->device);
        uint32_t now = hall_load_uint(&fault->xid_count);
        if (now != watched->seen) {
            watched->seen = now;
            *event = (struct nvml_event_data){.device = watched->device,
                                              .type = NVML_EVENT_XID_CRITICAL_ERROR,
                                              .data = hall_load_uint(&fault->xid),
                                              .gpu_instance = NVML_NO_INSTANCE,
                                              .compute_instance = NVML_NO_INSTANCE};
            return true;
        }
    }
    return false;
}

static bool has_lost(const struct event_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (device_has_fault(set->watched[i].device, HALL_FAULT_LOST)) {
            return true;
        }
    }
    return false;
}

/* A wait that ends without an event says so, or that one of the GPUs is lost. */
NVML_API nvml_return nvmlEventSetWait_v2(nvml_event_set set, struct nvml_event_data *event,
                                         uint32_t timeout_ms)
{
    if (!set || !event) {
        return session_now() ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_UNINITIALIZED;
    }
    double end_s = mono_s() + 1e-3 * timeout_ms;
    while (session_now()) {
        if (take(set, event)) {
            return NVML_SUCCESS;
        }
        double left_s = end_s - mono_s();
        if (left_s <= 0.0) {
            return has_lost(set) ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_TIMEOUT;
        }
        sleep_s(fmin(left_s, LOOK_AGAIN_S));
    }
    return NVML_ERROR_UNINITIALIZED;
}

NVML_API nvml_return nvmlEventSetWait(nvml_event_set set, struct nvml_event_data *event,
                                      uint32_t timeout_ms)
{
    return nvmlEventSetWait_v2(set, event, timeout_ms);
}
