#include "half.h"
extern "C" __global__ void __launch_bounds__(256) sum_blocks(const float* in, float* out, int n) {
    __shared__ float part[256];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    part[threadIdx.x] = i < n ? in[i] : 0.f;
    __syncthreads();
    for (int s = blockDim.x / 2; s >= 32; s /= 2) {
        if (threadIdx.x < s) part[threadIdx.x] += part[threadIdx.x + s];
        __syncthreads();
    }
    if (threadIdx.x < 32) {
        float v = part[threadIdx.x];
        for (int s = 16; s; s /= 2) v += __shfl_down_sync(~0u, v, s);
        if (threadIdx.x == 0) out[blockIdx.x] = v;
    }
}
extern "C" __global__ void vote(const int* in, unsigned* ballots, int* counts) {
    int p = in[threadIdx.x];
    if (threadIdx.x == 77) return;  // ends early: barriers go on without it
    unsigned b = threadIdx.x / 32 == 2 ? 0u : __ballot_sync(~0u, p);
    if (threadIdx.x % 32 == 0) ballots[threadIdx.x / 32] = b;
    int c = __syncthreads_count(p);
    counts[threadIdx.x] = c;
}
extern "C" __global__ void halves(const float* in, unsigned short* out, float* back, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) { out[i] = half_of(in[i]); back[i] = float_of(out[i]); }
}
