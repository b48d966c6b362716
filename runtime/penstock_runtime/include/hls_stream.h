// hls::stream for host compilation, bounded at its declared depth, with the processes of a dataflow
// region running side by side. Never on the synthesis path.
//
// Vitis C simulation runs the processes one after the other on unbounded streams, and so hides a
// stream that is too shallow, a region that deadlocks, and values that nobody reads. Here each process
// is a fiber; a read of an empty or a write to a full stream lets the others run. If none can go on,
// the streams on which they wait are named and the program ends with status 3. So it does for a stream
// that still holds values when it goes out of scope. Scheduling is deterministic.
//
// Platform: fibers are ucontext's and their stacks mmap's, so this needs POSIX with both (Linux; the
// BSDs and macOS carry ucontext as deprecated). Arrays of a process, such as a frame of results, lie on
// its stack. Pages are taken when they are touched; the lowest can't be, so a process that needs still
// more ends at once instead of writing into another's memory.
#ifndef PENSTOCK_HLS_STREAM_H
#define PENSTOCK_HLS_STREAM_H

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock {

[[noreturn]] inline void stop(const std::string &message) {
  std::fflush(stdout);
  std::fprintf(stderr, "ERROR: %s\n", message.c_str());
  std::_Exit(3);
}

// A fiber's stack, with a guard page below it.
class Stack {
 public:
  Stack() {
    const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
    // Where address space is limited, less of it may do.
    for (bytes_ = std::size_t(MOST_BYTES); bytes_ >= LEAST_BYTES; bytes_ /= 2) {
      base_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (base_ != MAP_FAILED) break;
    }
    if (base_ == MAP_FAILED || mprotect(base_, page, PROT_NONE) != 0) {
      stop("there is no memory for the stack of a process");
    }
  }
  Stack(const Stack &) = delete;
  Stack &operator=(const Stack &) = delete;
  ~Stack() { munmap(base_, bytes_); }

  void *base() const { return base_; }
  std::size_t bytes() const { return bytes_; }

 private:
  static const std::size_t MOST_BYTES = std::size_t(128) << 20;
  static const std::size_t LEAST_BYTES = std::size_t(1) << 20;

  void *base_;
  std::size_t bytes_;
};

// The processes of one dataflow region, run in turn until all have ended.
class DataflowRegion {
 public:
  void start(std::function<void()> body) {
    processes_.emplace_back(new Process);
    processes_.back()->body = std::move(body);
  }

  void run() {
    current() = this;
    for (auto &process : processes_) prepare(*process);
    for (std::size_t running = processes_.size(); running > 0;) {
      const unsigned long before = progress_;
      for (auto &process : processes_) {
        if (process->is_done) continue;
        active_ = process.get();
        swapcontext(&scheduler_, &process->context);
        if (process->is_done) {
          --running;
          ++progress_;
        }
      }
      if (progress_ == before && running > 0) report_deadlock();
    }
    current() = nullptr;
  }

  // Called by a stream: the process that runs can't go on now.
  void wait(const std::string &what) {
    active_->waits_for = what;
    swapcontext(&active_->context, &scheduler_);
  }

  void made_progress() { ++progress_; }

  static DataflowRegion *&current() {
    static DataflowRegion *region = nullptr;
    return region;
  }

 private:
  struct Process {
    std::function<void()> body;
    Stack stack;
    ucontext_t context;
    std::string waits_for;
    bool is_done = false;
  };

  void prepare(Process &process) {
    getcontext(&process.context);
    process.context.uc_stack.ss_sp = process.stack.base();
    process.context.uc_stack.ss_size = process.stack.bytes();
    process.context.uc_link = &scheduler_;
    makecontext(&process.context, &DataflowRegion::enter, 0);
  }

  static void enter() {
    Process &process = *current()->active_;
    process.body();
    process.is_done = true;
  }

  [[noreturn]] void report_deadlock() {
    std::string message = "deadlock in the dataflow region:";
    for (auto &process : processes_) {
      if (!process->is_done) message += "\n  a process waits for a " + process->waits_for;
    }
    stop(message);
  }

  std::vector<std::unique_ptr<Process>> processes_;
  Process *active_ = nullptr;
  ucontext_t scheduler_;
  unsigned long progress_ = 0;
};

}  // namespace penstock

#define PENSTOCK_DATAFLOW
#define DATAFLOW_BEGIN penstock::DataflowRegion dataflow_region;
#define PROCESS(...) dataflow_region.start([&] { __VA_ARGS__ });
#define DATAFLOW_END dataflow_region.run();

namespace hls {

// DEPTH 0 stands for a stream whose depth is not declared: 2, as in RTL.
template <class T, int DEPTH = 0>
class stream {
 public:
  explicit stream(const char *name = "of an array") : name_(name) {}
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;

  ~stream() {
    if (!values_.empty()) {
      penstock::stop("stream " + name_ + " still holds " + std::to_string(values_.size()) +
                     " values that nobody read");
    }
  }

  bool empty() const { return values_.empty(); }
  bool full() const { return values_.size() >= CAPACITY; }
  std::size_t size() const { return values_.size(); }
  std::size_t capacity() const { return CAPACITY; }

  void read(T &value) {
    while (empty()) wait("read of the empty stream ");
    value = values_.front();
    values_.pop_front();
    progress();
  }
  T read() {
    T value;
    read(value);
    return value;
  }
  void write(const T &value) {
    while (full()) wait("write to the full stream ");
    values_.push_back(value);
    progress();
  }
  bool read_nb(T &value) {
    if (empty()) return false;
    read(value);
    return true;
  }
  bool write_nb(const T &value) {
    if (full()) return false;
    write(value);
    return true;
  }
  stream &operator>>(T &value) {
    read(value);
    return *this;
  }
  stream &operator<<(const T &value) {
    write(value);
    return *this;
  }

 private:
  static const std::size_t CAPACITY = DEPTH > 0 ? DEPTH : 2;

  void wait(const char *what) {
    if (penstock::DataflowRegion::current() == nullptr) {
      penstock::stop(std::string(what) + name_ + ", outside a dataflow region");
    }
    penstock::DataflowRegion::current()->wait(what + name_);
  }
  void progress() {
    if (penstock::DataflowRegion::current() != nullptr) {
      penstock::DataflowRegion::current()->made_progress();
    }
  }

  std::string name_;
  std::deque<T> values_;
};

}  // namespace hls

#endif
