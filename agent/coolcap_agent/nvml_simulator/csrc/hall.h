/* The shared hall as this library uses it: one node's GPUs in the memory-mapped file. */
#ifndef COOLCAP_HALL_H
#define COOLCAP_HALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hall_layout.h"
#include "nvml.h"

/* An open hall. It is never unmapped: another thread may be inside a call. */
struct hall {
    dev_t device;
    ino_t inode;
    bool writable;
    uint32_t node;
    uint32_t gpu_count; /* of all nodes */
    const struct hall_header *header;
    const struct hall_gpu_info *gpu_info;
    struct hall_gpu_control *gpu_control;
    const struct hall_gpu_fault *gpu_fault;
    const struct hall_gpu_reading *gpu_reading; /* two halves */
};

/* Open the hall at `path` for the GPUs of `node`.
 *
 * On failure the result is what nvmlInit returns for it and `reason` holds a sentence. A file this
 * process may not write is opened for reading only.
 */
nvml_return hall_open(struct hall *hall, const char *path, const char *node, char *reason,
                      size_t reason_bytes);

/* Copy the newest reading of a GPU, whole: all of one frame. NVML_ERROR_UNKNOWN if frames follow
 * each other so fast that none could be copied. */
nvml_return hall_read_gpu(const struct hall *hall, uint32_t row, struct hall_gpu_reading *reading);

/* Single fields that others may write at any time. */
double hall_load_double(const double *field);
uint32_t hall_load_uint(const uint32_t *field);
void hall_store_double(double *field, double value);
void hall_store_uint(uint32_t *field, uint32_t value);

#endif
