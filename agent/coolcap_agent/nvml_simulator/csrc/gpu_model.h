/* What NVML tells about a GPU beyond what the plant model knows. */
#ifndef COOLCAP_GPU_MODEL_H
#define COOLCAP_GPU_MODEL_H

#include <stdint.h>

struct gpu_model {
    const char *key;  /* as in a site file */
    const char *name; /* as NVML has it */
    uint32_t architecture;
    int32_t compute_major, compute_minor;
    uint32_t pci_device_id;
    uint64_t memory_mib, reserved_mib;
    uint32_t memory_clock_mhz;
    uint32_t sm_clock_min_mhz, sm_clock_step_mhz;
    double operating_temp_max_c; /* where the thermal margin is 0 */
    int32_t slowdown_margin_k, shutdown_margin_k;
};

/* Return the model of a site file's name; the first one stands in for an unknown name. */
const struct gpu_model *gpu_model(const char *key);

/* Return the name NVML gives a GPU; an unknown one keeps the site file's. */
const char *gpu_model_name(const char *key);

#endif
