// SPDX-License-Identifier: MIT
//
// weir stats: what can be said of a database from outside the process that uses it, without changing
// anything.
//
// The order matters. What looks at the files and locks comes first, before SQLite opens the database here:
// afterwards our own locks would be among those of the others, and closing a descriptor of the -shm would
// drop them (wal.h). Then the database is opened read-only for its tables and settings. Each part that fails
// leaves a note instead of its numbers; only when the database cannot be opened at all is that a failure.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/wal.h>
#include <weir/weir.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/table.h"

enum {
    holders_max = 64,
    tables_max = 200,
    findings_max = 16,
    settings_max = 16,
    setting_size = 64,
    count_deadline_ms = 10000, // for counting all tables
};

typedef struct stats_values {
    const char *storage;
    bool json;
} stats_values;

static const weir__option options[] = {
    WEIR__OPTION_STORAGE(stats_values),
    WEIR__OPTION_JSON(stats_values),
};

typedef struct table_info {
    char *name;
    int64_t rows; // -1: not counted in time
} table_info;

typedef struct setting {
    const char *name;
    char value[setting_size];
} setting;

typedef struct picture {
    char path[PATH_MAX];
    int64_t database_bytes, wal_bytes, shm_bytes; // -1: there is no such file
    bool has_index;
    weir_wal_index index;
    uint32_t pinned_frames; // committed, but kept in the log by a reader
    weir_wal_lock_holder holders[holders_max];
    size_t holders_count; // may be more than holders_max
    table_info tables[tables_max];
    size_t tables_count; // may be more than tables_max
    setting settings[settings_max];
    size_t settings_count;
    weir_finding findings[findings_max];
    size_t findings_count;
} picture;

// ------------------------------------------------------------------------------------------- from outside

static int64_t size_of(const char *path, const char *suffix)
{
    char name[PATH_MAX + 8];
    struct stat file;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &file) == 0 ? (int64_t)file.st_size : -1;
}

// A steady copy of the wal-index, from the memory that the processes share.
static bool sample_index(const char *path, weir_wal_index *index)
{
    char name[PATH_MAX + 8];
    struct stat file;
    bool sampled = false;
    snprintf(name, sizeof name, "%s-shm", path);
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size >= WEIR_WAL_INDEX_SIZE) {
        void *const shared = mmap(NULL, WEIR_WAL_INDEX_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED) {
            sampled = weir_wal_index_sample(shared, index, NULL) == WEIR_OK;
            munmap(shared, WEIR_WAL_INDEX_SIZE);
        }
    }
    close(fd);
    return sampled;
}

// Frames behind the oldest read mark that somebody holds: they cannot be moved, nor the log start again.
static uint32_t count_pinned(const picture *p)
{
    uint32_t oldest = p->index.mx_frame;
    for (size_t i = 0; i < p->holders_count && i < holders_max; i++) {
        for (int slot = 1; slot < WEIR_WAL_READ_MARKS; slot++) {
            const uint32_t mark = p->index.read_mark[slot];
            const uint32_t bit = UINT32_C(1) << (WEIR_WAL_LOCK_READ0 + slot);
            if ((p->holders[i].shared & bit) != 0 && mark < oldest)
                oldest = mark;
        }
    }
    return p->index.mx_frame - oldest;
}

static void look_from_outside(picture *p)
{
    p->database_bytes = size_of(p->path, "");
    p->wal_bytes = size_of(p->path, "-wal");
    p->shm_bytes = size_of(p->path, "-shm");
    p->has_index = sample_index(p->path, &p->index);
    if (weir_wal_lock_holders(p->path, p->holders, holders_max, &p->holders_count, NULL) != WEIR_OK)
        p->holders_count = 0;
    if (p->has_index)
        p->pinned_frames = count_pinned(p);
}

// --------------------------------------------------------------------------------------------- from inside

static int read_settings(weir_tx *tx, void *arg, weir_error *err)
{
    static const struct {
        const char *name, *sql;
    } questions[] = {
        {"journal_mode", "PRAGMA journal_mode"},
        {"page_size", "PRAGMA page_size"},
        {"page_count", "PRAGMA page_count"},
        {"freelist_count", "PRAGMA freelist_count"},
        {"encoding", "PRAGMA encoding"},
        {"auto_vacuum", "PRAGMA auto_vacuum"},
        {"application_id", "PRAGMA application_id"},
        {"user_version", "PRAGMA user_version"},
        {"schema_version", "PRAGMA schema_version"},
    };
    picture *const p = arg;
    p->settings_count = 0;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        weir_stmt *stmt = NULL;
        bool row = false;
        int code = weir_prepare(tx, questions[i].sql, &stmt, err);
        if (code == WEIR_OK)
            code = weir_step(stmt, &row, err);
        if (code != WEIR_OK)
            return code;
        if (row) {
            setting *const found = &p->settings[p->settings_count++];
            const char *const value = weir_column_text(stmt, 0);
            found->name = questions[i].name;
            snprintf(found->value, sizeof found->value, "%s", value != NULL ? value : "");
            weir_reset(stmt);
        }
    }
    return WEIR_OK;
}

static int read_table_names(weir_tx *tx, void *arg, weir_error *err)
{
    static const char sql[] =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' ORDER BY name";
    picture *const p = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, sql, &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    while (code == WEIR_OK && row) {
        const char *const name = weir_column_text(stmt, 0);
        if (p->tables_count < tables_max) {
            p->tables[p->tables_count] = (table_info){.name = strdup(name != NULL ? name : ""), .rows = -1};
            if (p->tables[p->tables_count].name == NULL)
                return weir__error_set(err, WEIR_NOMEM, "not enough memory");
        }
        p->tables_count++;
        code = weir_step(stmt, &row, err);
    }
    return code;
}

static int count_rows(weir_tx *tx, void *arg, weir_error *err)
{
    table_info *const table = arg;
    weir__text sql = {0};
    weir_stmt *stmt = NULL;
    bool row = false;
    weir__text_add(&sql, "SELECT count(*) FROM \"");
    for (const char *c = table->name; *c != '\0'; c++) {
        if (*c == '"')
            weir__text_char(&sql, '"');
        weir__text_char(&sql, *c);
    }
    weir__text_char(&sql, '"');
    int code = sql.failed ? weir__error_set(err, WEIR_NOMEM, "not enough memory")
                          : weir_prepare(tx, weir__text_string(&sql), &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    if (code == WEIR_OK && row) {
        table->rows = weir_column_int64(stmt, 0);
        weir_reset(stmt);
    }
    weir__text_free(&sql);
    return code;
}

// Tables that cannot be counted in time, or at all, keep their -1.
static void count_tables(weir_store *store, picture *p)
{
    const weir_read_options read = {.deadline_ms = count_deadline_ms, .label = "weir stats: count"};
    for (size_t i = 0; i < p->tables_count && i < tables_max; i++) {
        if (weir_read(store, count_rows, &p->tables[i], &read, NULL) == WEIR_EXPIRED)
            return;
    }
}

static int look_from_inside(picture *p, weir_error *err)
{
    const weir_config config = {.read_only = true, .must_exist = true, .readers = 1};
    weir_store *store = NULL;
    int code = weir_open(p->path, &config, &store, err);
    if (code != WEIR_OK)
        return code;
    code = weir_read(store, read_settings, p, NULL, err);
    if (code == WEIR_OK)
        code = weir_read(store, read_table_names, p, NULL, err);
    if (code == WEIR_OK)
        count_tables(store, p);
    p->findings_count = weir_health(store, p->findings, findings_max);
    if (p->findings_count > findings_max)
        p->findings_count = findings_max;
    const int close_code = weir_close(store, 0, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? close_code : code;
}

// ------------------------------------------------------------------------------------------------- printing

static void print_heading(weir__screen *out, const char *heading)
{
    weir__screen_add(out, "\n");
    weir__screen_styled(out, WEIR__STYLE_BOLD, "%s", heading);
    weir__screen_add(out, "\n");
}

static void table_two(weir__table *table)
{
    weir__table_init(table, 2, (weir__column[]){{NULL, WEIR__COLUMN_LEFT}, {NULL, WEIR__COLUMN_ELASTIC}});
}

static void add_count_row(weir__table *table, const char *name, uint64_t count, const char *behind)
{
    weir__text text = {0};
    weir__format_count(&text, count);
    weir__table_cell(table, WEIR__STYLE_DIM, "  %s", name);
    weir__table_cell(table, WEIR__STYLE_PLAIN, "%s%s", weir__text_string(&text), behind);
    weir__text_free(&text);
}

static void add_file_row(weir__table *table, const char *name, int64_t bytes)
{
    weir__text text = {0};
    if (bytes < 0)
        weir__text_add(&text, "none");
    else
        weir__format_bytes(&text, (uint64_t)bytes);
    weir__table_cell(table, WEIR__STYLE_DIM, "  %s", name);
    weir__table_cell(table, WEIR__STYLE_PLAIN, "%s", weir__text_string(&text));
    weir__text_free(&text);
}

static void print_files(weir__screen *out, const picture *p)
{
    weir__table table;
    print_heading(out, "Files");
    table_two(&table);
    add_file_row(&table, "database", p->database_bytes);
    add_file_row(&table, "log (-wal)", p->wal_bytes);
    add_file_row(&table, "index (-shm)", p->shm_bytes);
    weir__table_print(&table, out);
    weir__table_fini(&table);
}

static void print_log(weir__screen *out, const picture *p)
{
    weir__table table;
    if (!p->has_index)
        return;
    print_heading(out, "Log");
    table_two(&table);
    add_count_row(&table, "frames", p->index.mx_frame, "");
    add_count_row(&table, "moved", p->index.n_backfill, " into the database");
    add_count_row(&table, "pinned", p->pinned_frames, " by readers");
    weir__table_print(&table, out);
    weir__table_fini(&table);
}

// "WRITE, READ1": what a process holds; the switch that everybody holds is left out.
static void list_locks(weir__text *text, const weir_wal_lock_holder *holder)
{
    const uint32_t held = holder->shared | holder->exclusive;
    for (int lock = 0; lock < WEIR_WAL_LOCK_DMS; lock++) {
        if ((held & (UINT32_C(1) << lock)) != 0)
            weir__text_printf(text, "%s%s", text->size > 0 ? ", " : "", weir_wal_lock_name(lock));
    }
}

static void print_holders(weir__screen *out, const picture *p)
{
    weir__table table;
    print_heading(out, "Processes");
    if (p->holders_count == 0) {
        weir__screen_add(out, "  none has it open\n");
        return;
    }
    weir__table_init(&table, 3,
                     (weir__column[]){{"  PID", WEIR__COLUMN_LEFT},
                                      {"HOLDS", WEIR__COLUMN_LEFT},
                                      {"COMMAND", WEIR__COLUMN_ELASTIC}});
    for (size_t i = 0; i < p->holders_count && i < holders_max; i++) {
        weir__text locks = {0};
        list_locks(&locks, &p->holders[i]);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "  %" PRIi64, p->holders[i].pid);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", locks.size > 0 ? weir__text_string(&locks) : "-");
        weir__table_cell(&table, WEIR__STYLE_DIM, "%s", p->holders[i].command);
        weir__text_free(&locks);
    }
    weir__table_print(&table, out);
    weir__table_fini(&table);
    if (p->holders_count > holders_max)
        weir__screen_printf(out, "  and %zu more\n", p->holders_count - holders_max);
}

static void print_tables(weir__screen *out, const picture *p)
{
    weir__table table;
    print_heading(out, "Tables");
    weir__table_init(&table, 2,
                     (weir__column[]){{"  NAME", WEIR__COLUMN_ELASTIC}, {"ROWS", WEIR__COLUMN_RIGHT}});
    for (size_t i = 0; i < p->tables_count && i < tables_max; i++) {
        weir__text rows = {0};
        if (p->tables[i].rows >= 0)
            weir__format_count(&rows, (uint64_t)p->tables[i].rows);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "  %s", p->tables[i].name);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", rows.size > 0 ? weir__text_string(&rows) : "?");
        weir__text_free(&rows);
    }
    weir__table_print(&table, out);
    weir__table_fini(&table);
    if (p->tables_count > tables_max)
        weir__screen_printf(out, "  and %zu more\n", p->tables_count - tables_max);
}

static void print_settings(weir__screen *out, const picture *p)
{
    weir__table table;
    print_heading(out, "Settings");
    table_two(&table);
    for (size_t i = 0; i < p->settings_count; i++) {
        weir__table_cell(&table, WEIR__STYLE_DIM, "  %s", p->settings[i].name);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", p->settings[i].value);
    }
    weir__table_print(&table, out);
    weir__table_fini(&table);
}

static const char *const severity_names[] = {
    [WEIR_SEVERITY_INFO] = "info",
    [WEIR_SEVERITY_WARNING] = "warning",
    [WEIR_SEVERITY_ERROR] = "error",
};

// Words in rows that fit the screen, each behind a margin.
static void print_wrapped(weir__screen *out, const char *text)
{
    const size_t width = out->columns == WEIR__COLUMNS_ALL ? WEIR__COLUMNS_ALL : out->columns - 1;
    size_t used = 0;
    while (*text != '\0') {
        const size_t size = strcspn(text, " ");
        const size_t columns = weir__visible_columns(text, size, out->unicode);
        if (used > 0 && used + 1 + columns > width) {
            weir__screen_add(out, "\n");
            used = 0;
            continue;
        }
        weir__screen_add(out, used == 0 ? "    " : " ");
        used += (used == 0 ? 4 : 1) + columns;
        weir__visible(&out->text, text, size, WEIR__COLUMNS_ALL, out->unicode);
        text += size;
        text += strspn(text, " ");
    }
    weir__screen_add(out, used > 0 ? "\n" : "");
}

static void print_health(weir__screen *out, const picture *p)
{
    static const weir__style styles[] = {
        [WEIR_SEVERITY_INFO] = WEIR__STYLE_DIM,
        [WEIR_SEVERITY_WARNING] = WEIR__STYLE_WARN,
        [WEIR_SEVERITY_ERROR] = WEIR__STYLE_BAD,
    };
    print_heading(out, "Health");
    if (p->findings_count == 0)
        weir__screen_add(out, "  nothing to say\n");
    for (size_t i = 0; i < p->findings_count; i++) {
        const weir_finding *const finding = &p->findings[i];
        weir__screen_add(out, "  ");
        weir__screen_styled(out, styles[finding->severity], "%s", severity_names[finding->severity]);
        weir__screen_printf(out, " %s: ", finding->name);
        weir__screen_visible(out, finding->seen, WEIR__COLUMNS_ALL);
        weir__screen_add(out, "\n");
        print_wrapped(out, finding->meaning);
        print_wrapped(out, finding->remedy);
    }
}

static void print_picture(weir__screen *out, const picture *p)
{
    weir__screen_style(out, WEIR__STYLE_BOLD);
    weir__screen_visible(out, p->path, WEIR__COLUMNS_ALL);
    weir__screen_style(out, WEIR__STYLE_PLAIN);
    weir__screen_add(out, "\n");
    print_files(out, p);
    print_log(out, p);
    print_holders(out, p);
    print_tables(out, p);
    print_settings(out, p);
    print_health(out, p);
}

// ---------------------------------------------------------------------------------------------------- JSON

static void json_text(weir__screen *out, const char *before, const char *string)
{
    weir__screen_add(out, before);
    weir__text_json_string(&out->text, string, strlen(string));
}

static void json_number(weir__screen *out, const char *before, int64_t number)
{
    if (number < 0)
        weir__screen_printf(out, "%snull", before);
    else
        weir__screen_printf(out, "%s%" PRIi64, before, number);
}

static void json_locks(weir__screen *out, const char *before, uint32_t held)
{
    bool any = false;
    weir__screen_printf(out, "%s[", before);
    for (int lock = 0; lock < WEIR_WAL_LOCK_COUNT; lock++) {
        if ((held & (UINT32_C(1) << lock)) == 0)
            continue;
        json_text(out, any ? "," : "", weir_wal_lock_name(lock));
        any = true;
    }
    weir__screen_add(out, "]");
}

static void json_outside(weir__screen *out, const picture *p)
{
    json_text(out, "{\"path\":", p->path);
    json_number(out, ",\"database_bytes\":", p->database_bytes);
    json_number(out, ",\"wal_bytes\":", p->wal_bytes);
    json_number(out, ",\"shm_bytes\":", p->shm_bytes);
    json_number(out, ",\"log\":{\"frames\":", p->has_index ? (int64_t)p->index.mx_frame : -1);
    json_number(out, ",\"moved\":", p->has_index ? (int64_t)p->index.n_backfill : -1);
    json_number(out, ",\"pinned\":", p->has_index ? (int64_t)p->pinned_frames : -1);
    weir__screen_add(out, "},\"processes\":[");
    for (size_t i = 0; i < p->holders_count && i < holders_max; i++) {
        weir__screen_printf(out, "%s{\"pid\":%" PRIi64, i > 0 ? "," : "", p->holders[i].pid);
        json_text(out, ",\"command\":", p->holders[i].command);
        json_locks(out, ",\"shared\":", p->holders[i].shared);
        json_locks(out, ",\"exclusive\":", p->holders[i].exclusive);
        weir__screen_add(out, "}");
    }
}

static void json_inside(weir__screen *out, const picture *p)
{
    weir__screen_add(out, "],\"tables\":[");
    for (size_t i = 0; i < p->tables_count && i < tables_max; i++) {
        json_text(out, i > 0 ? ",{\"name\":" : "{\"name\":", p->tables[i].name);
        json_number(out, ",\"rows\":", p->tables[i].rows);
        weir__screen_add(out, "}");
    }
    weir__screen_printf(out, "],\"tables_count\":%zu,\"settings\":{", p->tables_count);
    for (size_t i = 0; i < p->settings_count; i++) {
        json_text(out, i > 0 ? "," : "", p->settings[i].name);
        json_text(out, ":", p->settings[i].value);
    }
    weir__screen_add(out, "},\"health\":[");
    for (size_t i = 0; i < p->findings_count; i++) {
        const weir_finding *const finding = &p->findings[i];
        json_text(out, i > 0 ? ",{\"severity\":" : "{\"severity\":", severity_names[finding->severity]);
        json_text(out, ",\"name\":", finding->name);
        json_text(out, ",\"seen\":", finding->seen);
        json_text(out, ",\"meaning\":", finding->meaning);
        json_text(out, ",\"remedy\":", finding->remedy);
        weir__screen_add(out, "}");
    }
    weir__screen_add(out, "]}\n");
}

// ---------------------------------------------------------------------------------------------- the command

// The database that is meant: a file, or that of a storage folder.
static int find_path(const char *given, char path[PATH_MAX], weir_error *err)
{
    struct stat file;
    const bool folder = stat(given, &file) == 0 && S_ISDIR(file.st_mode);
    const int size = snprintf(path, PATH_MAX, folder ? "%s/database/stepflow.db" : "%s", given);
    if (given[0] == '\0')
        return weir__error_set(err, WEIR_INVALID, "the path of the database is empty");
    if (size >= PATH_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "the path of the database is too long");
    if (folder && stat(path, &file) != 0)
        return weir__error_set(err, WEIR_NOTFOUND,
                               "%s is a folder without database/stepflow.db: name a database file, or the "
                               "storage folder of weir run or weir serve",
                               given);
    return WEIR_OK;
}

static int stats(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)command;
    const stats_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    const char *const given = operands->count > 0 ? operands->items[0] : weir__cli_storage(v->storage);
    picture *const p = calloc(1, sizeof *p);
    int code =
        p == NULL ? weir__error_set(&err, WEIR_NOMEM, "not enough memory") : find_path(given, p->path, &err);
    if (code == WEIR_OK) {
        look_from_outside(p);
        code = look_from_inside(p, &err);
    }
    if (code == WEIR_OK && v->json) {
        json_outside(&cli->out, p);
        json_inside(&cli->out, p);
    } else if (code == WEIR_OK) {
        print_picture(&cli->out, p);
    }
    for (size_t i = 0; p != NULL && i < p->tables_count && i < tables_max; i++)
        free(p->tables[i].name);
    free(p);
    return code == WEIR_OK ? WEIR__EXIT_FINE : weir__cli_failed(cli, &err);
}

const weir__command weir__command_stats = {
    .name = "stats",
    .operands = "[DATABASE]",
    .operands_max = 1,
    .summary = "sizes, log, lock holders, tables and health of a database, also of another program's",
    .about = "Looks without changing anything: no checkpoint, no recovery, no lock that another process "
             "could wait for.\n"
             "DATABASE is a file or a storage folder; without it, the storage folder is looked at.",
    .examples = "weir stats\nweir stats app.db\nweir stats app.db --json",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const stats_values){0},
    .values_size = sizeof(stats_values),
    .run = stats,
};
