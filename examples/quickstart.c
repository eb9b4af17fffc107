// SPDX-License-Identifier: MIT
//
// A durable write and a read:  cc quickstart.c $(pkg-config --cflags --libs weir) && ./a.out notes.db
#include <inttypes.h>
#include <stdio.h>
#include <weir/weir.h>

// A job: changes the database. It may run again, so it depends on its arguments alone.
static int add_note(weir_tx *tx, void *note, weir_error *err)
{
    int code = weir_exec(tx, err, "CREATE TABLE IF NOT EXISTS notes (body TEXT)", "");
    return code ? code : weir_exec(tx, err, "INSERT INTO notes VALUES ($1)", "t", (const char *)note);
}

// A read: sees one moment of the database.
static int count_notes(weir_tx *tx, void *count, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, "SELECT count(*) FROM notes", &stmt, err);
    if (code == WEIR_OK && (code = weir_step(stmt, &row, err)) == WEIR_OK && row)
        *(int64_t *)count = weir_column_int64(stmt, 0);
    return code;
}

int main(int argc, char **argv)
{
    char note[] = "hello";
    int64_t count = 0;
    weir_store *store = NULL;
    weir_error err = WEIR_ERROR_INIT;
    bool failed = weir_open(argc > 1 ? argv[1] : "notes.db", NULL, &store, &err) ||
                  weir_write(store, add_note, note, NULL, &err) || // returns when it is on disk
                  weir_read(store, count_notes, &count, NULL, &err);
    failed |= store && weir_close(store, 0, failed ? NULL : &err);
    if (failed)
        return fprintf(stderr, "%s\n", err.text), 1;
    return printf("%" PRIi64 " notes\n", count) < 0;
}
