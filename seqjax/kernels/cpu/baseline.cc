// What every CPU of its kind has: SSE2 with 16 registers of 4 floats, NEON with 32. Products in bfloat16 are exact here and slow.
#define SET kBaseline
#define ROUNDED kBaselineRounded
#if defined(__aarch64__)
#define ROWS 6
#else
#define ROWS 2
#endif
#define LANES 4
#include "kernels.h"
