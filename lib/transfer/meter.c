/*
 * meter.c - a rate from samples at least half a second apart, smoothed so that an estimate does not
 * jump about.
 */
#include "transfer/meter.h"

#define SAMPLE_US 500000
/* Weight of the newest sample. */
#define SMOOTHING 0.3

void bvi_meter_start(bvi_meter *meter, int64_t now_us, uint64_t done)
{
    *meter = (bvi_meter){ .at_us = now_us, .done = done };
}

void bvi_meter_update(bvi_meter *meter, int64_t now_us, uint64_t done)
{
    int64_t passed_us = now_us - meter->at_us;
    double rate;

    if (passed_us < SAMPLE_US)
        return;
    rate = done > meter->done ? (double)(done - meter->done) * 1e6 / (double)passed_us : 0;
    meter->rate = meter->rate > 0 ? meter->rate + SMOOTHING * (rate - meter->rate) : rate;
    meter->at_us = now_us;
    meter->done = done;
}

uint64_t bvi_meter_rate(const bvi_meter *meter)
{
    return (uint64_t)meter->rate;
}

int64_t bvi_meter_eta_ms(const bvi_meter *meter, uint64_t total)
{
    double left = total > meter->done ? (double)(total - meter->done) : 0;
    double ms;

    if (meter->rate < 1)
        return -1;
    ms = left * 1000 / meter->rate;
    return ms < 1e15 ? (int64_t)ms : -1;
}
