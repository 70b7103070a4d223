# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled products and factorization of several scalar grouping factors; see scalar_factors.py."""

from libc.math cimport log, sqrt
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset


import numpy as np

cdef Codes address(const int32_t[::1] array) noexcept:
    return &array[0] if array.shape[0] else NULL


cdef inline void subtract(Py_ssize_t m, double factor, const double* x, double* y) noexcept nogil:
    """Subtract a multiple of x from y, m numbers each."""
    cdef Py_ssize_t c
    for c in range(m):
        y[c] -= factor * x[c]


cdef class ScalarFactors:
    def __init__(self, leaf, chain, parents, lifts, dense):
        cdef Py_ssize_t j, k, r, first = 0, at = 0, effects = 0
        self.parts = (leaf, chain, parents, lifts, dense)
        self.n, self.n_chain, self.n_dense = len(leaf), len(chain), len(dense)
        self.leaf = address(leaf)
        for j in range(self.n_chain):
            self.sizes[j], self.places[j] = chain[j].size, chain[j].place
            effects += self.sizes[j]
            self.pivots[j] = at
            at += self.sizes[j]
            for k in range(j + 1, self.n_chain):
                self.links[j][k] = at
                at += self.sizes[j]
                self.parents[j][k] = address(parents[j, k])
            self.entries[j] = at
            if self.n_dense:
                at += len(chain[j].rows)
                self.starts[j], self.tail_rows[j] = address(chain[j].starts), address(chain[j].rows)
                self.row_starts[j] = address(chain[j].row_starts)
                self.by_row[j], self.levels[j] = address(chain[j].by_row), address(chain[j].levels)
                for k in range(j + 1, self.n_chain):
                    self.lifts[j][k] = address(lifts[j, k])
        for r in range(self.n_dense):
            self.dense_sizes[r], self.dense_places[r] = dense[r].size, dense[r].place
            self.dense_firsts[r] = first
            first += self.dense_sizes[r]
            self.dense_rows[r], self.dense_entries[r] = address(dense[r].rows), address(dense[r].entries)
        self.n_tail, self.n_values, self.n_effects = first, at, effects + first

    def __reduce__(self):
        return ScalarFactors, self.parts

    # Sums and products with the rows of the data

    def sums(self, const double[:, ::1] rows, const double[::1] scales):
        out_array = np.zeros((self.n_effects, rows.shape[1]))
        cdef double[:, ::1] out = out_array
        with nogil:
            self.add_levels(&rows[0, 0], &scales[0], rows.shape[1], &out[0, 0])
        return out_array

    cdef void add_levels(self, const double* rows, const double* scales, Py_ssize_t m, double* u) noexcept nogil:
        """Add rows of m numbers to their levels, of which u holds zeros, and multiply by the scales."""
        cdef Py_ssize_t j, r
        add_rows(self.n, m, self.leaf, rows, u + m * self.places[0])
        for r in range(self.n_dense):
            add_rows(
                self.n, m, self.dense_rows[r], rows, u + m * (self.dense_places[r] - self.dense_firsts[r])
            )
        for j in range(self.n_chain - 1):
            add_rows(
                self.sizes[j], m, self.parents[j][j + 1], u + m * self.places[j], u + m * self.places[j + 1]
            )
        self.scale(u, scales, m)

    cdef void scale(self, double* u, const double* scales, Py_ssize_t m) noexcept nogil:
        """Multiply the effects of each factor, m numbers each, by its scale, the eliminated factors first."""
        cdef Py_ssize_t j, l
        for j in range(self.n_chain):
            if scales[j] != 1.0:
                for l in range(m * self.sizes[j]):
                    u[m * self.places[j] + l] *= scales[j]
        for j in range(self.n_dense):
            if scales[self.n_chain + j] != 1.0:
                for l in range(m * self.dense_sizes[j]):
                    u[m * self.dense_places[j] + l] *= scales[self.n_chain + j]

    def to_rows(self, const double[:] u, const double[::1] scales):
        scaled_array, out_array = np.array(u), np.zeros(self.n)
        cdef double[::1] scaled = scaled_array, out = out_array
        with nogil:
            self.add_effects(&scaled[0], &scales[0], &out[0], &out[0])
        return out_array

    cdef void add_effects(
        self, double* u, const double* scales, const double* base, double* out
    ) noexcept nogil:
        """Set `out` to `base` and the effects of each row; u is overwritten."""
        cdef Py_ssize_t i, j, l, r
        cdef Codes codes
        cdef double* own
        cdef double* outer
        self.scale(u, scales, 1)
        # The outermost factor hands its effects down.
        for j in range(self.n_chain - 2, -1, -1):
            own, outer = u + self.places[j], u + self.places[j + 1]
            codes = self.parents[j][j + 1]
            for l in range(self.sizes[j]):
                own[l] += outer[codes[l]]
        own = u + self.places[0]
        for i in range(self.n):
            out[i] = base[i] + own[self.leaf[i]]
        for r in range(self.n_dense):
            own = u + self.dense_places[r] - self.dense_firsts[r]
            codes = self.dense_rows[r]
            for i in range(self.n):
                out[i] += own[codes[i]]

    # Factorization

    def eliminate(self, const double[::1] W, const double[::1] scales):
        values_array, tail_array = np.zeros(self.n_values), np.zeros((self.n_tail, self.n_tail), order="F")
        cdef double[::1] values = values_array
        cdef double[::1, :] tail = tail_array
        cdef double log_det = 0.0
        cdef double* T = &tail[0, 0] if self.n_tail else NULL
        cdef bint is_positive
        with nogil:
            self.fill(&W[0], &scales[0], &values[0], T)
            is_positive = self.eliminate_chain(&values[0], T, &log_det)
        return (values_array, tail_array, log_det) if is_positive else None

    cdef void fill(self, const double* W, const double* scales, double* V, double* T) noexcept nogil:
        """Fill in Lambda'Z'WZ Lambda + I, of the tail the lower half; no W where sums by entry are there."""
        cdef Py_ssize_t i, j, k, l, r, s, e, a, b, M = self.n_tail
        cdef double t
        cdef double* faces = V + self.pivots[0]
        cdef double* E
        # 1. The rows of the data.
        if self.n_dense == 1:
            E = V + self.entries[0]
            if W != NULL:
                add_rows(self.n, 1, self.dense_entries[0], W, E)
            for l in range(self.sizes[0]):
                t = 0.0
                for e in range(self.starts[0][l], self.starts[0][l + 1]):
                    t += E[e]
                    T[self.tail_rows[0][e] * (M + 1)] += E[e]
                faces[l] = t
        else:
            add_rows(self.n, 1, self.leaf, W, faces)
            for r in range(self.n_dense):
                add_rows(self.n, 1, self.dense_entries[r], W, V + self.entries[0])
                for i in range(self.n):
                    T[self.dense_rows[r][i] * (M + 1)] += W[i]
                for s in range(r):
                    for i in range(self.n):
                        T[self.dense_rows[s][i] * M + self.dense_rows[r][i]] += W[i]
        # 2. Factors that others are nested in.
        for j in range(self.n_chain - 1):
            for l in range(self.sizes[j]):
                V[self.pivots[j + 1] + self.parents[j][j + 1][l]] += V[self.pivots[j] + l]
            if self.n_dense:
                for e in range(self.starts[j][self.sizes[j]]):
                    V[self.entries[j + 1] + self.lifts[j][j + 1][e]] += V[self.entries[j] + e]
        # 3. Lambda, and the unit of the prior.
        for j in range(self.n_chain):
            for k in range(j + 1, self.n_chain):
                t = scales[j] * scales[k]
                for l in range(self.sizes[j]):
                    V[self.links[j][k] + l] = t * V[self.pivots[j] + l]
            t = scales[j] * scales[j]
            for l in range(self.sizes[j]):
                V[self.pivots[j] + l] = 1.0 + t * V[self.pivots[j] + l]
            if self.n_dense:
                self.scale_entries(scales, V, j)
        for r in range(self.n_dense):
            for s in range(r + 1):
                t = scales[self.n_chain + r] * scales[self.n_chain + s]
                for b in range(self.dense_firsts[s], self.dense_firsts[s] + self.dense_sizes[s]):
                    for a in range(self.dense_firsts[r], self.dense_firsts[r] + self.dense_sizes[r]):
                        if a >= b:
                            T[b * M + a] *= t
        for a in range(M):
            T[a * (M + 1)] += 1.0

    cdef void scale_entries(self, const double* scales, double* V, Py_ssize_t j) noexcept nogil:
        cdef Py_ssize_t r = 0, e
        cdef double t = scales[j] * scales[self.n_chain]
        for e in range(self.starts[j][self.sizes[j]]):
            if self.n_dense > 1:
                r = 0
                while r + 1 < self.n_dense and self.tail_rows[j][e] >= self.dense_firsts[r + 1]:
                    r += 1
                t = scales[j] * scales[self.n_chain + r]
            V[self.entries[j] + e] *= t

    cdef bint eliminate_chain(self, double* V, double* T, double* log_det) noexcept nogil:
        """Eliminate the chain, innermost factor first; tell whether every pivot was positive."""
        cdef Py_ssize_t j, k, l, e
        cdef double pivot, inverse
        for j in range(self.n_chain):
            for l in range(self.sizes[j]):
                pivot = V[self.pivots[j] + l]
                if not pivot > 0.0:
                    return False
                log_det[0] += log(pivot)
                inverse = 1.0 / sqrt(pivot)
                V[self.pivots[j] + l] = inverse
                for k in range(j + 1, self.n_chain):
                    V[self.links[j][k] + l] *= inverse
                if self.n_dense:
                    for e in range(self.starts[j][l], self.starts[j][l + 1]):
                        V[self.entries[j] + e] *= inverse
                self.subtract_from_outer(V, j, l)
            if self.n_dense and self.row_starts[j] != NULL:
                self.subtract_from_tail(V + self.entries[j], T, j)
        return True

    cdef void subtract_from_outer(self, double* V, Py_ssize_t j, Py_ssize_t l) noexcept nogil:
        """Subtract from the factors that a level is nested in what its elimination takes away."""
        cdef Py_ssize_t k, m, e, a
        cdef double x
        for k in range(j + 1, self.n_chain):
            a, x = self.parents[j][k][l], V[self.links[j][k] + l]
            V[self.pivots[k] + a] -= x * x
            for m in range(k + 1, self.n_chain):
                V[self.links[k][m] + a] -= x * V[self.links[j][m] + l]
            if self.n_dense:
                for e in range(self.starts[j][l], self.starts[j][l + 1]):
                    V[self.entries[k] + self.lifts[j][k][e]] -= x * V[self.entries[j] + e]

    cdef void subtract_from_tail(self, const double* E, double* T, Py_ssize_t j) noexcept nogil:
        """Subtract E E' from the lower half of the tail, a column of it at a time."""
        cdef Py_ssize_t i, e, b, c
        cdef Codes rows = self.tail_rows[j]
        cdef double* column
        cdef double x
        for c in range(self.n_tail):
            column = T + c * self.n_tail
            for i in range(self.row_starts[j][c], self.row_starts[j][c + 1]):
                e, x = self.by_row[j][i], E[self.by_row[j][i]]
                for b in range(e, self.starts[j][self.levels[j][i] + 1]):
                    column[rows[b]] -= x * E[b]

    # Solutions

    def forward(self, const double[::1] values, const double[:, ::1] rhs):
        out_array, tail_array = np.array(rhs), np.empty((self.n_tail, rhs.shape[1]))
        cdef double[:, ::1] out = out_array, tail = tail_array
        cdef double* x = &tail[0, 0] if self.n_tail else NULL
        with nogil:
            self.go_forward(&values[0], rhs.shape[1], &out[0, 0], x)
        return out_array, tail_array

    cdef void go_forward(self, const double* V, Py_ssize_t m, double* u, double* x) noexcept nogil:
        """Eliminate the chain from m right-hand sides u, whose tail goes to x."""
        cdef Py_ssize_t c, j, k, l, r, e
        cdef double* y
        for r in range(self.n_dense):
            memcpy(
                x + m * self.dense_firsts[r], u + m * self.dense_places[r],
                m * self.dense_sizes[r] * sizeof(double),
            )
        for j in range(self.n_chain):
            for l in range(self.sizes[j]):
                y = u + m * (self.places[j] + l)
                for c in range(m):
                    y[c] *= V[self.pivots[j] + l]
                if m == 1 and self.n_chain == 1 and self.n_dense:
                    for e in range(self.starts[0][l], self.starts[0][l + 1]):
                        x[self.tail_rows[0][e]] -= V[self.entries[0] + e] * y[0]
                    continue
                for k in range(j + 1, self.n_chain):
                    subtract(m, V[self.links[j][k] + l], y, u + m * (self.places[k] + self.parents[j][k][l]))
                if self.n_dense:
                    for e in range(self.starts[j][l], self.starts[j][l + 1]):
                        subtract(m, V[self.entries[j] + e], y, x + m * self.tail_rows[j][e])

    def backward(self, const double[::1] values, double[:, ::1] out, const double[:, ::1] tail):
        cdef const double* x = &tail[0, 0] if self.n_tail else NULL
        with nogil:
            self.go_backward(&values[0], out.shape[1], &out[0, 0], x)

    cdef void go_backward(self, const double* V, Py_ssize_t m, double* u, const double* x) noexcept nogil:
        """Put m solutions of the tail back into u, and solve the chain."""
        cdef Py_ssize_t c, j, k, l, r, e
        cdef double total
        cdef double* y
        for r in range(self.n_dense):
            memcpy(
                u + m * self.dense_places[r], x + m * self.dense_firsts[r],
                m * self.dense_sizes[r] * sizeof(double),
            )
        for j in range(self.n_chain - 1, -1, -1):
            for l in range(self.sizes[j]):
                y = u + m * (self.places[j] + l)
                if m == 1 and self.n_chain == 1 and self.n_dense:
                    total = y[0]
                    for e in range(self.starts[0][l], self.starts[0][l + 1]):
                        total -= V[self.entries[0] + e] * x[self.tail_rows[0][e]]
                    y[0] = V[self.pivots[0] + l] * total
                    continue
                for k in range(j + 1, self.n_chain):
                    subtract(m, V[self.links[j][k] + l], u + m * (self.places[k] + self.parents[j][k][l]), y)
                if self.n_dense:
                    for e in range(self.starts[j][l], self.starts[j][l + 1]):
                        subtract(m, V[self.entries[j] + e], x + m * self.tail_rows[j][e], y)
                for c in range(m):
                    y[c] *= V[self.pivots[j] + l]

    # The inverse

    def invert(self, const double[::1] values, double[::1] found, Py_ssize_t j, const double[:, ::1] G):
        with nogil:
            self.invert_factor(&values[0], &found[0], j, &G[0, 0] if self.n_tail else NULL)

    cdef void invert_factor(self, const double* V, double* found, Py_ssize_t j, const double* T) noexcept nogil:
        """Set the entries of the inverse of one factor; those against the tail hold T E where all are kept."""
        cdef Py_ssize_t i, e, b, c
        cdef const double* E = V + self.entries[j]
        cdef double* out = found + self.entries[j]
        cdef Codes rows = self.tail_rows[j]
        cdef const double* row
        cdef double x
        if self.n_dense and self.row_starts[j] != NULL:
            for c in range(self.n_tail):
                row = T + c * self.n_tail
                for i in range(self.row_starts[j][c], self.row_starts[j][c + 1]):
                    e, x = self.by_row[j][i], 0.0
                    for b in range(self.starts[j][self.levels[j][i]], self.starts[j][self.levels[j][i] + 1]):
                        x += row[rows[b]] * E[b]
                    out[e] = x
        for i in range(self.sizes[j]):
            self.invert_level(V, found, j, i)

    cdef void invert_level(self, const double* V, double* G, Py_ssize_t j, Py_ssize_t l) noexcept nogil:
        """Make G_later,later V of one level the entries of the inverse."""
        cdef Py_ssize_t k, m, e, s, t
        cdef double inverse = V[self.pivots[j] + l], total = 0.0, x, link
        for k in range(j + 1, self.n_chain):
            x = 0.0
            for m in range(j + 1, self.n_chain):
                s, t = min(k, m), max(k, m)
                link = V[self.links[j][m] + l]
                if s == t:
                    x += G[self.pivots[s] + self.parents[j][s][l]] * link
                else:
                    x += G[self.links[s][t] + self.parents[j][s][l]] * link
            if self.n_dense:
                link = V[self.links[j][k] + l]
                for e in range(self.starts[j][l], self.starts[j][l + 1]):
                    s = self.entries[k] + self.lifts[j][k][e]
                    x += G[s] * V[self.entries[j] + e]
                    G[self.entries[j] + e] += G[s] * link
            total += x * V[self.links[j][k] + l]
            G[self.links[j][k] + l] = -inverse * x
        if self.n_dense:
            for e in range(self.starts[j][l], self.starts[j][l + 1]):
                total += G[self.entries[j] + e] * V[self.entries[j] + e]
                G[self.entries[j] + e] *= -inverse
        G[self.pivots[j] + l] = inverse * inverse * (1.0 + total)

    def gather(self, const double[::1] inverse, const double[:, ::1] tail, const double[::1] scales):
        out_array, leverage_array = np.empty((self.n_chain + self.n_dense, self.n)), np.empty(self.n)
        cdef double[:, ::1] out = out_array
        cdef double[::1] leverage = leverage_array
        self.visit(inverse, tail, scales, &leverage[0], NULL, NULL, &out[0, 0])
        return leverage_array, out_array

    def leverages(self, const double[::1] inverse, const double[:, ::1] tail, const double[::1] scales):
        leverage_array = np.empty(self.n)
        cdef double[::1] leverage = leverage_array
        self.visit(inverse, tail, scales, &leverage[0], NULL, NULL, NULL)
        return leverage_array

    def weigh(
        self, const double[::1] inverse, const double[:, ::1] tail, const double[::1] scales,
        const double[::1] W, const double[::1] slope,
    ):
        leverage_array, pulled_array = np.empty(self.n), np.empty(self.n)
        pull_array, by_factor_array = np.zeros(self.n_effects), np.zeros(self.n_chain + self.n_dense)
        cdef double[::1] leverage = leverage_array, pulled = pulled_array
        cdef double[::1] pull = pull_array, by_factor = by_factor_array
        cdef Py_ssize_t i
        self.visit(inverse, tail, scales, &leverage[0], &W[0], &by_factor[0], NULL)
        with nogil:
            for i in range(self.n):
                pulled[i] = leverage[i] * slope[i]
            self.add_levels(&pulled[0], &scales[0], 1, &pull[0])
        return leverage_array, pulled_array, pull_array, by_factor_array

    cdef visit(
        self, const double[::1] inverse, const double[:, ::1] tail, const double[::1] scales,
        double* leverage, const double* W, double* by_factor, double* out,
    ):
        """Set the leverage of every row; sum W times the effects, or keep the effects, where there is room."""
        within_array = np.zeros((self.n_chain, self.sizes[0]))
        cdef double[:, ::1] within = within_array
        cdef const double* T = &tail[0, 0] if self.n_tail else NULL
        with nogil:
            self.visit_all(&inverse[0], T, &scales[0], &within[0, 0], leverage, W, by_factor, out)

    cdef void visit_all(
        self, const double* G, const double* T, const double* scales, double* within,
        double* leverage, const double* W, double* by_factor, double* out,
    ) noexcept nogil:
        """Visit the rows; `within` holds zeros."""
        self.sum_within(G, scales, within)
        if self.n_chain == 1 and self.n_dense == 1:
            self.visit_pairs(G, T, scales, leverage, W, by_factor, out)
        else:
            self.visit_rows(G, T, scales, within, leverage, W, by_factor, out)

    cdef void visit_pairs(
        self, const double* G, const double* tail, const double* scales,
        double* leverage, const double* W, double* by_factor, double* out,
    ) noexcept nogil:
        """The rows of two crossed factors."""
        cdef Py_ssize_t i, n = self.n, M = self.n_tail
        cdef double s = scales[0], t = scales[1], g, inner, outer, w, inner_sum = 0.0, outer_sum = 0.0
        cdef Codes rows = self.dense_rows[0]
        for i in range(n):
            g = G[self.entries[0] + self.dense_entries[0][i]]
            inner = s * G[self.leaf[i]] + t * g
            outer = s * g + t * tail[(M + 1) * rows[i]]
            leverage[i] = s * inner + t * outer
            if W != NULL:
                inner_sum += W[i] * inner
                outer_sum += W[i] * outer
            if out != NULL:
                out[i], out[n + i] = inner, outer
        if W != NULL:
            by_factor[0], by_factor[1] = inner_sum, outer_sum

    cdef void visit_rows(
        self, const double* G, const double* tail, const double* scales, const double* within,
        double* leverage, const double* W, double* by_factor, double* out,
    ) noexcept nogil:
        """The rows of any factors."""
        cdef Py_ssize_t i, k
        cdef double[2 * MAX] effects
        for i in range(self.n):
            leverage[i] = self.row_effects(i, G, tail, scales, within, effects)
            for k in range(self.n_chain + self.n_dense):
                if W != NULL:
                    by_factor[k] += W[i] * effects[k]
                if out != NULL:
                    out[k * self.n + i] = effects[k]

    cdef void sum_within(self, const double* G, const double* scales, double* within) noexcept nogil:
        """Of each leaf, set the part of its and its outer factors' effects that comes from one another."""
        cdef Py_ssize_t j, k, l, a, q = self.sizes[0]
        cdef double g
        for l in range(q):
            for j in range(self.n_chain):
                a = l if j == 0 else self.parents[0][j][l]
                within[j * q + l] += scales[j] * G[self.pivots[j] + a]
                for k in range(j + 1, self.n_chain):
                    g = G[self.links[j][k] + a]
                    within[j * q + l] += scales[k] * g
                    within[k * q + l] += scales[j] * g

    cdef double row_effects(
        self, Py_ssize_t i, const double* G, const double* tail, const double* scales, const double* within,
        double* effects,
    ) noexcept nogil:
        """Set Omega^-1 Lambda'z of one row, for each factor; return its leverage."""
        cdef Py_ssize_t j, r, s, a, l = self.leaf[i], q = self.sizes[0]
        cdef const double* t = scales + self.n_chain
        cdef const double* row
        cdef double x, g, leverage = 0.0
        for j in range(self.n_chain):
            effects[j] = within[j * q + l]
        for r in range(self.n_dense):
            x, a = 0.0, self.dense_entries[r][i]
            for j in range(self.n_chain):
                g = G[self.entries[j] + (a if j == 0 else self.lifts[0][j][a])]
                effects[j] += t[r] * g
                x += scales[j] * g
            row = tail + self.n_tail * self.dense_rows[r][i]
            for s in range(self.n_dense):
                x += t[s] * row[self.dense_rows[s][i]]
            effects[self.n_chain + r] = x
            leverage += t[r] * x
        for j in range(self.n_chain):
            leverage += scales[j] * effects[j]
        return leverage

    def contract(
        self, const double[::1] r, const double[::1] d1, const double[::1] u, const double[::1] adjoint
    ):
        room_array, out_array = np.empty(2 * self.n_effects), np.empty(self.n_chain + self.n_dense)
        cdef double[::1] room = room_array, out = out_array
        with nogil:
            self.contract_at(&r[0], &d1[0], &u[0], &adjoint[0], &room[0], &out[0])
        return out_array

    cdef void contract_at(
        self, const double* r, const double* d1, const double* u, const double* adjoint, double* room, double* out
    ) noexcept nogil:
        """Set, for each factor, the sums by level of r times u and of d1 times the adjoint; room for 2 N."""
        cdef Py_ssize_t k, l, size, place, N = self.n_effects
        cdef double[2 * MAX] ones
        for k in range(self.n_chain + self.n_dense):
            ones[k] = 1.0
        memset(room, 0, 2 * N * sizeof(double))
        self.add_levels(r, ones, 1, room)
        self.add_levels(d1, ones, 1, room + N)
        for k in range(self.n_chain + self.n_dense):
            size = self.sizes[k] if k < self.n_chain else self.dense_sizes[k - self.n_chain]
            place = self.places[k] if k < self.n_chain else self.dense_places[k - self.n_chain]
            out[k] = 0.0
            for l in range(place, place + size):
                out[k] += room[l] * u[l] + room[N + l] * adjoint[l]
