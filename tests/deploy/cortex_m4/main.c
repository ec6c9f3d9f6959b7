/* A student's answers to the series of series.h, a line each, floats as their bits:
   "predict ROW CLASS PROBABILITIES", "logits ROW LOGITS" and, of a stream, "stream ROW CLASS PROBABILITIES". */
#include "student.h"

#include "series.h"

void ask_host(int operation, const void *argument);

static tsd_memory memory;
static char line[32 + 12 * TSD_CLASSES];
static char *end;

static void word(const char *text) {
    while (*text) *end++ = *text++;
    *end++ = ' ';
}

static void number(unsigned value) {
    int shift;
    for (shift = 28; shift >= 0; shift -= 4) *end++ = "0123456789abcdef"[(value >> shift) & 15u];
    *end++ = ' ';
}

static void begin(const char *what, int row) {
    end = line;
    word(what);
    number((unsigned)row);
}

static void finish(const float *values) {
    int k;
    for (k = 0; k < TSD_CLASSES; k++) {
        union {
            float value;
            unsigned bits;
        } one;
        one.value = values[k];
        number(one.bits);
    }
    *end++ = '\n';
    *end = '\0';
    ask_host(4, line);
}

static void predict(int row, const float *x, int steps) {
    float values[TSD_CLASSES] = {0.0f};
    tsd_series series;
    int found = tsd_predict(&memory, x, steps, values);
    begin("predict", row);
    number((unsigned)found);
    finish(values);
    if (tsd_open(&series, x, steps)) return;
    tsd_begin(&memory);
    tsd_logits(&memory, &series, values);
    begin("logits", row);
    finish(values);
}

#if TSD_STREAM
static void stream(int row, const float *x, int steps) {
    float values[TSD_CLASSES] = {0.0f};
    tsd_state state;
    int t, found;
    tsd_init(&state);
    for (t = 0; t < steps && t < TSD_LENGTH; t++)
        if (tsd_step(&state, x + t * TSD_CHANNELS)) return;
    found = tsd_result(&state, values);
    begin("stream", row);
    number((unsigned)found);
    finish(values);
}
#endif

int main(void) {
    int row, at = 0;
    for (row = 0; row < ROWS; row++) {
        predict(row, series_values.x + at, series_steps[row]);
#if TSD_STREAM
        stream(row, series_values.x + at, series_steps[row]);
#endif
        at += series_steps[row] * TSD_CHANNELS;
    }
    return 0;
}
