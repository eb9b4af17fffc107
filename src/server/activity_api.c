// SPDX-License-Identifier: MIT
//
// What the handlers of ActivityWatch's API share; see activity_api.h.
#include "server/activity_api.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"

enum { SMALL_EVENT_BYTES = 4096 };

weir__outcome weir__activity_refuse(weir__exchange *exchange, const weir_error *err)
{
    weir__answer_code(exchange, err);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_done(weir__exchange *exchange, unsigned status)
{
    weir__answer_empty(exchange, status);
    return WEIR__ANSWERED;
}

void weir__activity_answer_event(weir__exchange *exchange, const weir_event *event)
{
    char *const bytes = malloc(weir_event_json_size(event));
    const size_t size = bytes == NULL ? 0 : weir_event_json(event, bytes);
    weir__answer_json_kept(exchange, bytes, size);
}

void weir__event_list_init(weir__event_list *list, const weir__exchange *exchange)
{
    *list = (weir__event_list){.spool = weir__exchange_export_spool(exchange)};
}

int weir__event_list_add(void *context, const weir_event *event, weir_error *err)
{
    weir__event_list *const list = context;
    char small[SMALL_EVENT_BYTES];
    const size_t size_max = weir_event_json_size(event);
    char *const bytes = size_max <= sizeof small ? small : malloc(size_max);
    if (bytes == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for an event of %zu bytes", size_max);
    const size_t size = weir_event_json(event, bytes);
    weir__spool_append(&list->spool, list->count++ > 0 ? "," : "[", 1);
    weir__spool_append(&list->spool, bytes, size);
    if (bytes != small)
        free(bytes);
    if (weir__spool_failed(&list->spool))
        weir__error_copy(err, &list->spool.error);
    return list->spool.error.code;
}

static int read_back(const weir_activity_input *input, char *bytes, weir_error *err)
{
    for (size_t done = 0; done < input->size;) {
        const ssize_t got =
            pread(input->fd, bytes + done, (size_t)input->size - done, (off_t)(input->offset + done));
        if (got < 0 && errno != EINTR)
            return weir__error_errno(err, errno, "cannot read the request's body back");
        if (got == 0)
            return weir__error_set(err, WEIR_IO, "the request's body is shorter than it was");
        done += got > 0 ? (size_t)got : 0;
    }
    return WEIR_OK;
}

int weir__activity_body(const weir__exchange *exchange, size_t size_max, const char **bytes, size_t *size,
                        char **owned, weir_error *err)
{
    weir_activity_input input;
    *owned = NULL;
    int code = weir__exchange_input(exchange, &input, err);
    if (code != WEIR_OK)
        return code;
    if (input.size > size_max)
        return weir__error_set(err, WEIR_TOOBIG, "the body has %llu bytes, at most %zu are possible here",
                               (unsigned long long)input.size, size_max);
    *size = (size_t)input.size;
    *bytes = input.bytes;
    if (input.bytes != NULL)
        return WEIR_OK;
    *bytes = *owned = malloc(*size + 1);
    if (*owned == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for a body of %zu bytes", *size);
    code = read_back(&input, *owned, err);
    if (code != WEIR_OK) {
        free(*owned);
        *owned = NULL;
    }
    return code;
}
