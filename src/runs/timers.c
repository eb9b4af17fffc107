// SPDX-License-Identifier: MIT
//
// The heap: heap[i - 1] is the timer at place i, its children are at 2i and 2i + 1, and no parent is due
// after a child.
#include "runs/timers.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"

int weir__timers_reserve(weir__timers *timers, size_t count, weir_error *err)
{
    if (count <= timers->capacity)
        return WEIR_OK;
    size_t capacity = timers->capacity > 0 ? timers->capacity : 16;
    while (capacity < count)
        capacity *= 2;
    weir__timer **const heap = reallocarray(timers->heap, capacity, sizeof *heap);
    if (heap == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for a timer");
    timers->heap = heap;
    timers->capacity = capacity;
    return WEIR_OK;
}

void weir__timers_free(weir__timers *timers)
{
    free(timers->heap);
    *timers = (weir__timers){0};
}

static void put(weir__timers *timers, size_t place, weir__timer *timer)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void move_up(weir__timers *timers, weir__timer *timer)
{
    size_t place = timer->place;
    for (; place > 1 && timers->heap[place / 2 - 1]->due_ns > timer->due_ns; place /= 2)
        put(timers, place, timers->heap[place / 2 - 1]);
    put(timers, place, timer);
}

static void move_down(weir__timers *timers, weir__timer *timer)
{
    size_t place = timer->place;
    for (;;) {
        size_t child = place * 2;
        if (child > timers->count)
            break;
        if (child < timers->count && timers->heap[child]->due_ns < timers->heap[child - 1]->due_ns)
            child++;
        if (timers->heap[child - 1]->due_ns >= timer->due_ns)
            break;
        put(timers, place, timers->heap[child - 1]);
        place = child;
    }
    put(timers, place, timer);
}

static void take_out(weir__timers *timers, weir__timer *timer)
{
    WEIR_ASSERT(timers->heap[timer->place - 1] == timer);
    weir__timer *const last = timers->heap[--timers->count];
    if (last != timer) {
        put(timers, timer->place, last);
        move_up(timers, last);
        move_down(timers, last);
    }
    timer->place = 0;
}

void weir__timers_set(weir__timers *timers, weir__timer *timer, uint64_t due_ns)
{
    timer->due_ns = due_ns;
    if (due_ns == WEIR__FOREVER) {
        if (timer->place > 0)
            take_out(timers, timer);
        return;
    }
    if (timer->place == 0) {
        WEIR_ASSERT(timers->count < timers->capacity);
        put(timers, ++timers->count, timer);
    }
    move_up(timers, timer);
    move_down(timers, timer);
}

weir__timer *weir__timers_first(const weir__timers *timers)
{
    return timers->count > 0 ? timers->heap[0] : NULL;
}
