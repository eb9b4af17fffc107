// SPDX-License-Identifier: MIT
//
// Starting a thread with a name and without signals: it inherits the mask that its creator has for that
// moment.
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>

enum {
    NAME_SIZE = 16, // of the kernel, with the NUL
};

int weir__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg, weir_error *err)
{
    sigset_t all;
    sigset_t before;
    char cut[NAME_SIZE];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return weir__error_errno(err, rc, "cannot start the thread %s", name);
    snprintf(cut, sizeof cut, "%.15s", name);
    pthread_setname_np(*thread, cut);
    return WEIR_OK;
}
