/* Power and energy in NVML's units, for functions and fields alike. */
#ifndef COOLCAP_POWER_H
#define COOLCAP_POWER_H

#include "device.h"

uint32_t milliwatts(double watts);

/* The limit the device enforces: the lowest of what was asked of it and what others impose. */
double limit_enforced_w(nvml_device handle);
double limit_requested_w(nvml_device handle);

/* Energy since the driver was loaded. */
uint64_t energy_mj(nvml_device handle, const struct hall_gpu_reading *reading);

/* Whether power is told for this scope: the GPU, or the module it forms with its CPU. */
bool has_power_scope(nvml_device handle, uint32_t scope);

#endif
