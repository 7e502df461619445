// What every CPU of its kind has: SSE2 with 16 registers of 4 floats, NEON with 32.
#define SET kBaseline
#if defined(__aarch64__)
#define SET_NAME "neon"
#define ROWS 6
#else
#define SET_NAME "baseline"
#define ROWS 2
#endif
#define LANES 4
#include "kernels.h"
