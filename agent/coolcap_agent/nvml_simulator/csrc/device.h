/* The library's session and its devices: what every NVML function needs before it can answer. */
#ifndef COOLCAP_DEVICE_H
#define COOLCAP_DEVICE_H

#include "gpu_model.h"
#include "hall.h"

/* A GPU of this node; its address is the handle clients hold. */
struct device {
    const struct hall *hall;
    uint32_t row;      /* in the hall's tables */
    uint32_t position; /* NVML's index */
    const struct gpu_model *model;
};

struct session {
    char *node;
    struct hall hall;
    uint32_t device_count;
    struct device *devices;
};

/* The session between nvmlInit and nvmlShutdown, else NULL. */
struct session *session_now(void);

/* Check that a handle is one of ours and that there is a place for the answer. Does not touch the
 * device, so a lost or hanging one passes. */
nvml_return device_check(nvml_device handle, const void *answer);

/* Begin a call that needs the device to answer: a hanging device blocks here, a lost one fails. */
nvml_return device_touch(nvml_device handle, const void *answer);

/* The same for a call that changes the device, which needs the right to. */
nvml_return device_touch_to_write(nvml_device handle);

/* Begin a call and copy the device's newest reading. */
nvml_return device_read(nvml_device handle, const void *answer, struct hall_gpu_reading *reading);

const struct hall_gpu_info *device_info(nvml_device handle);
struct hall_gpu_control *device_control(nvml_device handle);
const struct hall_gpu_fault *device_fault(nvml_device handle);
bool device_has_fault(nvml_device handle, uint32_t flag);

/* Copy a text with its end mark. NVML_ERROR_INSUFFICIENT_SIZE if it does not fit. */
nvml_return text_out(char *to, uint32_t bytes, const char *text);

/* Let this thread sleep. */
void sleep_s(double seconds);
double mono_s(void);

#endif
