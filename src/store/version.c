// SPDX-License-Identifier: MIT
//
// Which library and which SQLite are loaded, and whether that SQLite has the fix for the WAL-reset bug: a
// commit that overlaps a checkpoint of another connection, while the log is restarted, can lose pages.
// Affected: 3.7.0 to 3.51.2. Fixed: 3.51.3, 3.53.0, and the backports 3.44.6 and 3.50.7. 3.52.0 was withdrawn
// and counts as affected. A distribution that patches its library keeps the version's number: it is treated
// as affected, which costs a little and loses nothing.
#include <sqlite3.h>

#include "weir/weir.h"

static bool has_fix(int version)
{
    if (version >= 3053000)
        return true;
    const int minor = version / 1000 * 1000;
    const int patch = version % 1000;
    return (minor == 3051000 && patch >= 3) || (minor == 3050000 && patch >= 7) ||
           (minor == 3044000 && patch >= 6);
}

void weir_version(weir_version_info *info)
{
    *info = (weir_version_info){
        .weir = WEIR_VERSION,
        .sqlite = sqlite3_libversion(),
        .sqlite_id = sqlite3_sourceid(),
        .has_wal_reset_fix = has_fix(sqlite3_libversion_number()),
    };
}
