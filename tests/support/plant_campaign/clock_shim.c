/* Shifts CLOCK_REALTIME of one process by the seconds a file holds: a clock jump for a campaign.
   LD_PRELOAD it with COOLCAP_CLOCK_FILE set; every other clock is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now);
    const char *path = getenv("COOLCAP_CLOCK_FILE");
    if (status == 0 && clock == CLOCK_REALTIME && path) {
        FILE *file = fopen(path, "r");
        long shift_s = 0;
        if (file) {
            if (fscanf(file, "%ld", &shift_s) == 1)
                now->tv_sec += shift_s;
            fclose(file);
        }
    }
    return status;
}
