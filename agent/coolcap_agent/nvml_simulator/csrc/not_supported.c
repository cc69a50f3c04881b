/* Functions clients ask for that these GPUs do not have, as on a real server GPU or because the
 * plant model has nothing to say. Clients treat that answer better than a missing symbol.
 *
 * A caller passes more arguments; the platform's calling convention lets a function leave them. */
#include "device.h"

#define NOT_SUPPORTED(function)                                                                    \
    NVML_API nvml_return function(nvml_device handle)                                              \
    {                                                                                              \
        nvml_return result = device_touch(handle, handle);                                         \
        return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;                         \
    }

/* Fans belong to the server, not to the GPU. */
NOT_SUPPORTED(nvmlDeviceGetFanSpeed)
NOT_SUPPORTED(nvmlDeviceGetFanSpeed_v2)
NOT_SUPPORTED(nvmlDeviceGetFanSpeedRPM)
NOT_SUPPORTED(nvmlDeviceGetNumFans)

/* Windows only. */
NOT_SUPPORTED(nvmlDeviceGetDriverModel)
NOT_SUPPORTED(nvmlDeviceGetDriverModel_v2)

/* Deprecated; gone in CUDA 14. */
NOT_SUPPORTED(nvmlDeviceGetApplicationsClock)
NOT_SUPPORTED(nvmlDeviceGetDefaultApplicationsClock)
NOT_SUPPORTED(nvmlDeviceSetApplicationsClocks)
NOT_SUPPORTED(nvmlDeviceResetApplicationsClocks)

/* Outside the plant model. */
NOT_SUPPORTED(nvmlDeviceSetMemoryLockedClocks)
NOT_SUPPORTED(nvmlDeviceResetMemoryLockedClocks)
NOT_SUPPORTED(nvmlDeviceSetMigMode)
NOT_SUPPORTED(nvmlDeviceGetBAR1MemoryInfo)
NOT_SUPPORTED(nvmlDeviceGetConfComputeMemSizeInfo)
NOT_SUPPORTED(nvmlDeviceGetMemoryErrorCounter)
NOT_SUPPORTED(nvmlDeviceGetModuleId)
NOT_SUPPORTED(nvmlDeviceGetNvLinkState)
NOT_SUPPORTED(nvmlDeviceGetPcieThroughput)
NOT_SUPPORTED(nvmlDeviceGetPlatformInfo)
NOT_SUPPORTED(nvmlDeviceGetRunningProcessDetailList)
NOT_SUPPORTED(nvmlDeviceGetSamples)
NOT_SUPPORTED(nvmlDeviceGetSerial)
NOT_SUPPORTED(nvmlDeviceGetVbiosVersion)
NOT_SUPPORTED(nvmlDeviceGetDeviceHandleFromMigDeviceHandle)
NOT_SUPPORTED(nvmlDeviceGetGpuInstanceId)
NOT_SUPPORTED(nvmlDeviceGetComputeInstanceId)
