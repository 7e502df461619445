// 16 registers of 8 floats.
#if defined(__x86_64__)
#define SET kAvx2
#define LANES 8
#define ROWS 3
#include "kernels.h"
#endif
