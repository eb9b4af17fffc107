// SPDX-License-Identifier: MIT
//
// Finding a log and saying what ends it. FILE is a database when it begins like one, or when a log lies beside
// it and it does not begin like a log itself (a new database may still be empty, an encrypted one begins with
// noise). SQLite puts the log beside the file itself and not beside a symbolic link to it, so the link is
// followed. A log that was unlinked while it is in use can be given as /proc/PID/fd/N.
//
// While somebody writes, the end of a log can look torn for a moment, or like damage when the log begins again
// under our eyes. So where the file was written a moment ago a bad end counts only when further looks, a little
// later, find the same.
#include "cli/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/format.h"
#include "cli/progress.h"

enum {
    looks_max = 100,
    looks_same = 5, // in a row, for a bad end to count
    look_pause_ms = 20,
    quiet_s = 2, // a log that was not written for so long is not being written
    head_size = 16,
    frames_between_progress = 256,
};

// ------------------------------------------------------------------------------------------------ the file

typedef enum head_kind { HEAD_OTHER, HEAD_DATABASE, HEAD_LOG } head_kind;

static int read_head(const char *file, head_kind *kind, weir_error *err)
{
    static const char database[head_size] = "SQLite format 3";
    static const unsigned char log[3] = {0x37, 0x7F, 0x06};
    char head[head_size] = {0};
    struct stat st;
    int code = WEIR_OK;
    *kind = HEAD_OTHER;
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return weir__error_errno(err, errno, "cannot open %s", file);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        code = weir__error_set(err, WEIR_INVALID, "%s is not a regular file", file);
    else if (pread(fd, head, sizeof head, 0) < 0)
        code = weir__error_errno(err, errno, "cannot read %s", file);
    else if (memcmp(head, database, sizeof head) == 0)
        *kind = HEAD_DATABASE;
    else if (memcmp(head, log, sizeof log) == 0)
        *kind = HEAD_LOG;
    close(fd);
    return code;
}

int weir__wal_locate(const char *file, weir__wal_file *found, weir_error *err)
{
    char beside[PATH_MAX + 8];
    struct stat st;
    head_kind kind = HEAD_OTHER;
    *found = (weir__wal_file){.has_log = true};
    const int code = read_head(file, &kind, err);
    if (code != WEIR_OK)
        return code;
    char *const resolved = realpath(file, NULL); // NULL for /proc/PID/fd/N of a file without a name
    if (resolved == NULL && errno != ENOENT)
        return weir__error_errno(err, errno, "cannot find %s", file);
    if (resolved == NULL && kind == HEAD_DATABASE)
        return weir__error_set(err, WEIR_NOTFOUND,
                               "%s is a database that was unlinked or moved, so its log cannot be found",
                               file);
    const bool is_link = lstat(file, &st) == 0 && S_ISLNK(st.st_mode);
    const char *const name = is_link && resolved != NULL ? resolved : file;
    snprintf(beside, sizeof beside, "%s-wal", name);
    const bool is_beside = lstat(beside, &st) == 0;
    if (kind == HEAD_DATABASE || (kind == HEAD_OTHER && is_beside)) {
        snprintf(found->database, sizeof found->database, "%s", name);
        snprintf(found->log, sizeof found->log, "%s", beside);
        found->has_log = is_beside;
    } else {
        snprintf(found->log, sizeof found->log, "%s", file);
    }
    free(resolved);
    return WEIR_OK;
}

// --------------------------------------------------------------------------------------------- reading it

static int read_on(weir_wal_scan *scan, weir__progress *progress, uint64_t size, weir__wal_reading *reading,
                   weir_error *err)
{
    weir_wal_frame frame;
    uint64_t frames = 0;
    do {
        const int code = weir_wal_scan_next(scan, &frame, err);
        if (code != WEIR_OK)
            return code;
        if (frame.number == 1)
            reading->frames_max = 0; // from the beginning, perhaps again
        frames += frame.number != 0;
        if (frame.n_page != 0) {
            reading->frames_max = frames > reading->frames_max ? frames : reading->frames_max;
            frames = 0;
        }
        if (frame.number % frames_between_progress == 1)
            weir__progress_tell(progress, "reading the log:", frame.offset, size);
    } while (frame.number != 0);
    return weir_wal_scan_end(scan, &reading->end, err);
}

// Whether an end may be a moment in somebody's writing, rather than what will stay.
static bool may_pass(const weir__wal_file *file, const weir_wal_end *end)
{
    struct stat st;
    if (end->kind == WEIR_WAL_END_RESTARTED)
        return true;
    const int verdict = weir__wal_verdict(end);
    if (verdict == WEIR__WAL_WHOLE || stat(file->log, &st) != 0)
        return false;
    const int64_t now_s = weir__clock_wall_us(weir__clock_system()) / WEIR__US_PER_S;
    return now_s - (int64_t)st.st_mtime <= quiet_s;
}

static bool is_same(const weir_wal_end *a, const weir_wal_end *b)
{
    return a->kind == b->kind && a->offset == b->offset && a->size == b->size &&
           a->behind_frames == b->behind_frames && a->behind_commits == b->behind_commits;
}

static int read_until_steady(weir_wal_scan *scan, const weir__wal_file *file, weir__progress *progress,
                             weir__wal_reading *reading, weir_error *err)
{
    weir__clock *const clock = weir__clock_system();
    struct stat st = {0};
    const uint64_t size = stat(file->log, &st) == 0 ? (uint64_t)st.st_size : 0;
    weir_wal_end before = {.kind = WEIR_WAL_END_RESTARTED};
    int same = 0;
    for (int look = 0; look < looks_max; look++) {
        int code = read_on(scan, progress, size, reading, err);
        if (code != WEIR_OK || !may_pass(file, &reading->end))
            return code;
        same = is_same(&before, &reading->end) ? same + 1 : 1;
        if (same == looks_same && reading->end.kind != WEIR_WAL_END_RESTARTED)
            return WEIR_OK;
        before = reading->end;
        weir__clock_sleep_until(clock, weir__clock_now_ns(clock) + look_pause_ms * WEIR__NS_PER_MS);
        code = weir_wal_scan_resume(scan, err);
        if (code != WEIR_OK)
            return code;
    }
    return WEIR_OK;
}

int weir__wal_read(weir__cli *cli, const weir__wal_file *file, weir__wal_reading *reading, weir_error *err)
{
    weir__progress progress = {.screen = &cli->err};
    weir_wal_scan *scan = NULL;
    *reading = (weir__wal_reading){0};
    int code = weir_wal_scan_open(file->log, &scan, err);
    if (code != WEIR_OK)
        return code;
    code = read_until_steady(scan, file, &progress, reading, err);
    const weir_wal_header *const header = weir_wal_scan_header(scan);
    reading->has_header = header != NULL;
    if (header != NULL)
        reading->header = *header;
    weir__progress_end(&progress);
    weir_wal_scan_close(scan);
    return code;
}

// --------------------------------------------------------------------------------------------- the verdict

int weir__wal_verdict(const weir_wal_end *end)
{
    switch (end->kind) {
    case WEIR_WAL_END_CLEAN:
    case WEIR_WAL_END_OLDER:
        return end->frames == end->frames_committed ? WEIR__WAL_WHOLE : WEIR__WAL_TORN;
    case WEIR_WAL_END_TORN:
        return WEIR__WAL_TORN;
    case WEIR_WAL_END_DAMAGED:
        return WEIR__WAL_DAMAGED;
    case WEIR_WAL_END_HEADER:
        return end->header_code == WEIR_CORRUPT ? WEIR__WAL_DAMAGED : WEIR__WAL_NO_LOG;
    case WEIR_WAL_END_RESTARTED:
        break;
    }
    return WEIR__WAL_UNREADABLE;
}

const char *weir__wal_verdict_name(int verdict)
{
    static const char *const names[] = {"whole", "torn", "damaged", "not-a-log", "unreadable"};
    return names[verdict];
}

const char *weir__wal_end_name(weir_wal_end_kind kind)
{
    static const char *const names[] = {"clean", "older", "torn", "damaged", "header", "restarted"};
    return names[kind];
}

// "1 frame", "1,234 frames".
static void add_count(weir__text *text, uint64_t count, const char *noun)
{
    weir__format_count(text, count);
    weir__text_printf(text, " %s%s", noun, count == 1 ? "" : "s");
}

static void add_committed(weir__text *text, const weir_wal_end *end)
{
    add_count(text, end->transactions, "transaction");
    weir__text_add(text, " in ");
    add_count(text, end->frames_committed, "frame");
}

static void sentence_whole(weir__text *text, const weir_wal_end *end)
{
    if (end->size == 0) {
        weir__text_add(text, "whole: the log is empty");
        return;
    }
    weir__text_add(text, "whole: ");
    add_committed(text, end);
    weir__text_printf(text, " up to byte %" PRIu64, end->offset);
    if (end->kind != WEIR_WAL_END_OLDER)
        return;
    weir__text_add(text, "; the ");
    add_count(text, end->behind_frames, "frame");
    weir__text_add(text, " behind are left from before the log began again, as is normal");
}

static void sentence_torn(weir__text *text, const weir_wal_end *end)
{
    weir__text_add(text, "torn tail: ");
    add_committed(text, end);
    weir__text_printf(text, " are whole up to byte %" PRIu64 "; ", end->offset_committed);
    if (end->kind == WEIR_WAL_END_TORN)
        add_count(text, end->size - end->offset_committed, "byte");
    else
        add_count(text, end->frames - end->frames_committed, "frame");
    weir__text_add(text, " behind were never committed as a whole (cut off, rolled back, or still being "
                         "written), and SQLite ignores them");
}

static void sentence_damaged(weir__text *text, const weir_wal_end *end)
{
    weir__text_printf(text, "damaged at byte %" PRIu64 ", in frame %" PRIu64 ": SQLite reads ", end->offset,
                      end->frames + 1);
    add_committed(text, end);
    weir__text_printf(text, " up to byte %" PRIu64 " and loses at least ", end->offset_committed);
    add_count(text, end->behind_commits, "transaction");
    weir__text_add(text, "; ");
    add_count(text, end->behind_frames, "frame");
    weir__text_printf(text, " from byte %" PRIu64 " on are still readable", end->behind_offset);
}

static void sentence_header(weir__text *text, const weir_wal_end *end)
{
    if (end->header_code == WEIR_NOTADB)
        weir__text_add(text, "not a write-ahead log of SQLite");
    else if (end->header_code == WEIR_UNSUPPORTED)
        weir__text_add(text, "a write-ahead log of a version that is not known");
    else
        weir__text_printf(
            text,
            "damaged in its header, bytes 0 to %d: SQLite takes the log for empty and loses all "
            "that is in the %" PRIu64 " bytes behind",
            WEIR_WAL_HEADER_SIZE - 1, end->size - WEIR_WAL_HEADER_SIZE);
}

void weir__wal_end_sentence(weir__text *text, const weir_wal_end *end)
{
    switch (weir__wal_verdict(end)) {
    case WEIR__WAL_WHOLE:
        sentence_whole(text, end);
        break;
    case WEIR__WAL_TORN:
        sentence_torn(text, end);
        break;
    case WEIR__WAL_DAMAGED:
        if (end->kind == WEIR_WAL_END_DAMAGED)
            sentence_damaged(text, end);
        else
            sentence_header(text, end);
        break;
    case WEIR__WAL_NO_LOG:
        sentence_header(text, end);
        break;
    default:
        weir__text_add(text, "the log began again whenever it was read; try again when there is less to do");
    }
}

// --------------------------------------------------------------------------------------------------- JSON

void weir__wal_file_json(weir__screen *screen, const weir__wal_file *file)
{
    weir__screen_add(screen, "\"log\":");
    if (file->has_log)
        weir__text_json_string(&screen->text, file->log, strlen(file->log));
    else
        weir__screen_add(screen, "null");
    weir__screen_add(screen, ",\"database\":");
    if (file->database[0] != '\0')
        weir__text_json_string(&screen->text, file->database, strlen(file->database));
    else
        weir__screen_add(screen, "null");
}

void weir__wal_end_json(weir__screen *screen, const weir_wal_end *end)
{
    weir__screen_printf(screen,
                        "\"end\":\"%s\",\"size\":%" PRIu64 ",\"valid_bytes\":%" PRIu64 ",\"frames\":%" PRIu64
                        ",\"committed_bytes\":%" PRIu64 ",\"committed_frames\":%" PRIu64,
                        weir__wal_end_name(end->kind), end->size, end->offset, end->frames,
                        end->offset_committed, end->frames_committed);
    weir__screen_printf(screen,
                        ",\"transactions\":%" PRIu64 ",\"database_pages\":%" PRIu32
                        ",\"behind\":{\"offset\":%" PRIu64 ",\"frames\":%" PRIu64 ",\"commits\":%" PRIu64 "}",
                        end->transactions, end->n_page, end->behind_offset, end->behind_frames,
                        end->behind_commits);
}
