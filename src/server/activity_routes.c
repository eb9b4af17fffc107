// SPDX-License-Identifier: MIT
//
// The routes of the activity dialect: the first one whose path and method both fit, so literal segments stand
// before `*`.
#include "server/core.h"

const weir__route weir__activity_routes[] = {
    {"GET", "api/0/info", weir__activity_get_info, WEIR__ROLE_VIEWER, WEIR__LANE_EVENT},
};
const size_t weir__activity_routes_count = sizeof weir__activity_routes / sizeof *weir__activity_routes;
