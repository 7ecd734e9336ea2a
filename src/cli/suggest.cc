#include "cli/suggest.h"

#include <algorithm>

#include "cli/support.h"

namespace wafer::cli {

namespace {

// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  // A third of the letters may be wrong.
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  std::string found;
  for (const std::string& candidate : known) {
    const size_t d = distance(word, candidate);
    if (d >= least) continue;
    least = d;
    found = candidate;
  }
  return found;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const std::string found = nearest(word, known);
  return found.empty() ? found : fmt::format("; did you mean '{}'?", found);
}

void print_hint(std::string_view message) {
  print_note(fmt::format("{}hint:{} {}", err_style().cyan, err_style().reset, message));
}

}  // namespace wafer::cli
