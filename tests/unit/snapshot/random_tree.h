/*
 * random_tree.h - directories with anything in them that a file system allows, changed at random,
 * and compared in every respect that a snapshot keeps.
 */
#ifndef SNAPSHOT_RANDOM_TREE_H
#define SNAPSHOT_RANDOM_TREE_H

#include <stdint.h>

/* The dice: all that is random follows from their state. */
typedef struct dice {
    uint64_t state;
} dice;

uint64_t dice_roll(dice *d, uint64_t sides); /* 0 to sides - 1 */

/* Fills an empty directory. Now and then it is deep, or has very many files, or is left empty. */
void random_tree_make(dice *d, const char *top);
/* Changes, adds, removes and renames here and there; sometimes nothing, sometimes much. */
void random_tree_edit(dice *d, const char *top);
/* Fails the test unless names, kinds, modes, owners, times, sizes, contents, links and holes agree.
 */
void assert_same_random_tree(const char *wanted, const char *got);
/* Removes it, however deep. */
void random_tree_remove(const char *top);

#endif
