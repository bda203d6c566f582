// IEEE half precision as its 16 bits, without NVIDIA's cuda_fp16.h. A plain C++ compiler has its own version of both functions.
#pragma once

#if defined(__CUDACC__)
// Round to the nearest, ties to even.
__device__ __forceinline__ unsigned short half_of(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

__device__ __forceinline__ float float_of(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
#endif

// An element of a tensor of either type.
__device__ __forceinline__ float value_of(const float* at) {
    return *at;
}

__device__ __forceinline__ float value_of(const unsigned short* at) {
    return float_of(*at);
}

// An element of a tensor whose type is known only at run time.
__device__ __forceinline__ float value_of(const void* tensor, long long at, int half) {
    return half ? value_of((const unsigned short*)tensor + at) : value_of((const float*)tensor + at);
}
