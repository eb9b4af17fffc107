// SPDX-License-Identifier: MIT
//
// How a run looks while it goes on. Three ways, chosen once:
//
//   live    on a terminal: what is done scrolls up, the last line is the step that runs, redrawn with its
//   time plain   elsewhere: one line for everything that happens, never changed afterwards json    one object
//   per line
//
// Nothing here asks the clock: the caller says what time it is, so that tests can draw any moment. One
// thread.
#ifndef WEIR_CLI_SHOW_H
#define WEIR_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/runs.h>

#include "cli/events.h"
#include "cli/screen.h"

typedef enum weir__show_mode {
    WEIR__SHOW_LIVE,
    WEIR__SHOW_PLAIN,
    WEIR__SHOW_JSON,
} weir__show_mode;

// The live line is drawn again this often.
enum { WEIR__SHOW_FRAME_MS = 100, WEIR__SHOW_LAST_SIZE = 512 };

typedef struct weir__show {
    weir__screen *screen;
    weir__show_mode mode;
    bool quiet;                          // no log lines
    bool drawn;                          // live: the line at the cursor is ours
    bool began;                          // the first line was printed
    bool running;                        // between the beginning and the end
    bool waiting;                        // for its turn
    bool in_step;                        // a step is open
    bool lines_shown;                    // some log line was printed
    int interrupts;                      // how often Ctrl-C was pressed
    uint64_t frame;                      // counts redraws
    uint64_t run_start_ns;               // when it began
    uint64_t step_start_ns;              // when the open step began
    double estimate_s;                   // the open step's estimated duration, 0: none
    char headed[WEIR_ID_LENGTH_MAX + 1]; // live: id of the step whose heading stands above the lines
    char *step_name;                     // the open step's
    char last[WEIR__SHOW_LAST_SIZE];     // quiet: the last log line
} weir__show;

void weir__show_init(weir__show *show, weir__screen *screen, weir__show_mode mode, bool quiet);
void weir__show_fini(weir__show *show);

void weir__show_event(weir__show *show, const weir__event *event, uint64_t now_ns);

// Draws the live line, or takes it away; both do nothing in the other modes.
void weir__show_draw(weir__show *show, uint64_t now_ns);
void weir__show_erase(weir__show *show);

// Ctrl-C was pressed, for the `count`th time.
void weir__show_cancelling(weir__show *show, int count);

// The end: what became of it, and where it is recorded.
void weir__show_summary(weir__show *show, const weir_run_detail *detail, const char *storage);

#endif
