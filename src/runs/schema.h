// SPDX-License-Identifier: MIT
//
// The tables of a storage's database: created when missing, brought up to date when old. Called by
// weir_runs_open only.
#ifndef WEIR_RUNS_SCHEMA_H
#define WEIR_RUNS_SCHEMA_H

#include "runs/runs.h"

// Makes the database what the rest of runs/ expects; sets runs->has_stop_on_error. Writes nothing when
// nothing is missing, and never to a read-only store. WEIR_SQL for tables that are not ours.
int weir__schema_prepare(weir_runs *runs, weir_error *err);

// Copies the open database into a new file beside it, `<database>.bak-<time>`, consistently and synced. *path
// is malloc'd.
int weir__schema_backup(weir_runs *runs, char **path, weir_error *err);

#endif
