// SPDX-License-Identifier: MIT
//
// What a browser gets that asks for a page: the files of a web interface, where there is one, and else a few words on
// what this server offers.
#include <stdlib.h>
#include <string.h>

#include "server/core.h"

weir__outcome weir__get_front(weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    weir__text text = {0};
    weir__text_add(&text, "Weir " WEIR_VERSION "\n\n");
    if (server->runs != NULL)
        weir__text_add(&text, "Runs:      /api/executions\n");
    if (server->activity != NULL)
        weir__text_add(&text, "Activity:  /api/0/info, /api/0/buckets\n");
    weir__text_add(&text, "Health:    /api/health, /api/store\n");
    if (server->activity != NULL)
        weir__text_add(&text,
                       "\nThere is no web interface here: start the server with --webui DIR to have one.\n");
    const size_t size = text.size;
    weir__answer_bytes(exchange, MHD_HTTP_OK, "text/plain; charset=utf-8", weir__text_take(&text), size);
    return WEIR__ANSWERED;
}

weir__outcome weir__get_page(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir__server *server = exchange->server;
    const char *media_type = NULL;
    int fd = -1;
    const int code = weir__static_find(server->files, &exchange->uri, &fd, &media_type, &err);
    if (code == WEIR_OK)
        weir__answer_file(exchange, fd, media_type, NULL);
    else if (exchange->uri.segments_count == 0)
        return weir__get_front(exchange);
    else
        weir__answer_code(exchange, &err);
    return WEIR__ANSWERED;
}
