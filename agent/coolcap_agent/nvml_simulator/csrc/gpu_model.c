#include "gpu_model.h"

#include <stddef.h>
#include <string.h>

enum { ARCHITECTURE_HOPPER = 9 };

/* H100 SXM5: `nvidia-smi -q` of an 8-GPU server with driver 565.57.01 (81559 MiB of which 454 are
 * reserved, memory clock 2619 MHz, idle SM clock 345 MHz, 57 K of margin at 30 degC, slowdown at -2
 * and shutdown at -8). The step is that of its supported clocks. */
static const struct gpu_model MODELS[] = {
    {
        .key = "h100-sxm",
        .name = "NVIDIA H100 80GB HBM3",
        .architecture = ARCHITECTURE_HOPPER,
        .compute_major = 9,
        .compute_minor = 0,
        .pci_device_id = 0x233010DE,
        .memory_mib = 81559,
        .reserved_mib = 454,
        .memory_clock_mhz = 2619,
        .sm_clock_min_mhz = 345,
        .sm_clock_step_mhz = 15,
        .operating_temp_max_c = 87.0,
        .slowdown_margin_k = -2,
        .shutdown_margin_k = -8,
    },
};

static const struct gpu_model *find(const char *key)
{
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        if (strcmp(MODELS[i].key, key) == 0) {
            return &MODELS[i];
        }
    }
    return NULL;
}

const struct gpu_model *gpu_model(const char *key)
{
    const struct gpu_model *known = find(key);
    return known ? known : &MODELS[0];
}

const char *gpu_model_name(const char *key)
{
    const struct gpu_model *known = find(key);
    return known ? known->name : key;
}
