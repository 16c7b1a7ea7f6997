/*
 * user.h - users and groups from /etc/passwd and /etc/group, read by hand: the static job runner
 * has no name service.
 */
#ifndef BVI_SYS_USER_H
#define BVI_SYS_USER_H

#include <sys/types.h>

#include "base/error.h"

#define BVI_USER_TEXT_MAX   256u
#define BVI_USER_GROUPS_MAX 64u

typedef struct bvi_user {
    char name[BVI_USER_TEXT_MAX];
    char home[BVI_USER_TEXT_MAX];
    char shell[BVI_USER_TEXT_MAX];
    uid_t uid;
    gid_t gid;
    gid_t groups[BVI_USER_GROUPS_MAX]; /* gid first, then the supplementary ones */
    size_t group_count;
} bvi_user;

/* passwd_path and group_path: NULL for the system's. BV_E_NOT_FOUND: no such user. */
int bvi_user_find(const char *name, const char *passwd_path, const char *group_path,
                  bvi_user *ret_user, bv_error **err);
/* Becomes that user for good: groups, group, user. 0 or -errno. Safe after a fork. */
int bvi_user_become(const bvi_user *user);

#endif
