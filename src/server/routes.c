// SPDX-License-Identifier: MIT
//
// The routes of the server. The first path that fits decides, so literal segments stand before `*` where both
// could match. GET /api/health writes: its probe does. Those that make sense without runs come first.
#include "server/core.h"

const weir__route weir__routes[] = {
    {"GET", "", weir__get_front, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/health", weir__get_health, WEIR__ROLE_VIEWER, WEIR__LANE_WRITE},
    {"GET", "api/store", weir__get_store, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/health/status", weir__get_health_status, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/health/metrics", weir__get_health_metrics, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/health/database", weir__get_health_database, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"POST", "api/health/optimize", weir__post_optimize, WEIR__ROLE_ADMIN, WEIR__LANE_WRITE},
    {"GET", "api/executions", weir__get_executions, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"POST", "api/executions", weir__post_execution, WEIR__ROLE_USER, WEIR__LANE_READ},
    {"GET", "api/executions/active", weir__get_active, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/executions/statistics", weir__get_statistics, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/executions/*", weir__get_execution, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"DELETE", "api/executions/*", weir__delete_execution, WEIR__ROLE_ADMIN, WEIR__LANE_WRITE},
    {"POST", "api/executions/*/cancel", weir__cancel_execution, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"GET", "api/executions/*/logs", weir__get_logs, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/artifacts/execution/*", weir__get_run_artifacts, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/artifacts/*", weir__get_artifact, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/artifacts/*/download", weir__download_artifact, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "storage/artifacts/*/*", weir__get_stored_file, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
};
const size_t weir__routes_count = sizeof weir__routes / sizeof *weir__routes;
const size_t weir__routes_common_count = 3;
