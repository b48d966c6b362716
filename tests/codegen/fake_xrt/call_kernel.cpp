// Bytes <-> beats around lstm_top, whatever its number of groups and lanes.
#include "call_kernel.h"

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "lstm_top.h"

static const int BEAT_BYTES = BEAT_BITS / 8;

static beat_t beat_of(const unsigned char *bytes) {
  beat_t beat = 0;
  for (int n = 0; n < BEAT_BYTES; n += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes + n, 4);
    beat.range(8 * n + 31, 8 * n) = word;
  }
  return beat;
}

static void put(const beat_t &beat, unsigned char *bytes) {
  for (int n = 0; n < BEAT_BYTES; n += 4) {
    const std::uint32_t word = beat.range(8 * n + 31, 8 * n).to_uint();
    std::memcpy(bytes + n, &word, 4);
  }
}

// One parameter of the kernel: it lives as long as the call, and then gives written beats back.
template <class Parameter>
class Passed {
 public:
  explicit Passed(Argument &argument) : argument_(argument), beats_(argument.count / BEAT_BYTES) {
    for (std::size_t n = 0; n < beats_.size(); ++n) beats_[n] = beat_of(argument.bytes + n * BEAT_BYTES);
  }
  ~Passed() {
    if (std::is_same<Parameter, const beat_t *>::value) return;
    for (std::size_t n = 0; n < beats_.size(); ++n) put(beats_[n], argument_.bytes + n * BEAT_BYTES);
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

#ifdef PENSTOCK_AP_AXI_SDATA_H
// What a DMA in simple mode does: TLAST ends what it sends, and what it receives.
template <>
class Passed<axis_stream &> {
 public:
  explicit Passed(Argument &argument) : argument_(argument) {
    if (!argument.scalar) return;
    for (std::size_t n = 0; n < argument.count; n += BEAT_BYTES) {
      axis_t sent;
      sent.data = beat_of(argument.bytes + n);
      sent.keep = -1;
      sent.strb = -1;
      sent.last = n + BEAT_BYTES == argument.count;
      stream_.write(sent);
    }
  }
  ~Passed() {
    if (argument_.scalar) return;
    const std::size_t room = argument_.count;
    argument_.count = 0;
    for (bool is_last = false; !is_last && !stream_.empty() && argument_.count < room;) {
      const axis_t got = stream_.read();
      put(got.data, argument_.bytes + argument_.count);
      argument_.count += BEAT_BYTES;
      is_last = got.last != 0;
    }
  }
  axis_stream &value() { return stream_; }

 private:
  Argument &argument_;
  axis_stream stream_;
};
#endif

template <class... Parameters, std::size_t... At>
static unsigned call(void (*kernel)(Parameters...), Argument *arguments, unsigned count,
                     std::index_sequence<At...>) {
  const bool has_bytes[] = {!std::is_same<Parameters, unsigned>::value...};
  if (count != sizeof...(Parameters)) return sizeof...(Parameters);
  for (unsigned n = 0; n < count; ++n) {
    if (has_bytes[n] != (arguments[n].bytes != nullptr)) return 0;
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
