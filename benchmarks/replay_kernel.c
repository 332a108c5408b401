/* The quiet path of the compiled replay, written in C by hand: what a compiler of C makes of the same arithmetic.
 *
 * A twin of `window` in analytics/flyball_analytics/fastreplay_loop.py and of the kernel that it calls, one
 * window after the other (the blocks of fastreplay_block.py are left out),
 * for benchmarks/bench_replay.py only. Build with -O3 -ffp-contract=off: a fused
 * multiply-add would change the last bits, and the benchmark compares the states.
 * The promise INDEPENDENT and the ladder law are left out; the benchmark uses neither.
 */
#include <math.h>
#include <stdint.h>

enum { MINUTES = 60, VISITS = 3, HOURS = 168, RECENT = 24, RING = 16, RING_MAX = 15, VISIT_ROW = 64, UNVISITED = 65535 };
#define QUANTA 65534
#define MARGIN 1e-9

typedef struct {
    const double *start_s, *window_s, *arrived_s, *p50, *p99;
    const int64_t *requests, *timeouts, *fast, *throttles, *attempts, *request_failures, *shorted;
    const uint8_t *sound;
    const int64_t *mask;
} columns_t;

typedef struct {
    double *level, *times;
    int64_t *law;
    double *sums;
    int64_t *index;
    double *rarity;
    int64_t *minute;
    double *medians;
    int64_t *hour, *hour_before, *hour_visits;
    double *hour_cached;
    int64_t *recent;
    double *ring_times;
    int64_t *ring_counts, *ring_at, *counted;
    double *kept;
} memory_t;

typedef struct {
    double needed_s, retry_floor, retry_adaptive, retry_multiple, retry_spread_k, open_floor, open_adaptive;
    double open_multiple, open_spread_k, trip_ceiling, reset_floor, reset_point, reset_multiple, timeout_trip;
    double normal_floor, normal_multiple, z_act, min_requests, min_errors, pool_s_max, quiet_s, valid_for_s;
    double act_within_s, half_life_s, rise_factor, winsor_k, visits_min, confidence_full_s;
} params_t;

typedef struct { double failures_ew, requests_ew, spread, dispersion, latency_ms, proven, learned_s, typical_ms; } level_t;
typedef struct { double span_s; int64_t requests, failures, timeouts; } pool_t;
typedef struct { double retry, timeout, reset, reset_point, normal; } trips_t;

static inline int64_t slot_of(double at_s, double length_s) {
    int64_t slot = (int64_t)(at_s / length_s);
    return slot * length_s > at_s ? slot - 1 : slot;
}

static inline int64_t median3(int64_t a, int64_t b, int64_t c) {
    int64_t low = a < b ? a : b, high = a < b ? b : a, middle = c < high ? c : high;
    return middle > low ? middle : low;
}

static int64_t median_of(const int64_t *values, int64_t n) {
    int64_t needed = (n - 1) / 2 + 1, low = 0, high = 65535;
    while (low < high) {
        int64_t middle = (low + high) >> 1, count = 0;
        for (int64_t i = 0; i < n; i++) count += values[i] <= middle;
        if (count >= needed) high = middle; else low = middle + 1;
    }
    return low;
}

static void wilson(double failures, double requests, double z, double dispersion, double *low, double *high) {
    double n = requests / dispersion, ratio = failures / requests, zz = z * z, scale = 1.0 + zz / n;
    double middle = (ratio + zz / (2.0 * n)) / scale;
    double half = z * sqrt(ratio * (1.0 - ratio) / n + zz / (4.0 * n * n)) / scale;
    *low = middle - half < 0.0 || failures <= 0 ? 0.0 : middle - half;
    *high = middle + half > 1.0 || failures >= requests ? 1.0 : middle + half;
}

static inline int surely_under(double failures, double requests, double limit, double z, double dispersion) {
    double over = failures - limit * requests;
    if (over < -MARGIN * requests) return 1;
    double zz = z * z, margin = MARGIN * requests * (requests + zz * dispersion);
    return over * over < dispersion * zz * limit * (1.0 - limit) * requests - margin;
}

static inline int upper_under(double failures, double requests, double limit, double z, double dispersion) {
    double zz = z * z, gap = limit * requests - failures, margin = MARGIN * requests * (requests + zz * dispersion);
    double square = gap * gap, width = dispersion * zz * limit * (1.0 - limit) * requests, low, high;
    if (gap > 0.0 && failures < requests) {
        if (square > width + margin) return 1;
        if (square < width - margin) return 0;
    }
    wilson(failures, requests, z, dispersion, &low, &high);
    return high < limit;
}

static inline double trip(double floor, double adaptive, double multiple, double k, double ceiling, double expected,
                          double spread, double trust) {
    double level = floor;
    if (adaptive != 0.0) {
        double by_multiple = multiple * (2.0 - trust) * expected, by_spread = expected + k * spread;
        if (by_multiple > level) level = by_multiple;
        if (by_spread > level) level = by_spread;
    }
    return level < ceiling ? level : ceiling;
}

static inline trips_t trips_for(const params_t *p, double expected, double spread, double trust) {
    trips_t t;
    t.retry = trip(p->retry_floor, p->retry_adaptive, p->retry_multiple, p->retry_spread_k, p->trip_ceiling, expected,
                   spread, trust);
    double opening = trip(p->open_floor, p->open_adaptive, p->open_multiple, p->open_spread_k, p->trip_ceiling,
                          expected, spread, trust);
    t.timeout = p->timeout_trip;
    if (p->retry_adaptive != 0.0 && p->retry_multiple * expected > t.timeout) t.timeout = p->retry_multiple * expected;
    t.reset = p->reset_floor;
    if (p->retry_adaptive != 0.0 && p->reset_multiple * expected > t.reset) t.reset = p->reset_multiple * expected;
    t.reset_point = 0.5 * t.retry;
    if (expected > t.reset_point) t.reset_point = (t.retry + expected) / 2.0;
    if (p->reset_point > t.reset_point) t.reset_point = p->reset_point;
    t.normal = trip(p->normal_floor, 1.0, p->normal_multiple, 0.0, opening, expected, 0.0, trust);
    return t;
}

static pool_t pool_back(const memory_t *m, int64_t place, int64_t kept, int64_t enough, double span_max) {
    pool_t pool = {0.0, 0, 0, 0};
    for (int64_t back = 0; back < kept; back++) {
        int64_t at = (place - back + RING) % RING;
        const int64_t *c = m->ring_counts + 7 * at;
        const double *t = m->ring_times + 2 * at;
        if (t[0] < m->times[5] || pool.requests >= enough || pool.span_s + t[1] > span_max) break;
        pool.span_s += t[1];
        pool.requests += c[0];
        pool.timeouts += c[1];
        pool.failures += c[1] + c[2] + c[3];
    }
    return pool;
}

static int64_t windows_kept(const memory_t *m, int64_t place, int64_t length, int64_t keep, double span_max) {
    int64_t kept = 1, requests = m->ring_counts[7 * place];
    double span_s = m->ring_times[2 * place + 1];
    while (kept < length) {
        int64_t older = (place - kept + RING) % RING;
        double period_s = m->ring_times[2 * older + 1];
        if (requests >= keep || span_s + period_s > span_max || kept >= RING_MAX) break;
        kept++;
        requests += m->ring_counts[7 * older];
        span_s += period_s;
    }
    return kept;
}

static int64_t hour_quanta(const memory_t *m, int64_t hour, int64_t visits_min) {
    int64_t best = 0, days[7], n = 0;
    if (m->hour_visits[hour] >= visits_min)
        best = m->hour[hour] < m->hour_before[hour] ? m->hour[hour] : m->hour_before[hour];
    for (int64_t slot = hour % 24; slot < HOURS; slot += 24)
        if (m->hour_visits[slot] > 0) days[n++] = m->hour[slot];
    if (n >= visits_min) {
        int64_t daily = median_of(days, n);
        if (daily > best) best = daily;
    }
    return best;
}

static void hour_closed(memory_t *m) {
    int64_t slot = ((m->index[0] % HOURS) + HOURS) % HOURS, values[MINUTES], n = 0;
    double mean = m->sums[0] / m->sums[1], value = m->sums[2] > mean ? m->sums[2] : mean;
    for (int i = RECENT - 1; i > 0; i--) m->recent[i] = m->recent[i - 1];
    m->recent[0] = (int64_t)(m->sums[3] * QUANTA + 0.5);
    for (int i = 0; i < RECENT; i++)
        if (m->recent[i] != UNVISITED) values[n++] = m->recent[i];
    if (n >= VISITS) m->level[8] = (double)median_of(values, n) / QUANTA;
    n = 0;
    for (const int64_t *at = m->minute; at < m->minute + MINUTES; at++)
        if (at[2 * VISIT_ROW] != UNVISITED) values[n++] = median3(at[0], at[VISIT_ROW], at[2 * VISIT_ROW]);
    m->level[9] = n ? (double)median_of(values, n) / QUANTA : 0.0;
    m->hour_before[slot] = m->hour[slot];
    m->hour[slot] = (int64_t)(value * QUANTA + 0.5);
    m->hour_visits[slot] = m->hour_visits[slot] < 255 ? m->hour_visits[slot] + 1 : 255;
    m->sums[0] = m->sums[1] = m->sums[2] = 0.0;
    m->sums[3] = 1.0;
    m->hour_cached[0] = -1.0;
}

static void third_closed(memory_t *m, int64_t third, int64_t hour) {
    if (m->sums[5] > 0.0) {
        double mean = m->sums[4] / m->sums[5];
        if (mean < m->sums[3]) m->sums[3] = mean;
    }
    m->index[1] = third;
    m->sums[4] = m->sums[5] = 0.0;
    if (hour != m->index[0]) {
        if (m->sums[1] > 0.0) hour_closed(m);
        m->index[0] = hour;
    }
}

static inline double top_ratio(const level_t *l, double chronic, double level, double ratio, int64_t requests,
                               const params_t *p) {
    double few = (p->min_errors - 1.0) / requests;
    if (ratio <= few) return ratio;
    double cap = 2.0 * chronic;
    if (p->retry_floor > cap) cap = p->retry_floor;
    double top = cap;
    if (l->learned_s >= 1800.0) {
        double narrow = level + p->winsor_k * l->spread;
        if (ratio <= narrow && ratio <= cap) return ratio;
        double one = 1.0 / requests, share = level > one ? level : one;
        if (share > 1.0) share = 1.0;
        double sd = sqrt(l->dispersion * share * (1.0 - share) / requests);
        if (l->spread > sd) sd = l->spread;
        top = level + p->winsor_k * sd;
        if (top > cap) top = cap;
    }
    if (few > top) top = few;
    return ratio <= top ? ratio : top;
}

static inline double kept_share(double weight, double period_s, double half_life_s) {
    return 1.0 / (1.0 + weight * period_s * 0.6931471805599453 / half_life_s);
}

static inline double latency(double level_ms, double seen_ms, double rate) {
    if (seen_ms < 0.0) return level_ms;
    if (level_ms < 0.0) return seen_ms;
    double clip_ms = 2.0 * level_ms, clipped_ms = seen_ms < clip_ms ? seen_ms : clip_ms;
    return level_ms + rate * (clipped_ms - level_ms);
}

static inline void learn(level_t *l, double chronic, double ratio, int64_t requests, int64_t attempts, double p50,
                         double p99, double period_s, double keep, const params_t *p) {
    double mean = l->requests_ew > 0.0 ? l->failures_ew / l->requests_ew : 0.0, level = mean > chronic ? mean : chronic;
    double clipped = top_ratio(l, chronic, level, ratio, requests, p), weight = 1.0;
    if (clipped < ratio) {
        weight = p->rise_factor;
        keep = kept_share(weight, period_s, p->half_life_s);
    }
    double rate = 1.0 - keep, seen_s = l->learned_s + period_s;
    if (!(period_s < (1.0 - MARGIN) * rate * seen_s)) {
        double plain = period_s / seen_s;
        if (plain > rate) rate = plain;
    }
    double deviation = clipped > level ? clipped - level : level - clipped, expected = requests * level;
    double dispersion = l->dispersion, now = (double)(attempts > 0 ? attempts : requests) / period_s;
    if (!(expected < 0.5)) {
        double prior = 1.0 / (l->learned_s / period_s + 20.0), by = prior < rate ? prior : rate;
        double excess = requests * clipped - expected;
        double one = level < 1.0 ? excess * excess / (expected * (1.0 - level)) : 1.0;
        if (one > 25.0) one = 25.0;
        dispersion = dispersion + by * (one - dispersion);
        if (!(dispersion > 1.0)) dispersion = 1.0;
    }
    double faded = l->proven / (1.0 + 0.00002 * period_s);
    l->failures_ew = l->failures_ew * keep + weight * clipped * requests;
    l->requests_ew = l->requests_ew * keep + weight * requests;
    l->spread = l->spread + rate * (1.2533141373155001 * deviation - l->spread);
    l->dispersion = dispersion;
    l->latency_ms = latency(l->latency_ms, p99, rate);
    l->proven = now > faded ? now : faded;
    l->learned_s = seen_s;
    l->typical_ms = latency(l->typical_ms, p50, rate);
}

static inline double minute_ratio(const double *medians, int64_t minute) {
    double best = medians[minute], earlier = medians[minute > 0 ? minute - 1 : MINUTES - 1];
    double later = medians[minute < MINUTES - 1 ? minute + 1 : 0];
    if (earlier > best) best = earlier;
    return later > best ? later : best;
}

static inline int is_calm(pool_t pool, const trips_t *t, double dispersion, const params_t *p) {
    if (pool.requests < p->min_requests || pool.failures < p->min_errors) return 1;
    double lesser = t->retry < t->timeout ? t->retry : t->timeout, low, high;
    if (surely_under(pool.failures, pool.requests, lesser, p->z_act, dispersion)) return 1;
    wilson(pool.failures, pool.requests, p->z_act, dispersion, &low, &high);
    if (low > lesser) return 0;
    wilson(pool.timeouts, pool.requests, p->z_act, dispersion, &low, &high);
    return low <= t->timeout;
}

static inline int is_clean(pool_t wide, const trips_t *t, double dispersion, const params_t *p) {
    if (wide.requests <= 0 || wide.failures >= t->reset_point * wide.requests + 1e-12) return 0;
    if (wide.span_s >= 0.8 * p->pool_s_max) return 1;
    return upper_under(wide.failures, wide.requests, t->reset, p->z_act, dispersion);
}

static void visit(memory_t *m, double start_s, double period_s, double ratio) {
    int64_t first = slot_of(start_s, 60.0), count = 0;
    if (!(period_s > 300.0)) {
        count = slot_of(period_s, 60.0);
        if (count < 1) count = start_s - first * 60.0 >= period_s ? 0 : 1;
    }
    for (int64_t minute = first; minute < first + count; minute++) {
        int64_t slot = minute % MINUTES, *at = m->minute + slot;
        at[2 * VISIT_ROW] = at[VISIT_ROW];
        at[VISIT_ROW] = at[0];
        at[0] = (int64_t)(ratio * QUANTA + 0.5);
        int64_t middle = median3(at[0], at[VISIT_ROW], at[2 * VISIT_ROW]);
        m->medians[slot] = at[2 * VISIT_ROW] != UNVISITED ? (double)middle / QUANTA : 0.0;
    }
}

#define AT(name, place) c->name[row & c->mask[place]]

int64_t advance(const columns_t *c, int64_t row, int64_t last, memory_t *m, const params_t *p) {
    double *v = m->level;
    level_t l = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
    m->hour_cached[0] = -1.0;
    for (; row < last && c->sound[row]; row++) {
        double start_s = AT(start_s, 0), period_s = AT(window_s, 1), at_s = AT(arrived_s, 2);
        int64_t requests = AT(requests, 5), timeouts = AT(timeouts, 6), fast = AT(fast, 7), thr = AT(throttles, 8);
        int64_t failures = timeouts + fast + thr, attempts = AT(attempts, 9);
        double age_s = at_s - start_s - period_s;
        if (start_s <= m->times[0] || at_s < m->times[4] || (age_s > p->act_within_s && age_s > 2.0 * period_s)) break;
        double ratio = (double)failures / requests;
        int64_t place = (m->ring_at[0] + 1) % RING, kept = 1, *r = m->ring_counts + 7 * place;
        m->ring_times[2 * place] = start_s;
        m->ring_times[2 * place + 1] = period_s;
        r[0] = requests, r[1] = timeouts, r[2] = fast, r[3] = thr, r[4] = attempts;
        r[5] = AT(request_failures, 10), r[6] = AT(shorted, 11);
        int64_t keep = (int64_t)(40 * l.dispersion), enough = (int64_t)p->min_requests;
        if (enough > keep) keep = enough;
        pool_t pool = {period_s, requests, failures, timeouts}, wide = pool;
        if (!(requests >= keep && start_s >= m->times[5])) {
            double span_s = p->pool_s_max > period_s ? p->pool_s_max : period_s;
            kept = windows_kept(m, place, m->ring_at[1] + 1, keep, p->pool_s_max);
            pool = pool_back(m, place, kept, enough, span_s);
            wide = pool_back(m, place, kept, keep, span_s);
        }
        double mean = l.requests_ew > 0.0 ? l.failures_ew / l.requests_ew : 0.0, level = mean > v[8] ? mean : v[8];
        double by_minute = minute_ratio(m->medians, slot_of(start_s, 60.0) % MINUTES);
        int64_t hour = slot_of(start_s, 3600.0) % HOURS;
        if (m->hour_cached[0] != hour) {
            m->hour_cached[0] = hour;
            m->hour_cached[1] = (double)hour_quanta(m, hour, (int64_t)p->visits_min) / QUANTA;
        }
        double shrink = p->visits_min / (p->visits_min + 1.0), expected = level;
        double m1 = level + shrink * (by_minute - v[9]), h1 = level + shrink * (m->hour_cached[1] - level);
        if (m1 > expected) expected = m1;
        if (h1 > expected) expected = h1;
        if (!(expected < 1.0)) expected = 1.0;
        double trust = l.learned_s >= p->confidence_full_s ? 1.0 : l.learned_s / p->confidence_full_s;
        trips_t t = trips_for(p, expected, l.spread, trust);
        if (!is_calm(pool, &t, l.dispersion, p)) break;
        int clean = is_clean(wide, &t, l.dispersion, p);
        m->counted[pool.requests < p->min_requests ? 0 : clean ? 2 : 1]++;
        m->ring_at[0] = place, m->ring_at[1] = kept;
        m->times[0] = start_s, m->times[1] = at_s, m->times[2] = at_s, m->times[3] = at_s + p->valid_for_s;
        if (clean) m->law[0] = 0, m->law[1]++, m->law[3] = 0; else m->law[1] = 0;
        if (m->times[5] >= 0.0 && at_s - m->times[5] > p->quiet_s) m->law[2] = 1;
        m->law[4]++;
        double grown_s = (m->rarity[0] + period_s) * (1.0 - 0.9 + 0.9 * ratio / t.normal);
        m->rarity[0] = grown_s < p->needed_s ? grown_s : p->needed_s;
        m->rarity[1] = m->rarity[2] = m->rarity[3] = m->rarity[4] = 0.0;
        int64_t third = slot_of(start_s, 1200.0);
        if (third != m->index[1]) third_closed(m, third, slot_of(start_s, 3600.0));
        if (failures >= p->min_errors && !surely_under(failures, requests, m->sums[2], p->z_act, l.dispersion)) {
            double low, high;
            wilson(failures, requests, p->z_act, l.dispersion, &low, &high);
            if (low > m->sums[2] && low > by_minute) m->sums[2] = low;
        }
        m->sums[0] += failures, m->sums[1] += requests, m->sums[4] += failures, m->sums[5] += requests;
        visit(m, start_s, period_s, ratio);
        if (failures >= p->min_errors && failures > t.retry * requests) continue;
        if (m->kept[0] != period_s) m->kept[0] = period_s, m->kept[1] = kept_share(1.0, period_s, p->half_life_s);
        learn(&l, v[8], ratio, requests, attempts, AT(p50, 3), AT(p99, 4), period_s, m->kept[1], p);
    }
    v[0] = l.failures_ew, v[1] = l.requests_ew, v[2] = l.spread, v[3] = l.dispersion;
    v[4] = l.latency_ms, v[5] = l.proven, v[6] = l.learned_s, v[7] = l.typical_ms;
    return row;
}
