/* Reads a stream of samples from standard input, one number per line, and prints the class of each series of
   TSD_LENGTH steps and the step that mattered most. On a board, read the sensor instead of standard input. */
#include <stdio.h>

#include "student.h"

int main(void) {
    static tsd_memory memory;
    static float series[TSD_LENGTH * TSD_CHANNELS], map[TSD_LENGTH];
    float probabilities[TSD_CLASSES];
    int filled = 0, found, top, t;
#if TSD_STREAM
    tsd_state state;
    tsd_init(&state);
#endif
    while (scanf("%f", &series[filled]) == 1) {
        filled++;
#if TSD_STREAM
        if (filled % TSD_CHANNELS == 0) tsd_step(&state, series + filled - TSD_CHANNELS);
#endif
        if (filled < TSD_LENGTH * TSD_CHANNELS) continue;
        filled = 0;
#if TSD_STREAM
        found = tsd_result(&state, probabilities);
        printf("stream: %s (%.3f); ", tsd_classes[found], (double)probabilities[found]);
        tsd_init(&state);
#endif
        found = tsd_saliency(&memory, series, TSD_LENGTH, probabilities, map);
        if (found < 0) {
            printf("not a series that the student knows (%d)\n", found);
            continue;
        }
        for (top = 0, t = 1; t < TSD_LENGTH; t++)
            if (map[t] > map[top]) top = t;
        printf("class %s, probability %.3f, because of the steps about %d\n", tsd_classes[found],
               (double)probabilities[found], top + 1);
    }
    return 0;
}
