/* The part of NVML's binary interface that this library offers: our own declarations of it.
 *
 * Names of functions, values of constants and the layout of records are what clients compiled
 * against NVML 12 and 13 expect; tests compare them with nvidia-ml-py. A record's version number is
 * its size and its revision, as NVML_VERSION puts them together.
 */
#ifndef COOLCAP_NVML_H
#define COOLCAP_NVML_H

#include <stdint.h>

#define NVML_API __attribute__((visibility("default")))
#define NVML_VERSION(record, revision) ((uint32_t)(sizeof(record) | (uint32_t)(revision) << 24))

typedef struct device *nvml_device;
typedef struct event_set *nvml_event_set;

typedef enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NO_PERMISSION = 4,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_TIMEOUT = 10,
    NVML_ERROR_FUNCTION_NOT_FOUND = 13,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_RESET_REQUIRED = 16,
    NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
    NVML_ERROR_MEMORY = 20,
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_ERROR_UNKNOWN = 999,
} nvml_return;

enum { NVML_FEATURE_DISABLED = 0, NVML_FEATURE_ENABLED = 1 };
enum { NVML_TEMPERATURE_GPU = 0, NVML_TEMPERATURE_SENSOR_COUNT = 2 };
enum { NVML_TEMPERATURE_THRESHOLD_COUNT = 8 };
enum { NVML_CLOCK_GRAPHICS = 0, NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2, NVML_CLOCK_VIDEO = 3 };
enum { NVML_CLOCK_ID_CURRENT = 0 };
enum { NVML_PSTATE_0 = 0 };
enum { NVML_COMPUTEMODE_DEFAULT = 0 };
enum { NVML_BRAND_NVIDIA = 14 };
enum { NVML_UUID_TYPE_ASCII = 1, NVML_UUID_TYPE_BINARY = 2 };
enum { NVML_POWER_SCOPE_GPU = 0, NVML_POWER_SCOPE_MODULE = 1 };
enum { NVML_EVENT_XID_CRITICAL_ERROR = 0x8 };

/* No partition: what fields of MIG instances hold on a whole GPU. */
#define NVML_NO_INSTANCE UINT32_MAX

enum nvml_field {
    NVML_FI_PERF_POLICY_POWER = 74,
    NVML_FI_PERF_POLICY_THERMAL = 75,
    NVML_FI_PERF_POLICY_SYNC_BOOST = 76,
    NVML_FI_MEMORY_TEMP = 82,
    NVML_FI_TOTAL_ENERGY_CONSUMPTION = 83,
    NVML_FI_POWER_AVERAGE = 185,
    NVML_FI_POWER_INSTANT = 186,
    NVML_FI_POWER_MIN_LIMIT = 187,
    NVML_FI_POWER_MAX_LIMIT = 188,
    NVML_FI_POWER_DEFAULT_LIMIT = 189,
    NVML_FI_POWER_CURRENT_LIMIT = 190,
    NVML_FI_ENERGY = 191,
    NVML_FI_POWER_REQUESTED_LIMIT = 192,
    NVML_FI_TEMPERATURE_SHUTDOWN_TLIMIT = 193,
    NVML_FI_TEMPERATURE_SLOWDOWN_TLIMIT = 194,
    NVML_FI_TEMPERATURE_MEM_MAX_TLIMIT = 195,
    NVML_FI_TEMPERATURE_GPU_MAX_TLIMIT = 196,
    NVML_FI_SW_THERMAL_SLOWDOWN = 269,
    NVML_FI_HW_THERMAL_SLOWDOWN = 270,
    NVML_FI_HW_POWER_BRAKE = 271,
};

enum nvml_value_type {
    NVML_VALUE_TYPE_UNSIGNED_INT = 1,
    NVML_VALUE_TYPE_UNSIGNED_LONG_LONG = 3,
    NVML_VALUE_TYPE_SIGNED_INT = 5,
};

union nvml_value {
    double as_double;
    uint32_t as_uint;
    int32_t as_int;
    uint64_t as_ulonglong;
};

struct nvml_field_value {
    uint32_t field_id;
    uint32_t scope_id;
    int64_t timestamp_us;
    int64_t latency_us;
    int32_t value_type;
    int32_t result;
    union nvml_value value;
};

struct nvml_pci_info_v3 {
    char bus_id_legacy[16];
    uint32_t domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

struct nvml_memory {
    uint64_t total, free, used;
};

struct nvml_memory_v2 {
    uint32_t version;
    uint64_t total, reserved, free, used;
};

struct nvml_utilization {
    uint32_t gpu, memory;
};

struct nvml_temperature_v1 {
    uint32_t version;
    int32_t sensor;
    int32_t temperature;
};

struct nvml_margin_temperature_v1 {
    uint32_t version;
    int32_t margin;
};

struct nvml_power_value_v2 {
    uint32_t version;
    int32_t scope;
    uint32_t milliwatts;
};

struct nvml_uuid_v1 {
    uint32_t version;
    uint32_t type;
    union {
        char ascii[41];
        unsigned char binary[16];
    } value;
};

struct nvml_c2c_mode_v1 {
    uint32_t enabled;
};

struct nvml_violation_time {
    uint64_t reference_us, violation_ns;
};

struct nvml_event_data {
    nvml_device device;
    uint64_t type, data;
    uint32_t gpu_instance, compute_instance;
};

#endif
