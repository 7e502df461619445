// The instruction sets that were compiled, and which of them this CPU has.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "api.h"

namespace seqjax {
namespace {

// An instruction set, and the kernels for both kinds of products that are the fastest there.
struct Set {
  const char* name;
  bool (*present)();
  const Kernels *exact, *rounded;
};

#if defined(__x86_64__)
bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

bool has_avx512_bf16() {
  return has_avx512() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16") &&
         __builtin_cpu_supports("avx512vnni");
}

// Linux gives a process the tiles when it asks.
bool has_amx() {
#if defined(__linux__)
  constexpr unsigned kTiles = 1u << 24, kBfloat16 = 1u << 22;
  constexpr long kAsk = 0x1023, kTileData = 18;
  unsigned eax, ebx, ecx, edx = 0;
  return has_avx512_bf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && edx & kTiles && edx & kBfloat16 &&
         syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
#else
  return false;
#endif
}
#endif

// From the best on.
const Set kSets[] = {
#if defined(__x86_64__)
#if defined(SEQJAX_AMX)
    {"amx", has_amx, &kAvx512, &kAmxRounded},
#endif
#if defined(SEQJAX_AVX512BF16)
    {"avx512-bf16", has_avx512_bf16, &kAvx512, &kAvx512Rounded},
#endif
    {"avx-512", has_avx512, &kAvx512, &kBaselineRounded},
    {"avx2", has_avx2, &kAvx2, &kBaselineRounded},
    {"baseline", [] { return true; }, &kBaseline, &kBaselineRounded},
#else
    {"neon", [] { return true; }, &kBaseline, &kBaselineRounded},
#endif
};

inline const Set* best() {
  const Set* set = kSets;
  while (!set->present()) ++set;
  return set;
}

}  // namespace
}  // namespace seqjax
