"""Hurst exponent of the last `window` returns by detrended fluctuation analysis.

What the classes share, and when a result is NaN, is in mrcore.rolling_column.
"""
cimport cython

from mrcore.owned cimport owned_list_t
from mrcore.rolling cimport check_window
from mrcore.rolling_column cimport Column
from mrcore.rolling_dfa cimport (
    MOST_SCALES, dfa_init, dfa_own, dfa_push, dfa_slope, dfa_t,
)


def default_scales(Py_ssize_t window):
    """Scales from 8 to a quarter of the window, about a factor of two apart; at least four."""
    check_window("window", window, 64)
    widest = window // 4
    count = max(4, 1 + (widest // 8).bit_length() - 1)
    return tuple([round(8 * (widest / 8) ** (i / (count - 1))) for i in range(count)])


@cython.final
cdef class RollingDFA(Column):
    """Hurst exponent by DFA-1 (Peng et al. 1994), as it is and corrected for its bias.

    The window of returns, less its mean, is summed up; for each scale s the sum is cut into
    segments of s, from both ends when s does not divide the window (Kantelhardt et al. 2002);
    F(s) is the root mean square of what a line leaves of them. The first result is the slope of
    log F on log s: 1/2 for independent returns, less for returns that revert.

    The slope is biased. For independent normal returns of
    variance 1 the mean of F(s)^2 is (s^2 - 4) / (15 s), and the relative variance of one
    segment's (11 s^2 + 181) / (28 (s^2 - 4)) (both exact: traces of the quadratic form), so
    that to second order, with n / s segments,

        E log F(s) = log((s^2 - 4) / (15 s)) / 2 - (11 s^2 + 181) / (112 (s^2 - 4)) * s / n.

    The second result is the slope less what this bends it by (`bias`): right at H = 1/2, where
    the bias comes from; elsewhere a part stays. On exact fractional Gaussian noise the means
    are, with the standard deviation of one window's:

    ======  ====  =====  =========  =====
    window  H     slope  corrected  sd
    ======  ====  =====  =========  =====
    256     0.3   0.320  0.315      0.054
    256     0.5   0.505  0.501      0.075
    256     0.7   0.697  0.692      0.092
    1024    0.3   0.310  0.309      0.030
    1024    0.5   0.501  0.500      0.042
    1024    0.7   0.696  0.695      0.051
    ======  ====  =====  =========  =====

    Both are NaN when a scale leaves no residual, as constant returns do.

    Parameters
    ----------
    window : int
        Returns.
    scales : sequence of int, optional
        Rising, 2 to 16 of them, >= 4 and at most half the window. By default from 8 to a
        quarter of the window, about a factor of two apart (``default_scales``), for a window
        >= 64.
    """
    cdef dfa_t c

    def __cinit__(self, Py_ssize_t window, scales=None):
        cdef Py_ssize_t i
        check_window("window", window, 8)
        chosen = default_scales(window) if scales is None else tuple([int(s) for s in scales])
        if not 2 <= len(chosen) <= MOST_SCALES or sorted(set(chosen)) != list(chosen) or (
            min(chosen) < 4 or max(chosen) > window // 2
        ):
            raise ValueError(
                f"scales must be 2 to {MOST_SCALES} rising numbers from 4 to half the window "
                f"({window // 2}), were {chosen}"
            )
        self.begin((window, chosen), window, 2, &self.c, sizeof(self.c))
        self.c.scales = len(chosen)
        for i in range(self.c.scales):
            self.c.scale[i] = chosen[i]
        if dfa_init(&self.c, window) < 0:
            raise MemoryError

    @property
    def scales(self):
        """Lengths of the segments."""
        return self.made_with[1]

    @property
    def bias(self):
        """What the corrected slope has less than the slope."""
        return self.c.bias

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        dfa_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        dfa_push(&self.c, x)
        out[0] = dfa_slope(&self.c)
        out[1] = out[0] - self.c.bias
