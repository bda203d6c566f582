// The sharpness of parts of luma planes: what footage/pixels.py computes of frames in host memory. One block per part.
#include "copies.h"

#define SHARPNESS_THREADS 256
#define SHARPNESS_SIDE 64        // the same as in footage/pixels.py
#define SHARPNESS_HALF 60.f      // the same as in footage/pixels.py

// As BORDER_REFLECT_101.
__device__ __forceinline__ int sharpness_within(int at, int size) {
    if (size == 1) return 0;
    if (at < 0) return -at;
    return at < size ? at : 2 * size - 2 - at;
}

// From 0 to 1, by the variance of the Laplacian (cv2.Laplacian with a kernel of one line).
extern "C" __global__ void __launch_bounds__(SHARPNESS_THREADS) framelane_sharpness(
    const Look* __restrict__ table, float* __restrict__ sharpness) {
    __shared__ unsigned char small[SHARPNESS_SIDE * SHARPNESS_SIDE];
    __shared__ int sum;
    __shared__ unsigned long long squares;
    const Look& look = table[blockIdx.x];
    int width = look.small_wh[0], height = look.small_wh[1], count = width * height;
    if (threadIdx.x == 0) {
        sum = 0;
        squares = 0;
    }
    for (int at = threadIdx.x; at < count; at += SHARPNESS_THREADS) {
        Covered across = covered_by(at % width, look.source_wh[0], width), down = covered_by(at / width, look.source_wh[1], height);
        small[at] = (unsigned char)covered_average((const unsigned char*)look.source, look.pitch, 1, across, down);
    }
    __syncthreads();

    int own_sum = 0;
    unsigned long long own_squares = 0;
    for (int at = threadIdx.x; at < count; at += SHARPNESS_THREADS) {
        int x = at % width, y = at / width;
        int edge = small[y * width + sharpness_within(x - 1, width)] + small[y * width + sharpness_within(x + 1, width)]
                 + small[sharpness_within(y - 1, height) * width + x] + small[sharpness_within(y + 1, height) * width + x]
                 - 4 * small[at];
        own_sum += edge;
        own_squares += (unsigned long long)(edge * edge);
    }
    atomicAdd(&sum, own_sum);
    atomicAdd(&squares, own_squares);
    __syncthreads();

    if (threadIdx.x == 0) {
        double mean = (double)sum / count;
        float variance = (float)((double)squares / count - mean * mean);
        sharpness[blockIdx.x] = variance / (variance + SHARPNESS_HALF);
    }
}
