// Messages with descriptors between the shim, its zygote and the processes that become containers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/loop.h"

namespace wafer::shim {

struct Packet {
  bool gone = true;  // the other end is; else there is a message, which may be empty
  std::string bytes;
  std::vector<UniqueFd> fds;
};

// Two ends of a socket that keeps messages apart.
Result<std::pair<UniqueFd, UniqueFd>> make_channel();
// Sends one message; false with errno.
bool send_packet(int socket, std::string_view bytes, const std::vector<int>& fds = {});
// recvmsg(), with the descriptors that came along.
ssize_t receive_with_fds(int socket, std::span<char> into, std::vector<UniqueFd>& fds);
// Waits for one message.
Packet receive_packet(int socket);
// The same in the shim, where nothing else waits meanwhile.
Later<std::shared_ptr<Packet>> receive_later(Loop& loop, int socket);

}  // namespace wafer::shim
