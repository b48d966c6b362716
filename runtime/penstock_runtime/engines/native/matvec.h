// Sparse matrix times vector, exact: 16-bit activations and weights in pairs, or wide ones.
//
// Activations of one step are (position, lane), the lanes side by side. A narrow matrix has its
// non-zeros in pairs. Sums of pairs are kept in 32 bits for a *run* of them, which is as long as its
// worst case fits (matrix.py proves that), and then go to 64 bits, shifted to their alignment.
//
// For several lanes, every row has its runs (rows -> runs -> pairs). For a single lane, 16 rows of
// similar length make a slice (slices -> runs -> steps of one pair for each of the 16). Where
// registers can be permuted, a step takes its activations from a block of 64 that two registers
// hold (slices -> runs -> chunks of one block -> steps), which is several times as fast as gathering.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

constexpr int SLICE = 16;  // rows
constexpr int PERMUTED = 64;  // activations in two registers
#if defined(__AVX512BW__)
constexpr bool CAN_PERMUTE = true;
#else
constexpr bool CAN_PERMUTE = false;
#endif

template <class T> inline T both_of(const int16_t *weights) {
  T two;
  std::memcpy(&two, weights, sizeof two);
  return two;
}

// The sums of N lanes over pairs. Portable; below, the same with what the processor has.
template <int N> struct Sums {
  int32_t lanes[N] = {};

  void add(const int16_t *a, const int16_t *b, const int16_t *weights) {
    for (int l = 0; l < N; l++) lanes[l] += weights[0] * a[l] + weights[1] * b[l];
  }
  void to(int32_t *out) const { std::memcpy(out, lanes, sizeof lanes); }
};

#if defined(__AVX2__)

// Unpacking pairs 16-bit lanes within each 128 bits, so that sums come in the order low, high.
template <> struct Sums<8> {
  __m128i low = _mm_setzero_si128(), high = _mm_setzero_si128();

  void add(const int16_t *a, const int16_t *b, const int16_t *weights) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i *>(a));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i *>(b));
    const __m128i w = _mm_set1_epi32(both_of<int32_t>(weights));
    low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi16(x, y), w));
    high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi16(x, y), w));
  }
  void to(int32_t *out) const {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out), low);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out + 4), high);
  }
};

template <> struct Sums<16> {
  __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();

  void add(const int16_t *a, const int16_t *b, const int16_t *weights) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(a));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(b));
    const __m256i w = _mm256_set1_epi32(both_of<int32_t>(weights));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), w));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), w));
  }
  void to(int32_t *out) const {
    auto *o = reinterpret_cast<__m256i *>(out);
    _mm256_storeu_si256(o, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(o + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
};

inline __m256i gathered(const int16_t *x, const uint16_t *columns) {
  const __m256i at =
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(columns)));
  return _mm256_i32gather_epi32(reinterpret_cast<const int *>(x), at, 2);
}

// Gathers two activations at a time, of which the upper one is not wanted.
inline void sum_slice(const int16_t *weights, const uint16_t *columns, int64_t steps,
                      const int16_t *x, int32_t *out) {
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (int64_t k = 0; k < steps; k++, weights += 2 * SLICE, columns += 2 * SLICE)
    for (int half = 0; half < 2; half++) {
      const __m256i first = gathered(x, columns + 8 * half);
      const __m256i second = _mm256_slli_epi32(gathered(x, columns + SLICE + 8 * half), 16);
      const __m256i w =
          _mm256_loadu_si256(reinterpret_cast<const __m256i *>(weights + SLICE * half));
      const __m256i pair = _mm256_blend_epi16(first, second, 0xAA);
      sums[half] = _mm256_add_epi32(sums[half], _mm256_madd_epi16(pair, w));
    }
  for (int half = 0; half < 2; half++)
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + 8 * half), sums[half]);
}

#else

inline void sum_slice(const int16_t *weights, const uint16_t *columns, int64_t steps,
                      const int16_t *x, int32_t *out) {
  int32_t sums[SLICE] = {};
  for (int64_t k = 0; k < steps; k++, weights += 2 * SLICE, columns += 2 * SLICE)
    for (int l = 0; l < SLICE; l++)
      sums[l] += weights[2 * l] * x[columns[l]] + weights[2 * l + 1] * x[columns[SLICE + l]];
  std::memcpy(out, sums, sizeof sums);
}

#endif

#if defined(__AVX512BW__)

template <> struct Sums<32> {
  __m512i low = _mm512_setzero_si512(), high = _mm512_setzero_si512();

  void add(const int16_t *a, const int16_t *b, const int16_t *weights) {
    const __m512i x = _mm512_loadu_si512(a), y = _mm512_loadu_si512(b);
    const __m512i w = _mm512_set1_epi32(both_of<int32_t>(weights));
    low = _mm512_add_epi32(low, _mm512_madd_epi16(_mm512_unpacklo_epi16(x, y), w));
    high = _mm512_add_epi32(high, _mm512_madd_epi16(_mm512_unpackhi_epi16(x, y), w));
  }
  void to(int32_t *out) const {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi64(low, second, high));
  }
};

// One run of a slice: chunks of steps, each on one block of activations.
inline void sum_permuted(const Matrix &m, int run, const int16_t *x, int32_t *out) {
  __m512i sums = _mm512_setzero_si512();
  for (int chunk = m.run_chunks[run]; chunk < m.run_chunks[run + 1]; chunk++) {
    const int16_t *block = x + PERMUTED * static_cast<int64_t>(m.chunk_blocks[chunk]);
    const __m512i a = _mm512_loadu_si512(block), b = _mm512_loadu_si512(block + 32);
    for (int64_t k = m.chunk_steps[chunk]; k < m.chunk_steps[chunk + 1]; k++) {
      const __m512i at = _mm512_cvtepu8_epi16(
          _mm256_loadu_si256(reinterpret_cast<const __m256i *>(m.places + 32 * k)));
      const __m512i w = _mm512_loadu_si512(m.slice_weights + 32 * k);
      sums = _mm512_add_epi32(sums, _mm512_madd_epi16(_mm512_permutex2var_epi16(a, at, b), w));
    }
  }
  _mm512_storeu_si512(out, sums);
}

#else

template <> struct Sums<32> {
  Sums<16> first, second;

  void add(const int16_t *a, const int16_t *b, const int16_t *weights) {
    first.add(a, b, weights);
    second.add(a + 16, b + 16, weights);
  }
  void to(int32_t *out) const {
    first.to(out);
    second.to(out + 16);
  }
};

inline void sum_permuted(const Matrix &, int, const int16_t *, int32_t *) {}  // never packed so

#endif

// Rows first..last of a narrow matrix, in N lanes.
template <int N>
void narrow_rows(const Matrix &m, const int16_t *x, int first, int last, int64_t *out) {
  for (int row = first; row < last; row++, out += N) {
    int64_t total[N] = {};
    for (int run = m.row_runs[row]; run < m.row_runs[row + 1]; run++) {
      Sums<N> sums;
      for (int64_t k = 2 * m.run_pairs[run]; k < 2 * m.run_pairs[run + 1]; k += 2)
        sums.add(x + static_cast<int64_t>(m.columns[k]) * N,
                 x + static_cast<int64_t>(m.columns[k + 1]) * N, m.weights + k);
      int32_t found[N];
      sums.to(found);
      const int shift = m.run_shifts[run];
      for (int l = 0; l < N; l++) total[l] += static_cast<int64_t>(found[l]) << shift;
    }
    std::memcpy(out, total, sizeof total);
  }
}

// The same for a single lane: slices of 16 rows, whose results `rows` puts in order.
void narrow_slices(const Matrix &m, const int16_t *x, int first, int last, int64_t *out) {
  for (int slice = first / SLICE; slice * SLICE < last; slice++) {
    int64_t total[SLICE] = {};
    for (int run = m.slice_runs[slice]; run < m.slice_runs[slice + 1]; run++) {
      int32_t found[SLICE];
      const int64_t step = m.run_steps[run];
      if (CAN_PERMUTE && m.is_permuted)
        sum_permuted(m, run, x, found);
      else
        sum_slice(m.slice_weights + 2 * SLICE * step, m.slice_columns + 2 * SLICE * step,
                  m.run_steps[run + 1] - step, x, found);
      const int shift = m.slice_shifts[run];
      for (int l = 0; l < SLICE; l++) total[l] += static_cast<int64_t>(found[l]) << shift;
    }
    const int32_t *rows = m.slice_rows + slice * SLICE;
    for (int l = 0; l < SLICE; l++) out[rows[l]] = total[l];
  }
}

void narrow(const Matrix &m, const int16_t *x, int first, int last, int lanes, int64_t *out) {
  switch (lanes) {
    case 1: return narrow_slices(m, x, first, last, out);
    case 8: return narrow_rows<8>(m, x, first, last, out);
    case 16: return narrow_rows<16>(m, x, first, last, out);
    default: return narrow_rows<32>(m, x, first, last, out);
  }
}

// Any values whose sums are proven to fit 54 bits; N lanes at a time.
template <class V, int N>
void wide_rows(const Matrix &m, const V *x, int first, int last, int lanes, int64_t *out) {
  const V *weights = static_cast<const V *>(m.wide_weights);
  for (int row = first; row < last; row++)
    for (int lane = 0; lane < lanes; lane += N, out += N) {
      int64_t total[N] = {};
      for (int64_t k = m.row_entries[row]; k < m.row_entries[row + 1]; k++) {
        const int64_t w = weights[k];
        const V *a = x + static_cast<int64_t>(m.wide_columns[k]) * lanes + lane;
        for (int l = 0; l < N; l++) total[l] += w * a[l];
      }
      std::memcpy(out, total, sizeof total);
    }
}

template <class V>
void wide(const Matrix &m, const V *x, int first, int last, int lanes, int64_t *out) {
  if (lanes == 1) return wide_rows<V, 1>(m, x, first, last, 1, out);
  wide_rows<V, 8>(m, x, first, last, lanes, out);
}

}  // namespace
