// A fiber as a thread that runs when it is its turn, and never beside another. See penstock_fiber.h.
#ifndef PENSTOCK_FIBER_THREAD_H
#define PENSTOCK_FIBER_THREAD_H

#include <pthread.h>

namespace penstock {

class Fiber {
 public:
  Fiber() {
    pthread_mutex_init(&mutex_, nullptr);
    pthread_cond_init(&turn_comes_, nullptr);
  }
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;
  ~Fiber() {
    if (has_thread_) pthread_join(thread_, nullptr);
    pthread_cond_destroy(&turn_comes_);
    pthread_mutex_destroy(&mutex_);
  }

  // When it is first switched to, call ``entry``; when that returns, ``after`` goes on.
  void prepare(void (*entry)(), Fiber &after) {
    entry_ = entry;
    after_ = &after;
  }

  // Called by the one that runs: ``other`` goes on, this one when it is switched to again.
  void switch_to(Fiber &other) {
    other.go_on();
    pthread_mutex_lock(&mutex_);
    while (!is_its_turn_) pthread_cond_wait(&turn_comes_, &mutex_);
    is_its_turn_ = false;
    pthread_mutex_unlock(&mutex_);
  }

 private:
  void go_on() {
    if (entry_ != nullptr && !has_thread_) {
      start();
      return;
    }
    pthread_mutex_lock(&mutex_);
    is_its_turn_ = true;
    pthread_cond_signal(&turn_comes_);
    pthread_mutex_unlock(&mutex_);
  }

  void start() {
    has_thread_ = true;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    for (std::size_t bytes = MOST_STACK_BYTES; bytes >= LEAST_STACK_BYTES; bytes /= 2) {
      pthread_attr_setstacksize(&attributes, bytes);
      if (pthread_create(&thread_, &attributes, &Fiber::run, this) == 0) {
        pthread_attr_destroy(&attributes);
        return;
      }
    }
    stop_without_stack();
  }

  static void *run(void *self) {
    const Fiber &fiber = *static_cast<Fiber *>(self);
    fiber.entry_();
    fiber.after_->go_on();
    return nullptr;
  }

  void (*entry_)() = nullptr;  // none of the program's own
  Fiber *after_ = nullptr;
  pthread_t thread_;
  bool has_thread_ = false, is_its_turn_ = false;
  pthread_mutex_t mutex_;
  pthread_cond_t turn_comes_;
};

}  // namespace penstock

#endif
