/*
 * user.c - looking up a user, and becoming one completely (upstream set the uid alone: babel.md 13,
 * weakness 8).
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/fs.h"
#include "sys/user.h"

#define PASSWD_FILE_MAX (4u * 1024u * 1024u)
#define FIELDS_MAX      8u

/* Splits a line at colons, in place; empty fields count. Returns how many there are. */
static size_t split(char *line, char **fields)
{
    size_t n = 0;

    while (n < FIELDS_MAX) {
        fields[n++] = line;
        line = strchr(line, ':');
        if (!line)
            break;
        *line++ = '\0';
    }
    return n;
}

static bool to_id(const char *text, unsigned *ret_id)
{
    char *end = NULL;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || end == text || *end || value >= UINT32_MAX)
        return false;
    *ret_id = (unsigned)value;
    return true;
}

static bool copy_field(char *to, const char *from)
{
    return (size_t)snprintf(to, BVI_USER_TEXT_MAX, "%s", from) < BVI_USER_TEXT_MAX;
}

/* name:password:uid:gid:gecos:home:shell */
static bool parse_user(char *line, const char *name, bvi_user *user)
{
    char *fields[FIELDS_MAX];

    if (split(line, fields) < 7 || strcmp(fields[0], name) != 0)
        return false;
    return to_id(fields[2], &user->uid) && to_id(fields[3], &user->gid) &&
           copy_field(user->name, name) && copy_field(user->home, fields[5]) &&
           copy_field(user->shell, fields[6]);
}

static bool lists_member(char *members, const char *name)
{
    char *save = NULL;

    for (char *m = strtok_r(members, ",", &save); m; m = strtok_r(NULL, ",", &save)) {
        if (strcmp(m, name) == 0)
            return true;
    }
    return false;
}

/* name:password:gid:member,member */
static void add_group(char *line, bvi_user *user)
{
    char *fields[FIELDS_MAX];
    unsigned gid = 0;

    if (split(line, fields) < 4 || !to_id(fields[2], &gid) || gid == user->gid ||
        !lists_member(fields[3], user->name))
        return;
    if (user->group_count < BVI_USER_GROUPS_MAX)
        user->groups[user->group_count++] = gid;
}

int bvi_user_find(const char *name, const char *passwd_path, const char *group_path,
                  bvi_user *ret_user, bv_error **err)
{
    bvi_auto_free char *users = NULL;
    bvi_auto_free char *groups = NULL;
    bvi_user user = { 0 };
    char *save = NULL;
    bool found = false;
    size_t len = 0;
    int r =
        bvi_fs_read(passwd_path ? passwd_path : "/etc/passwd", PASSWD_FILE_MAX, &users, &len, err);

    if (r < 0)
        return bvi_wrap(err, r, "cannot look up the user '%s'", name);
    for (char *line = strtok_r(users, "\n", &save); line && !found;
         line = strtok_r(NULL, "\n", &save))
        found = parse_user(line, name, &user);
    if (!found)
        return bvi_fail(err, BV_E_NOT_FOUND, "there is no user '%s'", name);
    user.groups[user.group_count++] = user.gid;
    /* Without a group file the user has its own group only. */
    if (bvi_fs_read(group_path ? group_path : "/etc/group", PASSWD_FILE_MAX, &groups, &len, NULL) ==
        0) {
        for (char *line = strtok_r(groups, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            add_group(line, &user);
    }
    *ret_user = user;
    return 0;
}

int bvi_user_become(const bvi_user *user)
{
    if (getuid() == user->uid && getgid() == user->gid && user->uid != 0)
        return 0; /* an ordinary user that stays itself may not call setgroups() */
    if (setgroups(user->group_count, user->groups) < 0 ||
        setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return -errno;
    return 0;
}
