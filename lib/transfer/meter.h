/*
 * meter.h - how fast a transfer moves and when it will be done.
 */
#ifndef BVI_TRANSFER_METER_H
#define BVI_TRANSFER_METER_H

#include "base/mem.h"

typedef struct bvi_meter {
    int64_t at_us; /* of the last sample; 0: none yet */
    uint64_t done; /* at the last sample */
    double rate;   /* bytes a second, smoothed; 0: not known yet */
} bvi_meter;

void bvi_meter_start(bvi_meter *meter, int64_t now_us, uint64_t done);
void bvi_meter_update(bvi_meter *meter, int64_t now_us,
                      uint64_t done); /* call as often as you like */
uint64_t bvi_meter_rate(const bvi_meter *meter);
int64_t bvi_meter_eta_ms(const bvi_meter *meter, uint64_t total); /* -1: not known */

#endif
