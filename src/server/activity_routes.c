// SPDX-License-Identifier: MIT
//
// The routes of the activity dialect: the first one whose path and method both fit, so literal segments stand
// before `*`.
#include "server/activity_api.h"

const weir__route weir__activity_routes[] = {
    {"GET", "api/0/info", weir__activity_get_info, WEIR__ROLE_VIEWER, WEIR__LANE_EVENT},
    {"GET", "api/0/buckets", weir__activity_get_buckets, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/0/buckets/*", weir__activity_get_bucket, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"POST", "api/0/buckets/*", weir__activity_post_bucket, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"DELETE", "api/0/buckets/*", weir__activity_delete_bucket, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"POST", "api/0/buckets/*/heartbeat", weir__activity_post_heartbeat, WEIR__ROLE_USER, WEIR__LANE_EVENT},
    {"GET", "api/0/buckets/*/events", weir__activity_get_events, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"POST", "api/0/buckets/*/events", weir__activity_post_events, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"GET", "api/0/buckets/*/events/count", weir__activity_count_events, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/0/buckets/*/events/*", weir__activity_get_event, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"DELETE", "api/0/buckets/*/events/*", weir__activity_delete_event, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"GET", "api/0/buckets/*/export", weir__activity_export_bucket, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/0/export", weir__activity_export_all, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"POST", "api/0/import", weir__activity_post_import, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"POST", "api/0/query", weir__activity_post_query, WEIR__ROLE_VIEWER, WEIR__LANE_EVENT},
    {"GET", "api/0/settings", weir__activity_get_settings, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"GET", "api/0/settings/*", weir__activity_get_setting, WEIR__ROLE_VIEWER, WEIR__LANE_READ},
    {"POST", "api/0/settings/*", weir__activity_post_setting, WEIR__ROLE_USER, WEIR__LANE_WRITE},
    {"DELETE", "api/0/settings/*", weir__activity_delete_setting, WEIR__ROLE_USER, WEIR__LANE_WRITE},
};
const size_t weir__activity_routes_count = sizeof weir__activity_routes / sizeof *weir__activity_routes;
