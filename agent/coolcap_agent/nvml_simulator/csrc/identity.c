/* Which GPUs there are: count, handles and names. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "device.h"

NVML_API nvml_return nvmlDeviceGetCount_v2(uint32_t *count)
{
    const struct session *session = session_now();
    if (!session) {
        return NVML_ERROR_UNINITIALIZED;
    }
    if (!count) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *count = session->device_count;
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlDeviceGetCount(uint32_t *count)
{
    return nvmlDeviceGetCount_v2(count);
}

/* Hand out a handle. A GPU that has fallen off the bus gives none. */
static nvml_return hand_out(struct device *found, nvml_device *handle)
{
    if (device_has_fault(found, HALL_FAULT_LOST)) {
        return NVML_ERROR_GPU_IS_LOST;
    }
    *handle = found;
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlDeviceGetHandleByIndex_v2(uint32_t position, nvml_device *handle)
{
    struct session *session = session_now();
    if (!session) {
        return NVML_ERROR_UNINITIALIZED;
    }
    if (!handle || position >= session->device_count) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    return hand_out(&session->devices[position], handle);
}

NVML_API nvml_return nvmlDeviceGetHandleByIndex(uint32_t position, nvml_device *handle)
{
    return nvmlDeviceGetHandleByIndex_v2(position, handle);
}

typedef bool (*is_it)(nvml_device device, const void *wanted);

static nvml_return find(const void *wanted, is_it matches, nvml_device *handle)
{
    struct session *session = session_now();
    if (!session) {
        return NVML_ERROR_UNINITIALIZED;
    }
    if (!handle || !wanted) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (uint32_t position = 0; position < session->device_count; position++) {
        if (matches(&session->devices[position], wanted)) {
            return hand_out(&session->devices[position], handle);
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

static bool has_uuid(nvml_device device, const void *wanted)
{
    return strcmp(device_info(device)->uuid, wanted) == 0;
}

NVML_API nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, nvml_device *handle)
{
    return find(uuid, has_uuid, handle);
}

/* Compare 16 bytes with the hexadecimal digits behind "GPU-". */
static bool has_binary_uuid(nvml_device device, const void *wanted)
{
    const unsigned char *bytes = wanted;
    const char *digit = strchr(device_info(device)->uuid, '-');
    for (int i = 0; digit && i < 16; i++) {
        char pair[3];
        snprintf(pair, sizeof pair, "%02x", bytes[i]);
        for (int half = 0; half < 2; half++) {
            while (*digit == '-') {
                digit++;
            }
            if (tolower((unsigned char)*digit++) != pair[half]) {
                return false;
            }
        }
    }
    return digit != NULL;
}

NVML_API nvml_return nvmlDeviceGetHandleByUUIDV(const struct nvml_uuid_v1 *uuid,
                                                nvml_device *handle)
{
    if (!uuid) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    if (uuid->version != NVML_VERSION(*uuid, 1)) {
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    }
    switch (uuid->type) {
    case NVML_UUID_TYPE_ASCII: return find(uuid->value.ascii, has_uuid, handle);
    case NVML_UUID_TYPE_BINARY: return find(uuid->value.binary, has_binary_uuid, handle);
    default: return NVML_ERROR_INVALID_ARGUMENT;
    }
}

/* Where a GPU sits: in buses 8 apart, as the switches in front of them leave it. */
struct pci_place {
    uint32_t domain, bus, device;
};

static struct pci_place place_of(nvml_device device)
{
    return (struct pci_place){.domain = device->position / 16,
                              .bus = 0x10 + 8 * (device->position % 16)};
}

static bool has_place(nvml_device device, const void *wanted)
{
    struct pci_place place = place_of(device);
    return memcmp(&place, wanted, sizeof place) == 0;
}

NVML_API nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvml_device *handle)
{
    struct pci_place place = {0};
    bool is_place =
        bus_id && sscanf(bus_id, "%x:%x:%x", &place.domain, &place.bus, &place.device) == 3;
    return find(is_place ? &place : NULL, has_place, handle);
}

NVML_API nvml_return nvmlDeviceGetPciInfo_v3(nvml_device handle, struct nvml_pci_info_v3 *info)
{
    nvml_return result = device_check(handle, info);
    if (result != NVML_SUCCESS) {
        return result;
    }
    struct pci_place place = place_of(handle);
    *info = (struct nvml_pci_info_v3){.domain = place.domain,
                                      .bus = place.bus,
                                      .pci_device_id = handle->model->pci_device_id};
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:00.0",
             place.domain & 0xFFFF, place.bus & 0xFF);
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:00.0", place.domain, place.bus);
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlDeviceGetIndex(nvml_device handle, uint32_t *position)
{
    nvml_return result = device_check(handle, position);
    if (result == NVML_SUCCESS) {
        *position = handle->position;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetMinorNumber(nvml_device handle, uint32_t *minor)
{
    return nvmlDeviceGetIndex(handle, minor);
}

static nvml_return device_text(nvml_device handle, char *to, uint32_t bytes, const char *text)
{
    return device_has_fault(handle, HALL_FAULT_LOST) ? NVML_ERROR_GPU_IS_LOST
                                                     : text_out(to, bytes, text);
}

NVML_API nvml_return nvmlDeviceGetName(nvml_device handle, char *name, uint32_t bytes)
{
    nvml_return result = device_check(handle, name);
    return result == NVML_SUCCESS
               ? device_text(handle, name, bytes, gpu_model_name(device_info(handle)->model))
               : result;
}

NVML_API nvml_return nvmlDeviceGetUUID(nvml_device handle, char *uuid, uint32_t bytes)
{
    nvml_return result = device_check(handle, uuid);
    return result == NVML_SUCCESS ? device_text(handle, uuid, bytes, device_info(handle)->uuid)
                                  : result;
}

NVML_API nvml_return nvmlDeviceGetBrand(nvml_device handle, uint32_t *brand)
{
    nvml_return result = device_check(handle, brand);
    if (result == NVML_SUCCESS) {
        *brand = NVML_BRAND_NVIDIA;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetArchitecture(nvml_device handle, uint32_t *architecture)
{
    nvml_return result = device_check(handle, architecture);
    if (result == NVML_SUCCESS) {
        *architecture = handle->model->architecture;
    }
    return result;
}

NVML_API nvml_return nvmlDeviceGetCudaComputeCapability(nvml_device handle, int32_t *major,
                                                        int32_t *minor)
{
    nvml_return result = device_check(handle, major && minor ? major : NULL);
    if (result == NVML_SUCCESS) {
        *major = handle->model->compute_major;
        *minor = handle->model->compute_minor;
    }
    return result;
}
