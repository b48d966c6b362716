// Sparse matrix times vector, exact: 16-bit activations and weights in pairs, or wide ones.
//
// Activations of one step are (position, lane), the lanes side by side. A narrow matrix has its
// non-zeros in pairs. Sums of pairs are kept in 32 bits for a *run* of them, which is as long as its
// worst case fits (matrix.py proves that), and then go to 64 bits, shifted to their alignment.
//
// For several lanes, every row has its runs (rows -> runs -> pairs). For a single lane, 16 rows
// of similar length make a slice (slices -> runs -> steps of one pair for each of the 16).
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__) && !defined(PENSTOCK_PORTABLE)
#include <immintrin.h>
#define PENSTOCK_AVX2 1
#endif

namespace {

constexpr int SLICE = 16;

template <class T> inline void put(void *to, int64_t k, int64_t value) {
  static_cast<T *>(to)[k] = static_cast<T>(value);
}

#ifdef PENSTOCK_AVX2

// 16 sums of 32 bits, in the order in which unpacking 16-bit lanes leaves them.
struct Sums {
  __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();

  void add(const int16_t *a, const int16_t *b, __m256i weights) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(a));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(b));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), weights));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), weights));
  }
  void to(int32_t *out) const {
    auto *o = reinterpret_cast<__m256i *>(out);
    _mm256_storeu_si256(o, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(o + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
};

struct Sums8 {
  __m128i low = _mm_setzero_si128(), high = _mm_setzero_si128();

  void add(const int16_t *a, const int16_t *b, __m128i weights) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i *>(a));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i *>(b));
    low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi16(x, y), weights));
    high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi16(x, y), weights));
  }
  void to(int32_t *out) const {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out), low);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out + 4), high);
  }
};

inline void sum_pairs(const int16_t *weights, const uint16_t *columns, int pairs,
                      const int16_t *x, int lanes, int lane, int32_t (&out)[16]) {
  Sums sums;
  for (int k = 0; k < pairs; k++) {
    int32_t two;
    std::memcpy(&two, weights + 2 * k, sizeof two);
    sums.add(x + static_cast<int64_t>(columns[2 * k]) * lanes + lane,
             x + static_cast<int64_t>(columns[2 * k + 1]) * lanes + lane, _mm256_set1_epi32(two));
  }
  sums.to(out);
}

inline void sum_pairs(const int16_t *weights, const uint16_t *columns, int pairs,
                      const int16_t *x, int lanes, int lane, int32_t (&out)[8]) {
  Sums8 sums;
  for (int k = 0; k < pairs; k++) {
    int32_t two;
    std::memcpy(&two, weights + 2 * k, sizeof two);
    sums.add(x + static_cast<int64_t>(columns[2 * k]) * lanes + lane,
             x + static_cast<int64_t>(columns[2 * k + 1]) * lanes + lane, _mm_set1_epi32(two));
  }
  sums.to(out);
}

inline __m256i gathered(const int16_t *x, const uint16_t *columns) {
  const __m256i at =
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(columns)));
  return _mm256_i32gather_epi32(reinterpret_cast<const int *>(x), at, 2);
}

inline void sum_slice(const int16_t *weights, const uint16_t *columns, int steps,
                      const int16_t *x, int32_t (&out)[SLICE]) {
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (int k = 0; k < steps; k++, weights += 2 * SLICE, columns += 2 * SLICE)
    for (int half = 0; half < 2; half++) {
      const __m256i first = gathered(x, columns + 8 * half);
      const __m256i second = _mm256_slli_epi32(gathered(x, columns + SLICE + 8 * half), 16);
      const __m256i w =
          _mm256_loadu_si256(reinterpret_cast<const __m256i *>(weights + SLICE * half));
      const __m256i both = _mm256_blend_epi16(first, second, 0xAA);
      sums[half] = _mm256_add_epi32(sums[half], _mm256_madd_epi16(both, w));
    }
  for (int half = 0; half < 2; half++)
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + 8 * half), sums[half]);
}

#else

template <int N>
inline void sum_pairs(const int16_t *weights, const uint16_t *columns, int pairs,
                      const int16_t *x, int lanes, int lane, int32_t (&out)[N]) {
  int32_t sums[N] = {};
  for (int k = 0; k < pairs; k++) {
    const int32_t v = weights[2 * k], w = weights[2 * k + 1];
    const int16_t *a = x + static_cast<int64_t>(columns[2 * k]) * lanes + lane;
    const int16_t *b = x + static_cast<int64_t>(columns[2 * k + 1]) * lanes + lane;
    for (int l = 0; l < N; l++) sums[l] += v * a[l] + w * b[l];
  }
  std::memcpy(out, sums, sizeof out);
}

inline void sum_slice(const int16_t *weights, const uint16_t *columns, int steps,
                      const int16_t *x, int32_t (&out)[SLICE]) {
  int32_t sums[SLICE] = {};
  for (int k = 0; k < steps; k++, weights += 2 * SLICE, columns += 2 * SLICE)
    for (int l = 0; l < SLICE; l++)
      sums[l] += weights[2 * l] * x[columns[l]] + weights[2 * l + 1] * x[columns[SLICE + l]];
  std::memcpy(out, sums, sizeof out);
}

#endif

// Rows first..last of a narrow matrix, N lanes of them from `lane` on.
template <class T, int N>
void narrow_lanes(const Matrix &m, const int16_t *x, int first, int last, int lanes, int lane,
                  T *out) {
  for (int row = first; row < last; row++, out += lanes) {
    int64_t total[N] = {};
    for (int run = m.row_runs[row]; run < m.row_runs[row + 1]; run++) {
      int32_t sums[N];
      const int64_t pair = m.run_pairs[run];
      sum_pairs(m.weights + 2 * pair, m.columns + 2 * pair,
                static_cast<int>(m.run_pairs[run + 1] - pair), x, lanes, lane, sums);
      const int shift = m.run_shifts[run];
      for (int l = 0; l < N; l++) total[l] += static_cast<int64_t>(sums[l]) << shift;
    }
    for (int l = 0; l < N; l++) out[lane + l] = static_cast<T>(total[l]);
  }
}

// The same for a single lane: slices of 16 rows, whose results `places` puts in order.
template <class T>
void narrow_slices(const Matrix &m, const int16_t *x, int first, int last, T *out) {
  for (int slice = first / SLICE; slice * SLICE < last; slice++) {
    int64_t total[SLICE] = {};
    for (int run = m.slice_runs[slice]; run < m.slice_runs[slice + 1]; run++) {
      int32_t sums[SLICE];
      const int64_t step = m.slice_steps[run];
      sum_slice(m.slice_weights + 2 * SLICE * step, m.slice_columns + 2 * SLICE * step,
                static_cast<int>(m.slice_steps[run + 1] - step), x, sums);
      const int shift = m.slice_shifts[run];
      for (int l = 0; l < SLICE; l++) total[l] += static_cast<int64_t>(sums[l]) << shift;
    }
    for (int l = 0; l < SLICE; l++)
      out[m.places[slice * SLICE + l]] = static_cast<T>(total[l]);
  }
}

template <class T>
void narrow(const Matrix &m, const int16_t *x, int first, int last, int lanes, T *out) {
  if (lanes == 1) return narrow_slices(m, x, first, last, out);
  int lane = 0;
  for (; lane + 16 <= lanes; lane += 16) narrow_lanes<T, 16>(m, x, first, last, lanes, lane, out);
  if (lane < lanes) narrow_lanes<T, 8>(m, x, first, last, lanes, lane, out);
}

// Any values whose sums are proven to fit 54 bits.
template <class T, class V>
void wide(const Matrix &m, const V *x, int first, int last, int lanes, T *out) {
  const V *weights = static_cast<const V *>(m.wide_weights);
  for (int row = first; row < last; row++, out += lanes)
    for (int lane = 0; lane < lanes; lane += 8) {
      const int count = lanes - lane < 8 ? lanes - lane : 8;  // 1, or 8
      int64_t total[8] = {};
      for (int64_t k = m.row_entries[row]; k < m.row_entries[row + 1]; k++) {
        const int64_t w = weights[k];
        const V *a = x + static_cast<int64_t>(m.wide_columns[k]) * lanes + lane;
        if (count == 8)
          for (int l = 0; l < 8; l++) total[l] += w * a[l];
        else
          total[0] += w * a[0];
      }
      for (int l = 0; l < count; l++) out[lane + l] = static_cast<T>(total[l]);
    }
}

}  // namespace
