// Buffers with two memories: without sync, neither side sees what the other wrote.
#pragma once
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "xrt_device.h"

enum xclBOSyncDirection { XCL_BO_SYNC_BO_TO_DEVICE, XCL_BO_SYNC_BO_FROM_DEVICE };

namespace xrt {

typedef int memory_group;

class bo {
 public:
  bo(const device &, std::size_t bytes, memory_group group) : content_(new Content) {
    if (bytes == 0) throw std::runtime_error("a buffer of 0 bytes");
    content_->host.assign(bytes, 0x5a);
    content_->card.assign(bytes, 0xa5);
    content_->group = group;
  }
  void write(const void *from, std::size_t bytes, std::size_t at) {
    std::memcpy(&content_->host.at(within(bytes, at)), from, bytes);
  }
  void read(void *to, std::size_t bytes, std::size_t at) {
    std::memcpy(to, &content_->host.at(within(bytes, at)), bytes);
  }
  void sync(xclBOSyncDirection direction, std::size_t bytes, std::size_t at) {
    within(bytes, at);
    unsigned char *host = &content_->host[at], *card = &content_->card[at];
    if (direction == XCL_BO_SYNC_BO_TO_DEVICE) {
      std::memcpy(card, host, bytes);
    } else {
      std::memcpy(host, card, bytes);
    }
  }
  std::vector<unsigned char> &card() const { return content_->card; }
  memory_group group() const { return content_->group; }

 private:
  struct Content {
    std::vector<unsigned char> host, card;
    memory_group group;
  };
  std::size_t within(std::size_t bytes, std::size_t at) const {
    if (bytes == 0 || at + bytes > content_->host.size()) throw std::runtime_error("beyond a buffer");
    return at;
  }
  std::shared_ptr<Content> content_;
};

}  // namespace xrt
