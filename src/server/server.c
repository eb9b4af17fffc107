// SPDX-License-Identifier: MIT
//
// The server's life: options, opening, the main thread's loop, stopping.
//
// Threads: the main thread waits for signals and reaps slow clients; the HTTP library's event thread owns the
// sockets (serve.c); a few workers run the handlers; the store and the runs engine have their own.
//
// Stopping, in this order, because each step ends those who could still use the next one's object:
//   1. no new connections; runs may go on for drain_ms; starts are refused
//   2. the workers finish what is queued and end
//   3. the stores are closed: runs are cancelled, what is queued is committed, and those who wait for a start, for an
//   end or for a commit get their answer
//   4. answers go out, for a bounded time; then the HTTP library ends
#include "server/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/core.h"
#include "server/http.h"
#include "server/serve.h"

enum {
    ANSWER_GRACE_MS = 3000, // for the last answers to go out
    TICK_MS_MAX = 500,      // how often late clients are looked for
    DRAIN_TICK_MS = 20,
    FILES_RESERVED = 256, // descriptors for everything but connections and runs
    CONNECTIONS_MIN = 16,
    WRITE_WORKERS = 3,
};

static uint64_t now_ns(void)
{
    return weir__clock_now_ns(weir__clock_system());
}

// ---------------------------------------------------------------------------------------------- options

static void fill_u32(uint32_t *value, uint32_t fallback)
{
    if (*value == 0)
        *value = fallback;
}

static void fill_size(size_t *value, size_t fallback)
{
    if (*value == 0)
        *value = fallback;
}

static void fill_defaults(weir__serve_options *options)
{
    if (options->listen == NULL)
        options->listen = WEIR__SERVE_LISTEN;
    fill_size(&options->body_bytes_max, WEIR__SERVE_BODY_BYTES_MAX);
    fill_size(&options->header_bytes_max, WEIR__SERVE_HEADER_BYTES_MAX);
    fill_size(&options->url_bytes_max, WEIR__SERVE_URL_BYTES_MAX);
    fill_u32(&options->connections_max, WEIR__SERVE_CONNECTIONS_MAX);
    fill_u32(&options->address_connections_max, WEIR__SERVE_ADDRESS_CONNECTIONS_MAX);
    fill_u32(&options->request_timeout_ms, WEIR__SERVE_REQUEST_TIMEOUT_MS);
    fill_u32(&options->idle_timeout_ms, WEIR__SERVE_IDLE_TIMEOUT_MS);
    fill_u32(&options->workers, WEIR__SERVE_WORKERS);
    fill_size(&options->activity_body_bytes_max, WEIR__SERVE_ACTIVITY_BODY_BYTES_MAX);
    fill_u32(&options->running_max, WEIR_RUNS_MAX_RUNNING_DEFAULT);
}

// Makes room for descriptors, or fewer connections where the system has no more room.
static void fit_files(weir__serve_options *options)
{
    struct rlimit limit;
    const rlim_t others = FILES_RESERVED + 2 * (rlim_t)options->running_max;
    const rlim_t wanted = others + options->connections_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted)
        return;
    const rlim_t left = limit.rlim_cur > others + CONNECTIONS_MIN ? limit.rlim_cur - others : CONNECTIONS_MIN;
    weir__log(WEIR__LOG_WARNING, "only %llu files may be open: at most %llu connections instead of %u",
              (unsigned long long)limit.rlim_cur, (unsigned long long)left, options->connections_max);
    options->connections_max = (uint32_t)left;
}

// A name that could never match is a mistake that should not wait for the first refused request.
static int check_names(const weir__serve_options *options, weir_error *err)
{
    char name[WEIR__HTTP_HOST_SIZE];
    for (size_t i = 0; i < options->allow_hosts.count; i++) {
        const char *host = options->allow_hosts.items[i];
        if (!weir__http_host(host, name) || strcasecmp(host, name) != 0)
            return weir__error_set(err, WEIR_INVALID,
                                   "'%s' is no host name: give it as weir.example.org, without a port", host);
    }
    for (size_t i = 0; i < options->allow_origins.count; i++) {
        const char *origin = options->allow_origins.items[i];
        if (!weir__http_origin_ok(origin))
            return weir__error_set(err, WEIR_INVALID,
                                   "'%s' is no origin: give it as https://weir.example.org", origin);
    }
    return WEIR_OK;
}

static int check_address(weir__server *server, weir_error *err)
{
    const weir__serve_options *options = &server->options;
    const int code = weir__address_parse(options->listen, &server->address, err);
    if (code != WEIR_OK)
        return code;
    if (weir__address_is_loopback(&server->address) || server->keys.count > 0 ||
        server->activity_key.key != NULL || options->insecure)
        return WEIR_OK;
    return weir__error_set(err, WEIR_DENIED,
                           "%s can be reached from other machines, and whoever reaches it may %s here: give "
                           "--api-key-file FILE, or --insecure if you are sure",
                           options->listen,
                           options->storage != NULL ? "run commands" : "read and change everything");
}

// ---------------------------------------------------------------------------------------------- opening

static int open_signals(int *fd, weir_error *err)
{
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    const int failed = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failed != 0)
        return weir__error_errno(err, failed, "cannot block signals");
    *fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *fd < 0 ? weir__error_errno(err, errno, "cannot wait for signals") : WEIR_OK;
}

// The key opens everything that no key file guards.
static void set_activity_key(weir__server *server)
{
    static char no_name[] = "";
    if (server->options.activity == NULL || server->options.activity_api_key == NULL ||
        server->options.activity_api_key[0] == '\0')
        return;
    server->activity_key = (weir__key){.key = (char *)(uintptr_t)server->options.activity_api_key,
                                       .name = no_name,
                                       .role = WEIR__ROLE_ADMIN};
}

static void library_log(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void library_log(void *cls, const char *format, va_list args)
{
    weir__text text = {0};
    (void)cls;
    weir__text_vprintf(&text, format, args);
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.data[--text.size] = '\0';
    weir__log(WEIR__LOG_DEBUG, "http: %s", weir__text_string(&text));
    weir__text_free(&text);
}

static int start_library(weir__server *server, int listen_fd, weir_error *err)
{
    const weir__serve_options *options = &server->options;
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                           MHD_USE_ERROR_LOG |
                           (server->address.storage.ss_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0U);
    const struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->connections_max, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)options->address_connections_max, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)((options->idle_timeout_ms + 999) / 1000), NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)options->header_bytes_max, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)weir__on_connection, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)weir__on_completed, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)weir__on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)weir__keep_encoded, server},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, weir__on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
                         library_log, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (server->daemon == NULL)
        return weir__error_set(err, WEIR_IO, "the HTTP server cannot start on %s; WEIR_LOG=debug tells more",
                               options->listen);
    return WEIR_OK;
}

static int open_all(weir__server *server, weir_error *err)
{
    int listen_fd = -1;
    int code = server->options.api_key_file == NULL
                   ? WEIR_OK
                   : weir__keys_load(server->options.api_key_file, &server->keys, err);
    set_activity_key(server);
    if (code == WEIR_OK)
        code = check_names(&server->options, err);
    if (code == WEIR_OK)
        code = check_address(server, err);
    if (code == WEIR_OK)
        code = weir__listen(&server->address, &listen_fd, err);
    if (code == WEIR_OK)
        code = weir__stores_open(server, err);
    if (code == WEIR_OK)
        code = weir__workers_create(server->options.workers, WEIR__SERVE_QUEUE_MAX,
                                    &server->workers[WEIR__LANE_READ], err);
    if (code == WEIR_OK)
        code = weir__workers_create(WRITE_WORKERS, WEIR__SERVE_QUEUE_MAX, &server->workers[WEIR__LANE_WRITE],
                                    err);
    if (code == WEIR_OK)
        code = start_library(server, listen_fd, err);
    if (code != WEIR_OK && listen_fd >= 0)
        (void)close(listen_fd);
    return code;
}

static void announce(const weir__server *server)
{
    char address[WEIR__ADDRESS_SIZE];
    weir__address_format((const struct sockaddr *)&server->address.storage, address);
    (void)printf("listening on http://%s", address);
    if (server->runs != NULL)
        (void)printf(", storage %s", weir_runs_storage_path(server->runs));
    if (server->activity != NULL)
        (void)printf(", activity %s", server->options.activity);
    (void)printf("\n");
    (void)fflush(stdout);
}

// --------------------------------------------------------------------------------------------- stopping

// Waits up to timeout_ms for a signal; true when one came.
static bool wait_for_signal(int signals, int timeout_ms)
{
    struct signalfd_siginfo info;
    struct pollfd poller = {.fd = signals, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) > 0 && read(signals, &info, sizeof info) == (ssize_t)sizeof info;
}

static void tick(weir__server *server)
{
    (void)weir__peers_reap(&server->peers, now_ns());
    weir__runs_release_gone(server);
}

// Until the first signal.
static void run(weir__server *server, int signals)
{
    const uint32_t shortest_ms = server->options.request_timeout_ms < server->options.idle_timeout_ms
                                     ? server->options.request_timeout_ms
                                     : server->options.idle_timeout_ms;
    const int tick_ms = shortest_ms / 4 < TICK_MS_MAX ? (int)(shortest_ms / 4) + 1 : TICK_MS_MAX;
    while (!wait_for_signal(signals, tick_ms))
        tick(server);
}

static void drain(weir__server *server, int signals)
{
    const uint64_t deadline_ns = weir__deadline_ns(now_ns(), server->options.drain_ms * WEIR__NS_PER_MS);
    while (server->runs != NULL && weir_runs_active_count(server->runs) > 0 && now_ns() < deadline_ns) {
        if (wait_for_signal(signals, DRAIN_TICK_MS))
            return;
        tick(server);
    }
}

typedef struct impatience {
    pthread_t thread;
    int signals, done;
} impatience;

// A signal while everything is being closed: whoever sends it does not want to wait. What is committed stays
// so.
static void *be_impatient(void *arg)
{
    const impatience *self = arg;
    struct pollfd pollers[] = {{.fd = self->signals, .events = POLLIN}, {.fd = self->done, .events = POLLIN}};
    while (poll(pollers, 2, -1) < 0 && errno == EINTR)
        continue;
    if ((pollers[0].revents & POLLIN) != 0 && (pollers[1].revents & POLLIN) == 0) {
        weir__log(WEIR__LOG_WARNING, "stopped by a second signal; the next start settles what is left");
        _exit(EXIT_FAILURE);
    }
    return NULL;
}

static void start_impatience(impatience *self, int signals)
{
    *self = (impatience){.signals = signals, .done = eventfd(0, EFD_CLOEXEC)};
    if (self->done >= 0 && pthread_create(&self->thread, NULL, be_impatient, self) != 0) {
        (void)close(self->done);
        self->done = -1;
    }
}

static void stop_impatience(impatience *self)
{
    if (self->done < 0)
        return;
    (void)eventfd_write(self->done, 1);
    pthread_join(self->thread, NULL);
    (void)close(self->done);
}

static void wait_for_answers(weir__server *server)
{
    const uint64_t deadline_ns = now_ns() + ANSWER_GRACE_MS * WEIR__NS_PER_MS;
    pthread_mutex_lock(&server->lock);
    while (server->in_flight > 0 && weir__cond_wait_until(weir__clock_system(), &server->idle, &server->lock,
                                                          deadline_ns) != ETIMEDOUT)
        continue;
    pthread_mutex_unlock(&server->lock);
}

// Further connections are refused from here on. Returns the listener, to be closed when the daemon's thread has ended:
// that may be about to look at it, and its number must not mean another file by then.
static int stop_accepting(weir__server *server)
{
    const int listener = MHD_quiesce_daemon(server->daemon);
    if (listener >= 0)
        (void)shutdown(listener, SHUT_RD);
    atomic_store(&server->stopping, true);
    return listener;
}

static int close_all(weir__server *server, weir_error *err)
{
    for (int lane = 0; lane < WEIR__LANES; lane++)
        if (server->workers[lane] != NULL)
            weir__workers_stop(server->workers[lane]);
    const int code = weir__stores_close(server, err);
    weir__runs_release_waiting(server);
    if (server->daemon != NULL) {
        wait_for_answers(server);
        MHD_stop_daemon(server->daemon);
    }
    for (int lane = 0; lane < WEIR__LANES; lane++)
        weir__workers_destroy(server->workers[lane]);
    weir__keys_free(&server->keys);
    weir__stores_free(server);
    return code;
}

static int serve(weir__server *server, int signals, weir_error *err)
{
    impatience watcher;
    int listener = -1;
    int code = open_all(server, err);
    if (code == WEIR_OK) {
        announce(server);
        run(server, signals);
        listener = stop_accepting(server);
        drain(server, signals);
    }
    start_impatience(&watcher, signals);
    const int close_code = close_all(server, code == WEIR_OK ? err : NULL);
    stop_impatience(&watcher);
    if (listener >= 0)
        (void)close(listener);
    return code != WEIR_OK ? code : close_code;
}

int weir__serve(const weir__serve_options *options, weir_error *err)
{
    WEIR_ASSERT(options->storage != NULL || options->activity != NULL);
    weir__server *server = calloc(1, sizeof *server);
    int signals = -1;
    if (server == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the server");
    server->options = *options;
    server->started_ns = now_ns();
    fill_defaults(&server->options);
    fit_files(&server->options);
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->probe_lock, NULL);
    pthread_mutex_init(&server->event_gate, NULL);
    weir__cond_init(&server->idle);
    weir__peers_init(&server->peers, server->options.request_timeout_ms * WEIR__NS_PER_MS,
                     server->options.idle_timeout_ms * WEIR__NS_PER_MS);
    int code = open_signals(&signals, err);
    if (code == WEIR_OK)
        code = serve(server, signals, err);
    if (signals >= 0)
        (void)close(signals);
    weir__peers_fini(&server->peers);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->event_gate);
    pthread_mutex_destroy(&server->probe_lock);
    pthread_mutex_destroy(&server->lock);
    free(server);
    return code;
}
