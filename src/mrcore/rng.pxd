"""Random numbers that are the same on every platform, compiler and Python.

xoshiro256++ seeded by splitmix64 (Blackman and Vigna 2021, doi 10.1145/3460772). The sampling uses
no libm and no sum of a float product (`a * b + c`), which a compiler may fuse and so round
differently: logarithm and exponential are integer series, every float is one product or quotient.
"""
cimport cython
from libc.stdint cimport int64_t, uint64_t


cdef struct rng_t:
    uint64_t s[4]


@cython.overflowcheck(False)  # arithmetic modulo 2**64 is the method
cdef inline uint64_t splitmix64(uint64_t* state) noexcept nogil:
    """Next number of the seeding generator."""
    cdef uint64_t z
    state[0] += 0x9E3779B97F4A7C15ULL
    z = state[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline void rng_seed(rng_t* r, uint64_t* state) noexcept nogil:
    """Fill a generator from the seeding generator; call again for an independent stream."""
    cdef int i
    for i in range(4):
        r.s[i] = splitmix64(state)


@cython.overflowcheck(False)
cdef inline uint64_t rng_next(rng_t* r) noexcept nogil:
    """64 random bits."""
    cdef uint64_t sum = r.s[0] + r.s[3], t = r.s[1] << 17
    cdef uint64_t out = ((sum << 23) | (sum >> 41)) + r.s[0]
    r.s[2] ^= r.s[0]
    r.s[3] ^= r.s[1]
    r.s[1] ^= r.s[2]
    r.s[0] ^= r.s[3]
    r.s[2] ^= t
    r.s[3] = (r.s[3] << 45) | (r.s[3] >> 19)
    return out


cdef inline double rng_uniform(rng_t* r) noexcept nogil:
    """Uniform on [0, 1), a multiple of 2**-53."""
    return <double>(rng_next(r) >> 11) * 1.1102230246251565e-16


cdef inline int64_t minus_log(uint64_t bits) noexcept nogil:
    """-ln(bits / 2**64) in units of 2**-32, within 16 of them; bits > 0."""
    cdef int64_t halvings = 1, m, z, z2, series
    cdef int j
    while not bits >> 63:
        bits <<= 1
        halvings += 1
    m = <int64_t>(bits >> 32)                          # [1, 2) in units of 2**-31
    z = ((m - 0x80000000LL) << 32) // (m + 0x80000000LL)   # ln m = 2 artanh((m - 1) / (m + 1))
    z2 = (z * z) >> 32
    series = 0
    for j in range(10, -1, -1):
        series = 0x100000000LL // (2 * j + 1) + ((series * z2) >> 32)
    return halvings * 2977044472LL - 2 * ((z * series) >> 32)


cdef inline double rng_exponential(rng_t* r) noexcept nogil:
    """Exponential with mean 1."""
    return <double>minus_log(rng_next(r) | 1) * 2.3283064365386963e-10


cdef inline double rng_normal(rng_t* r) noexcept nogil:
    """Standard normal by the ratio of uniforms (Kinderman and Monahan 1977)."""
    cdef uint64_t bits
    cdef double u, v, x
    while True:
        bits = rng_next(r) | 0x800                     # keeps u above 0
        u = <double>(bits >> 11) * 1.1102230246251565e-16
        v = <double>(2 * <int64_t>(rng_next(r) >> 12) - 0xFFFFFFFFFFFFFLL)
        x = v * 1.9046184295506014e-16 / u             # sqrt(2 / e) * 2**-52
        if x * x <= <double>minus_log(bits) * 9.313225746154785e-10:
            return x


cdef inline int64_t scaled_exp(double scale, double x) noexcept nogil:
    """scale * e**x to 1 part in 5e7, rounded; the result must be below 2**60."""
    cdef int64_t y = <int64_t>(x * 6196328018.719481)  # log2(e) * 2**32
    cdef int64_t whole = y >> 32, t, series = 1 << 30
    cdef int n
    t = ((y & 0xFFFFFFFFLL) * 744261118LL) >> 32        # fraction * ln 2 in units of 2**-30
    for n in range(12, 0, -1):
        series = (1 << 30) + ((t * series) >> 30) // n
    cdef double power = 1.8626451492309570e-09         # 2 * 2**-30: halves, rounded below
    while whole > 0:
        power *= 2.0
        whole -= 1
    while whole < 0:
        power *= 0.5
        whole += 1
    return (<int64_t>(scale * (<double>series * power)) + 1) >> 1
