// The kernel: a run is a call of the emitted C++.
#pragma once
#include <string>
#include <vector>

#include "call_kernel.h"
#include "xrt_bo.h"

enum ert_cmd_state { ERT_CMD_STATE_COMPLETED = 4, ERT_CMD_STATE_ERROR = 5 };

namespace xrt {

class run {
 public:
  explicit run(std::vector<Argument> arguments) : arguments_(arguments) {}
  ert_cmd_state wait() {
    const unsigned count = unsigned(arguments_.size());
    return call_kernel(arguments_.data(), count) == count ? ERT_CMD_STATE_COMPLETED
                                                          : ERT_CMD_STATE_ERROR;
  }

 private:
  std::vector<Argument> arguments_;
};

class kernel {
 public:
  kernel(const device &, const uuid &id, const std::string &name) {
    if (!id.is_loaded || name != "lstm_top") throw std::runtime_error("no kernel " + name);
  }
  memory_group group_id(int argument) const { return 100 + argument; }

  template <class... Arguments>
  run operator()(const Arguments &...arguments) const {
    int at = 0;
    return run(std::vector<Argument>{pass(at++, arguments)...});
  }

 private:
  Argument pass(int at, const bo &buffer) const {
    if (buffer.group() != group_id(at)) throw std::runtime_error("a buffer in the wrong memory");
    return Argument{buffer.card().data(), buffer.card().size(), 0};
  }
  Argument pass(int, unsigned scalar) const { return Argument{nullptr, 0, scalar}; }
};

}  // namespace xrt
