// Attention under a box of intervals, forward and backward, float32. Built at first use by _compiled.py.
//
// A block is QB queries that lie side by side on the last axis. All of them see the same rows of keys, and on a row
// their keys form one short run, the block's union. Keys of a row are turned to [D][X], so that logits come by rank-1
// updates over D with X in the lanes of a vector:
//
//     S[i][x] = sum_d q[i][d] K[d][x]      out[i][:] = sum_x P[i][x] V[x][:]
//
// The second sum has D in the lanes and reads V where it lies. Logits of a block stay in a small buffer: with more keys
// than it holds, softmax goes on buffer by buffer. Backward does the same, with P = exp(S - lse) at once. What a query
// does not see has a logit of -inf and so a probability that is exactly 0.
//
// A task is a head of keys, a residue of each axis (dilation) and, in forward, a part of the queries. Tasks write to
// places of their own: nothing is atomic, and the result does not depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__AVX512VL__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif
constexpr int W = 8;            // lanes; machines with narrower vectors take two for each
constexpr int64_t ROOM = 2048;  // logits of a query that are held at a time
constexpr float INF = std::numeric_limits<float>::infinity();

typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ints __attribute__((vector_size(4 * W)));
typedef float loose __attribute__((vector_size(4 * W), aligned(4), may_alias));

struct View {  // of [B, H, N, D] with D in one piece: steps in numbers
    float *at;
    int64_t b, h, n;
    float *head(int64_t i, int64_t j) const { return at + i * b + j * h; }
};

struct Axis {  // intervals in steps of a residue, the tokens that a step of queries and of keys is, and the bias table's
    int64_t queries, keys, dilation, query_step, key_step, size, table_step;
    const int64_t *lo, *hi;
};

struct Job {
    View q, k, v, out, lse, grad, dq, dk, dv, keep;
    Axis axes[3];
    const float *table;
    int64_t table_head, batch, heads, groups, dim, threads, backward;
    float scale;
};

namespace {

inline vec load(const float *p) { return *reinterpret_cast<const loose *>(p); }
inline void store(float *p, vec x) { *reinterpret_cast<loose *>(p) = x; }
inline vec larger(vec a, vec b) { return a > b ? a : b; }

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

template <int QB> class Worker {
    static constexpr int TILE = REGISTERS / 2 / QB;
    const Job &job;
    const int64_t dim, room;
    int64_t queries[3], keys[3], row0 = 0, pitch = 0;
    std::vector<float> turned_k, turned_v, s, ds, mask, q_turned, g_turned, q_rows, g_rows, total;
    std::vector<const float *> of_k, of_v;
    Task task;

    // A block of queries: how many are there, their heads' places, the rows of keys, and the union on the last axis.
    int64_t there, place[3], lo[2], hi[2], low, high;

  public:
    explicit Worker(const Job &given)
        : job(given), dim(given.dim), room(ROOM + W), s(QB * room), ds(QB * room), mask(QB * room), q_turned(QB * dim),
          g_turned(QB * dim), q_rows(QB * dim), g_rows(QB * dim), total(QB * dim) {}

    void run(const Task &given) {
        task = given;
        for (int a = 0; a < 3; ++a) {
            queries[a] = steps(job.axes[a].queries, job.axes[a].dilation, task.residue[a]);
            keys[a] = steps(job.axes[a].keys, job.axes[a].dilation, task.residue[a]);
        }
        const int64_t blocks = (queries[2] + QB - 1) / QB, line = queries[1] * blocks;
        row0 = end(0, task.first / line, job.axes[0].lo);
        const int64_t row1 = end(0, (task.last - 1) / line, job.axes[0].hi);
        pitch = (keys[2] + 2 * W - 1) / W | 1;  // odd: rows of D that lie a power of two apart would share their cache
        pitch *= W;
        turn(job.k, turned_k, row1, true);
        if (job.backward) turn(job.v, turned_v, row1, false);
        for (int64_t g = 0; g < job.groups; ++g)
            for (int64_t n = task.first; n < task.last; ++n) {
                const int64_t step[3] = {n / line, n % line / blocks, n % blocks * QB};
                block(task.head * job.groups + g, step);
            }
    }

  private:
    int64_t end(int a, int64_t step, const int64_t *ends) const {
        return ends[task.residue[a] + job.axes[a].dilation * step];
    }

    int64_t key(int64_t k0, int64_t k1, int64_t k2) const {  // the token's number
        const int64_t at[3] = {k0, k1, k2};
        int64_t found = 0;
        for (int a = 0; a < 3; ++a)
            found += (task.residue[a] + job.axes[a].dilation * at[a]) * job.axes[a].key_step;
        return found;
    }

    // Rows as [D + 1][X]: the last line is what is added to logits, 0, or -inf of keys that are not there.
    void turn(const View &x, std::vector<float> &into, int64_t row1, bool with_keep) {
        const int64_t height = dim + 1, rows = std::max<int64_t>(0, row1 - row0) * keys[1];
        if (int64_t(into.size()) < rows * height * pitch) into.assign(rows * height * pitch, 0.0f);
        const float *from = x.head(task.b, task.head), *keep = job.keep.at ? job.keep.head(task.b, 0) : nullptr;
        for (int64_t r = 0; r < rows; ++r) {
            float *row = into.data() + r * height * pitch;
            for (int64_t k = 0; k < keys[2]; ++k) {
                const int64_t token = key(row0 + r / keys[1], r % keys[1], k);
                const float *p = from + token * x.n;
                for (int64_t d = 0; d < dim; ++d) row[d * pitch + k] = p[d];
                row[dim * pitch + k] = with_keep && keep ? keep[token * job.keep.n] : 0.0f;
            }
            for (int64_t d = 0; d < height; ++d)
                std::fill(row + d * pitch + keys[2], row + (d + 1) * pitch, 0.0f);
        }
    }

    void block(int64_t head, const int64_t *step) {
        there = std::min<int64_t>(QB, queries[2] - step[2]);
        for (int a = 0; a < 3; ++a) place[a] = task.residue[a] + job.axes[a].dilation * step[a];
        for (int a = 0; a < 2; ++a) lo[a] = job.axes[a].lo[place[a]], hi[a] = job.axes[a].hi[place[a]];
        low = end(2, step[2], job.axes[2].lo), high = end(2, step[2] + there - 1, job.axes[2].hi);
        int64_t token[QB];
        for (int i = 0; i < QB; ++i) {
            const int64_t last = place[2] + job.axes[2].dilation * std::min<int64_t>(i, there - 1);
            token[i] = place[0] * job.axes[0].query_step + place[1] * job.axes[1].query_step +
                       last * job.axes[2].query_step;
        }
        fetch(job.q, head, token, job.scale, q_rows, q_turned);
        std::fill(total.begin(), total.end(), 0.0f);
        job.backward ? backward(head, token) : forward(head, token);
    }

    void fetch(const View &x, int64_t head, const int64_t *token, float by, std::vector<float> &rows,
               std::vector<float> &turned) {
        for (int i = 0; i < QB; ++i) {
            const float *from = x.head(task.b, head) + token[i] * x.n;
            for (int64_t d = 0; d < dim; ++d) rows[i * dim + d] = turned[d * QB + i] = from[d] * by;
        }
    }

    // f(first row, rows, first key, keys) over so many rows of the union at a time as the buffer has room for.
    template <class F> void chunks(F f) {
        const int64_t rows = (hi[0] - lo[0]) * (hi[1] - lo[1]);
        for (int64_t x = low; x < high; x += ROOM) {
            const int64_t width = std::min(ROOM, high - x), each = std::max<int64_t>(1, ROOM / padded(width));
            for (int64_t r = 0; r < rows; r += each) f(r, std::min(each, rows - r), x, width);
        }
    }

    static int64_t padded(int64_t width) { return (width + W - 1) / W * W; }

    void row(int64_t r, int64_t &k0, int64_t &k1) const {
        k0 = lo[0] + r / (hi[1] - lo[1]), k1 = lo[1] + r % (hi[1] - lo[1]);
    }

    // Inner products of the block's rows with all keys of a chunk, [QB][rows * padded width].
    template <bool ADD> void products(const float *rows, const std::vector<const float *> &slots, float *into) {
        tiles<TILE>(slots.size(), [&](auto number, int64_t first) {
            constexpr int N = decltype(number)::value;
            vec sum[QB][N];
            const float *from[N];
            for (int j = 0; j < N; ++j) {
                from[j] = slots[first + j];
                for (int i = 0; i < QB; ++i) sum[i][j] = ADD ? load(from[j] + dim * pitch) : vec{};
            }
            for (int64_t d = 0; d < dim; ++d) {
                vec x[N];
                for (int j = 0; j < N; ++j) x[j] = load(from[j] + d * pitch);
                for (int i = 0; i < QB; ++i)
                    for (int j = 0; j < N; ++j) sum[i][j] += x[j] * rows[d * QB + i];
            }
            for (int i = 0; i < QB; ++i)
                for (int j = 0; j < N; ++j) store(into + i * room + (first + j) * W, sum[i][j]);
        });
    }

    // Logits of a chunk into s; -inf where a query does not see.
    void logits(int64_t head, int64_t first, int64_t rows, int64_t x, int64_t width) {
        const int64_t across = padded(width);
        of_k.clear(), of_v.clear();
        for (int64_t r = first; r < first + rows; ++r) {
            int64_t k0, k1;
            row(r, k0, k1);
            const int64_t at = ((k0 - row0) * keys[1] + k1) * (dim + 1) * pitch + x;
            for (int64_t n = 0; n < across; n += W) {
                of_k.push_back(turned_k.data() + at + n);
                if (job.backward) of_v.push_back(turned_v.data() + at + n);
            }
        }
        products<true>(q_turned.data(), of_k, s.data());
        for (int i = 0; i < QB; ++i) {
            const int64_t i2 = place[2] + job.axes[2].dilation * i;
            const int64_t a = i < there ? job.axes[2].lo[i2] - x : 0, b = i < there ? job.axes[2].hi[i2] - x : 0;
            for (int64_t n = 0; n < across; ++n) mask[i * room + n] = n >= a && n < b && n < width ? 0.0f : -INF;
            for (int64_t r = 0; r < rows; ++r) {
                float *line = s.data() + i * room + r * across;
                if (job.table && i < there) biased(line, head, first + r, i2, x, width);
                for (int64_t n = 0; n < across; n += W) store(line + n, load(line + n) + load(&mask[i * room + n]));
            }
        }
    }

    void biased(float *line, int64_t head, int64_t r, int64_t i2, int64_t x, int64_t width) const {
        int64_t k[3], at = head * job.table_head;
        row(r, k[0], k[1]);
        for (int a = 0; a < 2; ++a) at += entry(a, k[a], place[a]) * job.axes[a].table_step;
        for (int64_t n = 0; n < width; ++n) line[n] += job.table[at + entry(2, x + n, i2) * job.axes[2].table_step];
    }

    int64_t entry(int a, int64_t step, int64_t query) const {
        const Axis &axis = job.axes[a];
        const int64_t far = task.residue[a] + axis.dilation * step - query + axis.size / 2;
        return std::clamp<int64_t>(far, 0, axis.size - 1);
    }

    // total[i] += sum_x weight[i][x] rows[x] over a chunk.
    void gather(const View &view, const float *weight, int64_t first, int64_t rows, int64_t x, int64_t width) {
        const float *base = view.head(task.b, task.head);
        const int64_t across = padded(width), apart = job.axes[2].dilation * job.axes[2].key_step * view.n;
        tiles<TILE>(dim / W, [&](auto number, int64_t at) {
            constexpr int N = decltype(number)::value;
            vec sum[QB][N];
            for (int i = 0; i < QB; ++i)
                for (int j = 0; j < N; ++j) sum[i][j] = load(&total[i * dim + (at + j) * W]);
            for (int64_t r = 0; r < rows; ++r) {
                int64_t k0, k1;
                row(first + r, k0, k1);
                const float *from = base + key(k0, k1, x) * view.n + at * W, *p = weight + r * across;
                for (int64_t n = 0; n < width; ++n, from += apart, ++p)
                    for (int j = 0; j < N; ++j) {
                        const vec y = load(from + j * W);
                        for (int i = 0; i < QB; ++i) sum[i][j] += y * p[i * room];
                    }
            }
            for (int i = 0; i < QB; ++i)
                for (int j = 0; j < N; ++j) store(&total[i * dim + (at + j) * W], sum[i][j]);
        });
    }

    // rows[x] += sum_i weight[i][x] of[i] over a chunk.
    void scatter(const View &view, const float *weight, const float *of, int64_t first, int64_t rows, int64_t x,
                 int64_t width) {
        float *base = view.head(task.b, task.head);
        const int64_t across = padded(width), apart = job.axes[2].dilation * job.axes[2].key_step * view.n;
        tiles<TILE>(dim / W, [&](auto number, int64_t at) {
            constexpr int N = decltype(number)::value;
            vec mine[QB][N];
            for (int i = 0; i < QB; ++i)
                for (int j = 0; j < N; ++j) mine[i][j] = load(of + i * dim + (at + j) * W);
            for (int64_t r = 0; r < rows; ++r) {
                int64_t k0, k1;
                row(first + r, k0, k1);
                float *to = base + key(k0, k1, x) * view.n + at * W;
                const float *p = weight + r * across;
                for (int64_t n = 0; n < width; ++n, to += apart, ++p)
                    for (int j = 0; j < N; ++j) {
                        vec y = load(to + j * W);
                        for (int i = 0; i < QB; ++i) y += mine[i][j] * p[i * room];
                        store(to + j * W, y);
                    }
            }
        });
    }

    void forward(int64_t head, const int64_t *token) {
        float top[QB], sum[QB];
        std::fill(top, top + QB, -INF), std::fill(sum, sum + QB, 0.0f);
        chunks([&](int64_t first, int64_t rows, int64_t x, int64_t width) {
            logits(head, first, rows, x, width);
            for (int i = 0; i < QB; ++i) soften(i, rows * padded(width), top[i], sum[i]);
            gather(job.v, s.data(), first, rows, x, width);
        });
        for (int i = 0; i < there; ++i) {
            float *out = job.out.head(task.b, head) + token[i] * job.out.n;
            const float by = sum[i] == 0.0f ? 0.0f : 1.0f / sum[i];
            for (int64_t d = 0; d < dim; ++d) out[d] = total[i * dim + d] * by;
            job.lse.head(task.b, head)[token[i] * job.lse.n] = sum[i] == 0.0f ? -INF : top[i] + std::log(sum[i]);
        }
    }

    // Logits of a query to exp(logit - top); what was added up under a lower top is brought to the new one.
    void soften(int i, int64_t count, float &top, float &sum) {
        float *line = s.data() + i * room;
        vec most = vec{} + top, part = vec{};
        for (int64_t n = 0; n < count; n += W) most = larger(load(line + n), most);
        float now = top;
        for (int l = 0; l < W; ++l) now = std::max(now, float(most[l]));
        const float from = now == -INF ? 0.0f : now;
        for (int64_t n = 0; n < count; n += W) {
            const vec p = exponential(load(line + n) - from);
            part += p;
            store(line + n, p);
        }
        const float by = top == -INF ? 0.0f : std::exp(top - from);
        if (top != -INF && by != 1.0f)
            for (int64_t d = 0; d < dim; ++d) total[i * dim + d] *= by;
        sum *= by;
        for (int l = 0; l < W; ++l) sum += part[l];
        top = now;
    }

    void backward(int64_t head, const int64_t *token) {
        float lse[QB], delta[QB];
        fetch(job.grad, head, token, 1.0f, g_rows, g_turned);
        for (int i = 0; i < QB; ++i) {
            const float *out = job.out.head(task.b, head) + token[i] * job.out.n;
            lse[i] = job.lse.head(task.b, head)[token[i] * job.lse.n];
            delta[i] = 0.0f;
            for (int64_t d = 0; d < dim; ++d) delta[i] += out[d] * g_rows[i * dim + d];
        }
        chunks([&](int64_t first, int64_t rows, int64_t x, int64_t width) {
            logits(head, first, rows, x, width);
            products<false>(g_turned.data(), of_v, ds.data());
            for (int i = 0; i < QB; ++i)
                for (int64_t n = i * room; n < i * room + rows * padded(width); n += W) {
                    const vec p = exponential(load(&s[n]) - lse[i]);
                    store(&s[n], p);
                    store(&ds[n], p * (load(&ds[n]) - delta[i]));
                }
            gather(job.k, ds.data(), first, rows, x, width);
            scatter(job.dk, ds.data(), q_rows.data(), first, rows, x, width);
            scatter(job.dv, s.data(), g_rows.data(), first, rows, x, width);
        });
        for (int i = 0; i < there; ++i) {
            float *dq = job.dq.head(task.b, head) + token[i] * job.dq.n;
            for (int64_t d = 0; d < dim; ++d) dq[d] += total[i * dim + d] * job.scale;
        }
    }
};

template <int QB> void run(const Job &job) {
    std::vector<Task> tasks;
    const Axis *a = job.axes;
    const int64_t wanted = job.backward || job.threads == 1 ? 1 : 4 * job.threads / (job.batch * job.heads) + 1;
    for (int64_t b = 0; b < job.batch; ++b)
        for (int64_t h = 0; h < job.heads; ++h)
            for (int64_t r = 0; r < a[0].dilation * a[1].dilation * a[2].dilation; ++r) {
                Task t{b, h, {r / (a[1].dilation * a[2].dilation), r / a[2].dilation % a[1].dilation, r % a[2].dilation}};
                int64_t blocks = 1;
                for (int n = 0; n < 3; ++n) {
                    const int64_t count = steps(a[n].queries, a[n].dilation, t.residue[n]);
                    blocks *= n == 2 ? (count + QB - 1) / QB : count;
                }
                for (int64_t part = 0; part < wanted; ++part) {
                    t.first = blocks * part / wanted, t.last = blocks * (part + 1) / wanted;
                    if (t.first < t.last) tasks.push_back(t);
                }
            }
    std::atomic<size_t> next{0};
    auto work = [&] {
        Worker<QB> worker(job);
        for (size_t n; (n = next++) < tasks.size();) worker.run(tasks[n]);
    };
    std::vector<std::thread> others;
    for (int64_t n = 1; n < std::min<int64_t>(job.threads, tasks.size()); ++n) others.emplace_back(work);
    work();
    for (auto &one : others) one.join();
}

// Lanes of logits, and rows of values, that blocks of this size take for each query of the last axis.
double cost(const Axis &axis, int64_t size) {
    double found = 0;
    for (int64_t r = 0; r < axis.dilation; ++r)
        for (int64_t i = r; i < axis.queries; i += axis.dilation * size) {
            const int64_t left = (axis.queries - i + axis.dilation - 1) / axis.dilation;
            const int64_t width = axis.hi[i + axis.dilation * (std::min(size, left) - 1)] - axis.lo[i];
            found += double(size) * ((width + W - 1) / W * W + width) + 6.0 * width;
        }
    return found;
}

}  // namespace

extern "C" int64_t regard_attend(const Job *job, int64_t size) {
    if (size == 0) {
        size = 2;
        for (int64_t other : {4, 8})
            if (cost(job->axes[2], other) < cost(job->axes[2], size)) size = other;
    }
    if (size == 2) run<2>(*job);
    else if (size == 4) run<4>(*job);
    else run<8>(*job);
    return size;
}
