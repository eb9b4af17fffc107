// SPDX-License-Identifier: MIT
//
// GET /api/0/info: who answers here. Clients read the version as that of the server whose API this is.
#include "server/core.h"

#define PEER_VERSION "v0.14.0 (rust)"

weir__outcome weir__activity_get_info(weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    weir__spool spool = weir__exchange_spool(exchange);
    weir__spool_add(&spool, "{\"hostname\":");
    weir__spool_json_string(&spool, server->local.hostname);
    weir__spool_printf(&spool, ",\"version\":\"" PEER_VERSION "\",\"testing\":%s,\"device_id\":",
                       server->options.testing ? "true" : "false");
    weir__spool_json_string(&spool, server->local.device_id);
    weir__spool_add(&spool, "}");
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
    return WEIR__ANSWERED;
}
