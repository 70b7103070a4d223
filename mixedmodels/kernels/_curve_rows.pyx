# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What the rows of curves give to the random effects of their clusters; see curve_rows.py."""

from libc.math cimport log, sqrt

import numpy as np

ctypedef const double[:, ::1] Rows
ctypedef const Py_ssize_t[::1] Places


def parameters_at(Rows fixed, Rows Z, Places parameter, Places spots, Rows T, const double[:, ::1] u):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], i, s, t, k
    cdef double b
    cdef const double* effects = &u[0, 0] if u.shape[0] and u.shape[1] else NULL
    phi_array = np.array(fixed)
    cdef double[:, ::1] phi = phi_array
    with nogil:
        for i in range(n):
            for s in range(S):
                b = 0.0
                for t in range(S):
                    b += T[s, t] * effects[spots[i * S + t]]
                phi[parameter[s], i] += Z[i, s] * b
    return phi_array


def mode_sums(
    const double[::1] e,
    const double[::1] weights,
    Rows G,
    const double[:, :, ::1] H,
    Rows Z,
    Places parameter,
    Places cluster,
    Places spots,
    Rows T,
    Rows u,
):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], C = u.shape[0], q = u.shape[1], i, s, t, r, c, at
    cdef double we, total
    Zeta_array, zeta_array = np.empty((n, S)), np.empty((n, S))
    rss_array, slope_array = np.zeros(C), np.array(u)
    Omega_array, K_array = np.zeros((C, q, q)), np.zeros((C, q, q))
    cdef double[:, ::1] Zeta = Zeta_array, zeta = zeta_array, slope = slope_array
    cdef double[::1] rss = rss_array
    cdef double[:, :, ::1] Omega = Omega_array, K = K_array
    cdef double[:, ::1] second = np.empty((S, S)), half = np.empty((S, S))
    with nogil:
        for c in range(C):
            for s in range(q):
                rss[c] += u[c, s] * u[c, s]
                Omega[c, s, s] = K[c, s, s] = 1.0
        for i in range(n):
            c, at = cluster[i], cluster[i] * q
            we = weights[i] * e[i]
            rss[c] += we * e[i]
            for s in range(S):
                Zeta[i, s] = Z[i, s] * G[parameter[s], i]
            for t in range(S):
                total = 0.0
                for s in range(S):
                    total += Zeta[i, s] * T[s, t]
                zeta[i, t] = total
            for s in range(S):
                for r in range(S):
                    second[s, r] = Z[i, s] * Z[i, r] * H[parameter[s], parameter[r], i]
            for s in range(S):
                for t in range(S):
                    total = 0.0
                    for r in range(S):
                        total += second[s, r] * T[r, t]
                    half[s, t] = total
            for s in range(S):
                slope[c, spots[i * S + s] - at] -= we * zeta[i, s]
                for t in range(S):
                    total = 0.0
                    for r in range(S):
                        total += T[r, s] * half[r, t]
                    Omega[c, spots[i * S + s] - at, spots[i * S + t] - at] += weights[i] * zeta[i, s] * zeta[i, t]
                    K[c, spots[i * S + s] - at, spots[i * S + t] - at] += (
                        weights[i] * zeta[i, s] * zeta[i, t] - we * total
                    )
    return Zeta_array, zeta_array, rss_array, slope_array, Omega_array, K_array


def moved_slope(
    const double[::1] we,
    const double[::1] weights,
    Rows G,
    const double[:, :, ::1] H,
    Rows Zeta,
    Rows zeta,
    Rows fixed,
    Rows Z,
    Places parameter,
    Places spots,
    Rows T,
    Rows dT,
    Rows u,
):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], K = G.shape[0], i, s, t, k, l
    cdef double total, along, by_T
    cdef const double* effects = &u[0, 0] if u.shape[0] and u.shape[1] else NULL
    across_array = np.zeros((u.shape[0], u.shape[1]))
    cdef double[::1] across = across_array.ravel()
    cdef double[::1] moved = np.empty(K), bent = np.empty(K)
    with nogil:
        for i in range(n):
            for k in range(K):
                moved[k] = fixed[k, i]
            for s in range(S):
                total = 0.0
                for t in range(S):
                    total += dT[s, t] * effects[spots[i * S + t]]
                moved[parameter[s]] += Z[i, s] * total
            along = 0.0
            for k in range(K):
                along += G[k, i] * moved[k]
                bent[k] = 0.0
                for l in range(K):
                    bent[k] += H[k, l, i] * moved[l]
            for t in range(S):
                total = by_T = 0.0
                for s in range(S):
                    total += Zeta[i, s] * dT[s, t]
                    by_T += Z[i, s] * bent[parameter[s]] * T[s, t]
                across[spots[i * S + t]] += we[i] * (total + by_T) - weights[i] * along * zeta[i, t]
    return across_array


def curvature_slope(
    const double[::1] weights,
    const double[:, :, ::1] H,
    Rows zeta,
    const double[:, :, ::1] Omega_bar,
    Rows Z,
    Places parameter,
    Places cluster,
    Places spots,
    Rows T,
):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], K = H.shape[0], C = Omega_bar.shape[0], q = Omega_bar.shape[1]
    cdef Py_ssize_t i, s, t, k, l, c, at
    cdef double total
    nu_array, slope_array, u_array = np.empty((n, S)), np.empty((K, n)), np.zeros((C, q))
    cdef double[:, ::1] nu = nu_array, slope = slope_array, of_u = u_array
    cdef double[::1] by_parameter = np.empty(K)
    with nogil:
        for i in range(n):
            c, at = cluster[i], cluster[i] * q
            for k in range(K):
                by_parameter[k] = 0.0
            for s in range(S):
                total = 0.0
                for t in range(S):
                    total += Omega_bar[c, spots[i * S + s] - at, spots[i * S + t] - at] * zeta[i, t]
                nu[i, s] = 2.0 * weights[i] * total
            for s in range(S):
                total = 0.0
                for t in range(S):
                    total += T[s, t] * nu[i, t]
                by_parameter[parameter[s]] += Z[i, s] * total
            for l in range(K):
                total = 0.0
                for k in range(K):
                    total += H[k, l, i] * by_parameter[k]
                slope[l, i] = total
            for t in range(S):
                total = 0.0
                for s in range(S):
                    total += Z[i, s] * slope[parameter[s], i] * T[s, t]
                of_u[c, spots[i * S + t] - at] += total
    return nu_array, slope_array, u_array


def parameter_slope(
    const double[::1] we,
    const double[::1] weights,
    Rows G,
    const double[:, :, ::1] H,
    Rows Zeta,
    Rows nu,
    Rows slope,
    Rows phi_bar,
    const double[:, ::1] a,
    Rows u,
    const double[:, :] X,
    Places fixed_parameter,
    Rows Z,
    Places parameter,
    Places spots,
    Rows T,
):
    cdef Py_ssize_t n = Z.shape[0], S = Z.shape[1], K = G.shape[0], p = X.shape[1], i, s, t, k, l
    cdef double total, along
    cdef const double* effects = &u[0, 0] if u.shape[0] and u.shape[1] else NULL
    cdef const double* moves = &a[0, 0] if a.shape[0] and a.shape[1] else NULL
    dT_array, beta_array = np.zeros((S, S)), np.zeros(p)
    cdef double[:, ::1] dT = dT_array
    cdef double[::1] d_beta = beta_array
    cdef double[::1] by_parameter = np.empty(K), own = np.empty(K)
    with nogil:
        for i in range(n):
            for k in range(K):
                by_parameter[k] = 0.0
            along = 0.0
            for s in range(S):
                total = 0.0
                for t in range(S):
                    total += T[s, t] * moves[spots[i * S + t]]
                by_parameter[parameter[s]] += Z[i, s] * total
                along += Zeta[i, s] * total
            for l in range(K):
                total = 0.0
                for k in range(K):
                    total += H[k, l, i] * by_parameter[k]
                own[l] = slope[l, i] + we[i] * total - weights[i] * along * G[l, i]
            for s in range(S):
                for t in range(S):
                    dT[s, t] += Z[i, s] * own[parameter[s]] * effects[spots[i * S + t]]
                    dT[s, t] += Zeta[i, s] * (nu[i, t] + we[i] * moves[spots[i * S + t]])
            for k in range(p):
                l = fixed_parameter[k]
                d_beta[k] += X[i, k] * (phi_bar[l, i] + own[l])
    return dT_array, beta_array


cdef bint factored(Py_ssize_t q, const double* A, double* L) noexcept nogil:
    """Set L to the Cholesky factor of A; False if it has none."""
    cdef Py_ssize_t i, j, k
    cdef double t
    for j in range(q):
        for i in range(j, q):
            t = A[i * q + j]
            for k in range(j):
                t -= L[i * q + k] * L[j * q + k]
            if i > j:
                L[i * q + j] = t / L[j * q + j]
            elif t > 0.0:
                L[j * q + j] = sqrt(t)
            else:
                return False
    return True


cdef void solved(Py_ssize_t q, const double* L, double* b) noexcept nogil:
    """Overwrite b with the solution of ``L L'x = b``."""
    cdef Py_ssize_t i, k
    for i in range(q):
        for k in range(i):
            b[i] -= L[i * q + k] * b[k]
        b[i] /= L[i * q + i]
    for i in range(q - 1, -1, -1):
        for k in range(i + 1, q):
            b[i] -= L[k * q + i] * b[k]
        b[i] /= L[i * q + i]


def solve_clusters(const double[:, :, ::1] A, const double[:, ::1] b):
    cdef Py_ssize_t C = A.shape[0], q = A.shape[1], c
    cdef bint known = True
    x_array = np.array(b)
    cdef double[:, ::1] x = x_array
    cdef double[:, ::1] L = np.empty((q, q))
    if not C or not q:
        return x_array
    with nogil:
        for c in range(C):
            known = factored(q, &A[c, 0, 0], &L[0, 0])
            if not known:
                break
            solved(q, &L[0, 0], &x[c, 0])
    return x_array if known else None


def invert_clusters(const double[:, :, ::1] A):
    cdef Py_ssize_t C = A.shape[0], q = A.shape[1], c, i, j
    cdef bint known = True
    cdef double log_det = 0.0
    inverse_array = np.zeros((C, q, q))
    cdef double[:, :, ::1] inverse = inverse_array
    cdef double[:, ::1] L = np.empty((q, q))
    if not C or not q:
        return inverse_array, 0.0
    with nogil:
        for c in range(C):
            known = factored(q, &A[c, 0, 0], &L[0, 0])
            if not known:
                break
            for i in range(q):
                log_det += 2.0 * log(L[i, i])
                inverse[c, i, i] = 1.0
                solved(q, &L[0, 0], &inverse[c, i, 0])
    return (inverse_array, log_det) if known else None
