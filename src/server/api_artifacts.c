// SPDX-License-Identifier: MIT
//
// Artifacts over HTTP: their rows, and their files. A file leaves only through its row, as an attachment, and
// only the stored copy.
#include <errno.h>
#include <string.h>

#include "server/core.h"

// Rows and files that are missing have words of their own.
static weir__outcome answer_missing(weir__exchange *exchange, const weir_error *err)
{
    weir__answer_missing(exchange, err,
                         err->os_errno == ENOENT ? "Artifact file not found" : "Artifact not found");
    return WEIR__ANSWERED;
}

static weir__outcome answer_spool(weir__exchange *exchange, weir__spool *spool)
{
    weir__answer_spool(exchange, MHD_HTTP_OK, spool);
    return WEIR__ANSWERED;
}

weir__outcome weir__get_artifact(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_artifact artifact;
    weir_runs *runs = exchange->server->runs;
    if (weir_runs_get_artifact(runs, weir__exchange_segment(exchange, 2), &artifact, &err) != WEIR_OK) {
        err.os_errno = 0;
        return answer_missing(exchange, &err);
    }
    weir__spool spool = weir__exchange_spool(exchange);
    weir__spool_add(&spool, "{\"artifact\":");
    weir__spool_take(&spool, weir_artifact_to_json(&artifact, NULL));
    weir__spool_add(&spool, ",\"status\":200}");
    weir_artifact_free(&artifact);
    return answer_spool(exchange, &spool);
}

weir__outcome weir__get_run_artifacts(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_artifact_list list;
    weir_runs *runs = exchange->server->runs;
    if (weir_runs_artifacts(runs, weir__exchange_segment(exchange, 3), &list, &err) != WEIR_OK)
        return answer_missing(exchange, &err);
    weir__spool spool = weir__exchange_spool(exchange);
    weir__spool_add(&spool, "{\"artifacts\":");
    weir__spool_take(&spool, weir_artifact_list_to_json(&list, NULL));
    weir__spool_add(&spool, ",\"execution_id\":");
    weir__spool_json_string(&spool, weir__exchange_segment(exchange, 3));
    weir__spool_printf(&spool, ",\"count\":%zu,\"status\":200}", list.count);
    weir_artifact_list_free(&list);
    return answer_spool(exchange, &spool);
}

static weir__outcome send_file(weir__exchange *exchange, const char *artifact_id)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_artifact artifact;
    int fd = -1;
    if (weir_runs_artifact_open(exchange->server->runs, artifact_id, &fd, &artifact, &err) != WEIR_OK)
        return answer_missing(exchange, &err);
    weir__answer_file(exchange, fd, artifact.mime_type,
                      artifact.file_name[0] != '\0' ? artifact.file_name : artifact.name);
    weir_artifact_free(&artifact);
    return WEIR__ANSWERED;
}

weir__outcome weir__download_artifact(weir__exchange *exchange)
{
    return send_file(exchange, weir__exchange_segment(exchange, 2));
}

weir__outcome weir__get_stored_file(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_artifact artifact;
    if (weir_runs_find_artifact(exchange->server->runs, weir__exchange_segment(exchange, 2),
                                weir__exchange_segment(exchange, 3), &artifact, &err) != WEIR_OK)
        return answer_missing(exchange, &err);
    const weir__outcome outcome = send_file(exchange, artifact.id);
    weir_artifact_free(&artifact);
    return outcome;
}
