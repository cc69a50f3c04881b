/* Begin and end of the library's use, and what NVML says about the system. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "device.h"

/* A version of the kind drivers have, with zeros where a release has its number: nobody's driver.
 * 580 is the first branch of CUDA 13. */
#define DRIVER_VERSION "580.00.00"
#define NVML_LIBRARY_VERSION "13." DRIVER_VERSION
#define CUDA_VERSION 13000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;              /* calls of nvmlInit without their nvmlShutdown */
static struct session *latest;      /* kept after shutdown: its handles may be asked for again */
static struct session *initialised; /* `latest` while there are users, read without the lock */

struct session *session_now(void)
{
    return __atomic_load_n(&initialised, __ATOMIC_ACQUIRE);
}

/* NVML must be initialised again in a process made by fork: its children are told so. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    users = 0;
    __atomic_store_n(&initialised, NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void list_devices(struct session *session)
{
    const struct hall *hall = &session->hall;
    for (uint32_t row = 0; row < hall->gpu_count; row++) {
        const struct hall_gpu_info *info = &hall->gpu_info[row];
        if (info->node == hall->node) {
            struct device *device = &session->devices[session->device_count];
            device->hall = hall;
            device->row = row;
            device->position = session->device_count++;
            device->model = gpu_model(info->model);
        }
    }
}

/* Whether the session in memory is of the file and node asked for: then its handles go on. */
static bool is_of(const struct session *session, const char *path, const char *node)
{
    struct stat status;
    return session && stat(path, &status) == 0 && status.st_dev == session->hall.device &&
           status.st_ino == session->hall.inode &&
           strcmp(session->node, node) == 0;
}

static nvml_return open_session(const char *path, const char *node, char *reason,
                                size_t reason_bytes)
{
    struct session *session = calloc(1, sizeof *session);
    nvml_return result = NVML_ERROR_MEMORY;
    if (session && (session->node = strdup(node))) {
        result = hall_open(&session->hall, path, node, reason, reason_bytes);
    }
    if (result == NVML_SUCCESS) {
        session->devices = calloc(session->hall.gpu_count + 1, sizeof *session->devices);
        if (session->devices) {
            list_devices(session);
            latest = session; /* the one before stays where handles point to */
            return NVML_SUCCESS;
        }
        result = NVML_ERROR_MEMORY;
    }
    if (session) {
        free(session->node);
        free(session);
    }
    return result;
}

/* Whether an upgrade left library and kernel driver apart. Programs that run already go on. */
static bool is_mismatched(const struct session *session)
{
    for (uint32_t position = 0; position < session->device_count; position++) {
        if (device_has_fault(&session->devices[position], HALL_FAULT_DRIVER_MISMATCH)) {
            return true;
        }
    }
    return false;
}

static nvml_return begin(char *reason, size_t reason_bytes)
{
    const char *path = getenv("COOLCAP_HALL");
    const char *node = getenv("COOLCAP_NODE");
    if (!path || !node) {
        snprintf(reason, reason_bytes, "%s is not set: %s", path ? "COOLCAP_NODE" : "COOLCAP_HALL",
                 path ? "it names a node of the hall" : "it is the path of the shared hall");
        return NVML_ERROR_DRIVER_NOT_LOADED;
    }
    if (!is_of(latest, path, node)) {
        nvml_return result = open_session(path, node, reason, reason_bytes);
        if (result != NVML_SUCCESS) {
            return result;
        }
    }
    if (is_mismatched(latest)) {
        snprintf(reason, reason_bytes, "fault driver-mismatch is set in shared hall %s", path);
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    }
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlInitWithFlags(uint32_t flags)
{
    (void)flags;
    char reason[512] = "";
    nvml_return result = NVML_SUCCESS;
    pthread_mutex_lock(&lock);
    if (users == 0) {
        result = begin(reason, sizeof reason);
    }
    if (result == NVML_SUCCESS) {
        users++;
        __atomic_store_n(&initialised, latest, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    if (result != NVML_SUCCESS) { /* the number alone would not tell what to mend */
        fprintf(stderr, "libnvidia-ml of coolcap: %s\n", reason);
    }
    return result;
}

NVML_API nvml_return nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

NVML_API nvml_return nvmlInit(void)
{
    return nvmlInitWithFlags(0);
}

NVML_API nvml_return nvmlShutdown(void)
{
    nvml_return result = NVML_SUCCESS;
    pthread_mutex_lock(&lock);
    if (users == 0) {
        result = NVML_ERROR_UNINITIALIZED;
    } else if (--users == 0) {
        __atomic_store_n(&initialised, NULL, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

NVML_API const char *nvmlErrorString(nvml_return result)
{
    switch (result) {
    case NVML_SUCCESS: return "success";
    case NVML_ERROR_UNINITIALIZED: return "the library was not initialised";
    case NVML_ERROR_INVALID_ARGUMENT: return "an argument is outside its range";
    case NVML_ERROR_NOT_SUPPORTED: return "this GPU does not support it";
    case NVML_ERROR_NO_PERMISSION: return "this process lacks the right";
    case NVML_ERROR_NOT_FOUND: return "there is none";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "the buffer is too small";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "the driver is not loaded";
    case NVML_ERROR_TIMEOUT: return "no answer in time";
    case NVML_ERROR_FUNCTION_NOT_FOUND: return "the library has no such function";
    case NVML_ERROR_GPU_IS_LOST: return "the GPU is lost";
    case NVML_ERROR_RESET_REQUIRED: return "the GPU requires a reset";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "library and driver differ in version";
    case NVML_ERROR_MEMORY: return "out of memory";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH: return "a record is of another version";
    case NVML_ERROR_UNKNOWN: break;
    }
    return "unknown error";
}

static nvml_return system_text(char *to, uint32_t bytes, const char *text)
{
    return session_now() ? text_out(to, bytes, text) : NVML_ERROR_UNINITIALIZED;
}

NVML_API nvml_return nvmlSystemGetDriverVersion(char *version, uint32_t bytes)
{
    return system_text(version, bytes, DRIVER_VERSION);
}

NVML_API nvml_return nvmlSystemGetNVMLVersion(char *version, uint32_t bytes)
{
    return text_out(version, bytes, NVML_LIBRARY_VERSION); /* also before nvmlInit */
}

NVML_API nvml_return nvmlSystemGetCudaDriverVersion(int32_t *version)
{
    if (!version) {
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    *version = CUDA_VERSION;
    return NVML_SUCCESS;
}

NVML_API nvml_return nvmlSystemGetCudaDriverVersion_v2(int32_t *version)
{
    return nvmlSystemGetCudaDriverVersion(version);
}
