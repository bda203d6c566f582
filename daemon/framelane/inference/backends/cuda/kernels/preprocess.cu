// From decoded planes to a batch tensor [n, 3, height, width]: what models/input/preprocess.py does, in one launch.
// Sampling is OpenCV's INTER_LINEAR on 8-bit planes (imgproc/src/resize.cpp: VResizeLinearVec_32s8u, 11-bit weights). Color is
// cv::transform's on 8-bit pixels (core/src/matmul.simd.hpp: transform_8u, 10-bit weights). Both round as OpenCV does.
#include "half.h"
#include "picture.h"

namespace {

// Adjacent pixels per thread.
enum { kPixels = 4 };

// The two samples of an axis that an output pixel lies between, and their weights in 2048ths.
struct Taps {
    int first, second, first_weight, second_weight;
};

__device__ __forceinline__ Taps taps_at(float position, int first) {
    float part = position - (float)first;
    Taps taps;
    taps.first = first;
    taps.second = first + 1;
    taps.first_weight = __float2int_rn((1.0f - part) * 2048.0f);
    taps.second_weight = __float2int_rn(part * 2048.0f);
    return taps;
}

__device__ __forceinline__ float position_of(int out, double ratio) {
    return (float)((out + 0.5) * ratio - 0.5);
}

// OpenCV uses the outermost column with its whole weight, and the outermost line twice with the two weights.
__device__ __forceinline__ Taps across(int out, double ratio, int size) {
    float position = position_of(out, ratio);
    int first = (int)floorf(position);
    if (first < 0) {
        first = 0;
        position = 0.0f;
    }
    if (first >= size - 1) {
        first = size - 1;
        position = (float)first;
    }
    Taps taps = taps_at(position, first);
    taps.second = min(taps.second, size - 1);
    return taps;
}

__device__ __forceinline__ Taps down(int out, double ratio, int size) {
    float position = position_of(out, ratio);
    Taps taps = taps_at(position, (int)floorf(position));
    taps.first = min(max(taps.first, 0), size - 1);
    taps.second = min(max(taps.second, 0), size - 1);
    return taps;
}

// A sample on the 8-bit scale.
template <int bytes>
__device__ __forceinline__ int sample(const unsigned char* line, int at, float scale);

template <>
__device__ __forceinline__ int sample<1>(const unsigned char* line, int at, float) {
    return __ldg(line + at);
}

template <>
__device__ __forceinline__ int sample<2>(const unsigned char* line, int at, float scale) {
    return min(__float2int_rn((float)__ldg((const unsigned short*)line + at) * scale), 255);
}

struct Plane {
    const unsigned char *first, *second;  // the two lines
    int first_weight, second_weight, step;
    float scale;
};

__device__ __forceinline__ Plane plane_at(unsigned long long address, int pitch, int step, float scale, Taps lines) {
    const unsigned char* base = (const unsigned char*)address;
    return {base + (long long)lines.first * pitch, base + (long long)lines.second * pitch, lines.first_weight, lines.second_weight,
            step, scale};
}

template <int bytes>
__device__ __forceinline__ int bilinear(const Plane& plane, Taps taps) {
    int left = taps.first * plane.step, right = taps.second * plane.step;
    int first = sample<bytes>(plane.first, left, plane.scale) * taps.first_weight
              + sample<bytes>(plane.first, right, plane.scale) * taps.second_weight;
    int second = sample<bytes>(plane.second, left, plane.scale) * taps.first_weight
               + sample<bytes>(plane.second, right, plane.scale) * taps.second_weight;
    return ((plane.first_weight * (first >> 4) >> 16) + (plane.second_weight * (second >> 4) >> 16) + 2) >> 2;
}

__device__ __forceinline__ int channel(const int* row, int y, int u, int v) {
    return min(max((row[0] * y + row[1] * u + row[2] * v + row[3]) >> 10, 0), 255);
}

__device__ __forceinline__ void convert(float value, float* out) { *out = value; }
__device__ __forceinline__ void convert(float value, unsigned short* out) { *out = half_of(value); }
__device__ __forceinline__ void convert(float value, unsigned char* out) { *out = (unsigned char)(int)value; }

// From an 8-bit value to an element, for each channel: value * factor + offset; the padding is an element already.
struct Channels {
    float factor[3], offset[3], pad[3];
};

template <typename T>
struct alignas(kPixels * sizeof(T)) Pixels {
    T value[kPixels];
};

// The pixels of one thread that lie inside the image; `x` counts from the image's left edge.
template <int bytes, typename T>
__device__ __forceinline__ void color(const Picture& picture, int x, int y, const Channels& channels, Pixels<T> (&out)[3]) {
    Taps luma_lines = down(y, picture.luma_ratio[1], picture.luma_wh[1]);
    Taps chroma_lines = down(y, picture.chroma_ratio[1], picture.chroma_wh[1]);
    Plane luma = plane_at(picture.plane[0], picture.pitch[0], 1, picture.sample_scale, luma_lines);
    Plane blue = plane_at(picture.plane[1], picture.pitch[1], picture.chroma_step, picture.sample_scale, chroma_lines);
    Plane red = plane_at(picture.plane[2], picture.pitch[2], picture.chroma_step, picture.sample_scale, chroma_lines);
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
        if (x + i < 0 || x + i >= picture.new_wh[0]) continue;
        Taps luma_taps = across(x + i, picture.luma_ratio[0], picture.luma_wh[0]);
        Taps chroma_taps = across(x + i, picture.chroma_ratio[0], picture.chroma_wh[0]);
        int s0 = bilinear<bytes>(luma, luma_taps);
        int s1 = bilinear<bytes>(blue, chroma_taps);
        int s2 = bilinear<bytes>(red, chroma_taps);
#pragma unroll
        for (int c = 0; c < 3; ++c)
            convert((float)channel(picture.matrix + 4 * c, s0, s1, s2) * channels.factor[c] + channels.offset[c], &out[c].value[i]);
    }
}

// Grid: x covers the width with kPixels per thread, y the height, z the images.
template <typename T>
__device__ __forceinline__ void preprocess(
    const Picture* __restrict__ table, T* output, int width, int height, const Channels& channels) {
    int x = (blockIdx.x * blockDim.x + threadIdx.x) * kPixels;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Picture& picture = table[blockIdx.z];

    Pixels<T> out[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        T padding;
        convert(channels.pad[c], &padding);
#pragma unroll
        for (int i = 0; i < kPixels; ++i) out[c].value[i] = padding;
    }

    int left = x - picture.pad_xy[0], top = y - picture.pad_xy[1];
    if (top >= 0 && top < picture.new_wh[1] && left > -kPixels && left < picture.new_wh[0]) {
        if (picture.sample_bytes == 1)
            color<1>(picture, left, top, channels, out);
        else
            color<2>(picture, left, top, channels, out);
    }

    long long channel_size = (long long)width * height;
    T* target = output + (long long)blockIdx.z * 3 * channel_size + (long long)y * width + x;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        // Every group of pixels is aligned then.
        if (width % kPixels == 0)
            *(Pixels<T>*)(target + c * channel_size) = out[c];
        else
            for (int i = 0; i < kPixels && x + i < width; ++i) target[c * channel_size + i] = out[c].value[i];
    }
}

}  // namespace

#define CHANNELS Channels{{factor0, factor1, factor2}, {offset0, offset1, offset2}, {pad0, pad1, pad2}}

extern "C" __global__ void __launch_bounds__(256) framelane_preprocess_float32(
    const Picture* __restrict__ table, float* output, int width, int height, float factor0, float factor1, float factor2, float offset0,
    float offset1, float offset2, float pad0, float pad1, float pad2) {
    preprocess(table, output, width, height, CHANNELS);
}

extern "C" __global__ void __launch_bounds__(256) framelane_preprocess_float16(
    const Picture* __restrict__ table, unsigned short* output, int width, int height, float factor0, float factor1, float factor2, float offset0,
    float offset1, float offset2, float pad0, float pad1, float pad2) {
    preprocess(table, output, width, height, CHANNELS);
}

extern "C" __global__ void __launch_bounds__(256) framelane_preprocess_uint8(
    const Picture* __restrict__ table, unsigned char* output, int width, int height, float factor0, float factor1, float factor2, float offset0,
    float offset1, float offset2, float pad0, float pad1, float pad2) {
    preprocess(table, output, width, height, CHANNELS);
}
