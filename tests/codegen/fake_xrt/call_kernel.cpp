// Bytes <-> beats around lstm_top, whatever its number of groups and lanes.
#include "call_kernel.h"

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "lstm_top.h"

static const int BEAT_BYTES = BEAT_BITS / 8;

// One parameter of the kernel: it lives as long as the call, and then gives written beats back.
template <class Parameter>
class Passed {
 public:
  explicit Passed(Argument &argument) : argument_(argument), beats_(argument.count / BEAT_BYTES) {
    for (std::size_t n = 0; n < beats_.size() * BEAT_BYTES; n += 4) {
      std::uint32_t word;
      std::memcpy(&word, argument.bytes + n, 4);
      beats_[n / BEAT_BYTES].range(8 * (n % BEAT_BYTES) + 31, 8 * (n % BEAT_BYTES)) = word;
    }
  }
  ~Passed() {
    if (std::is_same<Parameter, const beat_t *>::value) return;
    for (std::size_t n = 0; n < beats_.size() * BEAT_BYTES; n += 4) {
      const std::uint32_t word =
          beats_[n / BEAT_BYTES].range(8 * (n % BEAT_BYTES) + 31, 8 * (n % BEAT_BYTES)).to_uint();
      std::memcpy(argument_.bytes + n, &word, 4);
    }
  }
  Parameter value() { return beats_.data(); }

 private:
  Argument &argument_;
  std::vector<beat_t> beats_;
};

template <>
class Passed<unsigned> {
 public:
  explicit Passed(Argument &argument) : scalar_(argument.scalar) {}
  unsigned value() const { return scalar_; }

 private:
  unsigned scalar_;
};

template <class... Parameters, std::size_t... At>
static unsigned call(void (*kernel)(Parameters...), Argument *arguments, unsigned count,
                     std::index_sequence<At...>) {
  const bool is_pointer[] = {std::is_pointer<Parameters>::value...};
  if (count != sizeof...(Parameters)) return sizeof...(Parameters);
  for (unsigned n = 0; n < count; ++n) {
    if (is_pointer[n] != (arguments[n].bytes != nullptr)) return 0;
  }
  kernel(Passed<Parameters>(arguments[At]).value()...);
  return count;
}

template <class... Parameters>
static unsigned call(void (*kernel)(Parameters...), Argument *arguments, unsigned count) {
  return call(kernel, arguments, count, std::index_sequence_for<Parameters...>());
}

extern "C" unsigned call_kernel(Argument *arguments, unsigned count) {
  return call(lstm_top, arguments, count);
}
