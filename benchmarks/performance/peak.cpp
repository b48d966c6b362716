// What this processor can do at most: bytes copied and read, 16-bit multiply-adds from registers.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

static double seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

template <class F> static double best(F function) {
  double least = 1e9;
  for (int k = 0; k < 15; k++) {
    const double start = seconds();
    function();
    const double taken = seconds() - start;
    if (taken < least) least = taken;
  }
  return least;
}

// Gigabytes a second: read and written once each.
static double copied(size_t bytes) {
  std::vector<char> from(bytes, 1), to(bytes);
  return 2e-9 * bytes / best([&] {
           std::memcpy(to.data(), from.data(), bytes);
           asm volatile("" ::: "memory");
         });
}

// Gigabytes a second of what is read again and again, and so comes from the nearest cache.
static double read_again(size_t bytes) {
  std::vector<int64_t> from(bytes / 8, 1);
  const int times = static_cast<int>((64u << 20) / bytes) + 1;
  volatile int64_t sink = 0;
  return 1e-9 * bytes * times / best([&] {
           int64_t sum = 0;
           for (int t = 0; t < times; t++) {
             for (size_t k = 0; k < from.size(); k++) sum += from[k];
             asm volatile("" ::: "memory");
           }
           sink = sink + sum;
         });
}

#if defined(__AVX512BW__)
using Vector = __m512i;
static Vector set(short v) { return _mm512_set1_epi16(v); }
static Vector multiply(Vector a, Vector b) { return _mm512_madd_epi16(a, b); }
static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
#elif defined(__AVX2__)
using Vector = __m256i;
static Vector set(short v) { return _mm256_set1_epi16(v); }
static Vector multiply(Vector a, Vector b) { return _mm256_madd_epi16(a, b); }
static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
#endif

// Billions of 16-bit products a second, added up in pairs.
static double multiplied() {
#if defined(__AVX2__)
  constexpr int SUMS = 10, TIMES = 2000000;
  Vector sums[SUMS], x = set(3);
  for (auto &sum : sums) sum = set(0);
  const double taken = best([&] {
    for (int t = 0; t < TIMES; t++)
      for (auto &sum : sums) {
        sum = add(sum, multiply(x, x));
        asm volatile("" : "+x"(sum), "+x"(x));
      }
  });
  return 1e-9 * SUMS * TIMES * (sizeof(Vector) / 2) / taken;
#else
  return 0;
#endif
}

int main() {
  std::printf("{\"copy_gb_s\": %.2f, \"read_gb_s\": %.2f, \"multiply_g_s\": %.2f}\n",
              copied(64u << 20), read_again(1536u << 10), multiplied());
}
