/*
 * mailbox.c - the part of a context that other threads may touch: the wake-up and the list of
 * asked-for cancels.
 *
 * It is counted and shared with every operation, so bv_op_cancel() in one thread is safe against
 * bv_ctx_free() in another.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/ctx_impl.h"

int bvi_mailbox_new(bvi_mailbox **ret_mail, bv_error **err)
{
    bvi_mailbox *mail = bvi_new0(bvi_mailbox);
    int r;

    if (!mail)
        return bvi_fail_nomem(err);
    atomic_init(&mail->refs, 1);
    atomic_init(&mail->rung, false);
    atomic_init(&mail->stop, false);
    mail->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mail->wake_fd < 0) {
        r = bvi_fail_sys(err, errno, "cannot make an eventfd");
        bvi_free(mail);
        return r;
    }
    r = pthread_mutex_init(&mail->lock, NULL);
    if (r != 0) {
        (void)close(mail->wake_fd); /* never used */
        bvi_free(mail);
        return bvi_fail_sys(err, r, "cannot make a mutex");
    }
    *ret_mail = mail;
    return 0;
}

bvi_mailbox *bvi_mailbox_ref(bvi_mailbox *mail)
{
    atomic_fetch_add(&mail->refs, 1);
    return mail;
}

void bvi_mailbox_unref(bvi_mailbox *mail)
{
    if (!mail || atomic_fetch_sub(&mail->refs, 1) != 1)
        return;
    (void)close(mail->wake_fd); /* an eventfd has nothing to lose */
    (void)pthread_mutex_destroy(&mail->lock);
    bvi_free(mail);
}

void bvi_mailbox_ring(bvi_mailbox *mail)
{
    const uint64_t one = 1;
    int saved = errno;

    /* The only failure is a full counter, and then the descriptor is readable as we want it. */
    if (!atomic_exchange(&mail->rung, true))
        (void)!write(mail->wake_fd, &one, sizeof(one));
    errno = saved;
}

void bvi_mailbox_drain(bvi_mailbox *mail)
{
    uint64_t count;

    /*
     * This order and no other: a ring between the two lines writes nothing, but what it announces
     * is already posted and the caller looks after us; a ring after them writes again.
     */
    (void)!read(mail->wake_fd, &count, sizeof(count)); /* empty is fine */
    atomic_store(&mail->rung, false);
}
