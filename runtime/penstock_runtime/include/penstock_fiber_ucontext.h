// A fiber as a context of ucontext: a switch costs no more than a call. See penstock_fiber.h.
#ifndef PENSTOCK_FIBER_UCONTEXT_H
#define PENSTOCK_FIBER_UCONTEXT_H

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

namespace penstock {

// A fiber's stack, with a guard page below it. One that is no longer needed is used again: a region
// within a process comes and goes with every call.
class Stack {
 public:
  Stack() {
    if (!spare().empty()) {
      base_ = spare().back().first;
      bytes_ = spare().back().second;
      spare().pop_back();
      return;
    }
    const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
    for (bytes_ = MOST_STACK_BYTES; bytes_ >= LEAST_STACK_BYTES; bytes_ /= 2) {
      base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (base_ != MAP_FAILED) break;
    }
    if (base_ == MAP_FAILED || mprotect(base_, page, PROT_NONE) != 0) stop_without_stack();
  }
  Stack(const Stack &) = delete;
  Stack &operator=(const Stack &) = delete;
  ~Stack() { spare().push_back(std::make_pair(base_, bytes_)); }

  void *base() const { return base_; }
  std::size_t bytes() const { return bytes_; }

 private:
  static std::vector<std::pair<void *, std::size_t> > &spare() {
    static std::vector<std::pair<void *, std::size_t> > stacks;
    return stacks;
  }

  void *base_;
  std::size_t bytes_;
};

class Fiber {
 public:
  Fiber() {}
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;

  // When it is first switched to, call ``entry``; when that returns, ``after`` goes on.
  void prepare(void (*entry)(), Fiber &after) {
    stack_.reset(new Stack);
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_->base();
    context_.uc_stack.ss_size = stack_->bytes();
    context_.uc_link = &after.context_;
    makecontext(&context_, entry, 0);
  }

  // Called by the one that runs: ``other`` goes on, this one when it is switched to again.
  void switch_to(Fiber &other) { swapcontext(&context_, &other.context_); }

 private:
  std::unique_ptr<Stack> stack_;  // none of the program's own
  ucontext_t context_;
};

}  // namespace penstock

#endif
