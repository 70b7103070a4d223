# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The conditional modes of random intercepts of several factors; see scalar_modes.py."""

from libc.math cimport INFINITY, isfinite, log
from libc.string cimport memcpy, memset

from mixedmodels.kernels._blas cimport Gemm, Gemv, Potrf, Syrk, Trsm, routine
from mixedmodels.kernels._family_rows cimport logit_rows_at, poisson_rows_at
from mixedmodels.kernels._row_gram cimport STRETCH, add_gram
from mixedmodels.kernels._scalar_factors cimport MAX, Codes, ScalarFactors, add_rows

import numpy as np
from scipy.linalg import cython_blas, cython_lapack

cdef Gemm dgemm = <Gemm> routine(cython_blas, "dgemm")
cdef Syrk dsyrk = <Syrk> routine(cython_blas, "dsyrk")
cdef Trsm dtrsm = <Trsm> routine(cython_blas, "dtrsm")
cdef Gemv dgemv = <Gemv> routine(cython_blas, "dgemv")
cdef Potrf dpotrf = <Potrf> routine(cython_lapack, "dpotrf")
cdef Potrf dpotri = <Potrf> routine(cython_lapack, "dpotri")
cdef int one_column = 1
cdef double one = 1.0, minus_one = -1.0, zero = 0.0

cdef enum:
    # Lengths of a step of the model without random effects that are tried: 1, 1/2, 1/4, 1/8.
    GLM_HALVINGS = 4


cdef struct State:
    # Where the search stands: effects and fixed effects; predictor and the four terms of the rows, which are
    # those of the state evaluated last.
    double* u
    double* gamma
    double* eta
    double* rows
    double penalized


cdef struct System:
    # The factor of the penalized system, its border, the slope, the next step, and room for a few vectors.
    double log_det
    double* values
    double* tail
    double* coupling
    double* solved
    double* half
    double* score
    double* step
    double* tail_step
    double* tail_solved
    double* effects
    double* fixed
    double* weighted
    double* room


cdef struct Glm:
    # The model without random effects: the four terms of the rows, fixed effects and where a step leads, the
    # predictor, products of weighted columns and room for them, a step.
    double* rows
    double* gamma
    double* eta
    double* room
    double* gram
    double* step


cdef double dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


cdef void multiply_levels(Py_ssize_t q, Py_ssize_t m, const double* by, double* u) noexcept nogil:
    """Multiply the m numbers of each level by one of its own."""
    cdef Py_ssize_t l, c
    for l in range(q):
        for c in range(m):
            u[m * l + c] *= by[l]


cdef class ScalarModes(ScalarFactors):
    cdef tuple data
    cdef int kind
    cdef bint has_constant, is_crossed
    cdef Py_ssize_t p
    cdef const double[::1] y, weights, constant, offset
    cdef const double[:, ::1] Q

    def __init__(self, ScalarFactors loops, kind, y, weights, constant, offset, Q):
        ScalarFactors.__init__(self, *loops.parts)
        self.data = (loops, kind, y, weights, constant, offset, Q)
        self.kind, self.y, self.weights, self.constant, self.offset, self.Q = self.data[1:]
        self.p, self.has_constant = Q.shape[1], bool(constant.any())
        self.is_crossed = self.n_chain == 1 and self.n_dense == 1

    def __reduce__(self):
        return ScalarModes, self.data

    def search(self, scales, u, gamma, bint is_joint, double decrement, limits):
        cdef Py_ssize_t p = self.p if is_joint else 0, N = self.n_effects, M = self.n_tail
        cdef int max_steps, max_halvings
        cdef double rounding, trusted
        max_steps, max_halvings, rounding, trusted = limits
        effects, fixed = np.empty((3, N)), np.empty((2, self.p))
        eta, rows = np.empty(self.n), np.empty((4, self.n))
        values, tail = np.empty(self.n_values), np.empty((M, M), order="F")
        borders, half = np.empty((2, N, p)), np.empty((p, p), order="F")
        work = np.empty(2 * (N + p) + M * (p + 1) + self.n * (p + 1) + 2 * STRETCH * p + 1)
        effects[0], fixed[0] = u, gamma
        cdef const double[::1] t = scales
        cdef double[:, ::1] U = effects, G = fixed, R = rows
        cdef double[:, :, ::1] B = borders
        cdef double[::1] V = values, w = work, E = eta
        cdef double[::1, :] T = tail, H = half
        cdef State[2] states
        cdef System s
        cdef int k, at
        for k in range(2):
            states[k].u, states[k].eta, states[k].rows = &U[k, 0], &E[0], &R[0, 0]
            states[k].gamma = &G[k, 0] if self.p else NULL
        s.values, s.effects, s.score = &V[0], &U[2, 0], &w[0]
        s.tail = &T[0, 0] if M else NULL
        s.step, s.tail_step = s.score + N + p, s.score + 2 * (N + p)
        s.tail_solved = s.tail_step + M
        s.fixed = s.tail_solved + M * p
        s.weighted = s.fixed + self.n
        s.room = s.weighted + self.n * p
        if p:
            s.coupling, s.solved, s.half = &B[0, 0, 0], &B[1, 0, 0], &H[0, 0]
        with nogil:
            at = self.descend(states, &s, &t[0], p, decrement, max_steps, max_halvings, rounding, trusted)
        if at < 0:
            return None
        terms = np.empty((2, self.n))
        np.negative(rows[2], out=terms[0])
        np.negative(rows[3], out=terms[1])
        rows[0] += self.data[4]
        border = (borders[0].T, borders[1].T, half) if p else None
        return (
            effects[at].copy(), fixed[at].copy(), eta, (*rows[:2], terms[0], rows[2], terms[1], rows[3]),
            states[at].penalized, values, tail, s.log_det, border,
        )

    def without_random_effects(self, const double[::1] eta, Py_ssize_t n_steps, Py_ssize_t most, double gain):
        cdef Py_ssize_t n = self.n, p = self.p, i, k
        cdef double loglik, before, nested
        cdef Glm at
        if not p:
            return None
        rows, gamma, kept = np.empty((4, n)), np.zeros(2 * p), np.empty((2, n))
        work = np.empty(n + p * (p + 1) + 2 * STRETCH * p)
        cdef double[:, ::1] R = rows, kept_rows = kept
        cdef double[::1] g = gamma, w = work
        at.rows, at.gamma, at.eta, at.room = &R[0, 0], &g[0], &w[0], &w[n]
        at.gram = at.room + 2 * STRETCH * p
        at.step = at.gram + p * p
        with nogil:
            # 1. R's start: a least-squares step from linear predictors close to the response.
            self.rows_of(&eta[0], at.rows)
            for i in range(n):
                at.rows[n + i] += at.rows[2 * n + i] * (eta[i] - self.offset[i])
            self.scoring_step(&at)
            for k in range(p):
                at.gamma[k] = at.step[k]
            loglik = self.glm_loglik(&at, at.gamma)
            # 2. Scoring steps.
            for k in range(n_steps):
                loglik = self.glm_moved(&at, loglik)
            memcpy(&kept_rows[0, 0], at.rows + n, 2 * n * sizeof(double))
        if not isfinite(loglik):
            return None
        start = gamma[:p].copy()
        with nogil:
            # 3. On to the optimum.
            nested = loglik
            for k in range(most):
                before = nested
                nested = self.glm_moved(&at, before)
                if nested - before < gain:
                    break
        return start, kept[0], kept[1], -2.0 * nested

    cdef double glm_loglik(self, Glm* at, double* gamma) noexcept nogil:
        """Evaluate the rows at fixed effects alone; return the log-likelihood."""
        memcpy(at.eta, &self.offset[0], self.n * sizeof(double))
        self.add_fixed(gamma, at.eta)
        self.rows_of(at.eta, at.rows)
        return self.total(self.n, at.rows, 0)

    cdef void scoring_step(self, Glm* at) noexcept nogil:
        """Set a step of Fisher scoring; none where the information is singular."""
        cdef int p = <int> self.p, info = 0
        cdef Py_ssize_t n = self.n
        self.weigh_columns(at.rows + 2 * n, at.room, at.gram)
        self.fixed_sums(at.rows + n, at.step)
        dpotrf("L", &p, at.gram, &p, &info)
        if info != 0:
            memset(at.step, 0, p * sizeof(double))
            return
        dtrsm("L", "L", "N", "N", &p, &one_column, &one, at.gram, &p, at.step, &p)
        dtrsm("L", "L", "T", "N", &p, &one_column, &one, at.gram, &p, at.step, &p)

    cdef double glm_moved(self, Glm* at, double loglik) noexcept nogil:
        """Take a scoring step, halved until the likelihood grows; return it."""
        cdef double length = 1.0, found
        cdef Py_ssize_t k
        cdef double* moved = at.gamma + self.p
        self.scoring_step(at)
        for _ in range(GLM_HALVINGS):
            for k in range(self.p):
                moved[k] = at.gamma[k] + length * at.step[k]
            found = self.glm_loglik(at, moved)
            if found > loglik:
                memcpy(at.gamma, moved, self.p * sizeof(double))
                return found
            length *= 0.5
        return self.glm_loglik(at, at.gamma)

    def solve_for(self, values, tail, double[:, ::1] rhs):
        """Solve for the columns of rhs, in their place."""
        cdef System s
        x_array = np.empty((self.n_tail + 1) * rhs.shape[1])
        cdef double[::1] V = values, x = x_array
        cdef double[::1, :] T = tail
        s.values, s.tail = &V[0], &T[0, 0] if self.n_tail else NULL
        with nogil:
            self.solve(&s, <int> rhs.shape[1], &rhs[0, 0], &x[0])

    def border(self, scales, values, tail, const double[::1] W):
        """Return the half of the complement of the fixed effects, None where it is not positive definite."""
        cdef Py_ssize_t n = self.n, N = self.n_effects, p = self.p, k
        cdef System s
        cdef bint is_positive
        work, half = np.empty(2 * N * p + self.n_tail * p + n * p + 2 * STRETCH * p), np.empty((p, p), order="F")
        cdef double[::1] w = work, t = scales, V = values
        cdef double[::1, :] T = tail, H = half
        s.values, s.tail, s.half = &V[0], &T[0, 0] if self.n_tail else NULL, &H[0, 0]
        s.coupling, s.solved = &w[0], &w[N * p]
        s.tail_solved = s.solved + N * p
        s.weighted = s.tail_solved + self.n_tail * p
        s.room = s.weighted + n * p
        with nogil:
            is_positive = self.add_border(&W[0], &s, &t[0])
        return half if is_positive else None

    def predict(self, scales, moved_scales, moved_gamma, values, tail, rows, mode):
        """Return the mode at other scales and fixed effects to first order."""
        cdef Py_ssize_t n = self.n, N = self.n_effects, i
        cdef System s
        found, work = np.empty(N), np.empty(2 * n + 2 * N + self.n_tail + 1)
        cdef double[::1] w = work, u = found, V = values, t = scales, changes = moved_scales, gamma = moved_gamma
        cdef const double[::1] d1 = rows[0], W = rows[1], known = mode
        cdef double[::1, :] T = tail
        cdef double* moved = &w[n]
        cdef double* own = &w[2 * n]
        s.values, s.tail = &V[0], &T[0, 0] if self.n_tail else NULL
        with nogil:
            memset(&w[0], 0, n * sizeof(double))
            self.add_fixed(&gamma[0] if self.p else NULL, &w[0])
            memcpy(own, &known[0], N * sizeof(double))
            self.add_effects(own, &changes[0], &w[0], moved)
            for i in range(n):
                moved[i] = d1[i] - W[i] * moved[i]
            memset(&u[0], 0, N * sizeof(double))
            self.add_levels(moved, &t[0], 1, &u[0])
            for i in range(N):
                u[i] -= known[i]
            self.solve(&s, 1, &u[0], own + N)
            for i in range(N):
                u[i] += known[i]
        return found

    def gradient(self, scales, values, tail, rows, mode):
        """Return the derivatives of the Laplace objective in the scales and in gamma."""
        cdef Py_ssize_t n = self.n, N = self.n_effects, M = self.n_tail, i
        cdef System s
        found, inverse = np.zeros(self.n_values), np.array(tail, order="F")
        by_scale, by_gamma = np.zeros(2 * MAX), np.empty(self.p + 1)
        within, work = np.zeros(self.n_chain * self.sizes[0]), np.empty(2 * n + 4 * N + M + 1)
        cdef double[::1] V = values, G = found, t = scales, within_at = within, w = work, D = by_scale, B = by_gamma
        cdef double[::1, :] T = tail, I = inverse
        cdef const double[::1] d1 = rows[0], W = rows[1], slope = rows[2], u = mode
        cdef double[2 * MAX] direct
        cdef double* c = &w[0]
        cdef double* v = c + n
        cdef double* adjoint = v + n
        cdef double* room = adjoint + N
        s.values, s.tail = &V[0], &T[0, 0] if M else NULL
        with nogil:
            # 1. log|Omega| pulls at eta through the weights, and so at the mode.
            self.invert_all(&V[0], &G[0], &I[0, 0] if M else NULL)
            self.visit_all(
                &G[0], &I[0, 0] if M else NULL, &t[0], &within_at[0], c, &W[0], &D[0], NULL
            )
            for i in range(n):
                c[i] *= slope[i]
            memset(adjoint, 0, N * sizeof(double))
            self.add_levels(c, &t[0], 1, adjoint)
            # 2. The adjoint solve.
            self.solve(&s, 1, adjoint, room)
            memcpy(room, adjoint, N * sizeof(double))
            memset(v, 0, n * sizeof(double))
            self.add_effects(room, &t[0], v, v)
            # 3. The total derivative in eta at fixed u, in the scales and in gamma.
            for i in range(n):
                c[i] -= W[i] * v[i] + 2.0 * d1[i]
            self.contract_at(c, &d1[0], &u[0], adjoint, room, direct)
            for i in range(self.n_chain + self.n_dense):
                D[i] = direct[i] + 2.0 * D[i]
            self.fixed_sums(c, &B[0])
        return by_scale[: self.n_chain + self.n_dense], by_gamma[: self.p]

    cdef void invert_all(self, double* V, double* found, double* T) noexcept nogil:
        """Set the inverse on the pattern; T holds the factor of the tail, and then its inverse."""
        cdef int M = <int> self.n_tail, q, info
        cdef Py_ssize_t i, j
        if M:
            dpotri("L", &M, T, &M, &info)
            for j in range(M):
                for i in range(j):
                    T[j * M + i] = T[i * M + j]
        for j in range(self.n_chain - 1, -1, -1):
            if M and self.row_starts[j] == NULL:
                q = <int> self.sizes[j]
                dgemm(
                    "N", "N", &M, &q, &M, &one, T, &M, V + self.entries[j], &M, &zero, found + self.entries[j], &M
                )
            self.invert_factor(V, found, j, T)

    cdef int descend(
        self, State* states, System* s, const double* t, Py_ssize_t p, double decrement,
        int max_steps, int max_halvings, double rounding, double trusted,
    ) noexcept nogil:
        """Take Newton's steps to the mode; return the state at it, -1 where the readable search is asked."""
        cdef int at = 0, _
        cdef double squared, previous = INFINITY, size
        self.evaluate(&states[0], s, t, True)
        if not isfinite(states[0].penalized):
            return -1
        for _ in range(max_steps):
            if not self.factorize(&states[at], s, t) or (p and not self.add_border(states[at].rows + 2 * self.n, s, t)):
                return -1
            squared = self.newton_step(&states[at], s, t, p)
            size = 1.0 + dot(states[at].u, states[at].u, self.n_effects)
            if squared <= decrement * size:
                return at
            if squared > 0.25 * previous and squared <= rounding * (size + abs(states[at].penalized)):
                return at
            if not squared < INFINITY:
                return -1
            previous = squared
            if not self.move(&states[at], &states[1 - at], s, t, p, squared < trusted * size, max_halvings):
                if not isfinite(states[1 - at].penalized):
                    return -1
                self.evaluate(&states[at], s, t, True)
                return at if self.factorize(&states[at], s, t) else -1
            at = 1 - at
        return -1

    cdef void evaluate(self, State* state, System* s, const double* t, bint is_new) noexcept nogil:
        """Evaluate the rows; `is_new` tells whether the fixed effects are others than before."""
        cdef Py_ssize_t n = self.n
        if is_new:
            memcpy(s.fixed, &self.offset[0], n * sizeof(double))
            self.add_fixed(state.gamma, s.fixed)
        memcpy(s.effects, state.u, self.n_effects * sizeof(double))
        if self.is_crossed:
            state.penalized = dot(state.u, state.u, self.n_effects) - 2.0 * self.evaluate_crossed(state, s, t)
            return
        self.add_effects(s.effects, t, s.fixed, state.eta)
        self.rows_of(state.eta, state.rows)
        state.penalized = dot(state.u, state.u, self.n_effects) - 2.0 * self.total(n, state.rows, 0)

    cdef double evaluate_crossed(self, State* state, System* s, const double* t) noexcept nogil:
        """Evaluate the rows of two crossed factors, some at a time; add up what the next step takes of them."""
        cdef Py_ssize_t i, j, k = 0, size, n = self.n
        cdef double total = 0.0
        cdef double[4 * STRETCH] terms
        cdef const double* own = s.effects + self.places[0]
        cdef const double* other = s.effects + self.dense_places[0]
        cdef double* own_score = s.score + self.places[0]
        cdef double* other_score = s.score + self.dense_places[0]
        cdef double* E = s.values + self.entries[0]
        cdef Codes first = self.leaf, second = self.dense_rows[0], entry = self.dense_entries[0]
        self.scale(s.effects, t, 1)
        memset(s.values, 0, self.n_values * sizeof(double))
        memset(s.score, 0, self.n_effects * sizeof(double))
        while k < n:
            size = min(STRETCH, n - k)
            for i in range(k, k + size):
                state.eta[i] = s.fixed[i] + own[first[i]] + other[second[i]]
            if self.kind == 0:
                logit_rows_at(size, &self.y[k], state.eta + k, &self.weights[k], terms)
            else:
                poisson_rows_at(size, &self.y[k], state.eta + k, &self.weights[k], terms)
            total += self.total(size, terms, k)
            add_rows(size, 1, entry + k, terms + 2 * size, E)
            add_rows(size, 1, first + k, terms + size, own_score)
            add_rows(size, 1, second + k, terms + size, other_score)
            for j in range(4):
                memcpy(state.rows + j * n + k, terms + j * size, size * sizeof(double))
            k += size
        self.scale(s.score, t, 1)
        return total

    cdef void rows_of(self, const double* eta, double* rows) noexcept nogil:
        """Evaluate the rows."""
        if self.kind == 0:
            logit_rows_at(self.n, &self.y[0], eta, &self.weights[0], rows)
        else:
            poisson_rows_at(self.n, &self.y[0], eta, &self.weights[0], rows)

    cdef double total(self, Py_ssize_t n, const double* loglik, Py_ssize_t begin) noexcept nogil:
        """Return the log-likelihood of rows, in stretches in each of which four sums run side by side."""
        cdef Py_ssize_t i, k = 0, end
        cdef double total = 0.0
        cdef double[4] sums
        cdef const double* constant = &self.constant[begin]
        while k < n:
            end = min(k + STRETCH, n)
            for i in range(4):
                sums[i] = 0.0
            while not self.has_constant and k + 4 <= end:
                for i in range(4):
                    sums[i] += loglik[k + i]
                k += 4
            while k + 4 <= end:
                for i in range(4):
                    sums[i] += loglik[k + i] + constant[k + i]
                k += 4
            while k < end:
                sums[0] += loglik[k] + constant[k]
                k += 1
            total += (sums[0] + sums[1]) + (sums[2] + sums[3])
        return total

    cdef void add_fixed(self, double* gamma, double* rows) noexcept nogil:
        """Add Q gamma to the rows."""
        cdef int p = <int> self.p, n = <int> self.n
        if p:
            dgemv("T", &p, &n, &one, <double*> &self.Q[0, 0], &p, gamma, &one_column, &one, rows, &one_column)

    cdef void weigh_columns(self, const double* W, double* room, double* gram) noexcept nogil:
        """Set Q'WQ, both halves."""
        cdef Py_ssize_t k = 0, a, b, p = self.p
        memset(gram, 0, p * p * sizeof(double))
        while k < self.n:
            add_gram(min(STRETCH, self.n - k), p, &self.Q[k, 0], W + k, room, gram)
            k += STRETCH
        for a in range(p):
            for b in range(a):
                gram[b * p + a] = gram[a * p + b]

    cdef void fixed_sums(self, double* rows, double* sums) noexcept nogil:
        """Set sums to Q' rows."""
        cdef int p = <int> self.p, n = <int> self.n
        if p:
            dgemv("N", &p, &n, &one, <double*> &self.Q[0, 0], &p, rows, &one_column, &zero, sums, &one_column)

    cdef bint factorize(self, const State* state, System* s, const double* t) noexcept nogil:
        cdef int M = <int> self.n_tail, q, info = 0
        cdef Py_ssize_t j
        if not self.is_crossed:
            memset(s.values, 0, self.n_values * sizeof(double))
        if M:
            memset(s.tail, 0, self.n_tail * self.n_tail * sizeof(double))
        s.log_det = 0.0
        self.fill(NULL if self.is_crossed else state.rows + 2 * self.n, t, s.values, s.tail)
        if not self.eliminate_chain(s.values, s.tail, &s.log_det):
            return False
        if not M:
            return True
        for j in range(self.n_chain):
            if self.row_starts[j] == NULL:
                q = <int> self.sizes[j]
                dsyrk("L", "N", &M, &q, &minus_one, s.values + self.entries[j], &M, &one, s.tail, &M)
        dpotrf("L", &M, s.tail, &M, &info)
        for j in range(M if info == 0 else 0):
            s.log_det += 2.0 * log(s.tail[j * (M + 1)])
            memset(s.tail + j * M, 0, j * sizeof(double))
        # BLAS may let what is not a number pass.
        return info == 0 and isfinite(s.log_det)

    cdef void solve(self, System* s, int m, double* u, double* x) noexcept nogil:
        """Solve for m right-hand sides, in place; x is room for their tails."""
        cdef int M = <int> self.n_tail
        cdef bint is_dense = self.n_chain == 1 and M > 0 and self.row_starts[0] == NULL
        if is_dense:
            self.go_forward_dense(s.values, m, u, x)
        else:
            self.go_forward(s.values, m, u, x)
        if M:
            dtrsm("R", "L", "T", "N", &m, &M, &one, s.tail, &M, x, &m)
            dtrsm("R", "L", "N", "N", &m, &M, &one, s.tail, &M, x, &m)
        if is_dense:
            self.go_backward_dense(s.values, m, u, x)
        else:
            self.go_backward(s.values, m, u, x)

    cdef void go_forward_dense(self, double* V, int m, double* u, double* x) noexcept nogil:
        """Do what go_forward does where all pairs of one eliminated factor and the tail are kept."""
        cdef int M = <int> self.n_tail, q = <int> self.sizes[0]
        cdef Py_ssize_t r
        for r in range(self.n_dense):
            memcpy(
                x + m * self.dense_firsts[r], u + m * self.dense_places[r],
                m * self.dense_sizes[r] * sizeof(double),
            )
        u += m * self.places[0]
        multiply_levels(q, m, V, u)
        if m == 1:
            dgemv("N", &M, &q, &minus_one, V + self.entries[0], &M, u, &m, &one, x, &m)
        else:
            dgemm("N", "T", &m, &M, &q, &minus_one, u, &m, V + self.entries[0], &M, &one, x, &m)

    cdef void go_backward_dense(self, double* V, int m, double* u, double* x) noexcept nogil:
        """Do what go_backward does where all pairs of one eliminated factor and the tail are kept."""
        cdef int M = <int> self.n_tail, q = <int> self.sizes[0]
        cdef Py_ssize_t r
        for r in range(self.n_dense):
            memcpy(
                u + m * self.dense_places[r], x + m * self.dense_firsts[r],
                m * self.dense_sizes[r] * sizeof(double),
            )
        u += m * self.places[0]
        if m == 1:
            dgemv("T", &M, &q, &minus_one, V + self.entries[0], &M, x, &m, &one, u, &m)
        else:
            dgemm("N", "N", &m, &q, &M, &minus_one, x, &m, V + self.entries[0], &M, &one, u, &m)
        multiply_levels(q, m, V, u)

    cdef bint add_border(self, const double* W, System* s, const double* t) noexcept nogil:
        """Border the factor with the fixed effects; tell whether it is positive definite."""
        cdef Py_ssize_t i, k, n = self.n
        cdef int p = <int> self.p, N = <int> self.n_effects, info = 0
        cdef const double* Q = &self.Q[0, 0]
        for i in range(n):
            for k in range(p):
                s.weighted[i * p + k] = W[i] * Q[i * p + k]
        memset(s.coupling, 0, self.n_effects * p * sizeof(double))
        self.add_levels(s.weighted, t, p, s.coupling)
        memcpy(s.solved, s.coupling, self.n_effects * p * sizeof(double))
        self.solve(s, p, s.solved, s.tail_solved)
        self.weigh_columns(W, s.room, s.half)
        dgemm("N", "T", &p, &p, &N, &minus_one, s.coupling, &p, s.solved, &p, &one, s.half, &p)
        dpotrf("L", &p, s.half, &p, &info)
        for k in range(p):
            memset(s.half + k * p, 0, k * sizeof(double))
        return info == 0

    cdef double newton_step(self, const State* state, System* s, const double* t, Py_ssize_t p) noexcept nogil:
        """Set slope and step; return the squared length of the step."""
        cdef Py_ssize_t i, k, N = self.n_effects, n = self.n
        cdef int order = <int> p
        cdef double* slope = s.score + N
        cdef double* step = s.step + N
        if not self.is_crossed:
            memset(s.score, 0, N * sizeof(double))
            self.add_levels(state.rows + n, t, 1, s.score)
        for i in range(N):
            s.score[i] -= state.u[i]
        memcpy(s.step, s.score, N * sizeof(double))
        self.solve(s, 1, s.step, s.tail_step)
        if p:
            self.fixed_sums(state.rows + n, slope)
            memcpy(step, slope, p * sizeof(double))
            for i in range(N):
                for k in range(p):
                    step[k] -= s.coupling[i * p + k] * s.step[i]
            dtrsm("L", "L", "N", "N", &order, &one_column, &one, s.half, &order, step, &order)
            dtrsm("L", "L", "T", "N", &order, &one_column, &one, s.half, &order, step, &order)
            for i in range(N):
                s.step[i] -= dot(s.solved + i * p, step, p)
        return dot(s.step, s.score, N) + (dot(step, slope, p) if p else 0.0)

    cdef bint move(
        self, const State* state, State* moved, System* s, const double* t, Py_ssize_t p, bint is_trusted,
        int max_halvings,
    ) noexcept nogil:
        """Go along the step, halved until the penalized likelihood grows; tell whether it does."""
        cdef int _
        cdef Py_ssize_t i
        cdef double length = 1.0
        for _ in range(max_halvings):
            for i in range(self.n_effects):
                moved.u[i] = state.u[i] + length * s.step[i]
            for i in range(self.p):
                moved.gamma[i] = state.gamma[i] + (length * s.step[self.n_effects + i] if p else 0.0)
            self.evaluate(moved, s, t, p > 0)
            if not isfinite(moved.penalized):
                return False
            if is_trusted or moved.penalized < state.penalized:
                return True
            length *= 0.5
        return False
