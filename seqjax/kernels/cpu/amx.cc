// Products of bfloat16 numbers by tiles of 16 rows and columns.
#if defined(__AMX_BF16__)
#define ROUNDED kAmxRounded
#define LANES 16
#define ROWS 6
#include "kernels.h"
#endif
