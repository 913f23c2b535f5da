#include "clew/base/detail/schema_uri.hpp"

#include <algorithm>

namespace clew::schema {
namespace {

struct Parts {
  std::string_view scheme;     // with its ':'
  std::string_view authority;  // with its "//"
  std::string_view path;
  std::string_view query;  // with its '?'
};

Parts split(std::string_view uri) {
  Parts parts;
  const auto mark = uri.find('?');
  if (mark != std::string_view::npos) {
    parts.query = uri.substr(mark);
    uri = uri.substr(0, mark);
  }
  const auto colon = uri.find_first_of(":/");
  if (colon != std::string_view::npos && colon > 0 && uri[colon] == ':') {
    parts.scheme = uri.substr(0, colon + 1);
    uri.remove_prefix(colon + 1);
  }
  if (uri.starts_with("//")) {
    parts.authority = uri.substr(0, uri.find('/', 2));
    uri.remove_prefix(parts.authority.size());
  }
  parts.path = uri;
  return parts;
}

// Takes "." and ".." steps out of an absolute path.
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  bool ends_in_directory = false;
  path.remove_prefix(1);
  while (true) {
    const auto slash = path.find('/');
    const auto step = path.substr(0, slash);
    ends_in_directory = step == "." || step == "..";
    if (step == ".." && !kept.empty()) kept.pop_back();
    if (!ends_in_directory) kept.push_back(step);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  std::string out;
  for (const auto step : kept) {
    out += '/';
    out += step;
  }
  if (ends_in_directory) out += '/';
  return out;
}

std::string concat(std::string_view scheme, std::string_view authority, std::string_view path,
                   std::string_view query) {
  std::string out(scheme);
  out += authority;
  out += path.starts_with('/') ? without_dots(path) : std::string(path);
  out += query;
  return out;
}

int hex_digit(char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto at = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string resolve_uri(std::string_view base, std::string_view reference) {
  const auto to = split(reference);
  if (!to.scheme.empty()) return concat(to.scheme, to.authority, to.path, to.query);
  const auto from = split(base);
  if (!to.authority.empty()) return concat(from.scheme, to.authority, to.path, to.query);
  if (to.path.empty()) {
    return concat(from.scheme, from.authority, from.path, to.query.empty() ? from.query : to.query);
  }
  if (to.path.starts_with('/')) return concat(from.scheme, from.authority, to.path, to.query);
  const auto slash = from.path.rfind('/');
  std::string path;
  if (slash != std::string_view::npos)
    path = from.path.substr(0, slash + 1);
  else if (!from.authority.empty())
    path = "/";
  path += to.path;
  return concat(from.scheme, from.authority, path, to.query);
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::optional<std::vector<std::string>> pointer_steps(std::string_view pointer) {
  std::vector<std::string> steps;
  if (pointer.empty()) return steps;
  if (pointer[0] != '/') return std::nullopt;
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      steps.emplace_back();
      continue;
    }
    char c = pointer[i];
    if (c == '~') {
      if (++i == pointer.size() || (pointer[i] != '0' && pointer[i] != '1')) return std::nullopt;
      c = pointer[i] == '0' ? '~' : '/';
    }
    steps.back() += c;
  }
  return steps;
}

}  // namespace clew::schema
