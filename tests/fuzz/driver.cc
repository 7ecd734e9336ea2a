// Runs a fuzz target on mutations of seeds, the same ones every time.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "seeds.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
std::vector<std::string> make_seeds();

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 10000;
  const std::vector<std::string> seeds = make_seeds();
  std::mt19937 random(12345);
  for (const std::string& s : seeds)
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(s.data()), s.size());
  for (long i = 0; i < rounds; ++i) {
    std::string s = seeds[random() % seeds.size()];
    for (unsigned edits = 1 + random() % 4; edits-- && !s.empty();) {
      const size_t at = random() % s.size();
      switch (random() % 5) {
        case 0:
          s[at] = char(random());
          break;
        case 1:
          s[at] = char(s[at] ^ (1 << random() % 8));
          break;
        case 2:
          s.erase(at, 1 + random() % 4);
          break;
        case 3:
          s.insert(at, 1, char(random()));
          break;
        default: {
          const std::string& other = seeds[random() % seeds.size()];
          const size_t from = random() % other.size();
          s.insert(at, other.substr(from, random() % 16));
        }
      }
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(s.data()), s.size());
  }
  std::printf("%ld inputs, no crash\n", rounds);
  return 0;
}
