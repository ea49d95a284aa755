// Attention under a box of intervals, forward and backward, float32. Built at first use by _compiled.py.
//
// A block is QB queries that lie side by side on the last axis. All of them see the same rows of keys, and on a row
// their keys form one short run, the block's union. Keys of a row are turned to panels [X / W][D][W], so that logits
// come by rank-1 updates over D with X in the lanes of a vector:
//
//     S[i][x] = sum_d q[i][d] K[d][x]      out[i][:] = sum_x P[i][x] V[x][:]
//
// Panels begin where the unions of most blocks do. The second sum has D in the lanes and reads V where it lies, for
// half a block at a time, whose union is shorter. Logits of a block stay in a small buffer: with more keys than it
// holds, softmax goes on buffer by buffer. Backward does the same, with P = exp(S - lse) at once. What a query does not
// see has a probability that is exactly 0.
//
// A task is a head of keys, a residue of each axis (dilation) and, in forward, a part of the queries. Tasks write to
// places of their own: nothing is atomic, and the result does not depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__AVX512VL__)
constexpr int SUMS = 16;  // vectors that are added to at a time; half of the registers
#else
constexpr int SUMS = 8;
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MIX(a, b, ...) __builtin_shuffle(a, b, ints{__VA_ARGS__})
#endif
constexpr int W = 8;  // lanes; machines with narrower vectors take two for each
constexpr int QB = W, HALF = QB / 2;
constexpr float INF = std::numeric_limits<float>::infinity();

typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ints __attribute__((vector_size(4 * W)));
typedef float loose __attribute__((vector_size(4 * W), aligned(4), may_alias));

struct View {  // of [B, H, N, D] with D in one piece: steps in numbers
    float *at;
    int64_t b, h, n;
    float *head(int64_t i, int64_t j) const { return at + i * b + j * h; }
};

struct Axis {  // intervals in steps of a residue; the tokens between neighbours; the bias table's size and step
    int64_t queries, keys, dilation, query_step, key_step, size, table_step;
    const int64_t *lo, *hi;
};

struct Job {
    View q, k, v, out, lse, grad, dq, dk, dv, keep;
    Axis axes[3];
    const float *table;
    int64_t table_head, batch, heads, groups, dim, room, threads, backward;
    float scale;
};

namespace {

inline vec load(const float *p) { return *reinterpret_cast<const loose *>(p); }
inline void store(float *p, vec x) { *reinterpret_cast<loose *>(p) = x; }

// Lane j of x[i] to lane i of x[j].
inline void transpose(vec *x) {
    vec t[W], u[W];
    for (int i = 0; i < W; i += 2) {
        t[i] = MIX(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[i + 1] = MIX(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < W; i += 4)
        for (int j = 0; j < 2; ++j) {
            u[i + 2 * j] = MIX(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            u[i + 2 * j + 1] = MIX(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < W / 2; ++i) {
        x[i] = MIX(u[i], u[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        x[i + 4] = MIX(u[i], u[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

// exp of numbers below 88, to 1e-7 of it; 0 below -87. Of 2^n 2^f, |f| <= 1/2, the second factor is a polynomial.
inline vec exponential(vec x) {
    const vec low = vec{} - 87.0f, magic = vec{} + 12582912.0f, inside = x < low ? low : x;  // NaN stays NaN
    const vec moved = inside * 1.44269504f + magic, n = moved - magic;
    const vec f = (inside - n * 0.693359375f) + n * 2.12194440e-4f;
    vec p = f * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * (f * f) + (f + 1.0f);
    const ints power = ((ints)moved - 0x4B400000 + 127) << 23;
    return x < low ? vec{} : p * (vec)power;
}

inline int64_t steps(int64_t length, int64_t dilation, int64_t residue) {
    return residue < length ? (length - residue + dilation - 1) / dilation : 0;
}

template <int N> using Count = std::integral_constant<int, N>;

template <int N, class F> inline void rest(int64_t left, int64_t at, F f) {
    if (left == N) f(Count<N>{}, at);
    else if constexpr (N > 1) rest<N - 1>(left, at, f);
}

// f(number, start) over 0 .. count - 1, N at a time, then what is left: numbers are known to the compiler.
template <int N, class F> inline void tiles(int64_t count, F f) {
    int64_t at = 0;
    for (; at + N <= count; at += N) f(Count<N>{}, at);
    if constexpr (N > 1) rest<N - 1>(count - at, at, f);
}

struct Task {
    int64_t b, head, residue[3], first = 0, last = 0;  // blocks first .. last - 1
};

struct Chunk {  // rows of the block's union, and panels of them: place n of a line is key start + n
    int64_t first, rows, panel, start, across;
};

class Worker {
    const Job &job;
    const int64_t dim, room;
    int64_t queries[3], keys[3], row0 = 0, phase = 0, panels = 0;
    std::vector<float> turned_k, turned_v, s, ds, p, dp, q_turned, g_turned, q_rows, g_rows, total;
    std::vector<const float *> slots;
    Task task;

    // Of a block: how many queries, where they are, the rows of keys that they see, and what each sees of a row.
    int64_t there, token[QB], place[3], lo[2], hi[2], low[QB], high[QB];

  public:
    explicit Worker(const Job &given)
        : job(given), dim(given.dim), room((given.room + W - 1) / W * W), s(QB * room + W),
          ds(QB * room + W), p(QB * room + W), dp(QB * room + W), q_turned(QB * dim), g_turned(QB * dim),
          q_rows(QB * dim), g_rows(QB * dim), total(QB * dim) {}

    void run(const Task &given) {
        task = given;
        for (int a = 0; a < 3; ++a) {
            queries[a] = steps(job.axes[a].queries, job.axes[a].dilation, task.residue[a]);
            keys[a] = steps(job.axes[a].keys, job.axes[a].dilation, task.residue[a]);
        }
        const int64_t blocks = (queries[2] + QB - 1) / QB, line = queries[1] * blocks;
        row0 = end(0, task.first / line, job.axes[0].lo);
        const int64_t row1 = end(0, (task.last - 1) / line, job.axes[0].hi);
        phase = (W - end(2, blocks / 2 * QB, job.axes[2].lo) % W) % W;
        panels = (phase + keys[2] + W - 1) / W;
        turn(job.k, turned_k, row1);
        if (job.backward) turn(job.v, turned_v, row1);
        for (int64_t g = 0; g < job.groups; ++g)
            for (int64_t n = task.first; n < task.last; ++n) {
                const int64_t step[3] = {n / line, n % line / blocks, n % blocks * QB};
                block(task.head * job.groups + g, step);
            }
    }

  private:
    int64_t end(int a, int64_t step, const int64_t *ends) const {
        return ends[task.residue[a] + job.axes[a].dilation * std::min(step, queries[a] - 1)];
    }

    int64_t key(int64_t k0, int64_t k1, int64_t k2) const {  // the token's number
        const int64_t at[3] = {k0, k1, k2};
        int64_t found = 0;
        for (int a = 0; a < 3; ++a) found += (task.residue[a] + job.axes[a].dilation * at[a]) * job.axes[a].key_step;
        return found;
    }

    void turn(const View &x, std::vector<float> &into, int64_t row1) {
        const int64_t rows = std::max<int64_t>(0, row1 - row0) * keys[1], panel = dim * W;
        if (int64_t(into.size()) < rows * panels * panel) into.resize(rows * panels * panel);
        const float *from = x.head(task.b, task.head);
        for (int64_t n = 0; n < rows * panels; ++n) {
            const int64_t row = n / panels, first = n % panels * W - phase;
            const float *token[W];
            for (int64_t l = 0; l < W; ++l) {
                const bool inside = first + l >= 0 && first + l < keys[2];
                token[l] = inside ? from + key(row0 + row / keys[1], row % keys[1], first + l) * x.n : nullptr;
            }
            for (int64_t d = 0; d < dim; d += W) {
                vec lanes[W];
                for (int l = 0; l < W; ++l) lanes[l] = token[l] ? load(token[l] + d) : vec{};
                transpose(lanes);
                for (int l = 0; l < W; ++l) store(&into[n * panel + (d + l) * W], lanes[l]);
            }
        }
    }

    void block(int64_t head, const int64_t *step) {
        there = std::min<int64_t>(QB, queries[2] - step[2]);
        for (int a = 0; a < 3; ++a) place[a] = task.residue[a] + job.axes[a].dilation * step[a];
        for (int a = 0; a < 2; ++a) lo[a] = job.axes[a].lo[place[a]], hi[a] = job.axes[a].hi[place[a]];
        for (int i = 0; i < QB; ++i) {
            const int64_t last = place[2] + job.axes[2].dilation * std::min<int64_t>(i, there - 1);
            token[i] = place[0] * job.axes[0].query_step + place[1] * job.axes[1].query_step +
                       last * job.axes[2].query_step;
            high[i] = job.axes[2].hi[last];
            low[i] = i < there ? job.axes[2].lo[last] : high[i];
        }
        fetch(job.q, head, job.scale, q_rows, q_turned);
        std::fill(total.begin(), total.end(), 0.0f);
        job.backward ? backward(head) : forward(head);
    }

    void fetch(const View &x, int64_t head, float by, std::vector<float> &rows, std::vector<float> &turned) {
        const float *from = x.head(task.b, head);
        for (int64_t d = 0; d < dim; d += W) {
            vec lanes[QB];
            for (int i = 0; i < QB; ++i) {
                lanes[i] = load(from + token[i] * x.n + d) * by;
                if (job.backward) store(&rows[i * dim + d], lanes[i]);
            }
            transpose(lanes);
            for (int i = 0; i < QB; ++i) store(&turned[(d + i) * QB], lanes[i]);
        }
    }

    // So many rows and panels of the union at a time as the buffers have room for.
    template <class F> void chunks(F f) {
        const int64_t rows = (hi[0] - lo[0]) * (hi[1] - lo[1]);
        const int64_t last = low[0] < high[QB - 1] ? (high[QB - 1] + phase + W - 1) / W : 0;
        for (int64_t p = (low[0] + phase) / W; p < last; p += room / W) {
            const int64_t across = std::min(room, (last - p) * W), each = room / across;
            for (int64_t r = 0; r < rows; r += each) f(Chunk{r, std::min(each, rows - r), p, p * W - phase, across});
        }
    }

    void row(int64_t r, int64_t &k0, int64_t &k1) const {
        k0 = lo[0] + r / (hi[1] - lo[1]), k1 = lo[1] + r % (hi[1] - lo[1]);
    }

    int64_t panel(const Chunk &c, int64_t r) const {  // number of the first one of a row
        int64_t k0, k1;
        row(c.first + r, k0, k1);
        return ((k0 - row0) * keys[1] + k1) * panels + c.panel;
    }

    // Inner products of the block's rows with all keys of a chunk, [QB][rows * across].
    void products(const Chunk &c, const std::vector<float> &rows, const std::vector<float> &turned, float *into) {
        slots.clear();
        for (int64_t r = 0; r < c.rows; ++r)
            for (int64_t n = 0; n < c.across; n += W) slots.push_back(&turned[(panel(c, r) * W + n) * dim]);
        tiles<SUMS / QB>(slots.size(), [&](auto number, int64_t first) {
            constexpr int N = decltype(number)::value;
            vec sum[QB][N] = {};
            const float *from[N], *by = rows.data();
            for (int j = 0; j < N; ++j) from[j] = slots[first + j];
            for (int64_t d = 0; d < dim * W; d += W) {
                vec x[N];
                for (int j = 0; j < N; ++j) x[j] = load(from[j] + d);
                for (int i = 0; i < QB; ++i)
                    for (int j = 0; j < N; ++j) sum[i][j] += x[j] * by[d + i];
            }
            for (int i = 0; i < QB; ++i)
                for (int j = 0; j < N; ++j) store(into + i * room + (first + j) * W, sum[i][j]);
        });
    }

    // Logits of a chunk into s, of all keys of its panels.
    void logits(const Chunk &c, int64_t head) {
        products(c, q_turned, turned_k, s.data());
        for (int64_t r = 0; r < c.rows && (job.table || job.keep.at); ++r)
            for (int i = 0; i < there; ++i) add(&s[i * room + r * c.across], head, c, c.first + r, i);
    }

    // To the logits of a query and a row of keys, the bias and what keeps keys out.
    void add(float *line, int64_t head, const Chunk &c, int64_t r, int i) const {
        int64_t k[2], at = head * job.table_head;
        row(r, k[0], k[1]);
        for (int a = 0; a < 2; ++a) at += entry(a, k[a], place[a]) * job.axes[a].table_step;
        const float *keep = job.keep.at ? job.keep.head(task.b, 0) : nullptr;
        for (int64_t n = std::max(low[i], c.start); n < std::min(high[i], c.start + c.across); ++n) {
            const int64_t along = entry(2, n, place[2] + job.axes[2].dilation * i) * job.axes[2].table_step;
            if (job.table) line[n - c.start] += job.table[at + along];
            if (keep) line[n - c.start] += keep[key(k[0], k[1], n) * job.keep.n];
        }
    }

    int64_t entry(int a, int64_t step, int64_t query) const {
        const Axis &axis = job.axes[a];
        const int64_t far = task.residue[a] + axis.dilation * step - query + axis.size / 2;
        return std::clamp<int64_t>(far, 0, axis.size - 1);
    }

    // f(place, which lanes count) for the vectors that hold what query i sees; what it does not see is 0 in `clear`.
    template <class F> void seen(const Chunk &c, int i, std::vector<float> *clear, F f) {
        const ints number = {0, 1, 2, 3, 4, 5, 6, 7};
        const int64_t a = std::max<int64_t>(0, low[i] - c.start), b = std::min(high[i] - c.start, c.across);
        for (int64_t r = 0; r < c.rows; ++r) {
            const int64_t line = i * room + r * c.across;
            for (int64_t n = 0; clear && n < c.across; n += W) store(&(*clear)[line + n], vec{});
            for (int64_t n = a; n < b; n += W) f(line + n, number < int32_t(std::min<int64_t>(b - n, W)));
        }
    }

    // With weights [i][x] over a chunk, for half a block at a time: held[i] += sum_x weight[i][x] rows[x] for rows of
    // queries, or for those of keys rows[x] += sum_i weight[i][x] held[i].
    template <bool TO_KEYS>
    void mix(const View &view, const std::vector<float> &weight, std::vector<float> &held, const Chunk &c) {
        const int64_t apart = job.axes[2].dilation * job.axes[2].key_step * view.n;
        for (int half = 0; half < there; half += HALF) {
            const int64_t a = std::max(low[half], c.start);
            const int64_t width = std::min(high[half + HALF - 1], c.start + c.across) - a;
            tiles<SUMS / HALF>(dim / W, [&](auto number, int64_t first) {
                constexpr int N = decltype(number)::value;
                vec mine[HALF][N];
                float *place = &held[half * dim + first * W];
                for (int i = 0; i < HALF; ++i)
                    for (int j = 0; j < N; ++j) mine[i][j] = load(place + i * dim + j * W);
                for (int64_t r = 0; r < c.rows; ++r) {
                    int64_t k0, k1;
                    row(c.first + r, k0, k1);
                    float *x = view.head(task.b, task.head) + key(k0, k1, a) * view.n + first * W;
                    const float *by = weight.data() + half * room + r * c.across + a - c.start;
                    for (int64_t n = 0; n < width; ++n, x += apart, ++by)
                        for (int j = 0; j < N; ++j) {
                            vec y = load(x + j * W);
                            for (int i = 0; i < HALF; ++i)
                                if constexpr (TO_KEYS) y += mine[i][j] * by[i * room];
                                else mine[i][j] += y * by[i * room];
                            if constexpr (TO_KEYS) store(x + j * W, y);
                        }
                }
                for (int i = 0; !TO_KEYS && i < HALF; ++i)
                    for (int j = 0; j < N; ++j) store(place + i * dim + j * W, mine[i][j]);
            });
        }
    }

    void forward(int64_t head) {
        float top[QB], sum[QB];
        std::fill(top, top + QB, -INF), std::fill(sum, sum + QB, 0.0f);
        chunks([&](const Chunk &c) {
            logits(c, head);
            for (int i = 0; i < QB; ++i) soften(c, i, top[i], sum[i]);
            mix<false>(job.v, p, total, c);
        });
        for (int i = 0; i < there; ++i) {
            float *out = job.out.head(task.b, head) + token[i] * job.out.n;
            const float by = sum[i] == 0.0f ? 0.0f : 1.0f / sum[i];
            for (int64_t d = 0; d < dim; d += W) store(out + d, load(&total[i * dim + d]) * by);
            job.lse.head(task.b, head)[token[i] * job.lse.n] = top[i] + std::log(sum[i]);
        }
    }

    // exp(logit - top) of a query into p; what was added up under a lower top is brought to the new one.
    void soften(const Chunk &c, int i, float &top, float &sum) {
        const vec blind = vec{} - INF;
        vec most = vec{} + top, part = {};
        seen(c, i, nullptr, [&](int64_t at, ints inside) {
            const vec x = inside ? load(&s[at]) : blind;
            most = x > most ? x : most;
        });
        float now = top;
        for (int l = 0; l < W; ++l) now = std::max(now, float(most[l]));
        const float from = now == -INF ? 0.0f : now;
        seen(c, i, &p, [&](int64_t at, ints inside) {
            const vec made = exponential((inside ? load(&s[at]) : blind) - from);
            part += made;
            store(&p[at], made);
        });
        if (top != now && sum != 0.0f) {
            const float by = std::exp(top - from);
            for (int64_t d = 0; d < dim; ++d) total[i * dim + d] *= by;
            sum *= by;
        }
        for (int l = 0; l < W; ++l) sum += part[l];
        top = now;
    }

    void backward(int64_t head) {
        float lse[QB], delta[QB] = {};
        fetch(job.grad, head, 1.0f, g_rows, g_turned);
        for (int i = 0; i < QB; ++i) {
            const float *out = job.out.head(task.b, head) + token[i] * job.out.n;
            lse[i] = job.lse.head(task.b, head)[token[i] * job.lse.n];
            vec sum = {};
            for (int64_t d = 0; d < dim; d += W) sum += load(out + d) * load(&g_rows[i * dim + d]);
            for (int l = 0; l < W; ++l) delta[i] += sum[l];
        }
        chunks([&](const Chunk &c) {
            logits(c, head);
            products(c, g_turned, turned_v, dp.data());
            for (int i = 0; i < QB; ++i) {
                seen(c, i, &p, [&](int64_t at, ints inside) {
                    const vec made = exponential(load(&s[at]) - lse[i]);
                    store(&p[at], inside ? made : vec{});
                });
                seen(c, i, &ds, [&](int64_t at, ints inside) {
                    const vec made = load(&p[at]) * (load(&dp[at]) - delta[i]);
                    store(&ds[at], inside ? made : vec{});
                });
            }
            mix<false>(job.k, ds, total, c);
            mix<true>(job.dk, ds, q_rows, c);
            mix<true>(job.dv, p, g_rows, c);
        });
        for (int i = 0; i < there; ++i) {
            float *dq = job.dq.head(task.b, head) + token[i] * job.dq.n;
            for (int64_t d = 0; d < dim; d += W) store(dq + d, load(dq + d) + load(&total[i * dim + d]) * job.scale);
        }
    }
};

std::vector<Task> tasks(const Job &job) {
    std::vector<Task> found;
    const Axis *a = job.axes;
    const int64_t parts = job.backward || job.threads == 1 ? 1 : 4 * job.threads / std::max<int64_t>(1, job.batch * job.heads) + 1;
    for (int64_t b = 0; b < job.batch; ++b)
        for (int64_t h = 0; h < job.heads; ++h)
            for (int64_t r = 0; r < a[0].dilation * a[1].dilation * a[2].dilation; ++r) {
                Task t{b, h, {r / a[2].dilation / a[1].dilation, r / a[2].dilation % a[1].dilation, r % a[2].dilation}};
                int64_t blocks = (steps(a[2].queries, a[2].dilation, t.residue[2]) + QB - 1) / QB;
                for (int n = 0; n < 2; ++n) blocks *= steps(a[n].queries, a[n].dilation, t.residue[n]);
                for (int64_t part = 0; part < parts; ++part) {
                    t.first = blocks * part / parts, t.last = blocks * (part + 1) / parts;
                    if (t.first < t.last) found.push_back(t);
                }
            }
    return found;
}

}  // namespace

extern "C" void regard_attend(const Job *job) {
    const std::vector<Task> all = tasks(*job);
    std::atomic<size_t> next{0};
    const auto work = [&] {
        Worker worker(*job);
        for (size_t n; (n = next++) < all.size();) worker.run(all[n]);
    };
    std::vector<std::thread> others;
    for (int64_t n = 1; n < std::min<int64_t>(job->threads, all.size()); ++n) others.emplace_back(work);
    work();
    for (auto &one : others) one.join();
}
