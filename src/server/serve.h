// SPDX-License-Identifier: MIT
//
// What the HTTP library calls, all on its event thread. `cls` is the weir__server. See serve.c for the order.
#ifndef WEIR_SERVER_SERVE_H
#define WEIR_SERVER_SERVE_H

#include "server/core.h"

void weir__on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode event);
void *weir__on_target(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result weir__on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data, size_t *data_size,
                                 void **context);
void weir__on_completed(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode why);
// The library must not decode percent signs: uri.h does, once.
size_t weir__keep_encoded(void *cls, struct MHD_Connection *connection, char *text);

#endif
