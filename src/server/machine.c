// SPDX-License-Identifier: MIT
//
// How busy the machine is, from /proc and statvfs. The processor's share is that since the last question (or
// since boot, for the first one).
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "server/core.h"

static bool read_cpu(weir__machine_sample *sample)
{
    unsigned long long part[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return false;
    const int got = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &part[0], &part[1], &part[2],
                           &part[3], &part[4], &part[5], &part[6], &part[7]);
    (void)fclose(file);
    *sample = (weir__machine_sample){0};
    for (int i = 0; i < 8; i++)
        sample->total += part[i];
    sample->busy = sample->total - part[3] - part[4]; // idle, waiting for disks
    return got >= 5;
}

static double cpu_percent(weir__server *server)
{
    weir__machine_sample now;
    if (!read_cpu(&now))
        return 0;
    pthread_mutex_lock(&server->lock);
    const weir__machine_sample before = server->cpu;
    server->cpu = now;
    pthread_mutex_unlock(&server->lock);
    if (now.total <= before.total || now.busy < before.busy)
        return 0;
    return 100.0 * (double)(now.busy - before.busy) / (double)(now.total - before.total);
}

static void read_memory(weir__machine *machine)
{
    char line[128];
    unsigned long long total_kib = 0, available_kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "MemTotal: %llu", &total_kib);
        (void)sscanf(line, "MemAvailable: %llu", &available_kib);
    }
    (void)fclose(file);
    if (total_kib == 0 || available_kib > total_kib)
        return;
    machine->memory_percent = 100.0 * (double)(total_kib - available_kib) / (double)total_kib;
    machine->memory_used_mb = (double)(total_kib - available_kib) / 1024.0;
}

static void read_disk(const char *path, weir__machine *machine)
{
    struct statvfs fs;
    if (statvfs(path, &fs) != 0 || fs.f_blocks == 0)
        return;
    const double used = (double)(fs.f_blocks - fs.f_bfree);
    machine->disk_percent = 100.0 * used / (double)fs.f_blocks;
    machine->disk_used_gb = used * (double)fs.f_frsize / (1024.0 * 1024.0 * 1024.0);
}

void weir__machine_read(weir__server *server, weir__machine *machine)
{
    *machine = (weir__machine){.cpu_percent = cpu_percent(server)};
    read_memory(machine);
    read_disk(server->runs != NULL ? weir_runs_storage_path(server->runs) : server->activity_directory,
              machine);
}

double weir__server_uptime_s(const weir__server *server)
{
    return (double)(weir__clock_now_ns(weir__clock_system()) - server->started_ns) / 1e9;
}
