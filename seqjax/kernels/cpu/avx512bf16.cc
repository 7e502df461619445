// Products of pairs of bfloat16 numbers, 32 of them at a time.
#if defined(__AVX512BF16__)
#define ROUNDED kAvx512Rounded
#define LANES 16
#define ROWS 6
#include "kernels.h"
#endif
