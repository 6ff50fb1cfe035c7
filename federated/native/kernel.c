/* Eight powers at once with AVX512-IFMA: almost Montgomery multiplication in radix 2^52, one power a lane.
 *
 * Source: Gueron and Krasnov, "Software implementation of modular exponentiation, using advanced vector instructions
 * architectures" (2012); the reduction is Montgomery's with R = 2^(52 limbs) > 4 modulus, so that values stay below
 * twice the modulus without a subtraction. A limb gathers at most 4 * limbs products below 2^52: limbs <= 512 fits 64
 * bits. Powers to a secret exponent take the same steps and touch the same memory whatever the exponent is; fixed-base
 * powers do not: their table is read at secret positions, as in the Python they stand beside.
 */
#include <stddef.h>
#include <stdint.h>

#define LANES 8
#define MOST_LIMBS 256
#define WINDOW 4

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#define IFMA __attribute__((target("avx512f,avx512ifma")))

int hdex_kernel_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
}

/* out = a * b / R modulo m, below 2 m when a and b are. `out` may be `a` or `b`. */
IFMA static void multiply(__m512i *out, const __m512i *a, const __m512i *b, const __m512i *m, __m512i inverse,
                          size_t limbs) {
    __m512i sum[MOST_LIMBS];
    const __m512i zero = _mm512_setzero_si512(), mask = _mm512_set1_epi64((1LL << 52) - 1);
    for (size_t i = 0; i < limbs; i++) sum[i] = zero;
    for (size_t i = 0; i < limbs; i++) {
        const __m512i digit = b[i];
        __m512i low = _mm512_madd52lo_epu64(sum[0], a[0], digit);
        const __m512i quotient = _mm512_madd52lo_epu64(zero, low, inverse);
        low = _mm512_madd52lo_epu64(low, m[0], quotient); /* its 52 low bits are 0 now */
        __m512i carry = _mm512_srli_epi64(low, 52);
        __m512i a_below = a[0], m_below = m[0];
        for (size_t j = 1; j < limbs; j++) {
            const __m512i a_here = a[j], m_here = m[j];
            __m512i next = _mm512_madd52hi_epu64(sum[j], a_below, digit);
            next = _mm512_madd52hi_epu64(next, m_below, quotient);
            next = _mm512_madd52lo_epu64(next, a_here, digit);
            sum[j - 1] = _mm512_madd52lo_epu64(next, m_here, quotient);
            a_below = a_here;
            m_below = m_here;
        }
        sum[0] = _mm512_add_epi64(sum[0], carry);
        sum[limbs - 1] = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(zero, a[limbs - 1], digit), m[limbs - 1], quotient);
    }
    __m512i carry = zero;
    for (size_t j = 0; j < limbs; j++) {
        const __m512i limb = _mm512_add_epi64(sum[j], carry);
        carry = _mm512_srli_epi64(limb, 52);
        out[j] = _mm512_and_si512(limb, mask);
    }
}

/* Write a value out of Montgomery form, lane after lane. */
IFMA static void leave(uint64_t *out, __m512i *value, const __m512i *m, __m512i inverse, size_t limbs) {
    __m512i one[MOST_LIMBS];
    for (size_t j = 0; j < limbs; j++) one[j] = _mm512_set1_epi64(j == 0);
    multiply(value, value, one, m, inverse, limbs);
    for (size_t j = 0; j < limbs; j++) {
        uint64_t lanes[LANES];
        _mm512_storeu_si512(lanes, value[j]);
        for (size_t lane = 0; lane < LANES; lane++) out[lane * limbs + j] = lanes[lane];
    }
}

/* table: rows x entries x limbs, in Montgomery form, limbs of 52 bits, lowest first. digits: rows x LANES, each below
 * entries. out: LANES x limbs, products of one entry per row, below twice the modulus, out of Montgomery form.
 * Returns 0, or 1 when the sizes do not fit. */
IFMA int hdex_fixed_base_powers(const uint64_t *table, size_t rows, size_t entries, size_t limbs,
                                const uint64_t *modulus, uint64_t inverse, const uint8_t *digits, uint64_t *out) {
    __m512i m[MOST_LIMBS], factor[MOST_LIMBS], product[MOST_LIMBS];
    if (rows == 0 || limbs < 2 || limbs > MOST_LIMBS || entries == 0 || entries > 256) return 1;
    const __m512i negative_inverse = _mm512_set1_epi64((long long)inverse);
    for (size_t j = 0; j < limbs; j++) m[j] = _mm512_set1_epi64((long long)modulus[j]);
    for (size_t row = 0; row < rows; row++) {
        uint64_t offsets[LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            if (digits[row * LANES + lane] >= entries) return 1;
            offsets[lane] = (row * entries + digits[row * LANES + lane]) * limbs;
        }
        const __m512i at = _mm512_loadu_si512(offsets);
        __m512i *into = row == 0 ? product : factor;
        for (size_t j = 0; j < limbs; j++) into[j] = _mm512_i64gather_epi64(at, (const long long *)(table + j), 8);
        if (row) multiply(product, product, factor, m, negative_inverse, limbs);
    }
    leave(out, product, m, negative_inverse, limbs);
    return 0;
}

/* bases: LANES x limbs, below the modulus. nibbles: the exponent in 4-bit digits, highest first, the same for all
 * lanes. square: R^2 modulo m. out: LANES x limbs, below twice the modulus. Returns 0, or 1 when the sizes do not fit. */
IFMA int hdex_powers(const uint64_t *bases, size_t limbs, const uint64_t *modulus, uint64_t inverse,
                     const uint64_t *square, const uint8_t *nibbles, size_t count, uint64_t *out) {
    __m512i m[MOST_LIMBS], entry[MOST_LIMBS], product[MOST_LIMBS], table[1 << WINDOW][MOST_LIMBS];
    if (limbs < 2 || limbs > MOST_LIMBS) return 1;
    const __m512i negative_inverse = _mm512_set1_epi64((long long)inverse);
    for (size_t j = 0; j < limbs; j++) {
        uint64_t lanes[LANES];
        for (size_t lane = 0; lane < LANES; lane++) lanes[lane] = bases[lane * limbs + j];
        m[j] = _mm512_set1_epi64((long long)modulus[j]);
        entry[j] = _mm512_set1_epi64((long long)square[j]);
        table[1][j] = _mm512_loadu_si512(lanes);
        table[0][j] = _mm512_set1_epi64(j == 0);
    }
    multiply(table[0], table[0], entry, m, negative_inverse, limbs);
    multiply(table[1], table[1], entry, m, negative_inverse, limbs);
    for (size_t at = 2; at < 1 << WINDOW; at++) multiply(table[at], table[at - 1], table[1], m, negative_inverse, limbs);
    for (size_t j = 0; j < limbs; j++) product[j] = table[0][j];
    for (size_t digit = 0; digit < count; digit++) {
        for (int step = 0; step < WINDOW; step++) multiply(product, product, product, m, negative_inverse, limbs);
        const __m512i wanted = _mm512_set1_epi64(nibbles[digit]);
        for (size_t j = 0; j < limbs; j++) entry[j] = _mm512_setzero_si512();
        for (size_t at = 0; at < 1 << WINDOW; at++) { /* every entry is read, one is kept */
            const __mmask8 is_it = _mm512_cmpeq_epi64_mask(wanted, _mm512_set1_epi64((long long)at));
            for (size_t j = 0; j < limbs; j++) entry[j] = _mm512_mask_mov_epi64(entry[j], is_it, table[at][j]);
        }
        multiply(product, product, entry, m, negative_inverse, limbs);
    }
    leave(out, product, m, negative_inverse, limbs);
    return 0;
}

#else

int hdex_kernel_supported(void) { return 0; }

int hdex_fixed_base_powers(const uint64_t *table, size_t rows, size_t entries, size_t limbs, const uint64_t *modulus,
                           uint64_t inverse, const uint8_t *digits, uint64_t *out) {
    (void)table, (void)rows, (void)entries, (void)limbs, (void)modulus, (void)inverse, (void)digits, (void)out;
    return 1;
}

int hdex_powers(const uint64_t *bases, size_t limbs, const uint64_t *modulus, uint64_t inverse, const uint64_t *square,
                const uint8_t *nibbles, size_t count, uint64_t *out) {
    (void)bases, (void)limbs, (void)modulus, (void)inverse, (void)square, (void)nibbles, (void)count, (void)out;
    return 1;
}

#endif
