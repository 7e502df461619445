// 32 registers of 16 floats.
#if defined(__x86_64__)
#define SET kAvx512
#define LANES 16
#define ROWS 6
#include "kernels.h"
#endif
