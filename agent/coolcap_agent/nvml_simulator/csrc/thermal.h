/* Temperatures as whole degrees, for functions and fields alike. */
#ifndef COOLCAP_THERMAL_H
#define COOLCAP_THERMAL_H

#include "device.h"

/* Degrees left until the highest operating temperature; negative above it. */
int32_t thermal_margin_k(nvml_device handle, const struct hall_gpu_reading *reading);

#endif
