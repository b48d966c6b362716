// ap_axiu for host compilation: a beat of an AXI stream, without user, id and dest. Never on the
// synthesis path.
//
// On the other side of a port stands a test bench, which has sent everything before a call and takes
// everything behind it. So the stream of a port has no bound, as in Vitis C simulation; a kernel that
// reads more than it was sent ends in a deadlock that names the port, as with every stream of ours.
#ifndef PENSTOCK_AP_AXI_SDATA_H
#define PENSTOCK_AP_AXI_SDATA_H

#include <ap_int.h>
#include <hls_stream.h>

#include <cstddef>
#include <deque>
#include <string>

namespace hls {

template <class T, std::size_t USER, std::size_t ID, std::size_t DEST>
struct axis {
  static_assert(USER == 0 && ID == 0 && DEST == 0, "side channels other than last, keep and strb");
  static_assert(T::width % 8 == 0, "an AXI stream is as wide as whole bytes");

  T data;
  ap_uint<T::width / 8> keep, strb;  // a bit for each byte
  ap_uint<1> last;
};

template <class T, std::size_t USER, std::size_t ID, std::size_t DEST>
class stream<axis<T, USER, ID, DEST>, 0> {
 public:
  typedef axis<T, USER, ID, DEST> beat;

  explicit stream(const char *name = "of a port") : name_(name) {}
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;

  bool empty() const { return beats_.empty(); }
  bool full() const { return false; }
  std::size_t size() const { return beats_.size(); }

  beat read() {
    while (empty()) wait();
    const beat first = beats_.front();
    beats_.pop_front();
    size_ = beats_.size();
    return first;
  }
  void read(beat &value) { value = read(); }
  void write(const beat &value) {
    beats_.push_back(value);
    size_ = beats_.size();
  }

 private:
  void wait() {
    const char *const what = "a read of the empty port ";
    if (penstock::DataflowRegion::current() == nullptr) {
      penstock::stop(what + name_ + ", outside a dataflow region");
    }
    penstock::DataflowRegion::current()->wait(what, name_, size_);
  }

  std::string name_;
  std::deque<beat> beats_;
  std::size_t size_ = 0;
};

}  // namespace hls

template <std::size_t DATA, std::size_t USER, std::size_t ID, std::size_t DEST>
using ap_axiu = hls::axis<ap_uint<DATA>, USER, ID, DEST>;

#endif
