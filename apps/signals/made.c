/* Heartbeats, CT-like volumes and moving patterns that are drawn: known classes, as many as wanted. */
#include "apps/signals/signals.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

typedef struct dice { /* draws of one signal, in order */
    tsr_rng rng;
    uint64_t next;
} dice;

static double uniform(dice *d, double low, double high)
{
    return low + (high - low) * tsr_random_uniform(d->rng, d->next++);
}

static double normal(dice *d)
{
    return tsr_random_normal(d->rng, d->next++);
}

/* ---- heartbeats -------------------------------------------------------------------------------------------------- */

/* McSharry, Clifford, Tarassenko and Smith, "A dynamical model for generating synthetic electrocardiogram signals",
 * 2003: a point runs along the unit circle once a beat, and near the angle of each wave it is pushed up or down (eq. 1;
 * angles, heights and widths of P, Q, R, S, T are table 1). The sixth wave is ours: what the ST segment is raised or
 * lowered by. */
enum { BEAT = 96, WAVES = 6, P_WAVE = 0, R_WAVE = 2, S_WAVE = 3, T_WAVE = 4, ST_SEGMENT = 5 };

typedef struct heart {
    double height[WAVES], width[WAVES], angle[WAVES];
    double speed;                     /* radians per second */
    double breath, breath_phase, wander; /* Hz, radians, height: of the baseline */
} heart;

static void heart_speed(double *rate, const double *state, double t, const heart *h)
{
    const double x = state[0], y = state[1], alpha = 1 - sqrt(x * x + y * y), angle = atan2(y, x);
    rate[0] = alpha * x - h->speed * y;
    rate[1] = alpha * y + h->speed * x;
    rate[2] = h->wander * sin(2 * PI * h->breath * t + h->breath_phase) - state[2];
    for (int i = 0; i < WAVES; i++) {
        const double away = remainder(angle - h->angle[i], 2 * PI), w = h->width[i];
        rate[2] -= h->height[i] * away * exp(-away * away / (2 * w * w));
    }
}

/* A step of Runge and Kutta's fourth-order method. */
static void heart_step(double *state, double t, double dt, const heart *h)
{
    double k[4][3], at[3];
    heart_speed(k[0], state, t, h);
    for (int i = 1; i < 4; i++) {
        const double far = i < 3 ? dt / 2 : dt;
        for (int d = 0; d < 3; d++) at[d] = state[d] + far * k[i - 1][d];
        heart_speed(k[i], at, t + far, h);
    }
    for (int d = 0; d < 3; d++) state[d] += dt / 6 * (k[0][d] + 2 * k[1][d] + 2 * k[2][d] + k[3][d]);
}

/* The heart of a person, seen by an electrode that sits a little off: a wave is the shadow of a dipole of its own
 * direction, and turning the lead weakens some waves and strengthens others. */
static heart draw_heart(dice *d)
{
    static const double height[WAVES] = {1.2, -5, 30, -7.5, 0.75, 0}, width[WAVES] = {0.25, 0.1, 0.1, 0.1, 0.4, 0.35};
    static const double angle[WAVES] = {-PI / 3, -PI / 12, 0, PI / 12, PI / 2, PI / 4};
    static const double axis[WAVES] = {0.2, -0.35, 0, 0.45, 0.25, 0};
    const double lead = uniform(d, -0.6, 0.6), gain = uniform(d, 0.8, 1.25);
    heart h = {.speed = 2 * PI / uniform(d, 0.7, 0.95), .breath = uniform(d, 0.2, 0.35),
               .breath_phase = uniform(d, -PI, PI), .wander = uniform(d, 0, 0.01)};
    for (int i = 0; i < WAVES; i++) {
        h.height[i] = height[i] * gain * uniform(d, 0.8, 1.2) * cos(lead - axis[i]) / cos(axis[i]);
        h.width[i] = width[i] * uniform(d, 0.9, 1.1);
        h.angle[i] = angle[i] + uniform(d, -0.05, 0.05);
    }
    return h;
}

/* 1: an ectopic beat of a ventricle: early, no P, R wide, T the other way. 2: the ST segment depressed or elevated. */
static void make_ill(heart *h, int class, dice *d)
{
    if (class == 1) {
        h->speed *= uniform(d, 1.1, 1.3);
        h->height[P_WAVE] = 0;
        h->width[R_WAVE] *= uniform(d, 1.6, 2.6);
        h->height[R_WAVE] *= uniform(d, 0.25, 0.5); /* the area grows with the square of the width */
        h->height[T_WAVE] *= -uniform(d, 0.5, 1.5);
    } else if (class == 2) {
        h->height[ST_SEGMENT] = uniform(d, 0.2, 0.7) * (uniform(d, 0, 1) < 0.5 ? -1 : 1);
    }
}

/* 0.8 s around the third R wave. */
static void draw_beat(tsr_real *out, int class, dice *d)
{
    const int fine = 2, before = 2;
    const double dt = 0.8 / BEAT / fine, noise = uniform(d, 0.02, 0.1);
    heart h = draw_heart(d), healthy = h;
    make_ill(&h, class, d);
    /* From the R wave backwards: half a window of the beat itself, the rest of its half turn, whole beats before. */
    const double start = 0.4 - PI / h.speed - before * 2 * PI / healthy.speed;
    double state[3] = {-1, 0, 0}, t = start;
    for (int i = 0; i < BEAT;) {
        const bool own = t >= 0.4 - PI / h.speed;
        const int64_t step = llround((t - start) / dt);
        if (t >= i * dt * fine - dt / 2) out[i++] = (tsr_real)(30 * state[2] + noise * normal(d)); /* mV */
        heart_step(state, t, dt, own ? &h : &healthy);
        t = start + (double)(step + 1) * dt;
    }
}

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

enum { CUBE = 20 };

typedef struct line { /* points at + s * along; |along| = 1 */
    double at[3], along[3];
} line;

/* Within `most` of the first axis, which slices are cut across. */
static line draw_line(dice *d, double spread, double most)
{
    line l;
    const double turn = uniform(d, -PI, PI), height = uniform(d, cos(most), 1), flat = sqrt(1 - height * height);
    for (int i = 0; i < 3; i++) l.at[i] = CUBE / 2 - 0.5 + uniform(d, -spread, spread);
    l.along[0] = height;
    l.along[1] = flat * cos(turn);
    l.along[2] = flat * sin(turn);
    return l;
}

/* Squared distances of a point from the line, and along it from l.at. */
static void from_line(const line *l, const double *p, double *across, double *along)
{
    double s = 0, all = 0;
    for (int i = 0; i < 3; i++) {
        s += (p[i] - l->at[i]) * l->along[i];
        all += (p[i] - l->at[i]) * (p[i] - l->at[i]);
    }
    *along = s * s;
    *across = all - s * s;
}

/* 1 inside, 0 outside, a voxel's width between: what a scanner makes of a border. `ratio` is (distance / radius)^2. */
static double solid(double ratio, double radius)
{
    return 1 / (1 + exp(4 * radius * (sqrt(ratio) - 1)));
}

/* A piece of lung: air, the chest wall in a corner, vessels anywhere, noise; in the middle a nodule (0) or one more
 * vessel (1). Across a slice a vessel looks like a nodule, and some nodules are long. */
static void draw_volume(tsr_real *out, int class, dice *d)
{
    enum { VESSELS = 3 };
    line vessels[VESSELS], middle = draw_line(d, 2, 0.9), wall = draw_line(d, 0, PI);
    double radius[VESSELS], size = uniform(d, 1.6, 3.2), stretch = uniform(d, 1, 1.5), far = uniform(d, 7, 13);
    for (int v = 0; v < VESSELS; v++) {
        vessels[v] = draw_line(d, 9, PI);
        radius[v] = uniform(d, 0.6, 1.6);
    }
    for (int i = 0; i < CUBE * CUBE * CUBE; i++) {
        const double p[3] = {i / (CUBE * CUBE), i / CUBE % CUBE, i % CUBE};
        double across, along, tissue = 0;
        for (int v = 0; v < VESSELS; v++) {
            from_line(&vessels[v], p, &across, &along);
            tissue = fmax(tissue, 0.8 * solid(across / (radius[v] * radius[v]), radius[v]));
        }
        from_line(&middle, p, &across, &along);
        const double ratio = (across + (class == 0 ? along / (stretch * stretch) : 0)) / (size * size);
        tissue = fmax(tissue, solid(ratio, size));
        double depth = -far;
        for (int k = 0; k < 3; k++) depth += (p[k] - wall.at[k]) * wall.along[k];
        tissue = fmax(tissue, 1 / (1 + exp(-2 * depth)));
        out[i] = (tsr_real)(-850 + 890 * tissue + 60 * normal(d)); /* Hounsfield units: air of the lung, soft tissue */
    }
}

/* ---- clips ------------------------------------------------------------------------------------------------------- */

enum { FRAMES = 12, FRAME = 16, SPOTS = 60 };

/* Spots all over a plane that moves to the left, right, up, down, or turns clockwise or anticlockwise. A frame is spots
 * all over whatever the motion: it tells nothing. */
static void draw_clip(tsr_real *out, int class, dice *d)
{
    static const double dx[] = {-1, 1, 0, 0}, dy[] = {0, 0, -1, 1};
    const double speed = uniform(d, 0.6, 1.1), turn = (class == 4 ? 1 : -1) * 0.13 * speed, reach = 16;
    double x[SPOTS], y[SPOTS], ink[SPOTS];
    for (int s = 0; s < SPOTS; s++) {
        x[s] = uniform(d, -reach, reach);
        y[s] = uniform(d, -reach, reach);
        ink[s] = uniform(d, 0, 1) < 0.5 ? -1 : 1;
    }
    for (int t = 0; t < FRAMES; t++) {
        const double since = t - (FRAMES - 1) / 2.0;
        tsr_real *frame = out + t * FRAME * FRAME;
        for (int i = 0; i < FRAME * FRAME; i++) {
            const double px = i % FRAME - (FRAME - 1) / 2.0, py = i / FRAME - (FRAME - 1) / 2.0; /* from the middle */
            double value = 0.3 * normal(d), qx = px, qy = py; /* q: where it was in the middle frame */
            if (class < 4) {
                qx -= speed * dx[class] * since;
                qy -= speed * dy[class] * since;
            } else { /* y points down: a growing angle turns clockwise */
                qx = px * cos(turn * since) + py * sin(turn * since);
                qy = py * cos(turn * since) - px * sin(turn * since);
            }
            for (int s = 0; s < SPOTS; s++) {
                const double away = (qx - x[s]) * (qx - x[s]) + (qy - y[s]) * (qy - y[s]);
                if (away < 16) value += ink[s] * exp(-away / 3);
            }
            frame[i] = (tsr_real)value;
        }
    }
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

typedef struct drawn_task {
    signal_task task;
    int classes;
    const char *names[6];
    void (*draw)(tsr_real *out, int class, dice *d);
} drawn_task;

static const drawn_task tasks[] = {
    {{"heartbeat", 1200, 1500, 3, 0.05, false}, 3, {"normal", "ectopic", "ST change"}, draw_beat},
    {{"nodule", 600, 300, 1, 0, true}, 2, {"nodule", "vessel"}, draw_volume},
    {{"motion", 600, 300, 1, 0, false}, 6, {"left", "right", "up", "down", "clockwise", "anticlockwise"}, draw_clip}};

enum { TASKS = sizeof tasks / sizeof *tasks };

const signal_task *signal_task_find(const char *name, app_error *error)
{
    for (int i = 0; i < TASKS; i++)
        if (strcmp(tasks[i].task.name, name) == 0) return &tasks[i].task;
    app_fail(error, "there is no task '%s'", name);
    return NULL;
}

bool signals_make(signal_set *out, const signal_task *task, const char *part, int count, app_error *error)
{
    const drawn_task *t = &tasks[0];
    while (&t->task != task) t++;
    const tsr_shape shape = t->draw == draw_beat     ? TSR_SHAPE(BEAT)
                            : t->draw == draw_volume ? TSR_SHAPE(CUBE, CUBE, CUBE)
                                                     : TSR_SHAPE(FRAMES, FRAME, FRAME);
    const int64_t size = tsr_shape_size(shape);
    if (!signals_new(out, count, shape, t->classes, error)) return false;
    for (int k = 0; k < t->classes; k++) snprintf(out->names[k], CLASS_NAME, "%s", t->names[k]);
    for (int i = 0; i < count; i++) {
        const uint64_t stream = tsr_substream(tsr_stream(task->name), tsr_stream(part));
        dice d = {{1, tsr_substream(stream, (uint64_t)i)}, 0};
        out->labels[i] = i % t->classes;
        t->draw(out->values + i * size, out->labels[i], &d);
    }
    return true;
}
