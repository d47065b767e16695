/** Names that C or C++ keeps for itself. */
const KEYWORDS: ReadonlySet<string> = new Set(
  (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t " +
    "char32_t class compl concept const consteval constexpr constinit const_cast continue co_await " +
    "co_return co_yield decltype default delete do double dynamic_cast else enum explicit export " +
    "extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq " +
    "nullptr operator or or_eq private protected public register reinterpret_cast requires restrict " +
    "return short signed sizeof static static_assert static_cast struct switch template this " +
    "thread_local throw true try typedef typeid typename typeof union unsigned using virtual void " +
    "volatile wchar_t while xor xor_eq linux unix i386"
  ).split(" "),
);

/** True when neither C nor C++ takes the name for a member, macros of GNU compilers included. */
export function isKeyword(name: string): boolean {
  return KEYWORDS.has(name);
}

/** The name of a member in C: that of the wire, with `_` after it where C keeps it for itself. */
export function memberName(name: string, taken: ReadonlySet<string> = new Set()): string {
  let free = name;
  while (isKeyword(free) || (free !== name && taken.has(free))) free += "_";
  return free;
}
