/*
 * space.c - see space.h.
 */
#include <errno.h>
#include <sys/statvfs.h>

#include "sys/fs.h"
#include "transfer/space.h"

bool bvi_space_is_full(const bv_error *err)
{
    int errnum = bv_error_errno(err);

    return errnum == ENOSPC || errnum == EDQUOT;
}

int bvi_space_check(const char *path, uint64_t bytes, uint64_t files, bv_error **err)
{
    struct statvfs st;
    uint64_t available;

    if (statvfs(path, &st) < 0)
        return bvi_fail_sys(err, errno, "cannot ask for the space at '%s'", path);
    available = (uint64_t)st.f_bavail * st.f_frsize;
    if (bytes > available)
        return bvi_fail_sys(err, ENOSPC,
                            "the file system of '%s' lacks %llu bytes: %llu are needed, %llu "
                            "available; free some",
                            path, (unsigned long long)(bytes - available),
                            (unsigned long long)bytes, (unsigned long long)available);
    /* File systems without a fixed number of files say that they have none at all. */
    if (st.f_files > 0 && files > st.f_favail)
        return bvi_fail_sys(err, ENOSPC,
                            "the file system of '%s' has room for %llu more files: %llu are needed",
                            path, (unsigned long long)st.f_favail, (unsigned long long)files);
    return 0;
}

/* ---- the end of a pause ---- */

static void tell(void *data)
{
    bvi_space *s = data;
    bv_error *err = bvi_take(s->why);

    s->waiting = false;
    s->ended_us = bvi_ctx_now_us(s->ctx);
    if (s->stopped) {
        bv_error_free(bvi_take(err));
        (void)bvi_fail(&err, BV_E_CANCELLED, "interrupted while it waited for room at '%s'",
                       s->path);
    } else if (s->missing == 0) {
        bv_error_free(bvi_take(err));
    } else {
        (void)bvi_wrap(
            &err, BV_E_IO,
            "there was no room at '%s' for %lld s, %llu bytes are missing; free some and "
            "start again",
            s->path, (long long)((s->ended_us - s->since_us) / 1000000),
            (unsigned long long)s->missing);
    }
    s->stopped = false;
    s->room(err, s->data);
    bv_error_free(err);
}

static bool has_waited_enough(const bvi_space *s)
{
    return s->wait_us != INT64_MAX && bvi_ctx_now_us(s->ctx) - s->since_us >= s->wait_us;
}

/* ---- looking ---- */

static void look(void *data)
{
    bvi_space *s = data;
    uint64_t total = 0;

    if (bvi_fs_space(s->path, &total, &s->available, NULL) < 0)
        s->available = 0; /* what cannot be asked has no room, until it answers again */
}

static void wait_on(bvi_space *s)
{
    if (bvi_timer_set(s->timer, BVI_SPACE_LOOK_US, NULL) < 0)
        bvi_task_post(&s->tell); /* ends like one that waited long enough */
}

static void looked(void *data, bool cancelled)
{
    bvi_space *s = data;
    uint64_t needed = s->needed ? s->needed : 1;

    if (cancelled)
        s->stopped = true;
    s->missing = s->quota || s->available >= needed ? 0 : needed - s->available;
    if (s->stopped || s->missing == 0 || has_waited_enough(s)) {
        tell(s);
        return;
    }
    wait_on(s);
    if (s->still)
        s->still(s->still_data);
}

static void on_timer(bvi_timer *timer, void *data)
{
    bvi_space *s = data;

    (void)timer;
    bvi_work_submit(&s->look);
}

/* ---- for the owner ---- */

int bvi_space_init(bvi_space *space, bv_ctx *ctx, int32_t wait_secs, bvi_space_fn room, void *data,
                   bv_error **err)
{
    int64_t secs = wait_secs ? wait_secs : BV_TRANSFER_SPACE_WAIT_SECS_DEFAULT;

    *space = (bvi_space){ .ctx = ctx, .room = room, .data = data };
    space->wait_us = secs == BV_TRANSFER_SPACE_WAIT_FOREVER ? INT64_MAX : secs * 1000000;
    bvi_work_init(&space->look, ctx, look, looked, space);
    bvi_task_init(&space->tell, ctx, tell, space);
    return bvi_timer_new(ctx, on_timer, space, &space->timer, err);
}

void bvi_space_done(bvi_space *space)
{
    if (!space->ctx)
        return;
    bvi_task_done(&space->tell);
    bvi_timer_free(space->timer);
    bv_error_free(space->why);
    bvi_free(space->path);
    *space = (bvi_space){ 0 };
}

bool bvi_space_pause(bvi_space *space, const bv_error *why, const char *path, uint64_t needed)
{
    int64_t now_us = bvi_ctx_now_us(space->ctx);
    char *copy;

    if (space->waiting)
        return true;
    if (space->wait_us < 0 || !bvi_space_is_full(why))
        return false;
    /* Room that was found and was too little after all does not begin a new wait. */
    if (!space->ended_us || now_us - space->ended_us > 2 * (int64_t)BVI_SPACE_LOOK_US)
        space->since_us = now_us;
    copy = bvi_strdup(path);
    if (has_waited_enough(space) || !copy) {
        bvi_free(copy);
        return false;
    }
    bvi_free(space->path);
    space->path = copy;
    space->needed = space->missing = needed ? needed : 1;
    space->quota = bv_error_errno(why) == EDQUOT;
    space->why = bvi_error_copy(why);
    space->waiting = true;
    bvi_log_warn(space->ctx, "transfer", "paused: %s", bv_error_message(why));
    wait_on(space);
    return true;
}

void bvi_space_stop(bvi_space *space)
{
    if (!space->waiting || space->stopped)
        return;
    space->stopped = true;
    if (bvi_work_is_pending(&space->look))
        return; /* its end tells */
    bvi_timer_clear(space->timer);
    bvi_task_post(&space->tell);
}

bool bvi_space_is_waiting(const bvi_space *space)
{
    return space->waiting;
}
