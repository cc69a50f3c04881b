#include "hall.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Frames are 100 ms or more apart and a copy takes well below 1 us: a second try is rare, a
 * thousandth means that the file is not what it seems. */
#define COPY_TRIES 1000

#ifndef IN_MID_COPY
#define IN_MID_COPY() ((void)0) /* a test makes copies slow here, so that frames come meanwhile */
#endif

double hall_load_double(const double *field)
{
    double value;
    __atomic_load(field, &value, __ATOMIC_RELAXED);
    return value;
}

uint32_t hall_load_uint(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

void hall_store_double(double *field, double value)
{
    __atomic_store(field, &value, __ATOMIC_RELEASE);
}

void hall_store_uint(uint32_t *field, uint32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
}

_Static_assert(sizeof(struct hall_gpu_reading) % sizeof(uint64_t) == 0, "copied in whole words");

static void copy_words(void *to, const void *from, size_t bytes)
{
    const uint64_t *source = from;
    size_t words = bytes / sizeof(uint64_t);
    for (size_t word = 0; word < words; word++) {
        if (word == words / 2) {
            IN_MID_COPY();
        }
        uint64_t value = __atomic_load_n(source + word, __ATOMIC_RELAXED);
        memcpy((char *)to + word * sizeof value, &value, sizeof value);
    }
}

nvml_return hall_read_gpu(const struct hall *hall, uint32_t row, struct hall_gpu_reading *reading)
{
    for (int tries = 0; tries < COPY_TRIES; tries++) {
        uint64_t frame = __atomic_load_n(&hall->header->published, __ATOMIC_ACQUIRE);
        size_t place = (size_t)(frame % 2) * hall->gpu_count + row;
        copy_words(reading, hall->gpu_reading + place, sizeof *reading);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&hall->header->published, __ATOMIC_RELAXED) == frame) {
            return NVML_SUCCESS;
        }
        sched_yield();
    }
    return NVML_ERROR_UNKNOWN;
}

/* Map the file, for writing if that is allowed. */
static const char *map(struct hall *hall, const char *path, size_t *bytes)
{
    hall->writable = true;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 && (errno == EACCES || errno == EROFS)) {
        hall->writable = false;
        file = open(path, O_RDONLY | O_CLOEXEC);
    }
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        int cause = errno;
        if (file >= 0) {
            close(file);
        }
        errno = cause;
        return NULL;
    }
    hall->device = status.st_dev;
    hall->inode = status.st_ino;
    *bytes = (size_t)status.st_size;
    if (*bytes == 0) {
        close(file);
        errno = ENODATA;
        return NULL;
    }
    int access = hall->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *start = mmap(NULL, *bytes, access, MAP_SHARED, file, 0);
    int cause = errno;
    close(file);
    errno = cause;
    return start == MAP_FAILED ? NULL : start;
}

/* Return the place of a table, NULL if it does not lie in the file as this library expects it. */
static void *table(const char *start, size_t bytes, enum hall_table which, size_t record_bytes,
                   uint32_t *count)
{
    const struct hall_table_place *place =
        (const void *)(start + HALL_FIRST_TABLE_PLACE + which * sizeof *place);
    *count = place->record_count;
    uint64_t length = (uint64_t)place->record_count * record_bytes;
    bool fits = place->record_bytes == record_bytes && place->offset <= bytes &&
                length <= bytes - place->offset;
    return fits ? (void *)(uintptr_t)(start + place->offset) : NULL;
}

static bool find_tables(struct hall *hall, const char *start, size_t bytes,
                        const struct hall_node_info **nodes, uint32_t *node_count)
{
    uint32_t infos, controls, faults, readings;
    hall->gpu_info =
        table(start, bytes, HALL_TABLE_GPU_INFO, sizeof(struct hall_gpu_info), &infos);
    hall->gpu_control =
        table(start, bytes, HALL_TABLE_GPU_CONTROL, sizeof(struct hall_gpu_control), &controls);
    hall->gpu_fault =
        table(start, bytes, HALL_TABLE_GPU_FAULT, sizeof(struct hall_gpu_fault), &faults);
    hall->gpu_reading =
        table(start, bytes, HALL_TABLE_GPU_READING, sizeof(struct hall_gpu_reading), &readings);
    *nodes =
        table(start, bytes, HALL_TABLE_NODE_INFO, sizeof(struct hall_node_info), node_count);
    hall->gpu_count = infos;
    return hall->gpu_info && hall->gpu_control && hall->gpu_fault && hall->gpu_reading && *nodes &&
           controls == infos && faults == infos && readings == 2 * (uint64_t)infos;
}

nvml_return hall_open(struct hall *hall, const char *path, const char *node, char *reason,
                      size_t reason_bytes)
{
    size_t bytes = 0;
    const char *start = map(hall, path, &bytes);
    if (!start) {
        snprintf(reason, reason_bytes, "shared hall %s cannot be opened: %s", path,
                 strerror(errno));
        return NVML_ERROR_DRIVER_NOT_LOADED;
    }
    nvml_return result = NVML_ERROR_DRIVER_NOT_LOADED;
    const struct hall_node_info *nodes = NULL;
    uint32_t node_count = 0;
    hall->header = (const void *)start;
    size_t places = HALL_TABLE_COUNT * sizeof(struct hall_table_place);
    if (bytes < HALL_FIRST_TABLE_PLACE + places ||
        memcmp(hall->header->magic, HALL_MAGIC, sizeof hall->header->magic) != 0) {
        snprintf(reason, reason_bytes, "%s is not a shared hall", path);
    } else if (hall->header->version != HALL_VERSION ||
               hall->header->layout_hash != HALL_LAYOUT_HASH ||
               !find_tables(hall, start, bytes, &nodes, &node_count)) {
        snprintf(reason, reason_bytes,
                 "shared hall %s has version %u, layout %016llx; this library reads version %u, "
                 "layout %016llx: take both from one installation of coolcap",
                 path, (unsigned)hall->header->version,
                 (unsigned long long)hall->header->layout_hash, HALL_VERSION,
                 (unsigned long long)HALL_LAYOUT_HASH);
        result = NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    } else {
        for (uint32_t row = 0; row < node_count; row++) {
            if (strncmp(nodes[row].name, node, sizeof nodes[row].name) == 0) {
                hall->node = row;
                return NVML_SUCCESS;
            }
        }
        snprintf(reason, reason_bytes, "shared hall %s has no node '%s'; its first is '%.64s'",
                 path, node, node_count ? nodes[0].name : "");
    }
    munmap((void *)(uintptr_t)start, bytes);
    return result;
}
