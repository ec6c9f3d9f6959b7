/* A time series classifier made by tsdistill: ItalyPowerDemand tsd_kd lstm_8 seed 1, run 4466869cde4e40e0.
   C99 with math.h alone; no allocation, no globals that change. Compile without -ffast-math.
   tsd_predict(memory, x, steps, probabilities) gives the class; its name is in tsd_classes.
*/
#ifndef TSD_STUDENT_H
#define TSD_STUDENT_H

#include <math.h>

#define TSD_RESAMPLE 0
#define TSD_PAD 1
#define TSD_TRUNCATE 2
#define TSD_INTERPOLATE 3
#define TSD_ZERO 4
#define TSD_REFUSE 5
#define TSD_UNSCALED 6
#define TSD_PER_SERIES 7
#define TSD_PER_CHANNEL 8
#define TSD_LSTM 9
#define TSD_GRU 10
#define TSD_CHANNELS 1
#define TSD_LENGTH 24
#define TSD_CLASSES 2
#define TSD_LENGTHS TSD_RESAMPLE
#define TSD_GAPS TSD_INTERPOLATE
#define TSD_SCALING TSD_UNSCALED
#define TSD_LEAST 1
#define TSD_MOST 1000000
#define TSD_FEATURES 8
#define TSD_INT8 0
#define TSD_RECURRENT 1
#define TSD_STREAM 1
#define TSD_WINDOW 2
#define TSD_REFERENCES 4

typedef float tsd_weight;

static const char *const tsd_classes[TSD_CLASSES] = {
    "1",
    "2",
};

#define TSD_CELL TSD_LSTM
#define TSD_LAYERS 1
#define TSD_HIDDEN 8

static const float tsd_in_0[32] = {
    -0.33237794f, -0.460118473f, 0.174876019f, 0.375426978f, 0.227664933f, 0.428261429f, 0.242847756f, -0.239942104f,
    -0.617014587f, -0.343177497f, 0.21405004f, -0.616631567f, -0.116942167f, -0.189381734f, -0.61903578f, -0.611954033f,
    -0.0425248295f, -0.272292584f, -0.579435945f, 0.706930339f, 0.224887684f, -0.724853337f, 0.661242306f, 0.59480226f,
    0.777893066f, 1.03763378f, -1.33071172f, 1.16608822f, -1.10164535f, -0.651287615f, 0.798530221f, -1.43670261f,
};
static const float tsd_re_0[256] = {
    0.729275107f, 0.610952675f, 0.314419627f, -0.458881497f, -0.50201267f, 0.0254915319f, 0.741361201f, -0.564057231f,
    0.653538883f, 0.993132591f, -0.156538993f, -0.608459532f, -0.688712716f, 0.209115103f, 0.143011793f, -0.715114594f,
    1.15545988f, 0.687964439f, -0.663870573f, -1.1988554f, -0.313489228f, 0.78008908f, 0.923312187f, -0.654490411f,
    0.561969638f, 0.818312466f, -0.738034546f, -0.406025231f, -0.119405299f, 0.162082329f, -0.0274180248f, -0.307626814f,
    0.527756214f, 0.487723857f, 0.0591380857f, -0.722104192f, 0.272013158f, -0.161103636f, 0.392906427f, 0.110962167f,
    0.636170268f, 0.214884475f, -0.585597515f, -1.19169712f, 0.223429546f, 0.325456649f, 0.626492023f, -0.142910406f,
    1.34831965f, 1.46242428f, -0.309596002f, -1.36179543f, 0.23029153f, -0.429191142f, 0.256461918f, 0.0195384752f,
    0.626815796f, 0.308196336f, 0.256402284f, -1.02025437f, -0.112589359f, 0.50833869f, 0.808746994f, -0.139486283f,
    0.568411708f, 0.45148772f, 0.0961613581f, -0.158461347f, -0.684095144f, 0.145318925f, 0.692597866f, -0.483220756f,
    0.409549952f, 0.34812507f, 0.058158502f, 0.0158593766f, -0.80972749f, 0.406909496f, -0.146663427f, -0.124127634f,
    0.624401271f, 0.511448681f, 0.439202845f, -0.494257778f, -0.0863491073f, 0.216506347f, 0.375701904f, -0.469460219f,
    -0.0295441207f, 0.00114215305f, 0.00449381862f, -0.0946939141f, 0.014824504f, -0.0240742955f, -0.333623976f, 0.226445839f,
    0.294207305f, 0.234498262f, 0.168126464f, -0.680905104f, 0.320386678f, 0.439426988f, 0.215228319f, -0.279725164f,
    -0.237139449f, 0.0199540276f, -0.0827339813f, 0.0432137549f, -0.157169163f, 0.136637196f, -0.0514675416f, -0.511006594f,
    -0.28768611f, 0.361645728f, 0.351074219f, -0.336295336f, 0.107207566f, 0.177149907f, -0.268636376f, -0.347588003f,
    0.234364271f, 0.0529796556f, 0.310660809f, -0.0646516532f, -0.187231898f, 0.312661439f, 0.375982791f, -0.32126829f,
    0.688530743f, 0.52918452f, -0.462260306f, 0.0891567469f, -0.437407643f, -0.0156596228f, 0.724313319f, -0.474777162f,
    0.308591664f, 0.558610559f, -0.355256647f, -0.149594605f, -0.387200773f, 0.261126935f, 0.268642128f, -0.11130257f,
    0.0465193167f, -0.166114256f, -0.152257621f, 0.475989848f, -0.331696153f, 0.196178675f, -0.511903584f, -0.630809426f,
    -0.221115813f, -0.133957624f, 0.406247199f, 0.0824113563f, -0.0726294741f, 0.118696593f, 0.136452347f, 0.0955180377f,
    0.0756111741f, 0.167050004f, 0.0598952286f, -0.57250613f, 0.135782018f, -0.0100872172f, 0.227779612f, 0.228598088f,
    -0.180132002f, 0.201114476f, -0.150167957f, -0.104019947f, -0.344871938f, 0.486545891f, -0.223779947f, -0.0178353637f,
    0.25480026f, 0.636620164f, 0.894858479f, -0.751531482f, -0.457865834f, 1.31456375f, -0.0813973695f, -0.977130651f,
    -0.0341451541f, 0.0927171707f, 0.23174572f, -0.100058183f, 0.390196681f, 0.143818006f, 0.449284077f, 0.0966666192f,
    0.488049626f, 0.955856442f, 0.733230948f, -0.532994986f, -1.36902976f, 1.21914887f, 0.490395188f, -0.823559165f,
    0.972430289f, 1.49247122f, 0.846421897f, -0.831069827f, -1.71449482f, 0.856947958f, 0.373883933f, -1.1373601f,
    0.895734727f, 0.152472556f, -0.0509478971f, -0.42547521f, 0.941834748f, 0.169847339f, 0.367318392f, 0.170285493f,
    0.204340324f, 0.689866602f, 1.06503916f, -1.06419718f, -0.976200938f, 1.29655445f, 0.393093318f, -0.840574324f,
    0.515671909f, 0.407601714f, -0.0959796757f, -1.10131657f, 0.654882491f, -0.264457047f, 0.242103606f, -0.197535396f,
    0.474053085f, 0.192572594f, -0.138660669f, -1.61838853f, 0.746660054f, 0.964074194f, 0.450028449f, -0.455899388f,
    0.422899276f, 0.758474529f, -0.679987371f, -1.08084512f, 0.622983515f, -0.254597545f, 0.356252074f, 0.250125438f,
    0.524534464f, 0.767176151f, -0.101630792f, -1.10466838f, 0.385930061f, 0.460402757f, 0.149833798f, -0.320037097f,
};
static const float tsd_bias_0[32] = {
    -1.62906325f, -1.57353151f, -1.05488312f, -1.86192584f, -1.75387919f, -2.10977912f, 0.441390425f, -2.1919663f,
    3.34423637f, 2.73634553f, 3.35049772f, 3.09358287f, 3.65516543f, 3.12543654f, 1.1549381f, 3.26101136f,
    0.571454883f, -0.0207671076f, 0.387308449f, -0.366587341f, -0.528194666f, 0.395298392f, -0.0858813748f, -0.377016276f,
    0.643157661f, 1.17825711f, 1.51782179f, 0.460893482f, 1.40270841f, 1.10507441f, 1.60563326f, 1.41184402f,
};
typedef struct {
    const tsd_weight *in, *re;
    const float *bias;
    int inputs;
} tsd_layer;
static const tsd_layer tsd_layers[TSD_LAYERS] = {
    {tsd_in_0, tsd_re_0, tsd_bias_0, 1},
};
static const float tsd_head_w[16] = {
    -0.966906786f, -1.41310704f, -1.151981f, 0.36259222f, 1.37235522f, -1.01389098f, -1.98689795f, 1.12414765f,
    0.49627474f, 1.64163744f, 0.877615511f, -0.130627915f, -2.00916934f, 1.15218663f, 1.68900943f, -1.65931344f,
};
static const float tsd_head_bias[2] = {
    0.696861804f, -0.550581098f,
};
static const float tsd_reference[TSD_REFERENCES][TSD_LENGTH * TSD_CHANNELS] = {
    {
    -0.404976934f, -1.00992179f, -1.33255899f, -1.45354795f, -1.49387765f, -1.29222929f, -0.848603129f, -0.525965929f,
    0.804912686f, 1.40985751f, 1.40985751f, 1.20820916f, 0.764582992f, 0.119308561f, -0.324317634f, -0.243658334f,
    -0.162999019f, -0.445306599f, -0.162999019f, 1.73249471f, 1.40985751f, 0.925901651f, 0.159638211f, -0.243658334f,
    },
    {
    -1.1189816f, -1.40209734f, -1.54365528f, -1.60432303f, -1.54365528f, -1.38187492f, -1.05831385f, -0.208966464f,
    0.458378017f, 0.963941991f, 1.00438714f, 0.660603583f, 0.721271276f, 0.5594908f, 0.599935949f, 0.883051753f,
    0.802161515f, 1.06505477f, 1.10549986f, 1.00438714f, 0.579713345f, 0.276374966f, -0.249411583f, -0.572972536f,
    },
    {
    1.31906688f, 0.569774508f, 0.195128247f, -0.0858564228f, -0.179517984f, -0.273179531f, -0.0858564228f, -1.39711821f,
    -1.11613357f, -0.741487324f, 0.00780513464f, -0.0858564228f, 0.00780513464f, -0.460502654f, -0.554164231f, -0.741487324f,
    -0.741487324f, -0.741487324f, -1.11613357f, -0.460502654f, 0.476112932f, 2.34934402f, 2.25568247f, 1.60005164f,
    },
    {
    0.087212801f, -0.576455295f, -1.08696926f, -1.39327765f, -1.39327765f, -1.29117477f, -1.75063729f, -0.729609489f,
    0.342469752f, 1.72085726f, 1.82296014f, 1.77190864f, 1.15929198f, 0.801932275f, 0.189315587f, -0.0148899816f,
    -0.065941371f, -0.065941371f, -0.0148899816f, 0.087212801f, -0.321198344f, -0.219095543f, 0.750880897f, 0.189315587f,
    },
};
static const int tsd_reference_class[TSD_REFERENCES] = {0, 0, 1, 1};
static const int tsd_reference_length[TSD_REFERENCES] = {24, 24, 24, 24};


/* ---- preprocessing: as the student's training series were ---- */

#define TSD_BAD_LENGTH (-1) /* a number of steps that the student doesn't know */
#define TSD_BAD_VALUE (-2)  /* an infinite value, or a gap that can't be filled */

/* A series as the caller has it, what is needed to prepare a value of it, and a window that is replaced. */
typedef struct {
    const float *x;
    int steps;
    int length;
#if TSD_SCALING == TSD_PER_SERIES
    float mean[TSD_CHANNELS], rest[TSD_CHANNELS], scale[TSD_CHANNELS];
#endif
    const float *lent;
    int from, to;
} tsd_series;

/* A value with its gap filled. */
static inline float tsd_filled(const tsd_series *s, int t, int c) {
    float value = s->x[(long)t * TSD_CHANNELS + c];
#if TSD_GAPS == TSD_ZERO
    if (value != value) return 0.0f;
#elif TSD_GAPS == TSD_INTERPOLATE
    if (value != value) {
        int left = t, right = t;
        float before, after;
        do before = --left < 0 ? 0.0f : s->x[(long)left * TSD_CHANNELS + c];
        while (before != before);
        do after = ++right >= s->steps ? 0.0f : s->x[(long)right * TSD_CHANNELS + c];
        while (after != after);
        if (left < 0) return after;
        if (right >= s->steps) return before;
        return before + (after - before) * ((float)(t - left) / (float)(right - left));
    }
#endif
    return value;
}

/* A value of the series at its new length, before scaling. */
static inline float tsd_at(const tsd_series *s, int t, int c) {
#if TSD_LENGTHS == TSD_TRUNCATE
    int steps = TSD_CUT;
#else
    int steps = s->steps;
#endif
    int last = s->length - 1;
    long place;
    int left;
    float start;
    if (steps == s->length || last < 1) return tsd_filled(s, t, c);
    place = (long)t * (steps - 1);
    left = (int)(place / last);
    start = tsd_filled(s, left, c);
    if (place % last == 0) return start;
    return start + (float)(place % last) / (float)last * (tsd_filled(s, left + 1, c) - start);
}

/* A value as the network takes it. Differences come before sums so that a large mean costs no digits. */
static inline float tsd_value(const tsd_series *s, int t, int c) {
    if (t >= s->from && t < s->to) return s->lent[(long)(t - s->from) * TSD_CHANNELS + c];
#if TSD_SCALING == TSD_PER_SERIES
    return (tsd_at(s, t, c) - s->mean[c] - s->rest[c]) * s->scale[c];
#elif TSD_SCALING == TSD_PER_CHANNEL
    return (tsd_at(s, t, c) - tsd_mean[c] - tsd_rest[c]) * tsd_scale[c];
#else
    return tsd_at(s, t, c);
#endif
}

#if TSD_SCALING == TSD_PER_SERIES
static inline void tsd_measure(tsd_series *s, int c) {
    float first = tsd_at(s, 0, c), sum = 0.0f, rest = 0.0f, square = 0.0f;
    int t, flat = 1;
    for (t = 0; t < s->length; t++) {
        float value = tsd_at(s, t, c);
        sum += value - first;
        flat = flat && value == first;
    }
    s->mean[c] = first + sum / (float)s->length;
    for (t = 0; t < s->length; t++) rest += tsd_at(s, t, c) - s->mean[c];
    s->rest[c] = rest / (float)s->length;
    for (t = 0; t < s->length; t++) {
        float value = tsd_at(s, t, c) - s->mean[c] - s->rest[c];
        square += value * value;
    }
    s->scale[c] = flat ? 0.0f : 1.0f / sqrtf(square / (float)s->length);
}
#endif

/* Look at a series before it is used: its length, its gaps, its moments. Gives 0 or what is wrong. */
static inline int tsd_open(tsd_series *s, const float *x, int steps) {
    int t, c;
    s->x = x;
    s->steps = steps;
    s->length = TSD_LENGTH;
    s->lent = x;
    s->from = s->to = 0;
    if (steps < TSD_LEAST || steps > TSD_MOST) return TSD_BAD_LENGTH;
#if TSD_LENGTHS == TSD_PAD
    if (steps < TSD_LENGTH) s->length = steps;
#endif
    for (c = 0; c < TSD_CHANNELS; c++) {
        int there = 0;
        for (t = 0; t < steps; t++) {
            float value = x[(long)t * TSD_CHANNELS + c];
            if (value == value && value - value != 0.0f) return TSD_BAD_VALUE;
            there += value == value;
        }
        if (there < (TSD_GAPS == TSD_REFUSE ? steps : TSD_GAPS == TSD_ZERO ? 0 : 1)) return TSD_BAD_VALUE;
    }
#if TSD_SCALING == TSD_PER_SERIES
    for (c = 0; c < TSD_CHANNELS; c++) tsd_measure(s, c);
#endif
    return 0;
}

/* ---- the network ---- */

#if TSD_INT8
#define TSD_SCALED(sum, scale) ((sum) * (scale))
#else
#define TSD_SCALED(sum, scale) (sum)
#endif

/* From logits to probabilities, in place; gives the most probable class. */
static inline int tsd_softmax(float *values) {
    int k, best = 0;
    float sum = 0.0f, top;
    for (k = 1; k < TSD_CLASSES; k++)
        if (values[k] > values[best]) best = k;
    top = values[best];
    for (k = 0; k < TSD_CLASSES; k++) sum += values[k] = expf(values[k] - top);
    for (k = 0; k < TSD_CLASSES; k++) values[k] /= sum;
    return best;
}

static inline float tsd_dot(const tsd_weight *w, const float *x, int n) {
    float sum = 0.0f;
    int i;
    for (i = 0; i < n; i++) sum += (float)w[i] * x[i];
    return sum;
}

static inline void tsd_head(const float *features, float *logits) {
    int k;
    for (k = 0; k < TSD_CLASSES; k++)
        logits[k] = tsd_head_bias[k] + TSD_SCALED(tsd_dot(tsd_head_w + k * TSD_FEATURES, features, TSD_FEATURES),
                                                  tsd_head_w_scale[k]);
}

/* The state of the network between two steps of a series. */
typedef struct {
    float h[TSD_LAYERS][TSD_HIDDEN];
#if TSD_CELL == TSD_LSTM
    float c[TSD_LAYERS][TSD_HIDDEN];
#endif
    int steps;
} tsd_state;

typedef tsd_state tsd_memory;

static inline void tsd_init(tsd_state *state) {
    int l, i;
    for (l = 0; l < TSD_LAYERS; l++)
        for (i = 0; i < TSD_HIDDEN; i++) {
            state->h[l][i] = 0.0f;
#if TSD_CELL == TSD_LSTM
            state->c[l][i] = 0.0f;
#endif
        }
    state->steps = 0;
}

static inline float tsd_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* One step of prepared values through all layers. */
static inline void tsd_advance(tsd_state *state, const float *input) {
    float gates[4 * TSD_HIDDEN];
    int l, i;
    for (l = 0; l < TSD_LAYERS; l++) {
        const tsd_layer *layer = &tsd_layers[l];
        float *h = state->h[l];
#if TSD_CELL == TSD_LSTM
        float *c = state->c[l];
        for (i = 0; i < 4 * TSD_HIDDEN; i++)
            gates[i] = layer->bias[i] +
                       TSD_SCALED(tsd_dot(layer->in + i * layer->inputs, input, layer->inputs), layer->in_scale[i]) +
                       TSD_SCALED(tsd_dot(layer->re + i * TSD_HIDDEN, h, TSD_HIDDEN), layer->re_scale[i]);
        for (i = 0; i < TSD_HIDDEN; i++) {
            c[i] = tsd_sigmoid(gates[TSD_HIDDEN + i]) * c[i] +
                   tsd_sigmoid(gates[i]) * tanhf(gates[2 * TSD_HIDDEN + i]);
            h[i] = tsd_sigmoid(gates[3 * TSD_HIDDEN + i]) * tanhf(c[i]);
        }
#else
        /* reset, update, and the two halves of the candidate: from the input and from the state */
        for (i = 0; i < 4 * TSD_HIDDEN; i++) {
            gates[i] = layer->bias[i];
            if (i < 3 * TSD_HIDDEN)
                gates[i] +=
                    TSD_SCALED(tsd_dot(layer->in + i * layer->inputs, input, layer->inputs), layer->in_scale[i]);
            if (i < 2 * TSD_HIDDEN || i >= 3 * TSD_HIDDEN) {
                int row = i < 2 * TSD_HIDDEN ? i : i - TSD_HIDDEN;
                gates[i] += TSD_SCALED(tsd_dot(layer->re + row * TSD_HIDDEN, h, TSD_HIDDEN), layer->re_scale[row]);
            }
        }
        for (i = 0; i < TSD_HIDDEN; i++) {
            float update = tsd_sigmoid(gates[TSD_HIDDEN + i]);
            float candidate =
                tanhf(gates[2 * TSD_HIDDEN + i] + tsd_sigmoid(gates[i]) * gates[3 * TSD_HIDDEN + i]);
            h[i] = (1.0f - update) * candidate + update * h[i];
        }
#endif
        input = h;
    }
    state->steps++;
}

/* Logits of a series, from the step on that the state has reached. */
static inline void tsd_logits(tsd_memory *state, const tsd_series *s, float *logits) {
    float input[TSD_CHANNELS];
    int c;
    while (state->steps < s->length) {
        for (c = 0; c < TSD_CHANNELS; c++) input[c] = tsd_value(s, state->steps, c);
        tsd_advance(state, input);
    }
    tsd_head(state->h[TSD_LAYERS - 1], logits);
}

#if TSD_STREAM
/* The next step of a stream: TSD_CHANNELS values. Gives 0, or TSD_BAD_VALUE and leaves the state alone. */
static inline int tsd_step(tsd_state *state, const float *x) {
    float input[TSD_CHANNELS];
    int c;
    for (c = 0; c < TSD_CHANNELS; c++) {
        input[c] = x[c];
        if (TSD_GAPS == TSD_ZERO && x[c] != x[c]) input[c] = 0.0f;
        if (input[c] - input[c] != 0.0f) return TSD_BAD_VALUE;
#if TSD_SCALING == TSD_PER_CHANNEL
        input[c] = (input[c] - tsd_mean[c] - tsd_rest[c]) * tsd_scale[c];
#endif
    }
    tsd_advance(state, input);
    return 0;
}

/* The class of the steps so far, and the probabilities of all classes. */
static inline int tsd_result(const tsd_state *state, float *probabilities) {
    tsd_head(state->h[TSD_LAYERS - 1], probabilities);
    return tsd_softmax(probabilities);
}
#endif

static inline void tsd_begin(tsd_memory *memory) {
#if TSD_RECURRENT
    tsd_init(memory);
#else
    (void)memory;
#endif
}

/* The class of a series, and the probabilities of all classes; below 0 if something is wrong with the series.
   memory: yours, with any content. x: steps * TSD_CHANNELS values, one step after another; NaN is a gap. */
static inline int tsd_predict(tsd_memory *memory, const float *x, int steps, float *probabilities) {
    tsd_series series;
    int problem = tsd_open(&series, x, steps);
    if (problem) return problem;
    tsd_begin(memory);
    tsd_logits(memory, &series, probabilities);
    return tsd_softmax(probabilities);
}

static inline void tsd_log_softmax(float *values) {
    float top = values[0], sum = 0.0f;
    int k;
    for (k = 1; k < TSD_CLASSES; k++)
        if (values[k] > top) top = values[k];
    for (k = 0; k < TSD_CLASSES; k++) sum += expf(values[k] - top);
    for (k = 0; k < TSD_CLASSES; k++) values[k] -= top + logf(sum);
}

/* As tsd_predict, and how much each prepared step matters to the answer: map has TSD_LENGTH values.
   Every window of TSD_WINDOW steps is replaced by those of the reference series of other classes; a step's
   value is the mean divergence of the answer over the windows that cover it, 0 beyond the series' end. */
static inline int tsd_saliency(tsd_memory *memory, const float *x, int steps, float *probabilities, float *map) {
    tsd_series s;
    float clean[TSD_CLASSES], moved[TSD_CLASSES];
    int best, start, r, k, t, donors = 0, problem = tsd_open(&s, x, steps);
#if TSD_RECURRENT
    tsd_state prefix;
    float input[TSD_CHANNELS];
    tsd_init(&prefix);
#endif
    if (problem) return problem;
    if (s.length < TSD_WINDOW) return TSD_BAD_LENGTH;
    tsd_begin(memory);
    tsd_logits(memory, &s, clean);
    for (k = 0; k < TSD_CLASSES; k++) probabilities[k] = clean[k];
    best = tsd_softmax(probabilities);
    tsd_log_softmax(clean);
    for (t = 0; t < TSD_LENGTH; t++) map[t] = 0.0f;
    for (r = 0; r < TSD_REFERENCES; r++) donors += tsd_reference_class[r] != best;
    for (start = 0; start + TSD_WINDOW <= s.length; start++) {
        float sum = 0.0f;
        for (r = 0; r < TSD_REFERENCES; r++) {
            int begin = start;
            if (tsd_reference_class[r] == best) continue;
            if (begin > tsd_reference_length[r] - TSD_WINDOW) begin = tsd_reference_length[r] - TSD_WINDOW;
            s.lent = tsd_reference[r] + (long)begin * TSD_CHANNELS;
            s.from = start;
            s.to = start + TSD_WINDOW;
#if TSD_RECURRENT
            *memory = prefix;
#endif
            tsd_logits(memory, &s, moved);
            tsd_log_softmax(moved);
            for (k = 0; k < TSD_CLASSES; k++) sum += probabilities[k] * (clean[k] - moved[k]);
        }
        for (t = start; t < start + TSD_WINDOW; t++) map[t] += sum;
#if TSD_RECURRENT
        s.to = s.from;
        for (k = 0; k < TSD_CHANNELS; k++) input[k] = tsd_value(&s, start, k);
        tsd_advance(&prefix, input);
#endif
    }
    for (t = 0; t < s.length; t++) {
        int first = t - TSD_WINDOW + 1 > 0 ? t - TSD_WINDOW + 1 : 0;
        int last = t < s.length - TSD_WINDOW ? t : s.length - TSD_WINDOW;
        map[t] /= (float)(donors * (last - first + 1));
    }
    return best;
}

#endif
