// Copies of frames within the GPU, and reduced parts of these copies, for snapshots.
#include "copies.h"

namespace {

// Adjacent samples of a copy per thread, and lines of a reduced plane.
enum { kSamples = 16, kLines = 4 };

template <typename T>
struct alignas(16) Group {
    T value[kSamples];
};

template <typename T>
__device__ __forceinline__ unsigned char eight_bits(T sample, float scale);

template <>
__device__ __forceinline__ unsigned char eight_bits<unsigned char>(unsigned char sample, float) {
    return sample;
}

template <>
__device__ __forceinline__ unsigned char eight_bits<unsigned short>(unsigned short sample, float scale) {
    return (unsigned char)min(__float2int_rn((float)sample * scale), 255);
}

template <typename T>
__device__ __forceinline__ void copy_group(const CopiedPlane& plane, int at, int line) {
    const T* from = (const T*)(plane.source + (long long)line * plane.source_pitch) + at;
    unsigned char* to = (unsigned char*)(plane.target + (long long)line * plane.target_pitch) + at;
    // A group may reach past the line, but not past its pitch.
    if (((plane.source | plane.source_pitch) & (sizeof(Group<T>) - 1)) == 0) {
        Group<T> read = *(const Group<T>*)from;
        Group<unsigned char> written;
#pragma unroll
        for (int i = 0; i < kSamples; ++i) written.value[i] = eight_bits(read.value[i], plane.sample_scale);
        *(Group<unsigned char>*)to = written;
        return;
    }
    for (int i = 0; i < kSamples && at + i < plane.samples; ++i) to[i] = eight_bits(from[i], plane.sample_scale);
}

}  // namespace

// Grid: x covers the longest line with kSamples per thread, y the lines, z the planes.
extern "C" __global__ void __launch_bounds__(256) framelane_copy_planes(const CopiedPlane* __restrict__ table) {
    const CopiedPlane& plane = table[blockIdx.z];
    int at = (blockIdx.x * blockDim.x + threadIdx.x) * kSamples;
    int line = blockIdx.y * blockDim.y + threadIdx.y;
    if (at >= plane.samples || line >= plane.lines) return;
    if (plane.sample_bytes == 1)
        copy_group<unsigned char>(plane, at, line);
    else
        copy_group<unsigned short>(plane, at, line);
}

// Grid: x covers the longest line of the targets, y the lines with kLines per thread, z the planes.
extern "C" __global__ void __launch_bounds__(256) framelane_reduce_planes(const ReducedPlane* __restrict__ table) {
    const ReducedPlane& plane = table[blockIdx.z];
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    int first = (blockIdx.y * blockDim.y + threadIdx.y) * kLines;
    if (at >= plane.target_wh[0] || first >= plane.target_wh[1]) return;
    const unsigned char* source = (const unsigned char*)plane.source;
    Covered across = covered_by(at, plane.source_wh[0], plane.target_wh[0]);
    int end = min(first + kLines, plane.target_wh[1]);
    for (int line = first; line < end; ++line) {
        Covered down = covered_by(line, plane.source_wh[1], plane.target_wh[1]);
        unsigned char* target = (unsigned char*)(plane.target + (long long)line * plane.target_pitch);
        target[at] = (unsigned char)covered_average(source, plane.source_pitch, plane.step, across, down);
    }
}
